"""What may become a particle: shapes and precision promoted, and one clear sentence for everything that cannot be simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InitialConditionError

if TYPE_CHECKING:
    from .particle import ParticleTorch


def as_tensor(name: str, value: Any, dtype: torch.dtype, device: Any) -> Tensor:
    """`value` as a tensor, or a sentence about what it is instead."""
    try:
        # NumPy takes what torch does not: read-only and reversed arrays, lists of arrays
        known = value if isinstance(value, Tensor) else np.array(value, dtype=bool if dtype is torch.bool else np.float64)
        return torch.as_tensor(known, dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise InitialConditionError(
            f"{name} must be numbers in a regular array, got {type(value).__name__} {str(value)[:60]}."
        ) from None


def expand(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`value` as `shape`; a mistake in broadcasting is an error that names both shapes."""
    if value.ndim > len(shape) or any(v not in (1, s) for v, s in zip(reversed(value.shape), reversed(shape), strict=False)):
        raise InitialConditionError(f"{name} has shape {tuple(value.shape)}, which does not fit {shape}.")
    return value.expand(shape)


def refuse_nonfinite(x: Tensor, name: str) -> None:
    """NaN and infinity are an error that says where they are."""
    if not torch.isfinite(x).all():
        where = torch.nonzero(~torch.isfinite(x))[0].tolist()
        raise InitialConditionError(f"{name} is not finite ({x[tuple(where)].item()}) at [system, body, ...] = {where}.")


def refuse_impossible(p: ParticleTorch) -> None:
    """One clear sentence for states that no integrator can take."""
    for name in ("mass", "position", "velocity", "dt", "time", "softening"):
        refuse_nonfinite(getattr(p, name), name)
    few = torch.nonzero(p.mask.sum(-1) < 2)
    if len(few):
        raise InitialConditionError(f"system {few[0].item()} has fewer than 2 bodies; gravity needs at least 2.")
    if (p.mass < 0).any():
        where = torch.nonzero(p.mass < 0)[0].tolist()
        raise InitialConditionError(
            f"mass of [system, body] = {where} is {p.mass[tuple(where)].item()}; masses must be 0 or more."
        )
    if (p.softening < 0).any():
        raise InitialConditionError(f"softening is {p.softening.min().item()}; it must be 0 or more.")
    massless = torch.nonzero(p.mass.sum(-1) <= 0)
    if len(massless):
        raise InitialConditionError(f"system {massless[0].item()} has no mass at all; at least one body needs some.")
    if not p.G > 0 or float("inf") == p.G:
        raise InitialConditionError(f"G = {p.G} must be a positive number.")
    coincident = ~torch.isfinite(p._self_gravity().potential.detach())
    if coincident.any():
        system, body = torch.nonzero(coincident)[0].tolist()
        raise InitialConditionError(
            f"body {body} of system {system} is at the same place as another, at softening 0; move it, or give a softening."
        )
