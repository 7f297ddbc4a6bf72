"""The tide of a point mass outside, which stands still or moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InitialConditionError, shown
from ..validation import as_constant
from .arrays import constant_like, dot, library_of
from .combined import Summable


@dataclass(frozen=True, init=False)
class PointMassTidalField(Summable):
    """Tidal field of a point mass M at R(t), in the frame that falls freely with the origin.

    a(x) = GM [(R-x)/|R-x|^3 - R/|R|^3],  potential(x) = -GM [1/|R-x| - 1/|R| - x.R/|R|^3]: zero, with its gradient, at the
    origin.

    Examples:
        >>> from aitimestepper import PointMassTidalField, simulate
        >>> from aitimestepper.initial import kepler
        >>> field = PointMassTidalField(M=10.0, R0=20.0)  # mass and distance in the units of the bodies
        >>> simulate(kepler(e=0.5), t_end=62.8, external_field=field, tol=1e-5).within_tolerance.tolist()
        [True]
    """

    M: float
    R0: tuple[float, ...] | None
    R_of_t: Callable[[Any], Any] | None
    G: float

    def __init__(
        self,
        M: float,
        R0: float | Sequence[float] | None = None,
        R_of_t: Callable[[Any], Any] | None = None,
        G: float = 1.0,
    ) -> None:
        """Give a fixed place `R0` (D numbers, or one number: on the first axis), or `R_of_t`.

        `R_of_t` is a function of the times (B,) that returns places (B, D), arrays or tensors as the times are.
        """
        if (R0 is None) == (R_of_t is None):
            raise InitialConditionError(
                "PointMassTidalField needs exactly one of R0 (a fixed place) and R_of_t (a moving one)."
            )
        values = {
            "M": as_constant(M, "PointMassTidalField: M"),
            "R0": None if R0 is None else _fixed_place(R0),
            "R_of_t": R_of_t,
            "G": as_constant(G, "PointMassTidalField: G"),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def time_dependent(self) -> bool:
        """Whether the mass moves."""
        return self.R_of_t is not None

    def _place(self, x: Any, t: Any) -> Any:
        """Return R as (B or 1, 1, D); axes that R does not give are zero."""
        R = constant_like(x, self.R0) if self.R_of_t is None else self.R_of_t(t)
        shape, use = tuple(getattr(R, "shape", ())), library_of(x)
        if library_of(R) is not use or len(shape) != 2 or shape[0] not in (1, len(x)):
            got = f"shape {shape}" if hasattr(R, "shape") and library_of(R) is use else f"a {type(R).__name__}"
            raise InitialConditionError(
                f"PointMassTidalField: R_of_t gave {got} for {len(t)} times; it must give an array (systems, axes)."
            )
        missing = x.shape[-1] - shape[1]
        if missing < 0:
            raise InitialConditionError(
                f"PointMassTidalField: R has {shape[1]} axes, the bodies have {x.shape[-1]}; give R as many."
            )
        R = use.concatenate([R, *[use.zeros_like(R[:, :1])] * missing], -1)
        return (R if use is np else R.to(x))[:, None, :]

    def _scaled(self, x: Any, t: Any) -> tuple[Any, ...]:
        """Return R-x, R, |R|^2, u = x.R/R^2, q = |R-x|^2/R^2 - 1, s = |R-x|/|R|, from which the tide has no cancellation.

        The tide of a mass at 1e4 |x| is 1e-8 of the terms of the formula of the class, so that evaluating that formula would
        lose eight digits.
        """
        R = self._place(x, t)
        R2 = dot(R, R)
        u = dot(x, R) / R2
        q = dot(x, x) / R2 - 2 * u
        to_mass = R - x
        return to_mass, R, R2, u, q, library_of(x).sqrt(dot(to_mass, to_mass) / R2)

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D).

        R s^3 - (R-x) = x + R (s^3 - 1), s^3 - 1 = q (3 + 3q + q^2) / (1 + s^3) (Battin).
        """
        use = library_of(x)
        to_mass, R, R2, _, q, s = self._scaled(x, t)
        s3 = s * s * s
        far = x + R * (q * (3 + q * (3 + q)) / (1 + s3))
        return -self.G * self.M / (R2 * use.sqrt(R2) * s3) * use.where(s < 0.5, R * s3 - to_mass, far)

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N).

        1/s - 1 - u = -(w + u q (2 + s) / (1 + s)) / (s (1 + s)), w = q + 2u = x^2/R^2.
        """
        _, _, R2, u, q, s = self._scaled(x, t)
        w = dot(x, x) / R2
        tide = (w + u * q * (2 + s) / (1 + s)) / (s * (1 + s))
        return (self.G * self.M / library_of(x).sqrt(R2) * tide)[..., 0]


@dataclass(frozen=True)
class Circle:
    """Circular motion about the origin, in the first two axes: a path that the compiled engine evaluates too."""

    radius: float
    rate: float  # radians per time unit
    phase: float

    def __call__(self, t: Any) -> Any:
        """Return the positions (B, 2) at the times t (B,)."""
        use = library_of(t)
        angle = self.rate * t + self.phase
        return use.stack([self.radius * use.cos(angle), self.radius * use.sin(angle)], -1)


def tidal(
    M: float, R0: float, period: float | None = None, phase: float = 0.0, y: float = 0.0, z: float = 0.0, G: float = 1.0
) -> PointMassTidalField:
    """Return the field of a point mass M fixed at (R0, y, z), or on a circle of radius R0 in the first two axes."""
    if period is None:
        place = (R0, y, z) if z else (R0, y) if y else R0
        return PointMassTidalField(M, R0=place, G=G)
    if not (math.isfinite(R0) and R0 > 0 and math.isfinite(period) and period != 0):
        raise InitialConditionError(f"tidal: R0 = {R0} and period = {period} must be finite, R0 positive, the period not zero.")
    if y or z:
        raise InitialConditionError(
            f"tidal: y = {y} and z = {z} fix the place of the mass, period = {period} moves it; give one."
        )
    return PointMassTidalField(M, R_of_t=Circle(R0, 2 * math.pi / period, phase), G=G)


def _fixed_place(R0: Any) -> tuple[float, ...]:
    try:
        place = tuple(np.asarray(R0, dtype=np.float64).ravel().tolist())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        place = ()
    if not (all(map(math.isfinite, place)) and any(place)):
        raise InitialConditionError(f"PointMassTidalField: R0 = {shown(R0)} must be a finite place away from the origin.")
    return place
