"""Systems in torch that many tests share. Every fixture returns a function that makes what its name says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.initial import named as initial


@pytest.fixture
def two_body() -> Callable[..., ParticleTorch]:
    """Return a bound orbit of total mass 1 and semi-major axis `a`, at rest as a whole, from any eccentric anomaly."""

    def make(e: float = 0.5, q: float = 1.0, a: float = 1.0, dim: int = 2, G: float = 1.0, anomaly: float = math.pi, **more):
        b = initial.two_body(e, q, a, anomaly, G, dim)
        return ParticleTorch.from_tensors(b.mass, b.position, b.velocity, G=G, **more)

    return make


@pytest.fixture
def random_system() -> Callable[..., ParticleTorch]:
    """Return B systems of n bodies with unequal masses, no symmetry, and no close pair (nearest-pair distance above 0.1)."""

    def make(n: int = 4, dim: int = 3, seed: int = 0, systems: int = 1, **more) -> ParticleTorch:
        generator = torch.Generator().manual_seed(1000 * n + 10 * dim + seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        mass = torch.exp(0.7 * draw(systems, n))
        while True:
            position = draw(systems, n, dim)
            distance = torch.cdist(position, position) + 10 * torch.eye(n, dtype=torch.float64)
            if distance.min() > 0.1:
                return ParticleTorch.from_tensors(mass, position, 0.5 * draw(systems, n, dim), **more)

    return make


@pytest.fixture
def padded() -> Callable[[ParticleTorch, int], ParticleTorch]:
    """Return the systems padded with absent bodies to `n` bodies."""

    def grow(p: ParticleTorch, n: int) -> ParticleTorch:
        def zeros(x: Tensor) -> Tensor:
            return torch.cat([x, x.new_zeros(x.shape[0], n - x.shape[1], *x.shape[2:])], dim=1)

        tensors = {k: zeros(x) if x.ndim > 1 else x for k, x in p.tensors().items()}
        return ParticleTorch.from_tensors(**tensors, G=p.G, external_field=p.external_field, dtype=p.position.dtype)

    return grow


@pytest.fixture
def flipped() -> Callable[[ParticleTorch], ParticleTorch]:
    """Return the state with all velocities reversed."""
    return lambda p: dataclasses.replace(p, velocity=-p.velocity)


@pytest.fixture
def run_constant() -> Callable[..., ParticleTorch]:
    """Return the state `n` equal steps later, `duration` in total."""

    def run(p: ParticleTorch, duration: float, n: int, integrator: str = "leapfrog") -> ParticleTorch:
        dt = torch.full_like(p.time, duration / n)
        for _ in range(n):
            p = step(p, dt, integrator)
        return p

    return run


@pytest.fixture
def same_bits() -> Callable[[Tensor, Tensor], bool]:
    """Return whether two tensors are equal to the last bit, with NaN equal to NaN."""
    return lambda a, b: (
        a.shape == b.shape
        and a.dtype == b.dtype
        and torch.equal(torch.nan_to_num(a, nan=1e300), torch.nan_to_num(b, nan=1e300))
    )
