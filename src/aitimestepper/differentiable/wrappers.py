"""Step modules around another one: limits, and three ways to make steps time-symmetric. See `criteria.wrappers` for them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError, nearest_name_hint
from ..integrators import COMPOSITIONS
from .particle import ParticleTorch
from .step_module import StepModule
from .stepping import step

DIFFERENCE = 1e-3  # of the inner step: its rate of change is a central difference over twice that time


class WrapperModule(StepModule):
    """A step module around another one, `inner`, whose memory and report it passes on."""

    def __init__(self, inner: StepModule) -> None:
        super().__init__()
        self.inner = inner
        self.velocity_even, self.trial_steps = inner.velocity_even, inner.trial_steps
        self.made_for, self.tolerance = inner.made_for, inner.tolerance

    def init(self, particle: ParticleTorch) -> Any:
        """Return the memory of the inner module."""
        return self.inner.init(particle)

    def report(self, memory: Any) -> dict[str, Tensor]:
        """Return the report of the inner module."""
        return self.inner.report(memory)


class LimitedModule(WrapperModule):
    """The inner dt, held between `dt_min` and `dt_max`; None: no limit on that side."""

    def __init__(self, inner: StepModule, dt_min: float | None = None, dt_max: float | None = None) -> None:
        super().__init__(inner)
        self.dt_min, self.dt_max = dt_min or 0.0, math.inf if dt_max is None else dt_max
        if not 0 <= self.dt_min <= self.dt_max or self.dt_max == 0:
            raise ConfigError(
                f"LimitedModule: dt_min = {dt_min} and dt_max = {dt_max} must satisfy 0 <= dt_min <= dt_max, dt_max > 0."
            )

    def choose(self, particle: ParticleTorch, memory: Any) -> tuple[Tensor, Any]:
        """Return dt (B,) and the memory of the inner module."""
        dt, memory = self.inner.choose(particle, memory)
        return dt.clamp(self.dt_min, self.dt_max), memory


class SymmetrizedMemory(NamedTuple):
    """What a time-symmetric step is made from, beside the step taken last: the two inner steps before."""

    before: Tensor  # (B,) Q at the last state; 0: there was none
    earlier: Tensor  # (B,) Q at the state before that
    inner: Any


class SymmetrizedModule(WrapperModule):
    """dt_{n+1} = Q(s_n)^2 / dt_n with the inner step Q: see `criteria.wrappers.Symmetrized`."""

    def __init__(self, inner: StepModule, max_ratio: float = 1.5, smoothness: float = math.inf) -> None:
        super().__init__(inner)
        refuse_velocity_odd("SymmetrizedModule", inner)
        for word, value in (("max_ratio", max_ratio), ("smoothness", smoothness)):
            if not value > 1:
                raise ConfigError(f"SymmetrizedModule: {word} = {value} must be above 1.")
        self.max_ratio, self.smoothness = max_ratio, smoothness

    def init(self, particle: ParticleTorch) -> SymmetrizedMemory:
        """Return a memory without steps."""
        none = torch.zeros_like(particle.time)
        return SymmetrizedMemory(none, none, self.inner.init(particle))

    def choose(self, particle: ParticleTorch, memory: SymmetrizedMemory) -> tuple[Tensor, SymmetrizedMemory]:
        """Return dt (B,) and the memory; Q is asked for once."""
        Q, inner = self.inner.choose(particle, memory.inner)
        before, earlier = memory.before, memory.earlier
        last = torch.where(before > 0, particle.dt, 0.0)
        dt = Q * (Q / last)
        if self.smoothness < math.inf:
            bend = torch.where(earlier > 0, Q / before * (earlier / before), 1.0)
            due = Q * torch.sqrt(Q / before * torch.sqrt(bend))
            dt = torch.where((dt <= self.smoothness * due) & (dt * self.smoothness >= due), dt, due)
        dt = torch.where((dt <= self.max_ratio * Q) & (dt * self.max_ratio >= Q) & (last > 0), dt, Q)
        return dt, SymmetrizedMemory(Q.detach(), before, inner)

    def report(self, memory: SymmetrizedMemory) -> dict[str, Tensor]:
        """Return the report of the inner module."""
        return self.inner.report(memory.inner)


class _LookAheadModule(WrapperModule):
    """A time-symmetric step that asks the inner module about states that are not those of the run."""

    def __init__(self, inner: StepModule) -> None:
        super().__init__(inner)
        if isinstance(inner, WrapperModule):
            raise ConfigError(
                f"{type(self).__name__} needs a step that is no wrapper; {type(inner).__name__} is one: "
                f"put it around {type(inner.inner).__name__} itself, and limits around both."
            )
        refuse_velocity_odd(type(self).__name__, inner)
        self.velocity_even = False

    def _elsewhere(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """Return the inner step (B,) at a state that is not one of the run; what the module would remember of it is lost."""
        return self.inner.choose(particle, memory)[0]


class HuaynoModule(_LookAheadModule):
    """dt = tau / (1 - 1/2 dtau/dt) with the inner step tau: see `criteria.wrappers.Huayno`."""

    def choose(self, particle: ParticleTorch, memory: Any) -> tuple[Tensor, Any]:
        """Return dt (B,) and the memory of the inner module."""
        tau, after_this = self.inner.choose(particle, memory)
        eps = DIFFERENCE * tau
        after, before = (self._elsewhere(_moved(particle, t), memory) for t in (eps, -eps))
        rate = (after - before) / (2.0 * eps)
        rate = torch.where(torch.isfinite(rate), rate, 0.0).clamp_max(1.0)
        return tau / (1.0 - 0.5 * rate), after_this


class HutMakinoMcMillanModule(_LookAheadModule):
    """dt = 1/2 (tau(s) + tau(s')), s' where this dt leads to: see `criteria.wrappers.HutMakinoMcMillan`."""

    def __init__(self, inner: StepModule, iterations: int = 3, integrator: str = "leapfrog") -> None:
        super().__init__(inner)
        if not isinstance(iterations, int) or iterations < 1:
            raise ConfigError(f"HutMakinoMcMillanModule: iterations = {iterations} must be a whole number >= 1.")
        if integrator not in COMPOSITIONS:
            hint = nearest_name_hint(integrator, COMPOSITIONS)
            raise ConfigError(f"HutMakinoMcMillanModule: integrator = {integrator!r}: {hint}")
        self.trial_steps, self.integrator = iterations, integrator

    def choose(self, particle: ParticleTorch, memory: Any) -> tuple[Tensor, Any]:
        """Return dt (B,) and the memory of the inner module.

        Where a trial leads to no finite state, or to one without a finite step, tau(s') counts as tau(s).
        """
        tau, after_this = self.inner.choose(particle, memory)
        dt = tau
        for _ in range(self.trial_steps):
            trial = step(particle, dt, self.integrator)
            lost = ~(torch.isfinite(trial.position) & torch.isfinite(trial.velocity)).flatten(1).all(1)
            if lost.any():  # not even asked about: a network refuses such a state
                trial = trial.with_rows(lost, particle.select(lost))
            there = self._elsewhere(trial, memory)
            dt = 0.5 * (tau + torch.where(torch.isfinite(there), there, tau))
        return dt, after_this


def refuse_velocity_odd(wrapper: str, inner: StepModule) -> None:
    """Raise an error unless the step is even in the velocities: only such a step can be made time-symmetric."""
    if not inner.velocity_even:
        raise ConfigError(
            f"{wrapper} needs a step that is even in the velocities; {type(inner).__name__} is not (it looks at past states, "
            "or is time-symmetric already): use it as it is, or train a network with history_len = 0."
        )


def _moved(p: ParticleTorch, time: Tensor) -> ParticleTorch:
    """Return the state `time` (B,) later, to first order: x + v t, v + a t."""
    return replace(p.drift(time), velocity=p.kick(time).velocity)
