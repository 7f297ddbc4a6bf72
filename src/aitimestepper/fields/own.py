"""Fields and forces of the user's own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import InitialConditionError, shown
from .combined import Summable
from .interface import WITH_VELOCITIES

_POINTER = ctypes.POINTER(ctypes.c_double)


def _pointers(*rows: np.ndarray) -> list[Any]:
    return [row.ctypes.data_as(_POINTER) for row in rows]


def _axis_after_axis(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (B, N, D) as (B, 3, N), as C functions take them."""
    B, N, D = vectors.shape
    made = np.zeros((B, 3, N))
    made[:, :D] = np.moveaxis(vectors, 2, 1)
    return made


class OwnField(Summable):
    """External field that a C function of the user's own computes: a numba `cfunc` (see `simulate.kernels.callbacks`).

    The engine calls it by its address, with no Python in between. From Python it works on NumPy arrays only. Say
    `time_dependent=True` where it changes with time; its rates are then part of the energy.

    Examples:
        >>> from aitimestepper import FreeFall, OwnField, simulate
        >>> from aitimestepper.initial import kepler
        >>> from aitimestepper.simulate.kernels.callbacks import field
        >>> @field
        ... def spring(n, t, x, a, phi, rate):  # a(x) = -0.01 x; arrays are axis after axis, 3 n numbers
        ...     for k in range(3 * n):
        ...         a[k] = -0.01 * x[k]
        ...     for i in range(n):
        ...         phi[i] = 0.005 * (x[i] ** 2 + x[n + i] ** 2 + x[2 * n + i] ** 2)
        >>> result = simulate(kepler(e=0.5), t_end=6.28, external_field=OwnField(spring), criterion=FreeFall(0.01))
        >>> bool(result.max_energy_error[0] < 1e-3)
        True
    """

    def __init__(self, function: Any, time_dependent: bool = False) -> None:
        if getattr(function, "address", None) is None:
            raise InitialConditionError(f"own field: {function!r} is no numba cfunc; a field in Python needs no wrapper.")
        self.function, self.time_dependent = function, time_dependent
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_double, *[_POINTER] * 4)(function.address)

    @property
    def address(self) -> int:
        """Address of the C function."""
        return int(self.function.address)

    def _at(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return accelerations (B, N, D), potentials and their rates (B, N) at positions x (B, N, D) and times t (B,)."""
        B, N, D = x.shape
        places, a, phi, rate = _axis_after_axis(x), np.zeros((B, 3, N)), np.zeros((B, N)), np.zeros((B, N))
        for b in range(B):
            self._call(N, float(t[b]), *_pointers(places[b], a[b], phi[b], rate[b]))
        return np.moveaxis(a[:, :D], 1, 2), phi, rate

    def acceleration(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the accelerations (B, N, D)."""
        return self._at(x, t)[0]

    def potential(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the potentials per unit mass (B, N)."""
        return self._at(x, t)[1]

    def potential_rate(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the rates of change of the potentials at fixed places (B, N)."""
        return self._at(x, t)[2]


@dataclass(frozen=True)
class VelocityForce(Summable):
    """A force of the user's own that depends on velocities, or has no potential: drag, a magnetic field, radiation.

    `function` is `f(t, mass, position, velocity) -> acceleration` for one system, with arrays (N,) and (N, D), or a numba
    `cfunc` made by `simulate.kernels.callbacks.velocity_force`. Gauss-Radau alone takes it. Energy errors count its work.

    Examples:
        >>> import warnings
        >>> from aitimestepper import VelocityForce, simulate
        >>> from aitimestepper.initial import kepler
        >>> def drag(t, mass, position, velocity):  # (N,), (N, D), (N, D) -> accelerations (N, D)
        ...     return -0.01 * velocity
        >>> with warnings.catch_warnings(action="ignore"):  # a function in Python is slow, and a warning says so
        ...     result = simulate(kepler(e=0.5), t_end=6.28, external_field=VelocityForce(drag))
        >>> result.integrator
        'radau15'
    """

    function: Callable[..., Any]
    needs: ClassVar[tuple[str, ...]] = WITH_VELOCITIES
    time_dependent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse what cannot be called."""
        if self.address is None and not callable(self.function):
            raise InitialConditionError(
                f"VelocityForce: {shown(self.function)} cannot be called; give a function f(t, mass, position, velocity)."
            )

    @property
    def address(self) -> int | None:
        """Address of a C function, None of one in Python."""
        address = getattr(self.function, "address", None)
        return None if address is None else int(address)

    def acceleration(self, x: np.ndarray, t: np.ndarray, mass: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Return the accelerations (B, N, D) at positions x and velocities (B, N, D) of masses (B, N) at times t (B,)."""
        if self.address is None:
            return np.stack([self.of_one(float(t[b]), mass[b], x[b], velocity[b]) for b in range(len(x))])
        B, N, D = x.shape
        call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_double, *[_POINTER] * 4)(self.address)
        a, masses = np.zeros((B, 3, N)), np.array(mass, dtype=np.float64, order="C")
        places, speeds = _axis_after_axis(x), _axis_after_axis(velocity)
        for b in range(B):
            call(N, float(t[b]), *_pointers(masses[b], places[b], speeds[b], a[b]))
        return np.moveaxis(a[:, :D], 1, 2)

    def potential(self, x: np.ndarray, t: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Return zeros (B, N): all that it does is work."""
        return np.zeros(x.shape[:2])

    def of_one(self, t: float, mass: np.ndarray, x: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Return the accelerations (N, D) of one system by the function in Python."""
        found = np.asarray(self.function(t, mass, x, velocity), dtype=np.float64)
        if found.shape != x.shape:
            name = getattr(self.function, "__name__", "its function")
            raise InitialConditionError(
                f"VelocityForce: {name} returned the shape {found.shape} for {x.shape} positions; it must return as many."
            )
        return found
