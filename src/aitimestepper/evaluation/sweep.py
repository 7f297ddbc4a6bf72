"""Sweeps: runs of every problem with ever smaller steps, as far down as the tolerances need and a budget allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..integrators import SPLITTINGS
from ..simulate.progress import Watch
from .contenders import COARSEST, Contender
from .runs import Outcome, Systems, measure
from .statistics import share_error

RATIO = math.sqrt(2.0)  # ratio of two consecutive step parameters
LENGTH = 40  # largest number of runs of a sweep
FAR_BELOW = 30.0  # a problem whose error is so many times below the smallest tolerance in two consecutive runs is finished
PATIENCE = 8  # number of unsound runs stopped by the budget after which a problem is given up
GROWTH = 1.3  # forces grow by at least this factor from run to run; runs that would then exceed the budget are not begun


@dataclass(frozen=True)
class ParameterSweep:
    """Runs of P problems at K step parameters, from coarse to fine.

    NaN marks runs that were not made, because finer steps were not needed or not affordable. An infinite error marks a run
    that broke off or never ended.
    """

    step_parameters: np.ndarray  # (K,)
    error: np.ndarray  # (P, K) largest relative energy error
    forces: np.ndarray  # (P, K) force evaluations
    budget: int  # largest number of force evaluations of a run

    @property
    def problems(self) -> int:
        """Number of problems, P."""
        return len(self.error)

    def rows(self, chosen: slice) -> ParameterSweep:
        """Return the sweep of some of the problems."""
        return replace(self, error=self.error[chosen], forces=self.forces[chosen])


def sweep_parameters(
    systems: Systems,
    contender: Contender,
    tolerances: Sequence[float],
    budget: int,
    share: float = 0.9,
    groups: Sequence[slice] = (slice(None),),
    watch: Watch | None = None,
) -> ParameterSweep:
    """Run all problems with ever smaller steps until `share` of them comply with the smallest tolerance.

    In every group of problems that many must comply in two consecutive runs; problems that are far below the tolerance are
    left out before. Then those problems go on that have not complied in two consecutive runs themselves.

    A run that would cost more than the budget is not begun. A tolerance that, in every group, more than 1 - `share` of the
    problems cannot afford is given up, and with it the runs that no other tolerance needs.
    """
    P, first = len(systems.start), coarsest(contender)
    step_parameters, errors, forces = [], [], []
    progress = _SweepProgress(P, sorted(tolerances), share, groups)
    for k in range(LENGTH):
        rows = progress.active()
        if not len(rows):
            break
        step_parameters.append(first / RATIO**k)
        outcome = measure(systems.rows(rows), contender, step_parameters[-1], budget, watch)
        unaffordable = progress.record(rows, outcome, budget)
        error, cost = np.full(P, np.nan), np.full(P, np.nan)
        error[rows] = np.where(unaffordable, np.nan, outcome.error)
        cost[rows] = np.where(unaffordable, np.nan, outcome.forces)
        errors.append(error)
        forces.append(cost)
    return ParameterSweep(np.array(step_parameters), np.array(errors).T, np.array(forces).T, budget)


def coarsest(contender: Contender) -> float:
    """Return the first step parameter of a sweep, which is larger for splittings of higher order."""
    method, largest = SPLITTINGS.get(contender.integrator), contender.rule.largest(contender.integrator)
    usual = float(COARSEST * RATIO ** min((method.order if method else 2) - 2, 4))
    return min(usual, contender.step_parameter(largest)) if math.isfinite(largest) else usual


class _SweepProgress:
    """Progress of a sweep: the problems that still need finer steps, and the tolerances that can still be reached."""

    def __init__(self, P: int, tolerances: list[float], share: float, groups: Sequence[slice]) -> None:
        self.tolerances, self.share, self.groups = tolerances, share, groups
        self.error, self.error_before = np.full(P, np.inf), np.full(P, np.inf)  # of the last two runs
        self.best = np.full(P, np.inf)  # the smallest tolerance that two consecutive runs comply with
        self.given_up, self.unsound_runs = np.zeros(P, bool), np.zeros(P, int)
        self.group_best = np.full(len(groups), np.inf)  # like `best`, for the error that `share` of a group stays below
        self.group_error = self.group_best.copy()

    def active(self) -> np.ndarray:
        """Return the indices of the problems to run."""
        if not self.tolerances:
            return np.zeros(0, int)
        smallest = self.tolerances[0]
        enough = smallest / FAR_BELOW if (self.group_best > smallest).any() else smallest
        return np.flatnonzero(~self.given_up & ~(self.best <= enough))

    def record(self, rows: np.ndarray, outcome: Outcome, budget: int) -> np.ndarray:
        """Record the runs of some problems, and return which of them show that finer steps cannot be afforded, (R,) bool."""
        # Steps so long that bodies are bound ever more tightly lead to runs without an end; shorter ones may not.
        self.unsound_runs[rows] += outcome.unfinished & ~outcome.sound
        unaffordable = outcome.unfinished & (outcome.sound | (self.unsound_runs[rows] > PATIENCE))
        self.error_before[rows], self.error[rows] = self.error[rows], outcome.error
        self.best[rows] = np.minimum(self.best[rows], np.maximum(self.error, self.error_before)[rows])
        self.given_up[rows] = unaffordable | (outcome.sound & (outcome.forces * GROWTH > budget))
        self._update_groups()
        self._drop_tolerances()
        return unaffordable

    def _update_groups(self) -> None:
        beyond = self.given_up & ~(self.error <= self.tolerances[0])  # finer steps would not be affordable
        error = np.where(beyond, np.inf, self.error)
        now = np.array([share_error(error[group], self.share) for group in self.groups])
        self.group_best, self.group_error = np.minimum(self.group_best, np.maximum(now, self.group_error)), now

    def _drop_tolerances(self) -> None:
        """Give up tolerances that too many problems of every group cannot afford; problems still active may reach any."""
        reached = np.where(self.given_up, np.minimum(self.best, self.error), 0.0)
        most = 1 - self.share + 1e-9
        self.tolerances = [tol for tol in self.tolerances if any((reached[g] > tol).mean() <= most for g in self.groups)]
