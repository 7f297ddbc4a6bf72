"""Checks of the arguments of a ParticleTorch, and promotion of their shapes and precision.

The checks and their messages are those of `Bodies`; only what tensors need besides is here: graphs, devices, precision, dt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bodies import Bodies
from ..errors import InitialConditionError
from ..validation import as_array, plain, refuse_nonfinite


def as_tensor(name: str, value: Any, dtype: torch.dtype, device: Any) -> Tensor:
    """Return `value` as a tensor, or raise an error that says what it is instead."""
    # NumPy accepts more than torch: read-only and reversed arrays, lists of arrays
    values = value if isinstance(value, Tensor) else as_array(name, value, bool if dtype is torch.bool else np.float64)
    return torch.as_tensor(values, dtype=dtype, device=device)


def expand(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return `value` repeated to `shape`; a mistake in broadcasting is an error that names both shapes."""
    if value.ndim > len(shape) or any(v not in (1, s) for v, s in zip(reversed(value.shape), reversed(shape), strict=False)):
        raise InitialConditionError(f"{name} has shape {tuple(value.shape)}, which does not fit {shape}.")
    return value.expand(shape)


def promoted(given: Mapping[str, Any], G: float, dtype: torch.dtype, device: Any) -> dict[str, Any]:
    """Return all tensors of a particle in their full shapes, as copies: gradients flow back to those given.

    `given`: mass, position, velocity, mask, dt, time, softening by name.
    """
    given = dict(given)
    dt, mask = given.pop("dt"), given.pop("mask")
    checked = Bodies(**given, present=mask, G=G)
    B, N, D = checked.position.shape
    shapes: dict[str, tuple[int, ...]] = {"mass": (B, N), "position": (B, N, D), "velocity": (B, N, D), "dt": (B,)}
    shapes |= {"time": (B,), "softening": (B,)}
    where = given["position"].device if device is None and isinstance(given["position"], Tensor) else device
    tensors = {n: expand(n, as_tensor(n, {**given, "dt": dt}[n], dtype, where), s).clone() for n, s in shapes.items()}
    refuse_nonfinite("dt", plain(tensors["dt"]))
    present = torch.tensor(checked.present, device=tensors["mass"].device)
    if mask is not None:  # values of absent bodies, perhaps NaN, must reach no sum
        tensors["mass"] = torch.where(present, tensors["mass"], 0.0)
        tensors |= {n: torch.where(present.unsqueeze(-1), tensors[n], 0.0) for n in ("position", "velocity")}
    return {**tensors, "mask": present}


def refuse_coincident(potential: Tensor) -> None:
    """Raise an error if bodies are at one place, at softening 0, in the precision of their `potential` (B, N)."""
    coincident = ~torch.isfinite(potential.detach())
    if coincident.any():
        system, body = torch.nonzero(coincident)[0].tolist()
        raise InitialConditionError(
            f"body {body} of system {system} is at the same place as another, at softening 0; move it, or give a softening."
        )
