"""Runs of a suite: with given step_parameters, and down a sweep of ever smaller steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from ..differentiable.loop import MAX_STEPS, OK
from ..differentiable.particle import ParticleTorch
from ..initial.suites import Suite
from ..integrators import COMPOSITIONS
from ..simulate.batch import Watch
from ..simulate.engine import simulate
from ..simulate.methods import method_from
from .contenders import Contender

COARSEST = 0.7  # the first step_parameter of a sweep at order 2: nine steps a circular orbit
RATIO = math.sqrt(2.0)  # between its rungs
RUNGS = 40
FAR = 30.0  # times below the smallest tolerance, twice running: finer steps do not bring such a problem back above it
SOUND = 0.1  # an energy error up to which a run may still be called one of the problem
PATIENCE = 8  # rungs that end nowhere before a problem is given up
GROWTH = 1.3  # of the forces from rung to rung, at least: runs that would only be stopped by the budget are not begun


class Outcome(NamedTuple):
    """How each of P problems went, (P,) each. A run that broke off has an infinite error, and counts
    with the whole budget: to fail early is not cheap."""

    error: np.ndarray  # largest relative energy error
    forces: np.ndarray
    steps: np.ndarray
    unfinished: np.ndarray  # stopped by the budget: what it would have come to is not known
    sound: np.ndarray  # the error stayed below `SOUND`, up to where the run ended
    final_error: np.ndarray
    wall_time: float


class Systems(NamedTuple):
    """The problems of a suite, ready to run."""

    start: ParticleTorch
    ends: torch.Tensor  # (P,)

    @classmethod
    def of(cls, suite: Suite) -> Systems:
        """All of a suite."""
        return cls(*suite.batch())

    def rows(self, index: np.ndarray) -> Systems:
        """Some of them."""
        chosen = torch.from_numpy(index)
        return Systems(self.start.select(chosen), self.ends[chosen])


def measure(
    systems: Systems,
    contender: Contender,
    step_parameter: float | np.ndarray,
    budget: int,
    watch: Watch | None = None,
    threads: int = 1,
) -> Outcome:
    """One run of every problem, all as one batch; `budget`: most forces a run. `watch` may raise to stop it."""
    start, ends = systems
    step_parameters = torch.as_tensor(np.broadcast_to(step_parameter, len(start)).copy(), dtype=torch.float64)
    began = time.perf_counter()
    result = simulate(
        start,
        t_end=ends,
        criterion=contender.criterion(step_parameters, start),
        integrator=contender.integrator,
        max_steps=max(1, int(budget) // forces_a_step(contender)),
        threads=threads,
        progress=watch or False,
    )
    spent = time.perf_counter() - began
    ok = np.array([status == OK for status in result.status])
    unfinished = np.array([status == MAX_STEPS for status in result.status])

    def errors(values: torch.Tensor) -> np.ndarray:
        found = values.numpy().copy()
        return np.where(ok & np.isfinite(found), found, np.inf)

    forces = result.force_evaluations.numpy().astype(float)
    return Outcome(
        errors(result.max_energy_error),
        np.where(ok | unfinished, forces, np.maximum(forces, budget)),
        result.steps.numpy().astype(float),
        unfinished,
        result.max_energy_error.numpy() < SOUND,
        errors(result.final_energy_error),
        spent,
    )


def forces_a_step(contender: Contender) -> int:
    """Force evaluations of a step, the trials of `hmm` included; 11 for radau15, whose number varies."""
    method = method_from(contender.integrator)
    if method.name in COMPOSITIONS:
        return len(COMPOSITIONS[method.name].fractions) * (4 if contender.variant == "hmm" else 1)
    return 11 if method.name == "radau15" else method.iterations


@dataclass(frozen=True)
class ParameterSweep:
    """Runs of P problems with K step_parameters, from coarse to fine. NaN: not run, because finer steps were not needed or not
    affordable. An infinite error: the run broke off, or went astray."""

    step_parameters: np.ndarray  # (K,)
    error: np.ndarray  # (P, K)
    forces: np.ndarray  # (P, K)
    budget: int

    @property
    def problems(self) -> int:
        """P."""
        return len(self.error)

    def rows(self, chosen: slice) -> ParameterSweep:
        """Of some problems."""
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
    """Ever smaller steps: of all problems until in every group `share` of them comply with the smallest of `tolerances`, twice
    running (without those that are far below it already); then of those that have not complied twice running themselves.

    A run that would cost more than the budget is not begun. A tolerance that, in every group, more than 1 - `share` of the
    problems cannot afford is given up, and with it the runs that only it would have needed.
    """
    P, first = len(systems.start), coarsest(contender)
    step_parameters, errors, forces = [], [], []
    state = _Sweeping(P, sorted(tolerances), share, groups)
    for rung in range(RUNGS):
        rows = state.active()
        if not len(rows):
            break
        step_parameters.append(first / RATIO**rung)
        done = measure(systems.rows(rows), contender, step_parameters[-1], budget, watch)
        hopeless = state.step(rows, done, budget)
        error, spent = np.full(P, np.nan), np.full(P, np.nan)
        error[rows], spent[rows] = np.where(hopeless, np.nan, done.error), np.where(hopeless, np.nan, done.forces)
        errors.append(error)
        forces.append(spent)
    return ParameterSweep(np.array(step_parameters), np.array(errors).T, np.array(forces).T, budget)


def coarsest(contender: Contender) -> float:
    """The first step_parameter: methods of higher order are of use with longer steps."""
    method = method_from(contender.integrator)
    order = COMPOSITIONS[method.name].order if method.name in COMPOSITIONS else 2
    return float(COARSEST * RATIO ** min(order - 2, 4))


class _Sweeping:
    """Which problems still need finer steps, while a sweep is climbed."""

    def __init__(self, P: int, tolerances: list[float], share: float, groups: Sequence[slice]) -> None:
        self.alive, self.share, self.groups = tolerances, share, groups
        self.latest, self.before = np.full(P, np.inf), np.full(P, np.inf)
        self.best = np.full(P, np.inf)  # the smallest tolerance met twice running
        self.lost, self.astray = np.zeros(P, bool), np.zeros(P, int)
        self.typical = np.full(len(groups), np.inf)  # as `best`, for the error that `share` of a group stays below
        self.last = self.typical.copy()

    def active(self) -> np.ndarray:
        """Problems to run."""
        if not self.alive:
            return np.zeros(0, int)
        enough = self.alive[0] / FAR if (self.typical > self.alive[0]).any() else self.alive[0]
        return np.flatnonzero(~self.lost & ~(self.best <= enough))

    def step(self, rows: np.ndarray, done: Outcome, budget: int) -> np.ndarray:
        """RecordBuilder the runs of a rung; which of them say that finer ones cannot be afforded."""
        # steps so long that bodies are bound ever more tightly end nowhere; shorter ones may
        self.astray[rows] += done.unfinished & ~done.sound
        hopeless = done.unfinished & (done.sound | (self.astray[rows] > PATIENCE))
        self.before[rows], self.latest[rows] = self.latest[rows], done.error
        self.best[rows] = np.minimum(self.best[rows], np.maximum(self.latest, self.before)[rows])
        self.lost[rows] = hopeless | (done.sound & (done.forces * GROWTH > budget))
        beyond = self.lost & ~(self.latest <= self.alive[0])  # finer steps would not be affordable
        now = np.array([share_error(np.where(beyond, np.inf, self.latest)[g], self.share) for g in self.groups])
        self.typical, self.last = np.minimum(self.typical, np.maximum(now, self.last)), now
        met = np.where(self.lost, np.minimum(self.best, self.latest), 0.0)  # nothing is decided yet of the others
        self.alive = [t for t in self.alive if any((met[g] > t).mean() <= 1 - self.share + 1e-9 for g in self.groups)]
        return hopeless


def share_error(errors: np.ndarray, share: float) -> np.ndarray:
    """The smallest error that at least `share` of the problems do not exceed, (P, ...) -> (...)."""
    k = max(0, math.ceil(share * len(errors) - 1e-9) - 1)
    return np.asarray(np.partition(errors, k, axis=0)[k])


def crossing(x: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray, level: float) -> float:
    """The x from which on the error stays at or below `level`, by log-log interpolation; x from coarse to fine.

    NaN where the runs do not say: all of them above, or all below, so that nothing encloses it. Past a lucky run in between.
    """
    x, error = np.asarray(x, float), np.asarray(error, float)
    above = np.flatnonzero(~(error <= level))
    if not len(above) or above[-1] == len(error) - 1:
        return math.nan
    k = above[-1]
    if not np.isfinite(error[k]):
        return float(x[k + 1])
    lx, ly = np.log(x[k : k + 2]), np.log(np.maximum(error[k : k + 2], np.finfo(float).tiny))
    return float(np.exp(lx[0] + (lx[1] - lx[0]) * (ly[0] - math.log(level)) / (ly[0] - ly[1])))
