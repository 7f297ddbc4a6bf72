"""Features of states, and of transitions between two states, as vectors; and the scales of both.

The tables of these vectors are in `aitimestepper.features`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..constants import NEAREST, NEGLIGIBLE
from ..features import Scales, Table
from .gravity import dot, pairs, tree_sum
from .particle import ParticleTorch
from .timescales import PairSums, pair_sums


def measure_scales(particle: ParticleTorch) -> Scales:
    """Return length, speed, acceleration, time and mass of a training set, from its mean radius and total mass.

    The speed is the free-fall speed, so that a system at rest has a scale too.
    """
    description = describe(particle, "basic").detach()
    mass = description[:, 2].mean().item()
    # softened bodies may all be at the same position: then the softening is the only length
    length = description[:, 3].mean().item() or particle.softening.mean().item()
    speed = (particle.G * mass / length) ** 0.5
    return Scales(L0=length, V0=speed, A0=speed**2 / length, T0=length / speed, M0=mass)


def scale_row(scales: Scales, table: Table, like: Tensor) -> Tensor:
    """Return the scale of every feature of `table`, (F,), in the precision and on the device of `like`."""
    return torch.tensor(scales.of(table), dtype=like.dtype, device=like.device)


class _Statistics(NamedTuple):
    mean: Tensor
    max: Tensor
    min: Tensor
    rms: Tensor


def _statistics(x: Tensor, present: Tensor) -> _Statistics:
    """Return mean, max, min and rms of x >= 0 over all axes but the first, where `present`."""
    axes = tuple(range(1, x.ndim))

    def total(y: Tensor) -> Tensor:
        for _ in axes:  # one axis after the other, since absent bodies are last along each axis, not among all pairs
            y = tree_sum(y, -1)
        return y

    n = present.sum(axes).to(x.dtype)
    there = torch.where(present, x, 0.0)
    low = torch.where(present, x, torch.inf).amin(axes)
    return _Statistics(total(there) / n, there.amax(axes), low, torch.sqrt(total(there * there) / n))


def _norms(x: Tensor) -> Tensor:
    return torch.sqrt(dot(x, x))


def describe(p: ParticleTorch, kind: str) -> Tensor:
    """Return the features of a state: (B, 11) for `basic`, (B, 23) for `rich`, (B, 7) for `invariant`.

    The first two are in the units of the particle, about its centre of mass. The invariant ones are those of the state alone,
    without `requested_features`.
    """
    if kind == "invariant":
        return invariant_features(pair_sums(p))
    total = tree_sum(p.mass, 1)

    def about_centre(x: Tensor) -> Tensor:
        centre = tree_sum(p.mass.unsqueeze(-1) * x, 1) / total.unsqueeze(-1)
        return x - centre.unsqueeze(1)

    radius = _statistics(_norms(about_centre(p.position)), p.mask)
    speed = _statistics(_norms(about_centre(p.velocity)), p.mask)
    acceleration = _statistics(_norms(p.get_acceleration()), p.mask)
    dx, _, real = pairs(p.position, p.mask, p.softening)
    pair = _statistics(_norms(dx), real)
    axes = torch.full_like(total, p.position.shape[-1])
    basic = [
        p.body_count,
        axes,
        total,
        radius.mean,
        radius.max,
        speed.mean,
        speed.max,
        acceleration.mean,
        acceleration.max,
        pair.min,
        pair.mean,
    ]
    if kind == "basic":
        return torch.stack(basic, dim=-1)
    mass = _statistics(p.mass, p.mask)
    deviation = _statistics((p.mass - mass.mean.unsqueeze(-1)).abs(), p.mask).rms
    more = [mass.mean, mass.min, mass.max, deviation, radius.min, radius.rms, speed.min, speed.rms]
    more += [acceleration.min, acceleration.rms, pair.max, p.softening]
    return torch.stack([*basic, *more], dim=-1)


def invariant_features(sums: PairSums) -> Tensor:
    """Return 7 dimensionless numbers (B, 7) that do not depend on the observer and are even in the velocities.

    Arguments of logarithms are at least 1e-20: test particles have no binding energy and attract nothing.
    """
    pericentre, eccentricity2 = _orbit(sums.flyby_over_freefall, sums.radial)
    columns = [
        torch.log(sums.chi.clamp_min(NEGLIGIBLE)),
        torch.log1p(sums.flyby_over_freefall),
        torch.log(sums.tau_2 / sums.tau_4),
        torch.log(pericentre + NEAREST),
        torch.log1p(eccentricity2),
        torch.log(_pulling(sums)),
        torch.log(torch.where(sums.chi > 0, sums.total_chi / sums.chi, 1.0) + NEAREST),
    ]
    return torch.stack(columns, dim=-1)


def _pulling(sums: PairSums) -> Tensor:
    """Return sum m a^2 tau_4^2 / S (B,); 1, as of light bodies, where massless bodies alone have no energy."""
    found = (sums.pulling * sums.tau_4 * sums.tau_4 / sums.energy_scale).clamp_min(NEGLIGIBLE)
    return torch.where(sums.massive, found, 1.0)


def _orbit(x: Tensor, radial: Tensor) -> tuple[Tensor, Tensor]:
    """Return (pericentre over distance, e^2), each (B,), of two bodies with x = r v^2 / G M, radial = (r.v)^2 / (r v)^2."""
    parameter = x * (1.0 - radial)
    e2 = (1.0 + (x - 2.0) * parameter).clamp_min(0.0)
    return parameter / (1.0 + torch.sqrt(e2)), e2


def requested_features(error_fraction: Tensor, tol: Tensor) -> Tensor:
    """Return the features of the request (B, 2): energy error over tolerance (B,), and tolerance (B,).

    The energy error has its sign. It is relative to the energy at the start, a constant of the run, so that these features are
    even in the velocities like the others: a step that shrinks while the error is large can still be time-reversible.
    """
    scaled = 10.0 * error_fraction
    size = 0.5 * torch.log1p(scaled * scaled)
    return torch.stack([torch.copysign(size, error_fraction), torch.log(tol)], dim=-1)


def transition(before: ParticleTorch, after: ParticleTorch, dt: Tensor) -> Tensor:
    """Return the changes of positions, velocities and accelerations in the step `dt` (B,) between two states, (B, 10)."""
    size = max(before.mask.shape[1], after.mask.shape[1])
    before, after = before.padded_to(size), after.padded_to(size)
    columns: list[Tensor] = []
    for change in (
        after.position - before.position,
        after.velocity - before.velocity,
        after.get_acceleration() - before.get_acceleration(),
    ):
        s = _statistics(_norms(change), after.mask)
        columns += [s.mean, s.max, s.rms]
    return torch.stack([*columns, dt], dim=-1)
