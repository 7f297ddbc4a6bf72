"""Functions that users wrote, inside a compiled run: the kernels call them by address."""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..criteria.agent import AgentCriterion
from ..criteria.own import OwnCriterion
from ..errors import SlowPythonWarning
from ..fields import VelocityForce

_POINTER = ctypes.POINTER(ctypes.c_double)
_CRITERION = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double, *[_POINTER] * 4, ctypes.c_double)
_FIELD = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_double, *[_POINTER] * 4)
RATE_STEP = 6e-6  # relative to 1 + |t|: interval of the central difference for the rate of change of a moving field


class OwnFunctions:
    """The functions of a run that must stay alive while it calls them, and the first error that one in Python raised.

    `interrupted` is the event that Ctrl-C sets. After it no Python function is called again, however slow a turn is.
    """

    def __init__(self) -> None:
        self._alive: list[Any] = []
        self._error: BaseException | None = None
        self.interrupted = threading.Event()
        self.in_python = False  # whether some function is written in Python
        self.agent: AgentCriterion | None = None  # what chooses the steps between turns of one step each

    def raise_error(self) -> None:
        """Raise the error that a function raised inside compiled code, which cannot propagate it."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def criterion(self, own: OwnCriterion, axes: int) -> int:
        """Return the address of a criterion."""
        self._alive.append(own.function)
        if own.address is not None:
            return own.address
        _warn_slow(f"the criterion {getattr(own.function, '__name__', own.name)}")

        def call(n: int, t: float, mass: Any, x: Any, v: Any, a: Any, value: float) -> float:
            vectors = (_bodies_first(p, n, axes) for p in (x, v, a))
            return self._called_safely(lambda: float(own.function(t, _copied(mass, n), *vectors, value)), np.nan)

        return self._address_of(_CRITERION(call))

    def field(self, field: Any, axes: int) -> int:
        """Return the address of an outer field: an `OwnField`, or an object with `acceleration` and `potential`."""
        self._alive.append(field)
        if getattr(field, "address", None) is not None:
            return int(field.address)
        _warn_slow(f"the outer field {type(field).__name__}")

        def write(n: int, t: float, x: Any, a: Any, phi: Any, rate: Any) -> bool:
            places, at = _bodies_first(x, n, axes)[None], np.array([t])
            _array(a, (3, n))[:axes] = np.asarray(field.acceleration(places, at))[0].T
            _array(phi, (n,))[:] = np.asarray(field.potential(places, at))[0]
            if getattr(field, "time_dependent", True):
                _array(rate, (n,))[:] = _rate(field, places, at)
            return True

        def call(n: int, t: float, x: Any, a: Any, phi: Any, rate: Any) -> None:
            if not self._called_safely(lambda: write(n, t, x, a, phi, rate), False):
                _array(a, (3, n))[:] = np.nan

        return self._address_of(_FIELD(call))

    def velocity_force(self, force: VelocityForce, axes: int) -> int:
        """Return the address of a velocity-dependent force."""
        self._alive.append(force)
        if force.address is not None:
            return force.address
        _warn_slow(f"the force {getattr(force.function, '__name__', 'of a VelocityForce')}")

        def write(n: int, t: float, mass: Any, x: Any, v: Any, a: Any) -> bool:
            places, speeds = (_bodies_first(p, n, axes) for p in (x, v))
            _array(a, (3, n))[:axes] = force.of_one(t, _copied(mass, n), places, speeds).T
            return True

        def call(n: int, t: float, mass: Any, x: Any, v: Any, a: Any) -> None:
            if not self._called_safely(lambda: write(n, t, mass, x, v, a), False):
                _array(a, (3, n))[:] = np.nan

        return self._address_of(_FIELD(call))

    def _address_of(self, callback: Any) -> int:
        self._alive.append(callback)
        self.in_python = True
        return int(ctypes.cast(callback, ctypes.c_void_p).value or 0)

    def _called_safely(self, function: Callable[[], Any], otherwise: Any) -> Any:
        """Return the result of the function, or `otherwise` if it raises; the error then ends the run after this turn."""
        if self._error is None and self.interrupted.is_set():
            self._error = KeyboardInterrupt()
        if self._error is not None:
            return otherwise
        try:
            return function()
        except BaseException as error:  # also Ctrl-C: an exception cannot pass through the compiled caller
            self._error = error
            return otherwise


def _rate(field: Any, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the rate of change of the potential at fixed places, (N,), from `potential_rate` or by a central difference."""
    own = getattr(field, "potential_rate", None)
    if own is not None:
        return np.asarray(own(x, t))[0]
    h = RATE_STEP * (1.0 + np.abs(t))
    return (np.asarray(field.potential(x, t + h))[0] - np.asarray(field.potential(x, t - h))[0]) / (2.0 * h)


def _array(pointer: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the numbers at an address as an array to write into."""
    return np.ctypeslib.as_array(pointer, shape=shape)


def _bodies_first(pointer: Any, n: int, axes: int) -> np.ndarray:
    """Return a copy of 3 n numbers, axis after axis, as (N, axes)."""
    return _copied(pointer, 3 * n).reshape(3, n)[:axes].T


def _copied(pointer: Any, count: int) -> np.ndarray:
    """Return a read-only copy (count,): a function may store its arguments, which outlive the memory of the run."""
    return np.frombuffer(ctypes.string_at(pointer, 8 * count))


def _warn_slow(what: str) -> None:
    warnings.warn(
        f"{what} runs in Python, about ten microseconds a call; a numba cfunc costs nothing more than the package's own "
        "(see aitimestepper.simulate.kernels.callbacks).",
        SlowPythonWarning,
        stacklevel=2,
    )
