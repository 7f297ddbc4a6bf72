"""Validation of bodies: shapes and precision are promoted, and states that cannot be simulated raise one clear sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InitialConditionError, UserError, shown
from .sums import dot

TINY = float(np.finfo(np.float64).tiny)  # the smallest normal number, 2.2e-308
NO_LENGTH = 1e-154  # its square vanishes


def plain(value: Any) -> Any:
    """Return a torch tensor as a NumPy array, and anything else as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def refuse_unit(name: str, value: Any, error: type[UserError] = InitialConditionError) -> None:
    """Raise an `error` for a quantity of astropy where a plain number is wanted: NumPy would drop its unit in silence."""
    if type(value).__module__.startswith("astropy") and hasattr(value, "unit"):
        raise error(f"{name} = {shown(value)} has a unit, where a plain number is wanted: give its value in the run's units.")


def as_array(name: str, value: Any, dtype: type = np.float64) -> np.ndarray:
    """Return `value` as a new array, or raise an error that says what it is instead."""
    refuse_unit(name, value)
    try:
        return np.array(plain(value), dtype=dtype, order="C")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InitialConditionError(
            f"{name} must be numbers in a regular array, got {type(value).__name__} {str(value)[:60]}."
        ) from None


def as_vectors(position: Any, velocity: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and velocities, (N, D) or (B, N, D), as new arrays (B, N, D)."""
    x, v = (a[None] if a.ndim == 2 else a for a in (as_array("position", position), as_array("velocity", velocity)))
    if x.ndim != 3 or x.shape[-1] not in (2, 3):
        raise InitialConditionError(
            f"position has shape {x.shape}, not (bodies, axes) or (systems, bodies, axes) with 2 or 3 axes."
        )
    if v.shape != x.shape:
        raise InitialConditionError(f"velocity has shape {v.shape}, position {x.shape}; they must be the same.")
    return x, v


def expanded(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return `value` broadcast to `shape`, as a new array, or raise an error that names both shapes."""
    if value.ndim > len(shape) or any(v not in (1, s) for v, s in zip(value.shape[::-1], shape[::-1], strict=False)):
        raise InitialConditionError(f"{name} has shape {value.shape}, which does not fit {shape}.")
    return np.array(np.broadcast_to(value, shape), order="C")


def padded(values: np.ndarray, bodies: int) -> np.ndarray:
    """Return a (B, N, ...) array with zeros for absent bodies appended, up to `bodies`; a (B,) array as it is."""
    if values.ndim == 1:
        return values
    return np.pad(values, [(0, 0), (0, bodies - values.shape[1]), *[(0, 0)] * (values.ndim - 2)])


def refuse_nonfinite(name: str, values: np.ndarray) -> None:
    """Raise an error that says where the first NaN or infinity is."""
    finite = np.isfinite(values)
    if not finite.all():
        where = np.argwhere(~finite)[0].tolist()
        raise InitialConditionError(f"{name} is not finite ({values[tuple(where)]}) at [system, body, ...] = {where}.")


def checked_names(names: Sequence[str] | None, bodies: int) -> tuple[str, ...] | None:
    """Return `names` as a tuple, or raise an error unless they are one string for each body."""
    if names is None:
        return None
    sequence = (isinstance(names, Sequence) and not isinstance(names, str)) or np.ndim(names) == 1
    if not sequence or len(names) != bodies or not all(isinstance(name, str) for name in names):
        raise InitialConditionError(f"names = {shown(names)} must be {bodies} strings, one for each body.")
    return tuple(map(str, names))


def as_constant(G: Any, name: str = "G") -> float:
    """Return G, or another constant of that name, as a number, or raise an error unless it is positive and finite."""
    try:
        value = float(plain(G))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        value = math.nan
    if not 0 < value < math.inf:
        raise InitialConditionError(f"{name} = {shown(G)} must be a positive number.")
    return value


def refuse_impossible(
    mass: np.ndarray,
    position: np.ndarray,
    velocity: np.ndarray,
    present: np.ndarray,
    time: np.ndarray,
    softening: np.ndarray,
) -> None:
    """Raise an error for states that no integrator can advance; arrays as in `Bodies`."""
    for name, values in {
        "mass": mass,
        "position": position,
        "velocity": velocity,
        "time": time,
        "softening": softening,
    }.items():
        refuse_nonfinite(name, values)
    few = present.sum(1) < 2
    if few.any():
        raise InitialConditionError(f"system {few.argmax()} has fewer than 2 bodies; gravity needs at least 2.")
    if (mass < 0).any():
        where = np.argwhere(mass < 0)[0].tolist()
        raise InitialConditionError(f"mass of [system, body] = {where} is {mass[tuple(where)]}; masses must be 0 or more.")
    if (softening < 0).any():
        raise InitialConditionError(f"softening is {softening.min()}; it must be 0 or more.")
    massless = ~(mass > 0).any(1)
    if massless.any():
        raise InitialConditionError(f"system {massless.argmax()} has no mass at all; at least one body needs some.")
    with np.errstate(over="ignore"):
        without_softening = softening * softening < TINY
    pair = coincident(position, present & without_softening[:, None])
    if pair is not None:
        raise InitialConditionError(
            f"body {pair[1]} of system {pair[0]} is at the same place as another, at softening 0; move it, or give a softening."
        )


def coincident(position: np.ndarray, wanted: np.ndarray) -> tuple[int, int] | None:
    """Return the first (system, body) whose squared distance to another one is zero, or below every normal number.

    `wanted` (B, N) says which bodies to compare. Bodies are sorted by position and neighbours compared, in O(N log N).
    """
    system, body = np.nonzero(wanted)
    # lengths whose square underflows count as zero, so that bodies at the same position are neighbours after sorting
    x = position[system, body]
    x = np.where(np.abs(x) < NO_LENGTH, 0.0, x)
    order = np.lexsort((*x.T, system))
    x, system_of = x[order], system[order]
    with np.errstate(over="ignore"):
        apart = x[1:] - x[:-1]
        same = (system_of[1:] == system_of[:-1]) & (dot(apart, apart) < TINY)
    if not same.any():
        return None
    first = int(np.concatenate([order[:-1][same], order[1:][same]]).min())
    return int(system[first]), int(body[first])
