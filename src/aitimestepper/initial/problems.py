"""From the settings to a batch of systems ready to run: one named system, or many sampled from its family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..differentiable.gravity import tree_sum
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError, InitialConditionError
from ..specs import build
from ..training.checkpoints import field_from
from .named import MAKERS, Bodies, eccentric_anomaly, two_body


class Problem(NamedTuple):
    """A batch of systems ready to run."""

    particle: ParticleTorch
    period: float  # the longest of the batch


def period_of(particle: ParticleTorch) -> Tensor:
    """(B,) the orbital period of two bound bodies, else the crossing time G M^2.5 / (2 |E|)^1.5."""
    mass, E = tree_sum(particle.mass, 1), particle.total_energy()
    heaviest = particle.mass.topk(2, dim=1).values
    axis = particle.G * heaviest.prod(1) / (2 * E.abs())
    orbit = 2 * math.pi * torch.sqrt(axis**3 / (particle.G * mass))
    crossing = particle.G * mass**2.5 / (2 * E.abs()) ** 1.5
    return torch.where((particle.mask.sum(1) == 2) & (E < 0) & (axis > 0), orbit, crossing)


def make_problem(config: Config, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Problem:
    """The batch that `ic`, `num_orbits`, `e_min`, ... describe, with the physics settings of `config`."""
    systems = [_system(config, number) for number in range(config.num_orbits)]
    return as_problem(systems, config, dtype, device)


def as_problem(systems: Sequence[Bodies], config: Config, dtype: torch.dtype, device: torch.device | str = "cpu") -> Problem:
    """Arrays to one batch, with softening, G and the outer field.

    A problem made for another G than that of the settings is the same one in another unit of time.
    """
    outer = field_from(config)
    G = config.G
    own = {s.G for s in systems if s.G is not None} - {1.0}
    if own and G == 1.0:
        G = own.pop()
    faster = [1.0 if s.G is None else math.sqrt(G / s.G) for s in systems]
    particles = [
        ParticleTorch.from_tensors(
            s.mass, s.position, s.velocity * speed, softening=config.softening, G=G, dtype=dtype, device=device
        )
        for s, speed in zip(systems, faster, strict=True)
    ]
    particle = ParticleTorch.stack(particles)
    if outer is not None:
        particle.set_external_field(outer)
    measured = period_of(particle).tolist()
    periods = [m if s.period is None else s.period / f for s, m, f in zip(systems, measured, faster, strict=True)]
    return Problem(particle, max(periods))


def _system(config: Config, number: int) -> Bodies:
    """System `number` of the batch. One system is exactly what `ic` says; of many two-body ones each has its own orbit."""
    name, _, given = config.ic.partition(":")
    extra: dict[str, Any] = {"G": config.G}
    if config.num_orbits == 1:
        made: Bodies = build(config.ic, MAKERS, "initial conditions", InitialConditionError, **extra)
        return made
    if name == "kepler":
        family: _Family = build(config.ic, {"kepler": _Family}, "initial conditions", InitialConditionError)
        return _sampled_orbit(config, number, family)
    if name in ("plummer", "random"):
        first = _seed_in(given, config)
        rest = ",".join(item for item in given.split(",") if item and not item.startswith("seed="))
        sampled: Bodies = build(f"{name}:{rest}", MAKERS, "initial conditions", InitialConditionError, seed=first + number)
        return sampled
    raise ConfigError(
        f"num_orbits = {config.num_orbits} needs a family to sample from: ic = kepler, plummer or random, not {config.ic!r}."
    )


def _seed_in(given: str, config: Config) -> int:
    for item in given.split(","):
        if item.startswith("seed=") and item[5:].isdigit():
            return int(item[5:])
    return config.seed or 0


@dataclass(frozen=True)
class _Family:
    """What `ic = kepler:...` may say of a batch: e and q are sampled."""

    e: float | None = None
    q: float | None = None
    a: float = 1.0
    dim: int = 2


def _sampled_orbit(config: Config, number: int, family: _Family) -> Bodies:
    """A two-body orbit with random eccentricity, mass ratio and phase (and orientation in 3D) from a stream of its own."""
    for name, value in (("e", family.e), ("q", family.q)):
        if value is not None:
            raise ConfigError(
                f"ic = {config.ic!r} fixes {name}, but num_orbits = {config.num_orbits} samples it: "
                f"give --{name}-min and --{name}-max instead."
            )
    rng = np.random.default_rng([config.seed or 0, number])
    e = rng.uniform(config.e_min, config.e_max)
    q = math.exp(rng.uniform(math.log(config.q_min), math.log(config.q_max)))
    mean_anomaly = rng.uniform(0, 2 * math.pi)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0] if family.dim == 3 else None
    return two_body(e, q, family.a, eccentric_anomaly(mean_anomaly, e), config.G, family.dim, rotation)
