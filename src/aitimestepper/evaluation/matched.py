"""Runs at equal cost: the step parameter at which a contender takes a wanted number of force evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..simulate.progress import Watch
from .contenders import Contender
from .runs import Outcome, Systems, measure

FIRST = 0.02  # the step parameter at which the search begins
TRIES = 25
CLOSE = 1e-3  # relative difference from the wanted forces at which the search ends
# Relative difference of the forces beyond which the search ended at a jump, and factors of the step parameter to try then.
JUMP, NEARBY = 5e-3, np.geomspace(0.8, 1.25, 31)
ROUGH_FRACTION, ROUGH_TRIES = 0.01, 4  # the search begins on this part of every run
STOP_FACTOR = 4  # a run is stopped when it has taken so many times the wanted forces

ForcesAt = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (numbers (R,), the rows that they belong to (R,)) -> forces (R,)


class Match(NamedTuple):
    """Numbers whose forces are nearest to the wanted ones, and these forces, (P,) each."""

    number: np.ndarray
    forces: np.ndarray


def bisected(forces_at: ForcesAt, first: np.ndarray, wanted: np.ndarray) -> Match:
    """Solve `forces_at(number) = wanted` row by row, as if forces were proportional to 1 / number.

    Where that estimate is outside the bracket, the bracket is halved: the orbit of a run whose energy drifts shrinks, and its
    forces are then far from proportional to 1 / number.
    """
    number, best = first.copy(), first.copy()
    low, high, found = np.zeros_like(first), np.full_like(first, np.inf), np.full_like(first, np.inf)
    active = np.ones(len(first), bool)
    for _ in range(TRIES):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        at, goal = number[rows], wanted[rows]
        forces = forces_at(at, rows)
        nearer = np.abs(forces - goal) < np.abs(found[rows] - goal)
        best[rows], found[rows] = np.where(nearer, at, best[rows]), np.where(nearer, forces, found[rows])
        active[rows] = ~((np.abs(forces / goal - 1) < CLOSE) | (high[rows] - low[rows] < 1e-9 * at))
        below, above = np.where(forces > goal, at, low[rows]), np.where(forces > goal, high[rows], at)
        low[rows], high[rows] = below, above
        estimate = at * np.minimum(np.maximum(forces / goal, 0.5), 2.0)
        inside = (below < estimate) & (estimate < above)
        number[rows] = np.where(inside, estimate, np.sqrt(below * np.where(inside, 1.0, above)))
    return Match(best, found)


def matched_step_parameters(
    systems: Systems, contender: Contender, forces: float | np.ndarray, watch: Watch | None = None
) -> tuple[np.ndarray, Outcome]:
    """Return the step parameters (P,) at which each problem by itself takes the wanted forces, and its runs with them.

    A problem that cannot be matched gets the nearest step parameter found; the outcome holds its forces. Regular problems are
    within 0.5 %; of 240 chaotic ones, whose forces jump up and down with the step parameter, one was 3 % off.
    """
    wanted = np.broadcast_to(np.asarray(forces, float), len(systems.start)).copy()

    def forces_at(step_parameters: np.ndarray, rows: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        part = systems.rows(rows)
        budget = int(STOP_FACTOR * fraction * wanted[rows].max()) + 100
        return measure(Systems(part.start, fraction * part.ends), contender, step_parameters, budget, watch).forces

    all_rows = np.arange(len(wanted))
    found = np.full(len(wanted), FIRST)
    for _ in range(ROUGH_TRIES):
        found *= np.clip(forces_at(found, all_rows, ROUGH_FRACTION) / (ROUGH_FRACTION * wanted), 0.1, 10.0)
    found = _improved_at_jumps(forces_at, bisected(forces_at, found, wanted), wanted).number
    return found, measure(systems, contender, found, int(STOP_FACTOR * wanted.max()) + 100, watch)


def _improved_at_jumps(forces_at: ForcesAt, match: Match, wanted: np.ndarray) -> Match:
    """Return a better match where the forces of a chaotic problem jump over the wanted ones, from numbers nearby."""
    number, found = match.number.copy(), match.forces.copy()
    for factor in NEARBY:
        rows = np.flatnonzero(np.abs(found / wanted - 1) > JUMP)
        if not len(rows):
            break
        at = factor * match.number[rows]
        forces = forces_at(at, rows)
        nearer = np.abs(forces - wanted[rows]) < np.abs(found[rows] - wanted[rows])
        number[rows], found[rows] = np.where(nearer, at, number[rows]), np.where(nearer, forces, found[rows])
    return Match(number, found)


def matched_step_parameter(
    systems: Systems, contender: Contender, forces: float, watch: Watch | None = None
) -> tuple[float, Outcome]:
    """Return the step parameter at which the median problem takes the wanted forces, and the runs of all problems with it.

    Hard problems then cost more than easy ones, as they do for a user who chooses a number once. Runs are stopped at a hundred
    times the wanted forces.
    """
    budget = int(100 * forces)

    def forces_at(step_parameters: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.array([np.median(measure(systems, contender, float(s), budget, watch).forces) for s in step_parameters])

    found = float(bisected(forces_at, np.array([FIRST]), np.array([float(forces)])).number[0])
    return found, measure(systems, contender, found, budget, watch)
