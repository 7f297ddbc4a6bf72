"""The reference loop, in torch: any criterion and field written in Python, any device and precision, a look at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..criteria.base import AbstractStepCriterion, select_memory
from ..integrators import step
from .conserved import field_work, relative_error
from .particle import ParticleTorch

OK, MAX_STEPS, NON_FINITE, STUCK = "ok", "max_steps", "non_finite", "stuck"

# told of the states before and after a step, of the energy error, and of the numbers of the systems that took the step
Observer = Callable[[ParticleTorch, ParticleTorch, Tensor, Tensor], None]


class ReferenceRun:
    """The state of a batch while it runs; systems that have ended leave the batch, so that none waits for another."""

    def __init__(
        self,
        start: ParticleTorch,
        criterion: AbstractStepCriterion,
        integrator: str,
        t_end: Tensor,
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
        self.failed = zeros.long()  # steps that led to no finite state; their forces count
        self.dt_min, self.dt_max = torch.full_like(zeros, math.inf), zeros.clone()
        done = start.time >= t_end
        if done.any():
            self._leave(done, OK)

    def advance(self) -> None:
        """One step of every running system."""
        dt = self.criterion.step_size(self.state, self.memory)
        end = self.t_end[self.running]
        remaining = end - self.state.time
        last = dt >= remaining
        taken = torch.where(last, remaining, dt)
        bad = ~torch.isfinite(taken) | (taken < 0)
        endless = torch.isfinite(remaining) & (taken < 1e-20 * remaining)  # more than 1e20 steps to the end
        stuck = ~bad & ~last & ((self.state.time + taken == self.state.time) | endless)
        if (bad | stuck).any():
            self._leave(bad | stuck, NON_FINITE, stuck)
            return
        advanced = step(self.state, taken, self.integrator)
        advanced = replace(advanced, time=torch.where(last, end, advanced.time))
        work = self.work[self.running] + field_work(self.state, advanced)
        error = relative_error(self.E0[self.running], advanced.total_energy() - work)
        broken = ~torch.isfinite(error)
        if broken.any():
            self.failed[self.running[broken]] += 1
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

    def run(self, limit: int, status_of_rest: str) -> None:
        """At most `limit` steps; systems that have not ended by then leave with `status_of_rest`."""
        with torch.no_grad():
            while len(self.running) and self.count < limit:
                self.advance()
            if len(self.running):
                self._leave(torch.ones_like(self.running, dtype=torch.bool), status_of_rest)
