"""Calibration: the tolerance that a network must be asked for so that its runs are within the one wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ...criteria.learned import LearnedStep
from .problems import ProblemSets
from .tolerances import FARTHEST

SHARE = 0.94  # fraction of each family that is to comply: a margin for the nine in ten promised on unknown problems
ROUNDS = 7
CLOSE = 0.1  # ln of the error over the tolerance may be so far below 0 when the search ends
SLOPE = (0.5, 2.0)  # between which the slope of ln error over ln factor is taken to be


class Calibrated(NamedTuple):
    """What a network is to be asked for at one tolerance."""

    tol: float
    factor: float  # by which the tolerance asked for differs from the one wanted
    decided_by: str  # the family with the largest errors there


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
) -> list[Calibrated]:
    """Return for every tolerance the factor by which the one asked for has to differ from it, so that all families comply.

    The factor is the cheapest of those tried with which they do: a looser one is not always cheaper (order 8 at 1e-2, asked for
    0.3, took 7 % more forces than at 1e-3). report(tolerances done, number of tolerances) is called before each.
    """
    found = []
    for k, tol in enumerate(problems.tolerances):
        report(k, len(problems.tolerances))
        best = search(partial(_trial, step, problems.at(k), threads))
        found.append(Calibrated(tol, math.exp(best.at), best.worst))
    return found


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
    return max(-FARTHEST, min(FARTHEST, at))


def _trial(step: LearnedStep, problems: ProblemSets, threads: int, at: float) -> Trial:
    """Run the problems with a network that is asked for exp(at) times the tolerance."""
    measured, family = problems.evaluate(step, threads, math.exp(at)), problems.family
    members = [family == k for k in range(len(problems.families))]
    excess = [float(np.quantile(measured.log_excess[0, m], SHARE)) for m in members]
    forces = np.mean([measured.log_forces[0, m].mean() for m in members])
    return Trial(at, max(excess), float(forces), problems.families[int(np.argmax(excess))])
