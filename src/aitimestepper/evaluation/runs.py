"""Runs of many problems as one batch: their cost and errors, and the first steps of a criterion."""

from __future__ import annotations

import dataclasses
import time
from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Wrapper
from ..initial.suites import Suite
from ..policy import bind
from ..simulate.engine import simulate
from ..simulate.progress import Watch
from ..simulate.result import MAX_STEPS, OK
from .contenders import Contender

SOUND = 0.1  # largest relative energy error at which a run still describes its problem
SHORTENING = 1e-3  # factor of the steps of `first_steps`: so short a step has no close encounter inside


class Systems(NamedTuple):
    """The problems of a suite, ready to run."""

    start: Bodies
    ends: np.ndarray  # (P,) the time at which each run ends

    @classmethod
    def of(cls, suite: Suite) -> Systems:
        """Return all problems of a suite, in the unit of time in which G = 1."""
        return cls(*suite.batch())

    def rows(self, index: np.ndarray) -> Systems:
        """Return the problems of these indices."""
        return Systems(self.start.select(index), self.ends[index])


class Outcome(NamedTuple):
    """Cost and errors of the runs of P problems, each array (P,).

    A run that broke off has an infinite error and counts with the whole budget, so that failing early is not cheap.
    """

    error: np.ndarray  # largest relative energy error
    forces: np.ndarray  # force evaluations
    steps: np.ndarray
    unfinished: np.ndarray  # bool: stopped by the budget before its end
    sound: np.ndarray  # bool: the error stayed below `SOUND`, up to where the run ended
    final_error: np.ndarray  # relative energy error at the end
    wall_time: float  # seconds, of all runs together


def measure(
    systems: Systems,
    contender: Contender,
    step_parameter: float | np.ndarray,
    budget: int,
    watch: Watch | None = None,
    threads: int = 1,
) -> Outcome:
    """Run every problem once, all as one batch, with one step parameter for all or one for each, (P,).

    budget: largest number of force evaluations of a run. watch: is called during the run, and may raise to stop it.
    """
    began = time.perf_counter()
    result = simulate(
        systems.start,
        t_end=systems.ends,
        criterion=contender.criterion(step_parameter, systems.start),
        integrator=contender.integrator,
        max_steps=max(1, int(budget) // contender.forces_per_step),
        threads=threads,
        progress=watch or False,
        warn=False,
    )
    wall_time = time.perf_counter() - began
    status = np.array(result.status)
    ok, unfinished = status == OK, status == MAX_STEPS
    forces = result.force_evaluations.astype(float)
    return Outcome(
        error=np.where(ok & np.isfinite(result.max_energy_error), result.max_energy_error, np.inf),
        forces=np.where(ok | unfinished, forces, np.maximum(forces, budget)),
        steps=result.steps.astype(float),
        unfinished=unfinished,
        sound=result.max_energy_error < SOUND,
        final_error=np.where(ok & np.isfinite(result.final_energy_error), result.final_energy_error, np.inf),
        wall_time=wall_time,
    )


def first_steps(bodies: Bodies, criterion: Criterion, integrator: str = "leapfrog") -> np.ndarray:
    """Return the dt that a criterion chooses at each of the given states, (B,), as the first step of a run.

    A classical criterion is asked for steps a thousand times shorter, which are multiplied by a thousand again, so that steps
    too long to be taken can be measured. Learned and wrapped criteria are asked for their own steps.
    """
    criterion, scale = bind(criterion, integrator), 1.0
    if criterion.parameter is not None and not isinstance(criterion, (LearnedStep, Wrapper)):
        scale = SHORTENING
        shorter = criterion.values(len(bodies)) * scale ** (1.0 / criterion.exponent)
        criterion = dataclasses.replace(criterion, **{criterion.parameter: shorter})
    return simulate(bodies, steps=1, criterion=criterion, integrator=integrator, warn=False).dt_max / scale
