"""The reference loop, in torch: any step module and field, any device and precision, an observer of every step.

The parity tests hold the compiled engine to it: both give the same numbers for all that both can do.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..bodies import Bodies, as_bodies
from ..criteria.base import Criterion, Numbers
from ..criteria.wrappers import Limited
from ..errors import ConfigError
from ..fields import ExternalField
from ..integrators import SPLITTINGS
from ..policy import choose
from ..simulate.advice import warn_of
from ..simulate.length import for_length, kind_of
from ..simulate.result import MAX_STEPS, NON_FINITE, OK, STUCK, SimulationResult, momentum_errors
from ..simulate.schedule import end_times, step_limit
from ..simulate.units import refuse_extreme_units
from ..validation import plain
from .conserved import energy_scale, field_work
from .criteria import module_for
from .particle import ParticleTorch
from .step_module import StepModule, select_memory
from .stepping import step
from .wrappers import LimitedModule

STEPS_TO_END = 1e20  # a run that would take more steps of the present dt to its end is stuck

# takes the states before and after a step, the energy error (B,), and the indices of the systems that took the step
Observer = Callable[[ParticleTorch, ParticleTorch, Tensor, Tensor], None]


def simulate(
    particle: Any,
    *,
    t_end: Any = None,
    steps: int | None = None,
    criterion: StepModule | Criterion | str | Path | None = None,
    tol: float | None = None,
    integrator: str = "auto",
    external_field: ExternalField | None = None,
    max_steps: int | None = None,
    dt_min: float | None = None,
    dt_max: float | None = None,
    observer: Observer | None = None,
    warn: bool = True,
) -> SimulationResult:
    """Advance every system to `t_end` (one time, or one for each; reached exactly) or by `steps` steps, without a graph.

    particle: a `ParticleTorch`, whose precision and device count, or anything that `as_bodies` takes. criterion: a step module,
    or whatever the compiled `simulate` takes. integrator: a splitting. `observer` is called after every step. warn: as there.
    Bodies of a result begin a new run: this loop has no memory of earlier ones.
    """
    began = clock.perf_counter()
    particle = particle.final if isinstance(particle, SimulationResult) else particle
    if isinstance(particle, ParticleTorch):
        start = particle.clone_detached()
        if external_field is not None:
            start.set_external_field(external_field)
        bodies = start.to_bodies()
    else:
        bodies = as_bodies(particle, external_field=external_field)
        start = ParticleTorch.from_bodies(bodies)
    refuse_extreme_units(bodies)
    ends, limit = end_times(bodies, plain(t_end), steps), step_limit(steps, max_steps)
    if (ends < bodies.time).any():
        raise ConfigError(
            f"t_end = {ends.min():g} is before the start, t = {bodies.time.max():g}: the loop in torch goes forward only; "
            "reverse the velocities, or run it with aitimestepper.simulate."
        )
    plan = _plan(criterion, tol, integrator, dt_min, dt_max, bodies, ends)
    refuse_extreme_units(bodies, plan.criterion, plan.integrator)
    end = torch.from_numpy(ends).to(start.time)
    run = _Run(start, plan.module.to(start.position.device), plan.integrator, end, observer)
    run.advance(limit, OK if limit == steps else MAX_STEPS)
    result = _result(run, plan, bodies, clock.perf_counter() - began)
    if warn:
        warn_of(result, stacklevel=2)
    return result


class _Plan(NamedTuple):
    """The module that chooses the steps, and the integrator that takes them."""

    module: StepModule
    integrator: str
    tol: Numbers | None
    text: str  # the criterion as it is written
    criterion: Criterion | None  # None: it is a module


def _plan(
    criterion: StepModule | Criterion | str | Path | None,
    tol: float | None,
    integrator: str,
    dt_min: float | None,
    dt_max: float | None,
    bodies: Bodies,
    ends: np.ndarray,
) -> _Plan:
    limited = dt_min is not None or dt_max is not None
    if isinstance(criterion, StepModule):
        if tol is not None:
            raise ConfigError(f"tol = {tol} does not reach a step module: give it to the module itself.")
        name = criterion.made_for or "leapfrog" if integrator == "auto" else integrator
        if criterion.made_for not in (None, name):
            raise ConfigError(f"the step module is made for integrator = {criterion.made_for}, not for {name}: leave it out.")
        module = LimitedModule(criterion, dt_min, dt_max) if limited else criterion
        return _Plan(module, _splitting(name), criterion.tolerance, type(criterion).__name__, None)
    chosen = choose(criterion, tol, integrator, kind=lambda: kind_of(bodies, ends))
    value = for_length(chosen.criterion, bodies, ends)
    value = Limited(value, dt_min, dt_max) if limited else value
    name = _splitting(str(chosen.integrator))
    return _Plan(module_for(value, name), name, chosen.tol, str(value), value)


def _splitting(name: str) -> str:
    if name not in SPLITTINGS:
        raise ConfigError(
            f"integrator = {name}: the loop in torch takes splittings only; give one of {', '.join(SPLITTINGS)}, or run it "
            "with aitimestepper.simulate."
        )
    return name


class _Run:
    """A batch during its run; systems that have ended leave it, so that none waits for another. All numbers are (B,)."""

    def __init__(
        self, start: ParticleTorch, module: StepModule, integrator: str, t_end: Tensor, observer: Observer | None
    ) -> None:
        self.start, self.module, self.integrator, self.t_end, self.observer = start, module, integrator, t_end, observer
        zeros = torch.zeros_like(start.time)
        self.count = 0
        self.running = torch.arange(len(start), device=zeros.device)  # indices of the systems in `state` and `memory`
        self.state, self.memory = start, module.init(start)
        self.final, self.status = start, [OK] * len(start)
        self.reports: dict[str, Tensor | None] = {}
        self.E0, self.scale, self.work = start.total_energy(), energy_scale(start), zeros.clone()
        self.steps, self.max_error, self.last_error = zeros.long(), zeros.clone(), zeros.clone()
        self.failed = zeros.long()  # steps that led to no finite state; their forces count
        self.dt_min, self.dt_max = torch.full_like(zeros, math.inf), zeros.clone()
        ended = start.time >= t_end
        if ended.any():
            self._leave(ended, OK)

    def advance(self, limit: int, status_of_rest: str) -> None:
        """Take at most `limit` steps; systems that have not ended by then leave with `status_of_rest`."""
        with torch.no_grad():
            while len(self.running) and self.count < limit:
                self._step()
            if len(self.running):
                self._leave(torch.ones_like(self.running, dtype=torch.bool), status_of_rest)

    def _step(self) -> None:
        """Take one step of every running system."""
        dt, memory = self.module.choose(self.state, self.memory)
        end = self.t_end[self.running]
        remaining = end - self.state.time
        last = dt >= remaining
        taken = torch.where(last, remaining, dt)
        bad = ~torch.isfinite(taken) | (taken < 0)
        endless = torch.isfinite(remaining) & (taken < remaining / STEPS_TO_END)
        stuck = ~bad & ~last & ((self.state.time + taken == self.state.time) | endless)
        if (bad | stuck).any():
            self._leave(bad | stuck, NON_FINITE, stuck)
            return  # the others choose this step again, from the same state and memory, to the same result
        advanced = step(self.state, taken, self.integrator)
        advanced = replace(advanced, time=torch.where(last, end, advanced.time))
        work = self.work[self.running] + field_work(self.state, advanced)
        error = (advanced.total_energy() - work - self.E0[self.running]).abs() / self.scale[self.running]
        broken = ~torch.isfinite(error)
        if broken.any():
            self.failed[self.running[broken]] += 1
            self._leave(broken, NON_FINITE)
            return
        if self.observer is not None:
            self.observer(self.state, advanced, error, self.running)
        self._record(taken, error, work, last)
        self.state, self.memory = advanced, memory
        self.count += 1
        if last.any():
            self._leave(last, OK)

    def _record(self, dt: Tensor, error: Tensor, work: Tensor, last: Tensor) -> None:
        index = self.running
        self.work[index], self.last_error[index] = work, error
        self.max_error[index] = torch.maximum(self.max_error[index], error)
        self.steps[index] += 1
        # the last step is shortened to reach the end time: its length is not that of the criterion
        counted = ~last | (self.steps[index] == 1)
        self.dt_min[index] = torch.where(counted, torch.minimum(self.dt_min[index], dt), self.dt_min[index])
        self.dt_max[index] = torch.where(counted, torch.maximum(self.dt_max[index], dt), self.dt_max[index])

    def _leave(self, leaving: Tensor, status: str, stuck: Tensor | None = None) -> None:
        """Remove systems from the running batch, and store their final state and status."""
        for i in leaving.nonzero().flatten().tolist():
            self.status[int(self.running[i])] = STUCK if stuck is not None and bool(stuck[i]) else status
        self.final = self.final.with_rows(self.running[leaving], self.state.select(leaving))
        for name, values in self.module.report(self.memory).items():
            whole = self.reports.setdefault(name, None if values is None else values.new_zeros(len(self.status)))
            if whole is not None and values is not None:
                whole[self.running[leaving]] = values[leaving]
        staying = ~leaving
        self.running, self.state = self.running[staying], self.state.select(staying)
        self.memory = select_memory(self.memory, staying)


def _result(run: _Run, plan: _Plan, start: Bodies, wall_time: float) -> SimulationResult:
    forces_per_step = SPLITTINGS[run.integrator].stages * (1 + run.module.trial_steps)
    final = start.moved(*(_array(x) for x in (run.final.position, run.final.velocity, run.final.time)))
    momentum_error, angular_momentum_error = momentum_errors(start, final)
    tol = None if plan.tol is None else np.broadcast_to(np.asarray(plan.tol, dtype=np.float64), (len(start),)).copy()
    return SimulationResult(
        final=final,
        status=tuple(run.status),
        steps=_array(run.steps),
        force_evaluations=_array((run.steps + run.failed) * forces_per_step + 1),
        rejected_steps=np.zeros(len(start), dtype=np.int64),
        max_energy_error=_array(run.max_error),
        final_energy_error=_array(run.last_error),
        momentum_error=momentum_error,
        angular_momentum_error=angular_momentum_error,
        dt_min=_array(run.dt_min),
        dt_max=_array(run.dt_max),
        closest_approach=None,
        wall_time=wall_time,
        criterion=plan.text,
        integrator=run.integrator,
        reports={name: None if values is None else _array(values) for name, values in run.reports.items()},
        tol=tol,
    )


def _array(x: Tensor) -> np.ndarray:
    """Return a tensor as an array, numbers in double precision."""
    values = x.detach().cpu()
    return np.asarray(values.double().numpy() if values.is_floating_point() else values.numpy())
