"""Calibration: the tolerance that a network must be asked for so that its runs are within the one wanted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...criteria.learned import LearnedStep
from ...evaluation.evaluation_set import EvaluationSet, evaluate
from .tolerances import FARTHEST

SHARE = 0.96  # fraction of each family that is to comply: a margin for the nine in ten promised on unknown problems
ROUNDS = 6
CLOSE = 0.05  # deviation of ln error at which the search ends


def calibrate(
    step: LearnedStep,
    problems: EvaluationSet,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[float, float]]:
    """Return pairs (tolerance, factor by which the one asked for differs from it), by secants between logarithms.

    The factor is the cheapest of those tried with which enough runs comply: a looser one is not always cheaper (order 8 at
    1e-2, asked for 0.3, took 7 % more forces than at 1e-3). report(tolerances done, number of tolerances) is called before
    each.
    """
    found = []
    for k, tol in enumerate(problems.tolerances):
        report(k, len(problems.tolerances))
        one = problems._replace(tolerances=(tol,), budgets=(problems.budgets[k],))
        at, slope = 0.0, 1.0
        tried: list[tuple[float, float, float]] = []  # (ln of the factor, excess, ln forces)
        for _ in range(ROUNDS):
            excess, log_forces = _excess_and_forces(step, one, at, threads)
            tried.append((at, excess, log_forces))
            if abs(excess) < CLOSE:
                break
            if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
                slope = (tried[-1][1] - tried[-2][1]) / (tried[-1][0] - tried[-2][0])
            at = max(-FARTHEST, min(FARTHEST, at - excess / max(slope, 0.3)))
        complying = [x for x in tried if x[1] <= CLOSE] or [min(tried, key=lambda x: x[1])]
        found.append((tol, math.exp(min(complying, key=lambda x: x[2])[0])))
    return found


def _excess_and_forces(step: LearnedStep, problems: EvaluationSet, log_factor: float, threads: int) -> tuple[float, float]:
    """Run the problems with a network that is asked for exp(log_factor) times the tolerance.

    Return ln of the error over the tolerance that `SHARE` of the worst family stay below, and the mean of ln forces.
    """
    measured = evaluate(step, problems, None, threads, factor=math.exp(log_factor))
    errors = [measured.log_excess[0, problems.family == k] for k in range(len(problems.families))]
    return max(float(np.quantile(error, SHARE)) for error in errors), float(measured.log_forces.mean())
