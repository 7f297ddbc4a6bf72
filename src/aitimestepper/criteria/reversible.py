"""Time-symmetric steps that look ahead: Huayno by the rate of change of the step, HutMakinoMcMillan by a step on trial.

Both ask the inner criterion about states that are not those of the run. So it must be a function of the state, even in the
velocities, and no wrapper: wrap these instead (`Limited(Huayno(c), ...)`).
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError, nearest_name_hint
from ..integrators import COMPOSITIONS, step
from .base import AbstractStepCriterion, Lowered, Wrapper, refuse_velocity_odd

DIFFERENCE = 1e-3  # of the inner step: its rate of change is a central difference over twice that time


class _Reversible(Wrapper):
    """What both share: the check of the inner criterion, and its step at another state."""

    def __init__(self, criterion: AbstractStepCriterion) -> None:
        super().__init__(criterion)
        if isinstance(criterion, Wrapper):
            raise ConfigError(
                f"{type(self).__name__} needs a step that is no wrapper; {criterion.name}({criterion.inner.name}) is one: "
                f"put it around {criterion.inner.name} itself, and limits around both."
            )
        refuse_velocity_odd(type(self).__name__, criterion)
        self.velocity_even = False

    def _elsewhere(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,) the inner step at a state that is not one of the run; a copy of the memory takes what it notes there."""
        return self.inner.step_size(particle, copy.copy(memory))


class Huayno(_Reversible):
    """dt = tau / (1 - 1/2 dtau/dt), tau the inner step: time-symmetric to second order in tau (arXiv 1205.5668).

    dtau/dt is a central difference along the motion, at most 1, so that dt is at most 2 tau. It costs two more looks at
    the pairs, but no step on trial; a rate that is not finite counts as 0.
    """

    name = "huayno"

    def step_size(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,)."""
        tau = self.inner.step_size(particle, memory)
        eps = DIFFERENCE * tau
        after, before = (self._elsewhere(_moved(particle, t), memory) for t in (eps, -eps))
        rate = (after - before) / (2.0 * eps)
        rate = torch.where(torch.isfinite(rate), rate, 0.0).clamp_max(1.0)
        return tau / (1.0 - 0.5 * rate)

    def lower(self) -> Lowered:
        """No number of its own."""
        return Lowered(self.name, (), self.inner.lower())


def _moved(p: ParticleTorch, time: Tensor) -> ParticleTorch:
    """The state `time` (B,) later, to first order: x + v t, v + a t."""
    t = time.view(-1, 1, 1)
    position, velocity = p.position + p.velocity * t, p.velocity + p.get_acceleration() * t
    return replace(p, position=position, velocity=velocity, time=p.time + time, _forces=None)


class HutMakinoMcMillan(_Reversible):
    """dt = 1/2 (tau(s) + tau(s')), s' the state that this dt leads to, tau the inner step (Hut, Makino & McMillan 1995).

    Solved by `iterations` from dt = tau(s), each of them a whole step on trial by `integrator` (that of the inner criterion
    unless given; it must be the one of the run). The error falls by about 1/2 dtau/dt an iteration.
    """

    name = "hmm"

    def __init__(self, criterion: AbstractStepCriterion, iterations: int = 3, integrator: str | None = None) -> None:
        super().__init__(criterion)
        if not isinstance(iterations, int) or iterations < 1:
            raise ConfigError(f"HutMakinoMcMillan: iterations = {iterations} must be a whole number >= 1.")
        if integrator is not None and integrator not in COMPOSITIONS:
            raise ConfigError(f"HutMakinoMcMillan: integrator = {integrator!r}: {nearest_name_hint(integrator, COMPOSITIONS)}")
        self.trial_steps = iterations
        self.integrator = criterion.integrator if integrator is None else integrator

    def step_size(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,). Where a trial leads to no finite state, or to one without a finite step, tau(s') counts as tau(s)."""
        tau = self.inner.step_size(particle, memory)
        dt = tau
        for _ in range(self.trial_steps):
            trial = step(particle, dt, self.integrator)
            lost = ~_finite(trial)
            if lost.any():  # not even asked about: a network refuses such a state
                trial = trial.with_rows(lost, particle.select(lost))
            there = self._elsewhere(trial, memory)
            dt = 0.5 * (tau + torch.where(torch.isfinite(there), there, tau))
        return dt

    def lower(self) -> Lowered:
        """The number of iterations, around the inner one."""
        return Lowered(self.name, (float(self.trial_steps),), self.inner.lower())


def _finite(p: ParticleTorch) -> Tensor:
    """(B,) bool: all positions and velocities are finite."""
    return (torch.isfinite(p.position) & torch.isfinite(p.velocity)).flatten(1).all(1)
