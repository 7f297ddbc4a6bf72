"""simulate(): one loop for every criterion, learned or classical, fixed or adaptive, over a batch of systems."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..config import INTEGRATORS
from ..criteria.base import AbstractStepCriterion, Limited, Symmetrized, select_memory
from ..criteria.classical import EnergyBudget, cheapest_integrator
from ..errors import ConfigError, InitialConditionError, nearest_name_hint
from ..integrators import COMPOSITIONS, step
from ..physics.external import ExternalField
from ..physics.invariants import (
    angular_momentum,
    angular_momentum_scale,
    field_work,
    momentum,
    momentum_scale,
    relative_error,
)
from ..physics.particle import ParticleTorch

OK, MAX_STEPS, NON_FINITE, STUCK = "ok", "max_steps", "non_finite", "stuck"
DEFAULT_MAX_STEPS = 10_000_000
DEFAULT_TOL = 1e-6


@dataclass(frozen=True)
class SimulationResult:
    """How every system of the batch ended. Tensors are (B,); errors are relative, `max_` over all steps.

    With a time-dependent outer field the energy errors leave out the work that the field did.
    """

    final: ParticleTorch
    status: tuple[str, ...]  # ok, max_steps, non_finite (the last finite state is kept) or stuck (dt below round-off of t)
    steps: Tensor
    force_evaluations: Tensor
    max_energy_error: Tensor
    final_energy_error: Tensor
    momentum_error: Tensor | None  # over sum m|v|; None with an outer field, which does not conserve it
    angular_momentum_error: Tensor | None  # over sum m|x||v|
    dt_min: Tensor
    dt_max: Tensor
    wall_time: float
    criterion: str
    integrator: str
    reports: dict[str, Tensor]  # what the criterion says of its run, each (B,); see `AbstractStepCriterion.report`

    def summary(self) -> dict[str, Any]:
        """Plain numbers for JSON: of the system, or, for a batch, of each one under `systems`."""
        rows = [self._row(i) for i in range(len(self.status))]
        shared = {"criterion": self.criterion, "integrator": self.integrator, "wall_time": self.wall_time}
        return {**rows[0], **shared} if len(rows) == 1 else {**shared, "systems": rows}

    def _row(self, i: int) -> dict[str, Any]:
        row: dict[str, Any] = {"status": self.status[i], "time": self.final.time[i].item()}
        for name in (
            "steps",
            "force_evaluations",
            "max_energy_error",
            "final_energy_error",
            "momentum_error",
            "angular_momentum_error",
            "dt_min",
            "dt_max",
        ):
            values = getattr(self, name)
            row[name] = None if values is None else values[i].item()
        row |= {name: values[i].item() for name, values in self.reports.items()}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


# told of the states before and after a step, of the energy error, and of the numbers of the systems that took the step
Observer = Callable[[ParticleTorch, ParticleTorch, Tensor, Tensor], None]


def simulate(
    particle: Any,
    *,
    t_end: float | None = None,
    steps: int | None = None,
    criterion: AbstractStepCriterion | None = None,
    tol: float = DEFAULT_TOL,
    integrator: str = "auto",
    external_field: ExternalField | None = None,
    max_steps: int | None = None,
    dt_min: float | None = None,
    dt_max: float | None = None,
    observer: Observer | None = None,
) -> SimulationResult:
    """Advance every system to `t_end` (reached exactly) or by `steps` steps.

    `particle`: a `ParticleTorch`, or anything with mass, position and velocity arrays (G and softening count if it has
    them). `criterion` chooses the steps; without one, `tol` picks the default, a symmetrized `EnergyBudget(tol)`.
    `integrator="auto"` is the one that the criterion is made for, or the cheapest for `tol`. `max_steps` is only a safety
    limit and shows in the status.
    """
    began = clock.perf_counter()
    start = _as_particle(particle, external_field)
    if criterion is None:
        criterion = Symmetrized(EnergyBudget(tol, cheapest_integrator(tol) if integrator == "auto" else integrator))
    if dt_min is not None or dt_max is not None:
        criterion = Limited(criterion, dt_min, dt_max)
    integrator = _integrator_name(integrator, criterion)
    _check_end(start, t_end, steps)
    limit = steps if steps is not None else (DEFAULT_MAX_STEPS if max_steps is None else max_steps)
    if steps is not None and max_steps is not None:
        limit = min(steps, max_steps)
    run = _Run(start, criterion, integrator, math.inf if t_end is None else float(t_end), observer)
    with torch.no_grad():
        while len(run.running) and run.count < limit:
            run.advance()
    reached = steps is not None and limit == steps
    return run.result(OK if reached else MAX_STEPS, clock.perf_counter() - began)


class _Run:
    """The state of a batch while it runs; systems that have ended leave the batch, so that none waits for another."""

    def __init__(
        self,
        start: ParticleTorch,
        criterion: AbstractStepCriterion,
        integrator: str,
        t_end: float,
        observer: Observer | None,
    ) -> None:
        self.start, self.criterion, self.integrator = start, criterion, integrator
        self.t_end, self.observer = t_end, observer
        B = len(start)
        zeros = torch.zeros_like(start.time)
        self.count = 0
        self.state, self.memory = start, criterion.init(start)
        self.running = torch.arange(B, device=zeros.device)
        self.final, self.status = start, [OK] * B
        self.reports: dict[str, Tensor] = {}
        self.E0, self.work = start.total_energy(), zeros.clone()
        self.steps, self.max_error, self.last_error = zeros.long(), zeros.clone(), zeros.clone()
        self.dt_min, self.dt_max = torch.full_like(zeros, math.inf), zeros.clone()
        done = start.time >= t_end
        if done.any():
            self._leave(done, OK)

    def advance(self) -> None:
        """One step of every running system."""
        dt = self.criterion.step_size(self.state, self.memory)
        remaining = self.t_end - self.state.time
        last = dt >= remaining
        taken = torch.where(last, remaining, dt)
        bad = ~torch.isfinite(taken) | (taken < 0)
        stuck = ~bad & ~last & (self.state.time + taken == self.state.time)
        if (bad | stuck).any():
            self._leave(bad | stuck, NON_FINITE, stuck)
            return
        advanced = step(self.state, taken, self.integrator)
        advanced = replace(advanced, time=torch.where(last, torch.full_like(taken, self.t_end), advanced.time))
        work = self.work[self.running] + field_work(self.state, advanced)
        error = relative_error(self.E0[self.running], advanced.total_energy() - work)
        broken = ~torch.isfinite(error)
        if broken.any():
            self._leave(broken, NON_FINITE)
            return  # the others take this step again, from the same state, to the same result
        self.memory = self.criterion.update(self.state, taken, self.memory)
        if self.observer is not None:
            self.observer(self.state, advanced, error, self.running)
        self._book(taken, error, work, last)
        self.state = advanced
        self.count += 1
        if last.any():
            self._leave(last, OK)

    def _book(self, dt: Tensor, error: Tensor, work: Tensor, last: Tensor) -> None:
        index = self.running
        self.work[index], self.last_error[index] = work, error
        self.max_error[index] = torch.maximum(self.max_error[index], error)
        self.steps[index] += 1
        # the step that lands on the end time is as short as it must be: it says nothing about the criterion
        counted = ~last | (self.steps[index] == 1)
        self.dt_min[index] = torch.where(counted, torch.minimum(self.dt_min[index], dt), self.dt_min[index])
        self.dt_max[index] = torch.where(counted, torch.maximum(self.dt_max[index], dt), self.dt_max[index])

    def _leave(self, leaving: Tensor, status: str, stuck: Tensor | None = None) -> None:
        """Take systems out of the running batch, with their state as it is."""
        for i in leaving.nonzero().flatten().tolist():
            self.status[int(self.running[i])] = STUCK if stuck is not None and bool(stuck[i]) else status
        self.final = self.final.with_rows(self.running[leaving], self.state.select(leaving))
        for name, values in self.criterion.report(self.memory).items():
            whole = self.reports.setdefault(name, values.new_zeros(len(self.status)))
            whole[self.running[leaving]] = values[leaving]
        stay = ~leaving
        self.running, self.state, self.memory = (
            self.running[stay],
            self.state.select(stay),
            select_memory(self.memory, stay),
        )

    def result(self, status_of_rest: str, wall_time: float) -> SimulationResult:
        """Everything about every system."""
        if len(self.running):
            self._leave(torch.ones_like(self.running, dtype=torch.bool), status_of_rest)
        final, start = self.final, self.start
        isolated = start.external_field is None
        tiny = torch.finfo(start.time.dtype).tiny
        p_scale = torch.maximum(momentum_scale(start), momentum_scale(final)).clamp_min(tiny)
        L_scale = torch.maximum(angular_momentum_scale(start), angular_momentum_scale(final)).clamp_min(tiny)
        return SimulationResult(
            final=final,
            status=tuple(self.status),
            steps=self.steps,
            force_evaluations=self.steps * len(COMPOSITIONS[self.integrator].fractions) + 1,
            max_energy_error=self.max_error,
            final_energy_error=self.last_error,
            momentum_error=(momentum(final) - momentum(start)).norm(dim=-1) / p_scale if isolated else None,
            angular_momentum_error=(angular_momentum(final) - angular_momentum(start)).norm(dim=-1) / L_scale
            if isolated
            else None,
            dt_min=self.dt_min,
            dt_max=self.dt_max,
            wall_time=wall_time,
            criterion=describe_criterion(self.criterion),
            integrator=self.integrator,
            reports=self.reports,
        )


def describe_criterion(criterion: AbstractStepCriterion) -> str:
    """`symmetrized(freefall(0.02))`, for summaries and legends."""

    def words(lowered: Any) -> str:
        inner = [words(lowered.inner)] if lowered.inner is not None else []
        numbers = [] if lowered.kind in ("symmetrized", "learned") else [f"{x:g}" for x in lowered.parameters[:1]]
        return f"{lowered.kind}({', '.join(inner + numbers)})" if inner or numbers else lowered.kind

    return words(criterion.lower())


def _as_particle(particle: Any, external_field: ExternalField | None) -> ParticleTorch:
    if isinstance(particle, ParticleTorch):
        start = particle.clone_detached()
    else:
        try:
            arrays = particle.mass, particle.position, particle.velocity
        except AttributeError:
            raise InitialConditionError(
                f"simulate needs mass, position and velocity arrays; {type(particle).__name__} lacks some."
            ) from None
        units = {name: getattr(particle, name) for name in ("G", "softening") if getattr(particle, name, None) is not None}
        start = ParticleTorch.from_tensors(*arrays, **units)
    return start if external_field is None else start.set_external_field(external_field)


def _integrator_name(integrator: str, criterion: AbstractStepCriterion) -> str:
    if integrator == "auto":
        return criterion.integrator
    if integrator not in COMPOSITIONS:
        raise ConfigError(f"integrator = {integrator!r}: {nearest_name_hint(integrator, (*INTEGRATORS, 'auto'))}")
    return integrator


def _check_end(start: ParticleTorch, t_end: float | None, steps: int | None) -> None:
    if (t_end is None) == (steps is None):
        raise ConfigError(f"t_end = {t_end} and steps = {steps}: give exactly one of them, it says when to stop.")
    if steps is not None and steps < 1:
        raise ConfigError(f"steps = {steps} must be >= 1.")
    if t_end is not None and not (math.isfinite(t_end) and t_end >= start.time.min().item()):
        raise ConfigError(f"t_end = {t_end} must be finite and not before the start, t = {start.time.min().item():g}.")
