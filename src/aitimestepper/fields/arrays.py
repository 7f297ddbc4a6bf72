"""Operations that fields share, on NumPy arrays and on torch tensors alike."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..errors import InitialConditionError, shown
from ..validation import plain


def library_of(x: Any) -> Any:
    """Return the library of x, torch or NumPy: torch was imported by the code that made the tensor, never here."""
    return sys.modules["torch"] if hasattr(x, "new_tensor") else np


def constant_like(x: Any, values: Any) -> Any:
    """Return `values` (D,) as (1, D), an array or a tensor of the kind, precision and device of x."""
    return x.new_tensor([values]) if hasattr(x, "new_tensor") else np.array([values], dtype=x.dtype)


def dot(a: Any, b: Any) -> Any:
    """Return the scalar product over the last axis, which stays, with length 1: ((a0 b0 + a1 b1) + a2 b2)."""
    products = a * b
    total = products[..., 0:1] + products[..., 1:2]
    return total if products.shape[-1] == 2 else total + products[..., 2:3]


def vector_like(x: Any, values: tuple[float, ...], what: str) -> Any:
    """Return three components as (1, 1, D) beside positions x (B, N, D); bodies in the plane need the third to be zero."""
    if x.shape[-1] == 2 and values[2]:
        raise InitialConditionError(f"{what} = {values} points out of the plane of the bodies; leave its third component 0.")
    return constant_like(x, values[: x.shape[-1]])[:, None, :]


def square_root_above_zero(x: Any, square: Any) -> Any:
    """Return the root of `square` plus the smallest normal number, so that neither it nor its gradient divides by zero."""
    use = library_of(x)
    return use.sqrt(square + use.finfo(x.dtype).tiny)


def as_vector(values: Any, what: str) -> tuple[float, ...]:
    """Return two or three finite numbers as three, or raise an error."""
    try:
        found = tuple(np.asarray(plain(values), dtype=np.float64).ravel().tolist())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        found = ()
    if len(found) not in (2, 3) or not all(map(math.isfinite, found)):
        raise InitialConditionError(f"{what} = {shown(values)} must be two or three finite numbers.")
    return (*found, 0.0)[:3]


def as_number(value: Any, what: str, least: float | None = None) -> float:
    """Return a finite number, not below `least`, or raise an error."""
    try:
        number = float(plain(value))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not (math.isfinite(number) and (least is None or number >= least)):
        raise InitialConditionError(
            f"{what} = {shown(value)} must be a finite number{'' if least is None else f', {least:g} or more'}."
        )
    return number
