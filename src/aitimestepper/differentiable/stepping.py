"""One step of a run, by the compositions of `integrators`: differentiable through positions, velocities and dt."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..integrators import COMPOSITIONS
from .particle import ParticleTorch


def step(particle: ParticleTorch, dt: Tensor, integrator: str = "leapfrog") -> ParticleTorch:
    """Return the state one step of `dt` (B,) later, with dt as its own; the input is not modified."""
    dt, start = dt.expand(len(particle)), particle.time
    for fraction in COMPOSITIONS[integrator].fractions:
        particle = particle.evolve(fraction * dt)
    # one addition, not one a stage: the sum of the fractions differs from 1 in the last bit
    return dataclasses.replace(particle, dt=dt, time=start + dt)
