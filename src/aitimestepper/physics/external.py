"""Analytic outer fields. A field has `acceleration(x, t)` and `potential(x, t)`: x (B, N, D), t (B,)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..errors import InitialConditionError
from .gravity import dot


@runtime_checkable
class ExternalField(Protocol):
    """What a field must offer. Write it with torch operations: forces, features and criteria differentiate through it."""

    time_dependent: bool

    def acceleration(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N, D) acceleration at positions x (B, N, D) and times t (B,)."""
        ...

    def potential(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N) potential per unit mass."""
        ...


class PointMassTidalField:
    """Tidal field of a point mass M at R(t), in the frame that falls freely with the origin.

    a(x) = GM [(R-x)/|R-x|^3 - R/|R|^3],  potential(x) = -GM [1/|R-x| - 1/|R| - x.R/|R|^3]: zero, with its gradient, at the
    origin. Give a fixed place `R0` (D numbers, or one number: on the first axis), or `R_of_t`, a function of the times
    (B,) to places (B, D) made of torch operations.
    """

    def __init__(self, M: float, R0: object = None, R_of_t: Callable[[Tensor], Tensor] | None = None, G: float = 1.0) -> None:
        if (R0 is None) == (R_of_t is None):
            raise InitialConditionError(
                "PointMassTidalField needs exactly one of R0 (a fixed place) and R_of_t (a moving one)."
            )
        if not (math.isfinite(M) and M > 0):
            raise InitialConditionError(f"PointMassTidalField: M = {M} must be a positive number.")
        self.M, self.G, self.R_of_t = float(M), float(G), R_of_t
        self.R0 = None if R0 is None else torch.as_tensor(R0, dtype=torch.float64).reshape(-1)
        if self.R0 is not None and not (torch.isfinite(self.R0).all() and self.R0.norm() > 0):
            raise InitialConditionError(f"PointMassTidalField: R0 = {R0} must be a finite place away from the origin.")
        self.time_dependent = R_of_t is not None

    def _place(self, x: Tensor, t: Tensor) -> Tensor:
        """R as (B or 1, 1, D); axes that R does not give are zero."""
        R = self.R0.view(1, -1) if self.R0 is not None else self.R_of_t(t)  # type: ignore[misc]
        missing = x.shape[-1] - R.shape[-1]
        if missing < 0:
            raise InitialConditionError(
                f"PointMassTidalField: R has {R.shape[-1]} axes, the bodies have {x.shape[-1]}; give R as many."
            )
        return torch.nn.functional.pad(R.to(x), (0, missing)).unsqueeze(1)

    def acceleration(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N, D)."""
        R = self._place(x, t)
        to_mass = R - x
        d2, R2 = dot(to_mass, to_mass).unsqueeze(-1), dot(R, R).unsqueeze(-1)
        return self.G * self.M * (to_mass / (d2 * torch.sqrt(d2)) - R / (R2 * torch.sqrt(R2)))

    def potential(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N)."""
        R = self._place(x, t)
        to_mass = R - x
        d, R2 = torch.sqrt(dot(to_mass, to_mass)), dot(R, R)
        return -self.G * self.M * (1 / d - 1 / torch.sqrt(R2) - dot(x, R.expand_as(x)) / (R2 * torch.sqrt(R2)))


def tidal(M: float, R0: float, period: float | None = None, phase: float = 0.0, G: float = 1.0) -> PointMassTidalField:
    """Point mass M at distance R0 on the first axis, or on a circle of that radius in the first two axes with `period`."""
    if period is None:
        return PointMassTidalField(M, R0=R0, G=G)
    if not (math.isfinite(R0) and R0 > 0 and math.isfinite(period) and period != 0):
        raise InitialConditionError(f"tidal: R0 = {R0} and period = {period} must be finite, R0 positive, the period not zero.")

    def circle(t: Tensor) -> Tensor:
        angle = 2 * math.pi * t / period + phase
        return torch.stack([R0 * torch.cos(angle), R0 * torch.sin(angle)], dim=-1)

    return PointMassTidalField(M, R_of_t=circle, G=G)


FIELDS = {"tidal": tidal}
