"""What families are made of: the problem that they return, and random numbers and orientations that several of them draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .named import InitialConditions, energies

ORBIT = 2 * math.pi  # period for a = 1 and a total mass of 1


class Sample(NamedTuple):
    """One problem of a family.

    regular: whether the motion is regular, so that the tolerance also holds for every body's own orbit; in chaotic ones the
    total energy alone counts.
    """

    initial: InitialConditions
    t_end: float  # in the time unit of the initial conditions
    softening: float = 0.0
    regular: bool = False
    external_field: Any = None


Family = Callable[[np.random.Generator, int], Sample]


def crossing_time(initial: InitialConditions) -> float:
    """Return the crossing time M^2.5 / (2 |E|)^1.5 of a system with G = 1."""
    K, U = energies(initial.mass, initial.position, initial.velocity)
    return float(initial.mass.sum() ** 2.5 / (2 * abs(K + U)) ** 1.5)


def collapse_time(initial: InitialConditions) -> float:
    """Return the free-fall time of a uniform sphere with the mass and potential energy of a system with G = 1."""
    U = energies(initial.mass, initial.position, initial.velocity)[1]
    radius = 0.6 * initial.mass.sum() ** 2 / abs(U)
    return float(ORBIT / 4 * math.sqrt(radius**3 / (2 * initial.mass.sum())))


def period(a: float, gm: float) -> float:
    """Return the period of an orbit of semi-major axis a about `gm`."""
    return ORBIT * math.sqrt(a**3 / gm)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw 10^U(low, high)."""
    return float(10 ** rng.uniform(low, high))


def rayleigh(rng: np.random.Generator, mean: float) -> float:
    """Draw a number from the Rayleigh distribution of that mean, at most 0.9."""
    return min(0.9, float(rng.rayleigh(mean / math.sqrt(math.pi / 2))))


def random_rotation(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Draw a rotation (3, 3): any orientation, or for dim = 2 one about the third axis."""
    if dim == 2:
        return about_z(rng.uniform(0, 2 * math.pi))
    return rotations_from(rng.normal(size=(3, 3)))


def rotations_from(normal: np.ndarray) -> np.ndarray:
    """Return the rotations (..., 3, 3) that so many normal numbers make; of many at once each takes a fifth of the time."""
    q, r = np.linalg.qr(normal)
    q = q * np.sign(r.diagonal(0, -2, -1))[..., None, :]  # without this, not all orientations are equally likely
    return np.asarray(q * np.linalg.det(q)[..., None, None])


def about_z(angle: float) -> np.ndarray:
    """Return the rotation (3, 3) by `angle` about the third axis."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def tilt(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Draw a rotation (3, 3) of random node and pericentre, and of an inclination with Rayleigh distribution, mean 0.05 rad."""
    node, inclination, pericentre = rng.uniform(0, 2 * math.pi), rayleigh(rng, 0.05), rng.uniform(0, 2 * math.pi)
    return _inclined(node, inclination, pericentre, dim)


def tilt_by(rng: np.random.Generator, inclination: float, dim: int) -> np.ndarray:
    """Draw a rotation (3, 3) of random node and pericentre; for dim = 2 without the inclination."""
    return _inclined(rng.uniform(0, 2 * math.pi), inclination, rng.uniform(0, 2 * math.pi), dim)


def _inclined(node: float, inclination: float, pericentre: float, dim: int) -> np.ndarray:
    if dim == 2:
        return about_z(node + pericentre)
    cos, sin = math.cos(inclination), math.sin(inclination)
    return np.asarray(about_z(node) @ np.array([[1.0, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ about_z(pericentre))
