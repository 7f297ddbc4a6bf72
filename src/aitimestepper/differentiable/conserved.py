"""What isolated gravity conserves, and how far a step or a run departed from it."""

from __future__ import annotations

import torch
from torch import Tensor

from .gravity import tree_sum
from .particle import ParticleTorch


def relative_error(E0: Tensor, E1: Tensor) -> Tensor:
    """|E1 - E0| / |E0| per system; a zero |E0| counts as the smallest normal number, so that only equality passes."""
    return (E1 - E0).abs() / E0.abs().clamp_min(torch.finfo(E0.dtype).tiny)


def conserved_energy(p: ParticleTorch) -> Tensor:
    """(B,) the total energy without what a moving outer field put in since the run began: what an exact run would keep."""
    return p.total_energy() if p._work is None else p.total_energy() - p._work


def momentum(p: ParticleTorch) -> Tensor:
    """(B, D)."""
    return tree_sum(p.mass.unsqueeze(-1) * p.velocity, 1)


def angular_momentum(p: ParticleTorch) -> Tensor:
    """(B, 3), about the origin; in the plane only the last component is not zero."""
    x, v = (torch.nn.functional.pad(a, (0, 3 - a.shape[-1])) for a in (p.position, p.velocity))
    return tree_sum(p.mass.unsqueeze(-1) * torch.linalg.cross(x, v), 1)


def momentum_scale(p: ParticleTorch) -> Tensor:
    """(B,) sum of m |v|: what a momentum error is measured against, since the total is zero in the rest frame."""
    return tree_sum(p.mass * p.velocity.norm(dim=-1), 1)


def angular_momentum_scale(p: ParticleTorch) -> Tensor:
    """(B,) sum of m |x| |v|."""
    return tree_sum(p.mass * p.position.norm(dim=-1) * p.velocity.norm(dim=-1), 1)


def field_power(p: ParticleTorch) -> Tensor:
    """(B,) sum of m dPhi/dt: the rate at which a time-dependent outer field changes the energy."""
    return p.field_power()


def field_work(before: ParticleTorch, after: ParticleTorch) -> Tensor:
    """(B,) energy that the field put in during the steps that led from one state to the other, to the order of the steps."""
    put_in = torch.zeros_like(after.time) if after._work is None else after._work
    return put_in if before._work is None else put_in - before._work


def roundoff_floor(p: ParticleTorch) -> Tensor:
    """(B,) relative energy error that arithmetic alone makes: a few ulp of kinetic plus |potential| energy over |E|."""
    K, U = p.kinetic_energy(), p.potential_energy()
    return 4 * torch.finfo(K.dtype).eps * (K + U.abs()) / (K + U).abs().clamp_min(torch.finfo(K.dtype).tiny)
