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
from .own_errors import Comparison, OwnReference, natural_units

SOUND = 0.1  # largest relative energy error at which a run still describes its problem
SHORTENING = 1e-3  # factor of the steps of `first_steps`: so short a step has no close encounter inside


class Systems(NamedTuple):
    """The problems of a suite, ready to run."""

    start: Bodies
    ends: np.ndarray  # (P,) the time at which each run ends
    regular: np.ndarray | None = None  # (P,) bool: the motion is regular, so that errors of single bodies mean something

    @classmethod
    def of(cls, suite: Suite) -> Systems:
        """Return all problems of a suite, in the unit of time in which G = 1."""
        return cls(*suite.batch(), suite.regular)

    def rows(self, index: np.ndarray) -> Systems:
        """Return the problems of these indices."""
        return Systems(self.start.select(index), self.ends[index], None if self.regular is None else self.regular[index])


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
    own_error: np.ndarray | None = None  # largest error of the own energies of bodies that count; 0 where none does


def measure(
    systems: Systems,
    contender: Contender,
    step_parameter: float | np.ndarray,
    budget: int,
    watch: Watch | None = None,
    threads: int = 1,
    own: OwnReference | None = None,
) -> Outcome:
    """Run every problem once, all as one batch, with one step parameter for all or one for each, (P,).

    budget: largest number of force evaluations of a run. watch: is called during the run, and may raise to stop it; times are
    in units of their own with `own`, the reference that the own energies of the bodies are compared with. It changes no run, if
    the steps of the criterion do not depend on the unit of time.
    """
    comparison = None if own is None or not own.compared.any() else Comparison(own)
    systems = systems if comparison is None else natural_units(systems)
    began = time.perf_counter()
    result = simulate(
        systems.start,
        t_end=systems.ends,
        criterion=contender.criterion(step_parameter, systems.start),
        integrator=contender.integrator,
        max_steps=max(1, int(budget) // contender.forces_per_step),
        threads=threads,
        progress=watch or False,
        output_every=None if comparison is None else comparison.reference.every,
        sinks=() if comparison is None else (comparison.take,),
        warn=False,
    )
    wall_time = time.perf_counter() - began
    status = np.array(result.status)
    ok, unfinished = status == OK, status == MAX_STEPS
    forces = result.force_evaluations.astype(float)
    error = np.where(ok & np.isfinite(result.max_energy_error), result.max_energy_error, np.inf)
    if comparison is not None:
        comparison.end(result.final)
    return Outcome(
        error=error,
        forces=np.where(ok | unfinished, forces, np.maximum(forces, budget)),
        steps=result.steps.astype(float),
        unfinished=unfinished,
        sound=result.max_energy_error < SOUND,
        final_error=np.where(ok & np.isfinite(result.final_energy_error), result.final_energy_error, np.inf),
        wall_time=wall_time,
        own_error=None if own is None else _own_error(own, comparison, error),
    )


def _own_error(own: OwnReference, comparison: Comparison | None, error: np.ndarray) -> np.ndarray:
    """Return the largest error of the own energies of each problem, (P,): of two bodies that of the total energy."""
    compared = np.zeros(len(error)) if comparison is None else comparison.error
    found = np.where(own.compared, compared, error)
    found = np.where(np.isfinite(error), found, np.inf)  # runs that broke off
    return np.where(own.covered.any(1), found, 0.0)


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
