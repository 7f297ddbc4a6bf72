"""Conserved quantities, and the errors of a step or a run in them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..constants import ENERGY_FLOOR
from ..fields import acts_from_outside
from .gravity import dot, tree_sum
from .particle import ParticleTorch


def energy_scale(p: ParticleTorch) -> Tensor:
    """Return S = max(|E|, 1e-4 (K + |U|)) (B,), which energy errors are relative to; it is positive for a parabolic pair too.

    E = K + U. K is about the centre of mass, since the motion of an isolated system as a whole does not matter. With a
    field from outside K is that of the given velocities. S is at least the smallest normal number.
    """
    K, U = p.kinetic_energy() if acts_from_outside(p.external_field) else _internal_kinetic_energy(p), p.potential_energy()
    return torch.maximum((K + U).abs(), ENERGY_FLOOR * (K + U.abs())).clamp_min(torch.finfo(K.dtype).tiny)


def _internal_kinetic_energy(p: ParticleTorch) -> Tensor:
    """Return the kinetic energy (B,) about the centre of mass."""
    centre = tree_sum(p.mass.unsqueeze(-1) * p.velocity, 1) / tree_sum(p.mass, 1).unsqueeze(-1)
    velocity = p.velocity - centre.unsqueeze(1)
    return 0.5 * tree_sum(p.mass * dot(velocity, velocity), 1)


def relative_error(E0: Tensor, E1: Tensor, floor: Tensor | None = None) -> Tensor:
    """Return |E1 - E0| (B,) over the larger of |E0| and `floor` (B,).

    Without a floor, a zero |E0| counts as the smallest normal number, so that only equality passes.
    """
    tiny = torch.finfo(E0.dtype).tiny
    size = E0.abs() if floor is None else torch.maximum(E0.abs(), floor)
    return (E1 - E0).abs() / size.clamp_min(tiny)


def conserved_energy(p: ParticleTorch) -> Tensor:
    """Return the total energy (B,) less the work of a moving external field since the run began; exact motion conserves it."""
    return p.total_energy() - p.work_so_far()


def momentum(p: ParticleTorch) -> Tensor:
    """Return the total momentum (B, D)."""
    return tree_sum(p.mass.unsqueeze(-1) * p.velocity, 1)


def angular_momentum(p: ParticleTorch) -> Tensor:
    """Return the angular momentum (B, 3) about the origin; in the plane only the last component is not zero."""
    x, v = (torch.nn.functional.pad(a, (0, 3 - a.shape[-1])) for a in (p.position, p.velocity))
    return tree_sum(p.mass.unsqueeze(-1) * torch.linalg.cross(x, v), 1)


def momentum_scale(p: ParticleTorch) -> Tensor:
    """Return sum m |v| (B,), which momentum errors are relative to, since the total is zero in the rest frame."""
    return tree_sum(p.mass * p.velocity.norm(dim=-1), 1)


def angular_momentum_scale(p: ParticleTorch) -> Tensor:
    """Return sum m |x| |v| (B,), which errors of the angular momentum are relative to."""
    return tree_sum(p.mass * p.position.norm(dim=-1) * p.velocity.norm(dim=-1), 1)


def field_work(before: ParticleTorch, after: ParticleTorch) -> Tensor:
    """Return the work (B,) of the external field during the steps between two states, to the order of the steps."""
    return after.work_so_far() - before.work_so_far()


def roundoff_floor(p: ParticleTorch) -> Tensor:
    """Return the relative energy error (B,) of round-off alone: a few ulp of K + |U| over the energy scale S."""
    K, U = p.kinetic_energy(), p.potential_energy()
    return 4 * torch.finfo(K.dtype).eps * (K + U.abs()) / energy_scale(p)
