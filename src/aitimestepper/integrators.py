"""Symmetric compositions of the one kick-drift-kick: a table of sub-step fractions each.

Every one is symplectic for a constant step, time-reversible, and differentiable through positions, velocities and dt. The
last force of a sub-step is the first of the next one, so an s-stage method costs s force evaluations a step.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from torch import Tensor

from .differentiable.particle import ParticleTorch


class Composition(NamedTuple):
    """A method of `order`: one leapfrog by each of `fractions` of dt; they are palindromic and sum to 1."""

    order: int
    fractions: tuple[float, ...]
    source: str


def _mirrored(*half: float) -> tuple[float, ...]:
    """The palindrome whose first half and middle are `half`."""
    return (*half, *reversed(half[:-1]))


_SUZUKI = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))

COMPOSITIONS: dict[str, Composition] = {
    "leapfrog": Composition(2, (1.0,), "Stoermer, Verlet"),
    "suzuki4": Composition(4, _mirrored(_SUZUKI, _SUZUKI, 1.0 - 4.0 * _SUZUKI), "Suzuki 1990, 5 stages"),
    "kahan_li6": Composition(
        6,
        _mirrored(
            0.39216144400731413928,
            0.33259913678935943860,
            -0.70624617255763935981,
            0.08221359629355080023,
            0.79854399093482996340,
        ),
        "Kahan & Li 1997, 9 stages",
    ),
    "kahan_li8": Composition(
        8,
        _mirrored(
            0.13020248308889008088,
            0.56116298177510838456,
            -0.38947496264484728641,
            0.15884190655515560090,
            -0.39590389413323757734,
            0.18453964097831570709,
            0.25837438768632204729,
            0.29501172360931029887,
            -0.60550853383003451170,
        ),
        "Kahan & Li 1997, 17 stages",
    ),
}


def step(particle: ParticleTorch, dt: Tensor, integrator: str = "leapfrog") -> ParticleTorch:
    """The state one step of `dt` (B,) later; the input is not modified."""
    dt, start = dt.expand(len(particle)), particle.time
    for fraction in COMPOSITIONS[integrator].fractions:
        particle = particle.evolve(fraction * dt)
    # one addition, not one a stage: the sum of the fractions differs from 1 in the last bit
    return dataclasses.replace(particle, dt=dt, time=start + dt)
