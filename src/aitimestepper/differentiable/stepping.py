"""One step of a run, by the splittings of `integrators`: differentiable through positions, velocities and dt."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..integrators import SPLITTINGS
from .particle import ParticleTorch


def step(particle: ParticleTorch, dt: Tensor, integrator: str = "leapfrog") -> ParticleTorch:
    """Return the state one step of `dt` (B,) later, with dt as its own; the input is not modified."""
    dt, start = dt.expand(len(particle)), particle.time
    method = SPLITTINGS[integrator]
    particle = particle.kick(method.kicks[0] * dt)
    for drift, kick, displacement in zip(method.drifts, method.kicks[1:], method.displacement_of_kick[1:], strict=True):
        particle = particle.drift(drift * dt)
        particle = particle.kick(kick * dt, particle.displaced(displacement * dt * dt) if displacement else None)
    # one addition, not one a stage: the sum of the drifts differs from 1 in the last bit
    return dataclasses.replace(particle, dt=dt, time=start + dt)
