"""Equal cost: the step_parameter at which a contender spends a wanted number of force evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..simulate.batch import Watch
from .contenders import Contender
from .runs import Outcome, Systems, measure

FIRST = 0.02  # where the search begins
TRIES = 25
CLOSE = 1e-3  # forces this near to those wanted are them
JUMPED, NEARBY = 5e-3, np.geomspace(0.8, 1.25, 31)  # step_parameters to try where the search ended at a jump
ROUGH_SHARE, ROUGH_TRIES = 0.01, 4  # the search begins on so much of every run
OVERSPENT = 4  # times the forces wanted: a run that comes so far need not be finished

Spent = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (numbers (R,), which rows they belong to (R,)) -> forces (R,)


class Match(NamedTuple):
    """What came nearest, (P,) each."""

    number: np.ndarray
    forces: np.ndarray


def bisected(spent: Spent, first: np.ndarray, wanted: np.ndarray) -> Match:
    """`spent(number) = wanted`, row by row: by proportion, and by halves where that leads out of the bracket.

    A run whose energy drifts shrinks its orbit, and its forces are then far from proportional to 1 / number.
    """
    number, best = first.copy(), first.copy()
    low, high, found = np.zeros_like(first), np.full_like(first, np.inf), np.full_like(first, np.inf)
    active = np.ones(len(first), bool)
    for _ in range(TRIES):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        at, goal = number[rows], wanted[rows]
        forces = spent(at, rows)
        nearer = np.abs(forces - goal) < np.abs(found[rows] - goal)
        best[rows], found[rows] = np.where(nearer, at, best[rows]), np.where(nearer, forces, found[rows])
        active[rows] = ~((np.abs(forces / goal - 1) < CLOSE) | (high[rows] - low[rows] < 1e-9 * at))
        below, above = np.where(forces > goal, at, low[rows]), np.where(forces > goal, high[rows], at)
        low[rows], high[rows] = below, above
        step = at * np.minimum(np.maximum(forces / goal, 0.5), 2.0)
        inside = (below < step) & (step < above)
        number[rows] = np.where(inside, step, np.sqrt(below * np.where(inside, 1.0, above)))
    return Match(best, found)


def matched_step_parameters(
    systems: Systems, contender: Contender, forces: float | np.ndarray, watch: Watch | None = None
) -> tuple[np.ndarray, Outcome]:
    """(P,) step_parameters at which each problem by itself spends so many forces, and how it went with them.

    What cannot be matched is the nearest one found: look at its forces. Regular problems are within 0.5 %; of 240 chaotic
    ones, whose forces jump up and down with the step_parameter, one was 3 % off.
    """
    wanted = np.broadcast_to(np.asarray(forces, float), len(systems.start)).copy()

    def spent(step_parameters: np.ndarray, rows: np.ndarray, share: float = 1.0) -> np.ndarray:
        some = systems.rows(rows)
        budget = int(OVERSPENT * share * wanted[rows].max()) + 100
        return measure(Systems(some.start, share * some.ends), contender, step_parameters, budget, watch).forces

    everything = np.arange(len(wanted))
    step_parameters = np.full(len(wanted), FIRST)
    for _ in range(ROUGH_TRIES):
        step_parameters *= np.clip(spent(step_parameters, everything, ROUGH_SHARE) / (ROUGH_SHARE * wanted), 0.1, 10.0)
    step_parameters = _around(spent, bisected(spent, step_parameters, wanted), wanted).number
    return step_parameters, measure(systems, contender, step_parameters, int(OVERSPENT * wanted.max()) + 100, watch)


def _around(spent: Spent, match: Match, wanted: np.ndarray) -> Match:
    """Where the forces of a chaotic problem jump over what is wanted, other step_parameters nearby may still spend it."""
    number, found = match.number.copy(), match.forces.copy()
    for factor in NEARBY:
        rows = np.flatnonzero(np.abs(found / wanted - 1) > JUMPED)
        if not len(rows):
            break
        at = factor * match.number[rows]
        forces = spent(at, rows)
        nearer = np.abs(forces - wanted[rows]) < np.abs(found[rows] - wanted[rows])
        number[rows], found[rows] = np.where(nearer, at, number[rows]), np.where(nearer, forces, found[rows])
    return Match(number, found)


def matched_step_parameter(
    systems: Systems, contender: Contender, forces: float, watch: Watch | None = None
) -> tuple[float, Outcome]:
    """The one step_parameter at which the median problem spends so many forces, and how all of them went with it.

    Hard problems then cost more than easy ones, as they do for someone who chooses a number once. No run is cut short
    below a hundred times the forces wanted.
    """
    budget = int(100 * forces)

    def spent(step_parameters: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.array(
            [
                np.median(measure(systems, contender, float(step_parameter), budget, watch).forces)
                for step_parameter in step_parameters
            ]
        )

    step_parameter = float(bisected(spent, np.array([FIRST]), np.array([float(forces)])).number[0])
    return step_parameter, measure(systems, contender, step_parameter, budget, watch)
