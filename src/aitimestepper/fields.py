"""Analytic outer fields. A field has `acceleration(x, t)` and `potential(x, t)`: x (B, N, D), t (B,)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .differentiable.gravity import dot
from .errors import InitialConditionError


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
        if not isinstance(R, Tensor) or R.ndim != 2 or len(R) not in (1, len(x)):
            got = f"shape {tuple(R.shape)}" if isinstance(R, Tensor) else f"a {type(R).__name__}"
            raise InitialConditionError(
                f"PointMassTidalField: R_of_t gave {got} for {len(t)} times; it must give a tensor (systems, axes)."
            )
        missing = x.shape[-1] - R.shape[-1]
        if missing < 0:
            raise InitialConditionError(
                f"PointMassTidalField: R has {R.shape[-1]} axes, the bodies have {x.shape[-1]}; give R as many."
            )
        return torch.nn.functional.pad(R.to(x), (0, missing)).unsqueeze(1)

    def _scaled(self, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """R-x, R, |R|^2, u = x.R/R^2, q = |R-x|^2/R^2 - 1, s = |R-x|/|R|: the tide without differences of pulls.

        Of a mass at 1e4 |x| the tide is 1e-8 of what the terms of the formula above are: as written, 1e-8 of it is noise.
        """
        R = self._place(x, t)
        R2 = dot(R, R).unsqueeze(-1)
        u = dot(x, R.expand_as(x)).unsqueeze(-1) / R2
        q = dot(x, x).unsqueeze(-1) / R2 - 2 * u
        to_mass = R - x
        return to_mass, R, R2, u, q, torch.sqrt(dot(to_mass, to_mass).unsqueeze(-1) / R2)

    def acceleration(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N, D). R s^3 - (R-x) = x + R (s^3 - 1), s^3 - 1 = q (3 + 3q + q^2) / (1 + s^3) (Battin)."""
        to_mass, R, R2, _, q, s = self._scaled(x, t)
        s3 = s * s * s
        far = x + R * (q * (3 + q * (3 + q)) / (1 + s3))
        return -self.G * self.M / (R2 * torch.sqrt(R2) * s3) * torch.where(s < 0.5, R * s3 - to_mass, far)

    def potential(self, x: Tensor, t: Tensor) -> Tensor:
        """(B, N). 1/s - 1 - u = -(w + u q (2 + s) / (1 + s)) / (s (1 + s)), w = q + 2u = x^2/R^2."""
        _, _, R2, u, q, s = self._scaled(x, t)
        w = dot(x, x).unsqueeze(-1) / R2
        tide = (w + u * q * (2 + s) / (1 + s)) / (s * (1 + s))
        return (self.G * self.M / torch.sqrt(R2) * tide).squeeze(-1)


@dataclass(frozen=True)
class Circle:
    """A place on a circle about the origin, in the first two axes: a path that the compiled engine knows too."""

    radius: float
    rate: float  # radians per time unit
    phase: float

    def __call__(self, t: Tensor) -> Tensor:
        """(B, 2) at the times t (B,)."""
        angle = self.rate * t + self.phase
        return torch.stack([self.radius * torch.cos(angle), self.radius * torch.sin(angle)], dim=-1)


def tidal(
    M: float, R0: float, period: float | None = None, phase: float = 0.0, y: float = 0.0, z: float = 0.0, G: float = 1.0
) -> PointMassTidalField:
    """Point mass M fixed at (R0, y, z), or on a circle of radius R0 in the first two axes with `period`."""
    if period is None:
        place = [R0, y, z] if z else [R0, y] if y else R0
        return PointMassTidalField(M, R0=place, G=G)
    if not (math.isfinite(R0) and R0 > 0 and math.isfinite(period) and period != 0):
        raise InitialConditionError(f"tidal: R0 = {R0} and period = {period} must be finite, R0 positive, the period not zero.")
    if y or z:
        raise InitialConditionError(
            f"tidal: y = {y} and z = {z} fix the place of the mass, period = {period} moves it; give one."
        )
    return PointMassTidalField(M, R_of_t=Circle(R0, 2 * math.pi / period, phase), G=G)


FIELDS = {"tidal": tidal}
