"""Analytic external fields. Their methods take NumPy arrays or torch tensors, and return what they were given.

Shapes: positions x (B, N, D), times t (B,), in the units of the bodies.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .config import Config
from .errors import InitialConditionError, UserError, shown
from .specs import build
from .validation import as_constant


@runtime_checkable
class ExternalField(Protocol):
    """Interface of an external field.

    Write it with operators that NumPy and torch share: `Bodies` call it with arrays, and with torch tensors features and
    criteria differentiate through it. A field of torch operations alone serves `ParticleTorch` only.
    """

    @property
    def time_dependent(self) -> bool:
        """Whether the field changes with time at a fixed place."""
        ...

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D) at positions x (B, N, D) and times t (B,)."""
        ...

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N)."""
        ...


@dataclass(frozen=True, init=False)
class PointMassTidalField:
    """Tidal field of a point mass M at R(t), in the frame that falls freely with the origin.

    a(x) = GM [(R-x)/|R-x|^3 - R/|R|^3],  potential(x) = -GM [1/|R-x| - 1/|R| - x.R/|R|^3]: zero, with its gradient, at the
    origin.
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
        R = _constant(x, self.R0) if self.R_of_t is None else self.R_of_t(t)
        shape, use = tuple(getattr(R, "shape", ())), _library(x)
        if _library(R) is not use or len(shape) != 2 or shape[0] not in (1, len(x)):
            got = f"shape {shape}" if hasattr(R, "shape") and _library(R) is use else f"a {type(R).__name__}"
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
        R2 = _dot(R, R)
        u = _dot(x, R) / R2
        q = _dot(x, x) / R2 - 2 * u
        to_mass = R - x
        return to_mass, R, R2, u, q, _library(x).sqrt(_dot(to_mass, to_mass) / R2)

    def acceleration(self, x: Any, t: Any) -> Any:
        """Return the acceleration (B, N, D).

        R s^3 - (R-x) = x + R (s^3 - 1), s^3 - 1 = q (3 + 3q + q^2) / (1 + s^3) (Battin).
        """
        use = _library(x)
        to_mass, R, R2, _, q, s = self._scaled(x, t)
        s3 = s * s * s
        far = x + R * (q * (3 + q * (3 + q)) / (1 + s3))
        return -self.G * self.M / (R2 * use.sqrt(R2) * s3) * use.where(s < 0.5, R * s3 - to_mass, far)

    def potential(self, x: Any, t: Any) -> Any:
        """Return the potential per unit mass (B, N).

        1/s - 1 - u = -(w + u q (2 + s) / (1 + s)) / (s (1 + s)), w = q + 2u = x^2/R^2.
        """
        _, _, R2, u, q, s = self._scaled(x, t)
        w = _dot(x, x) / R2
        tide = (w + u * q * (2 + s) / (1 + s)) / (s * (1 + s))
        return (self.G * self.M / _library(x).sqrt(R2) * tide)[..., 0]


@dataclass(frozen=True)
class Circle:
    """Circular motion about the origin, in the first two axes: a path that the compiled engine evaluates too."""

    radius: float
    rate: float  # radians per time unit
    phase: float

    def __call__(self, t: Any) -> Any:
        """Return the positions (B, 2) at the times t (B,)."""
        use = _library(t)
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


class OwnField:
    """External field that a C function of the user's own computes: a numba `cfunc` (see `simulate.kernels.callbacks`).

    The engine calls it by its address, with no Python in between. From Python it works on NumPy arrays only.
    """

    def __init__(self, function: Any, time_dependent: bool = False) -> None:
        if getattr(function, "address", None) is None:
            raise InitialConditionError(f"own field: {function!r} is no numba cfunc; a field in Python needs no wrapper.")
        self.function, self.time_dependent = function, time_dependent
        pointer = ctypes.POINTER(ctypes.c_double)
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_double, *[pointer] * 4)(function.address)

    @property
    def address(self) -> int:
        """Address of the C function."""
        return int(self.function.address)

    def _at(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return accelerations (B, N, D) and potentials (B, N) at positions x (B, N, D) and times t (B,)."""
        (B, N, D), pointer = x.shape, ctypes.POINTER(ctypes.c_double)
        places, a = np.zeros((B, 3, N)), np.zeros((B, 3, N))
        phi, rate = np.zeros((B, N)), np.zeros((B, N))
        places[:, :D] = np.moveaxis(x, 2, 1)
        for b in range(B):
            self._call(N, float(t[b]), *(row[b].ctypes.data_as(pointer) for row in (places, a, phi, rate)))
        return np.moveaxis(a[:, :D], 1, 2), phi

    def acceleration(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the accelerations (B, N, D)."""
        return self._at(x, t)[0]

    def potential(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the potentials per unit mass (B, N)."""
        return self._at(x, t)[1]


FIELDS = {"tidal": tidal}
OWN = "own"  # in files, in place of a field that only the user can give again


def field_named(text: str | None, G: float) -> ExternalField | None:
    """Return the external field that a text such as `tidal:M=1000,R0=20` describes; None for None."""
    if text is None:
        return None
    made: ExternalField = build(text, FIELDS, "external field", UserError, G=G)
    return made


def field_from(config: Config) -> ExternalField | None:
    """Return the external field that the settings name."""
    return field_named(config.external_field, config.G)


def field_to_plain(field: ExternalField | None) -> dict[str, Any] | str | None:
    """Return a field as plain values, from which `field_from_plain` makes it to the bit; `OWN` for a user's own function."""
    if not (field is None or is_known(field)):
        return OWN
    if field is None:
        return None
    assert isinstance(field, PointMassTidalField)
    place = {"R0": field.R0} if field.R0 is not None else {"circle": dataclasses.astuple(field.R_of_t)}  # type: ignore[call-overload]
    return {"M": field.M, "G": field.G, **place}


def field_from_plain(plain: dict[str, Any] | None) -> PointMassTidalField | None:
    """Return the field that plain values describe, or raise an error of the kind that wrong arguments do."""
    if plain is None:
        return None
    if "circle" not in plain:
        return PointMassTidalField(plain["M"], R0=plain["R0"], G=plain["G"])
    radius, rate, phase = (float(x) for x in plain["circle"])
    if not all(map(math.isfinite, (radius, rate, phase))):
        raise InitialConditionError(f"PointMassTidalField: circle = {plain['circle']} must be finite numbers.")
    return PointMassTidalField(plain["M"], R_of_t=Circle(radius, rate, phase), G=plain["G"])


def is_known(field: Any) -> bool:
    """Return whether the engine computes the field by itself: it is no function of a user's own."""
    return type(field) is PointMassTidalField and (field.R0 is not None or isinstance(field.R_of_t, Circle))


def _fixed_place(R0: Any) -> tuple[float, ...]:
    try:
        place = tuple(np.asarray(R0, dtype=np.float64).ravel().tolist())
    except (TypeError, ValueError, OverflowError, RuntimeError):
        place = ()
    if not (all(map(math.isfinite, place)) and any(place)):
        raise InitialConditionError(f"PointMassTidalField: R0 = {shown(R0)} must be a finite place away from the origin.")
    return place


def _library(x: Any) -> Any:
    """Return the library of x, torch or NumPy: torch was imported by the code that made the tensor, never here."""
    return sys.modules["torch"] if hasattr(x, "new_tensor") else np


def _constant(x: Any, values: Any) -> Any:
    """Return `values` (D,) as (1, D), an array or a tensor of the kind, precision and device of x."""
    return x.new_tensor([values]) if hasattr(x, "new_tensor") else np.array([values], dtype=x.dtype)


def _dot(a: Any, b: Any) -> Any:
    """Return the scalar product over the last axis, which stays, with length 1: ((a0 b0 + a1 b1) + a2 b2)."""
    products = a * b
    total = products[..., 0:1] + products[..., 1:2]
    return total if products.shape[-1] == 2 else total + products[..., 2:3]
