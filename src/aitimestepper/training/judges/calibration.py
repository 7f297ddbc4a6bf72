"""Calibration: the tolerance that a network must be asked for so that its runs are within the one wanted.

Sensitive systems have a calibration of their own. Own energies that are compared at the same time are the hardest to keep
there: with one factor for all, it was theirs, and all other problems took 1.25 times the forces that they needed at 1e-5 and
1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...criteria.learned import TOLERANCE_MARGIN, LearnedStep
from .problems import ProblemSets
from .tolerances import FARTHEST

SHARE = 0.94  # fraction of each family that is to comply: a margin for the nine in ten promised on unknown problems
ROUNDS = 7
CLOSE = 0.1  # ln of the error over the tolerance may be so far below 0 when the search ends
FEWEST = 8  # problems of a kind of system, for a calibration of its own
# No network is asked for more than the margin of the tolerances that it covers: there its steps are near their ceilings, which
# gains little (blanes_moan4 at 1e-4: 15 times the tolerance took 3 % fewer forces than 3 times), and the energy of long runs
# drifts.
LOOSEST = math.log(TOLERANCE_MARGIN)
SLOPE = (0.5, 2.0)  # between which the slope of ln error over ln factor is taken to be


class Calibrated(NamedTuple):
    """What a network is to be asked for at one tolerance."""

    tol: float
    factor: float  # by which the tolerance asked for differs from the one wanted
    decided_by: str  # the family with the largest errors there


class Calibration(NamedTuple):
    """What a network is to be asked for at every tolerance, in sensitive systems and in all others."""

    others: list[Calibrated]
    sensitive: list[Calibrated] | None  # None: there were too few of one kind, and `others` is for all

    def card(self) -> dict[str, Any]:
        """Return the entries of a model's card."""
        parts = {"calibration": self.others, "sensitive_calibration": self.sensitive or []}
        pairs = {name: [[one.tol, one.factor] for one in part] for name, part in parts.items() if part}
        names = {"decided_by": self.others, "sensitive_decided_by": self.sensitive or []}
        return pairs | {name: [one.decided_by for one in part] for name, part in names.items() if part}


class Trial(NamedTuple):
    """Runs of a network that is asked for exp(`at`) times the tolerance."""

    at: float
    excess: float  # ln of the error over the tolerance that `SHARE` of the worst family stay below
    log_forces: float  # the mean, each family counting the same
    worst: str  # that family


def calibrate(
    step: LearnedStep,
    problems: ProblemSets,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Return for every tolerance the factor by which the one asked for has to differ from it, so that all families comply.

    The factor is the cheapest of those tried with which they do: a looser one is not always cheaper (order 8 at 1e-2, asked for
    0.3, took 7 % more forces than at 1e-3). report(searches done, number of searches) is called before each.
    """
    sensitive = problems.sensitive
    apart = min(sensitive.sum(), (~sensitive).sum()) >= FEWEST
    parts = [problems.only(~sensitive), problems.only(sensitive)] if apart else [problems]
    total = len(parts) * len(problems.tolerances)
    found: list[list[Calibrated]] = []
    for part in parts:
        found.append([])
        for k, tol in enumerate(problems.tolerances):
            report((len(found) - 1) * len(problems.tolerances) + k, total)
            best = search(partial(_trial, step, part.at(k), threads))
            found[-1].append(Calibrated(tol, math.exp(best.at), best.worst))
    return Calibration(found[0], found[1] if apart else None)


def search(trial: Callable[[float], Trial]) -> Trial:
    """Return the cheapest trial with an excess of at most 0, else the one with the least, found by bracketing and secants."""
    tried = [trial(0.0)]
    while len(tried) < ROUNDS and not -CLOSE <= tried[-1].excess <= 0.0:
        at = _next(tried)
        if any(abs(at - x.at) < 1e-3 for x in tried):  # at the end of the range, or the bracket is closed
            break
        tried.append(trial(at))
    complying = [x for x in tried if x.excess <= 0.0]
    return min(complying, key=lambda x: x.log_forces) if complying else min(tried, key=lambda x: x.excess)


def _next(tried: list[Trial]) -> float:
    """Return where to look next: inside the bracket if there is one, else beyond the trials."""
    below = max((x for x in tried if x.excess <= 0.0), key=lambda x: x.at, default=None)
    above = min((x for x in tried if x.excess > 0.0 and (below is None or x.at > below.at)), key=lambda x: x.at, default=None)
    if below and above:
        part = (-0.5 * CLOSE - below.excess) / (above.excess - below.excess)
        return below.at + (above.at - below.at) * min(0.9, max(0.1, part))
    last, slope = below or above or tried[-1], 1.0
    others = [x for x in tried if x is not last]
    if others:
        near = min(others, key=lambda x: abs(x.at - last.at))
        slope = (near.excess - last.excess) / (near.at - last.at)
    at = last.at - (last.excess + 0.5 * CLOSE) / min(SLOPE[1], max(SLOPE[0], slope))
    return max(-FARTHEST, min(LOOSEST, at))


def _trial(step: LearnedStep, problems: ProblemSets, threads: int, at: float) -> Trial:
    """Run the problems with a network that is asked for exp(at) times the tolerance."""
    measured, members = problems.evaluate(step, threads, math.exp(at)), _members(problems)
    excess = {name: float(np.quantile(measured.log_excess[0, m], SHARE)) for name, m in members.items()}
    forces = np.mean([measured.log_forces[0, m].mean() for m in members.values()])
    worst = max(excess, key=lambda name: excess[name])
    return Trial(at, excess[worst], float(forces), worst)


def _members(problems: ProblemSets) -> dict[str, np.ndarray]:
    """Return which problems are of each family, (P,) bool by name.

    A kind of system may have a few of a family's problems only. The smallest families count as one, so that each has at least
    half as many problems as the largest: nine in ten of ten problems would be decided by one.
    """
    members = {name: problems.family == k for k, name in enumerate(problems.families)}
    numbers = {name: int(which.sum()) for name, which in members.items() if which.any()}
    groups: list[list[str]] = [[]]
    for name in sorted(numbers, key=lambda name: numbers[name]):
        groups[-1].append(name)
        if 2 * sum(numbers[one] for one in groups[-1]) >= max(numbers.values()):
            groups.append([])
    return {" ".join(group): np.any([members[name] for name in group], axis=0) for group in groups[:-1]}
