"""Step modules around another one: limits, and three ways to make steps time-symmetric. See `criteria.wrappers` for them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..constants import HUAYNO_PROBE
from ..errors import ConfigError, nearest_name_hint
from ..integrators import SPLITTINGS
from .particle import ParticleTorch
from .step_module import StepModule
from .stepping import step


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

    def report(self, memory: Any) -> dict[str, Tensor | None]:
        """Return the report of the inner module."""
        return self.inner.report(memory)


class LimitedModule(WrapperModule):
    """The inner dt, limited to `dt_min` ... `dt_max`; None: no limit on that side."""

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
    """Memory of a time-symmetric step, beside the step taken last: the two previous inner steps."""

    before: Tensor  # (B,) Q at the previous state; 0: there was none
    earlier: Tensor  # (B,) Q at the state before that
    inner: Any


class SymmetrizedModule(WrapperModule):
    """dt_{n+1} = Q(s_n)^2 / dt_n with the inner step Q: see `criteria.wrappers.Symmetrized`."""

    def __init__(self, inner: StepModule, max_ratio: float = 1.5, smoothness: float = math.inf) -> None:
        super().__init__(inner)
        refuse_velocity_odd("SymmetrizedModule", inner)
        for name, value in (("max_ratio", max_ratio), ("smoothness", smoothness)):
            if not value > 1:
                raise ConfigError(f"SymmetrizedModule: {name} = {value} must be above 1.")
        self.max_ratio, self.smoothness = max_ratio, smoothness

    def init(self, particle: ParticleTorch) -> SymmetrizedMemory:
        """Return a memory without steps."""
        none = torch.zeros_like(particle.time)
        return SymmetrizedMemory(none, none, self.inner.init(particle))

    def choose(self, particle: ParticleTorch, memory: SymmetrizedMemory) -> tuple[Tensor, SymmetrizedMemory]:
        """Return dt (B,) and the memory; Q is evaluated once."""
        Q, inner = self.inner.choose(particle, memory.inner)
        stepped = memory.before > 0  # the first step has none before it: Q stands in, so that no gradient divides by zero
        last, before = (torch.where(stepped, x, Q.detach()) for x in (particle.dt, memory.before))
        dt = Q * (Q / last)
        if self.smoothness < math.inf:
            curvature = torch.where(memory.earlier > 0, Q / before * (memory.earlier / before), 1.0)
            expected = Q * torch.sqrt(Q / before * torch.sqrt(curvature))
            dt = torch.where((dt <= self.smoothness * expected) & (dt * self.smoothness >= expected), dt, expected)
        dt = torch.where((dt <= self.max_ratio * Q) & (dt * self.max_ratio >= Q) & stepped, dt, Q)
        return dt, SymmetrizedMemory(Q.detach(), memory.before, inner)

    def report(self, memory: SymmetrizedMemory) -> dict[str, Tensor | None]:
        """Return the report of the inner module."""
        return self.inner.report(memory.inner)


class _LookAheadModule(WrapperModule):
    """A time-symmetric step that evaluates the inner module at states that are not those of the run."""

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
        """Return the inner step (B,) at a state that is not one of the run; its memory is dropped."""
        return self.inner.choose(particle, memory)[0]


class HuaynoModule(_LookAheadModule):
    """dt = tau / (1 - 1/2 dtau/dt) with the inner step tau: see `criteria.wrappers.Huayno`."""

    def choose(self, particle: ParticleTorch, memory: Any) -> tuple[Tensor, Any]:
        """Return dt (B,) and the memory of the inner module."""
        tau, after_this = self.inner.choose(particle, memory)
        eps = HUAYNO_PROBE * tau
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
        if integrator not in SPLITTINGS:
            hint = nearest_name_hint(integrator, SPLITTINGS)
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
            broken = ~(torch.isfinite(trial.position) & torch.isfinite(trial.velocity)).flatten(1).all(1)
            if broken.any():  # a network would refuse such a state
                trial = trial.with_rows(broken, particle.select(broken))
            tau_ahead = self._elsewhere(trial, memory)
            dt = 0.5 * (tau + torch.where(torch.isfinite(tau_ahead), tau_ahead, tau))
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
