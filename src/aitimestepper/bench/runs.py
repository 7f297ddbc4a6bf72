"""Runs of a suite: with given dials, and down a ladder of ever smaller steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ..integrators import COMPOSITIONS
from ..io.suites import Suite
from ..physics.particle import ParticleTorch
from ..simulate.compiled import Watch
from ..simulate.engine import simulate
from ..simulate.methods import method_from
from .contenders import Contender

COARSEST = 0.7  # the first dial of a ladder: nine steps a circular orbit
RATIO = math.sqrt(2.0)  # between its rungs
RUNGS = 40
GROWTH = 1.3  # of the forces from rung to rung, at least: runs that would only be stopped by the budget are not begun


class Outcome(NamedTuple):
    """How each of P problems went, (P,) each. A run that broke off has an infinite error; its forces count."""

    error: np.ndarray  # largest relative energy error
    forces: np.ndarray
    steps: np.ndarray
    unfinished: np.ndarray  # stopped by the budget: what it would have come to is not known
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
    systems: Systems, contender: Contender, dial: float | np.ndarray, budget: int, watch: Watch | None = None, threads: int = 1
) -> Outcome:
    """One run of every problem, all as one batch; `budget`: most forces a run. `watch` may raise to stop it."""
    start, ends = systems
    dials = torch.as_tensor(np.broadcast_to(dial, len(start)).copy(), dtype=torch.float64)
    began = time.perf_counter()
    result = simulate(
        start,
        t_end=ends,
        criterion=contender.criterion(dials, start),
        integrator=contender.integrator,
        max_steps=max(1, int(budget) // forces_a_step(contender)),
        threads=threads,
        progress=watch or False,
    )
    spent = time.perf_counter() - began
    ok = np.array([status == "ok" for status in result.status])
    unfinished = np.array([status == "max_steps" for status in result.status])

    def errors(values: torch.Tensor) -> np.ndarray:
        found = values.numpy().copy()
        return np.where(ok & np.isfinite(found), found, np.inf)

    return Outcome(
        errors(result.max_energy_error),
        result.force_evaluations.numpy().astype(float),
        result.steps.numpy().astype(float),
        unfinished,
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
class Ladder:
    """Runs of P problems with K dials, from coarse to fine. NaN: not run, because finer steps than that were not needed
    (`below`: the error had been below the smallest tolerance twice) or not affordable."""

    dials: np.ndarray  # (K,)
    error: np.ndarray  # (P, K)
    forces: np.ndarray  # (P, K)
    below: np.ndarray  # (P,) bool
    budget: int

    @property
    def problems(self) -> int:
        """P."""
        return len(self.error)


def climb(systems: Systems, contender: Contender, smallest: float, budget: int, watch: Watch | None = None) -> Ladder:
    """Ever smaller steps, until each problem's error was at most `smallest` twice running or its run exceeds the budget."""
    P = len(systems.start)
    dials, errors, forces = [], [], []
    active, below, good = np.ones(P, bool), np.zeros(P, bool), np.zeros(P, int)
    for rung in range(RUNGS):
        rows = np.flatnonzero(active)
        if not len(rows):
            break
        dial = COARSEST / RATIO**rung
        done = measure(systems.rows(rows), contender, dial, budget, watch)
        error, spent = np.full(P, np.nan), np.full(P, np.nan)
        error[rows] = np.where(done.unfinished, np.nan, done.error)
        spent[rows] = np.where(done.unfinished, np.nan, done.forces)
        dials.append(dial)
        errors.append(error)
        forces.append(spent)
        good[rows] = np.where(done.error <= smallest, good[rows] + 1, 0)
        below |= good >= 2
        active[rows] &= ~done.unfinished & (good[rows] < 2) & (done.forces * GROWTH <= budget)
    return Ladder(np.array(dials), np.array(errors).T, np.array(forces).T, below, budget)


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
