"""The objective: forces at which a network's runs are within their tolerances, for real runs and for predicted ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...evaluation.evaluation_set import EvaluationSet, Scores
from .problems import ProblemSets

SHARE = 0.93  # fraction of each family that is to comply: a margin above the 90 % promised, for noise
WINDOW = 0.06  # the quantile is a mean over levels this far on either side, so that no single problem decides
SHARPNESS = 8.0  # of the soft maximum over families: one of twenty has to be seen, since it decides the calibration
POOLED = 0.5  # weight of all problems together; the rest is that of the worst families
SLACK = 0.5  # penalty for errors off the tolerance, in either direction, besides the forces


class Score(NamedTuple):
    """Cost and errors of the runs of an evaluation set at one tolerance."""

    tol: float
    forces: float  # geometric mean over problems, each family counting the same
    # ln of the error that `SHARE` of the problems stay below, over the tolerance: mean of all and of the worst families, for
    # sensitive systems and for others apart
    excess: float
    compliance: float  # fraction of the problems whose error is within the tolerance
    worst_compliance: float  # compliance of the worst family
    median: float  # error over tolerance

    def cost(self, order: int) -> float:
        """Return the forces if the steps were such that `excess` is 0."""
        return self.forces * math.exp(self.excess / order)


def upper(values: Tensor) -> Tensor:
    """Return the quantile at `SHARE`, as a mean of interpolated quantiles in a window about it, which varies smoothly."""
    levels = torch.linspace(SHARE - WINDOW, min(1.0, SHARE + WINDOW), 13, dtype=values.dtype, device=values.device)
    return torch.quantile(values, levels).mean()


def forces_and_excess(
    log_forces: Tensor, log_excess: Tensor, family: Tensor, sensitive: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return mean ln forces, each family counting the same, and ln of the error over the tolerance (see `Score.excess`).

    The excess of problems that are `sensitive` (P,) and that of the others, which have calibrations of their own, are apart;
    the mean is returned, by their numbers.
    """
    forces = torch.stack([log_forces[family == k].mean() for k in torch.unique(family)]).mean()
    everywhere = torch.ones_like(family, dtype=torch.bool)
    kinds = [everywhere] if sensitive is None else [~sensitive, sensitive]
    parts = [(kind.double().mean().to(log_excess), _excess(log_excess[kind], family[kind])) for kind in kinds if kind.any()]
    return forces, torch.stack([share * excess for share, excess in parts]).sum()


def _excess(log_excess: Tensor, family: Tensor) -> Tensor:
    groups = [family == k for k in torch.unique(family)]
    tails = torch.stack([upper(log_excess[g]) for g in groups])
    worst = (torch.logsumexp(SHARPNESS * tails, 0) - math.log(len(groups))) / SHARPNESS
    return POOLED * upper(log_excess) + (1.0 - POOLED) * worst


def log_cost(log_forces: Tensor, log_excess: Tensor, family: Tensor, order: int, sensitive: Tensor | None = None) -> Tensor:
    """Return ln of the forces at which errors are within the tolerance, with a small penalty for errors that are off it."""
    forces, excess = forces_and_excess(log_forces, log_excess, family, sensitive)
    return forces + (excess + SLACK * excess.abs()) / order


def scores(problems: EvaluationSet | ProblemSets, measured: Scores) -> list[Score]:
    """Return one score for each tolerance."""
    found, family, sensitive = [], torch.from_numpy(problems.family), torch.from_numpy(problems.sensitive)
    for tol, log_forces, log_excess in zip(problems.tolerances, measured.log_forces, measured.log_excess, strict=True):
        complies = log_excess <= 0
        numbers = torch.from_numpy(log_forces), torch.from_numpy(log_excess)
        forces, excess = forces_and_excess(*numbers, family, sensitive)
        worst = min(float(complies[problems.family == k].mean()) for k in np.unique(problems.family))
        median = float(np.exp(np.median(log_excess)))
        found.append(Score(tol, math.exp(forces), float(excess), float(complies.mean()), worst, median))
    return found


def mean_log_cost(found: Sequence[Score], order: int) -> float:
    """Return the mean over the tolerances of ln of the cost."""
    return sum(math.log(score.cost(order)) for score in found) / len(found)
