"""What a network has to be told so that its runs keep what it was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...criteria.learned import LearnedStep
from ...simulate.batch import Watch
from ...evaluation.evaluation_set import EvaluationSet, evaluate

SHARE = 0.96  # of every family: nine in ten are promised of problems that are not known yet
ROUNDS = 6
CLOSE = 0.05  # of ln error: near enough
FARTHEST = math.log(30.0)  # from what was asked


def calibrate(
    step: LearnedStep,
    what: EvaluationSet,
    threads: int = 1,
    watch: Watch | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[float, float]]:
    """(tolerance, what the network is told over it) at every tolerance of an exam, by secants between logarithms.

    Of all that was tried and kept the tolerance it is the cheapest: more is not always less work (order 8 at 1e-2, told 0.3,
    took 7 % more forces than at 1e-3).
    """
    found = []
    for k, tol in enumerate(what.tolerances):
        tell(k, len(what.tolerances))
        one = what._replace(tolerances=(tol,), budgets=(what.budgets[k],))
        at, slope = 0.0, 1.0
        tried: list[tuple[float, float, float]] = []  # (ln told / asked, excess, ln forces)
        for _ in range(ROUNDS):
            excess, log_forces = _told(step, one, at, threads, watch)
            tried.append((at, excess, log_forces))
            if abs(excess) < CLOSE:
                break
            if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
                slope = (tried[-1][1] - tried[-2][1]) / (tried[-1][0] - tried[-2][0])
            at = max(-FARTHEST, min(FARTHEST, at - excess / max(slope, 0.3)))
        kept = [x for x in tried if x[1] <= CLOSE] or [min(tried, key=lambda x: x[1])]
        found.append((tol, math.exp(min(kept, key=lambda x: x[2])[0])))
    return found


def _told(step: LearnedStep, what: EvaluationSet, log_factor: float, threads: int, watch: Watch | None) -> tuple[float, float]:
    """If the network is told so much else: ln of the error over the tolerance that `SHARE` of the worst family stay below, and
    mean ln of the forces."""
    outcome_scores = evaluate(step, what, watch, threads, told=math.exp(log_factor))
    worst = max(float(np.quantile(outcome_scores.log_excess[0, what.family == k], SHARE)) for k in range(len(what.families)))
    return worst, float(outcome_scores.log_forces.mean())
