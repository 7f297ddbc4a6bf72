"""Families of problems to train on and to measure with; each is a distribution that is sampled by seed.

A family is a function `(rng, dim) -> Sample`: initial conditions and how long to run them. Every problem has a separate random
stream, made from the family's name and the problem's number. The numbers of the splits do not overlap, so that no problem of
`test` was used in training.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ConfigError, nearest_name_hint
from .named import InitialConditions, eccentric_anomaly, ellipse, energies, plummer_sphere, random_bodies, two_body

SPLITS = {"train": 0, "validation": 1_000_000, "test": 2_000_000}  # the first number of each
SPLIT_SIZE = 1_000_000
ORBIT = 2 * math.pi  # period for a = 1 and a total mass of 1


class Sample(NamedTuple):
    """One problem of a family."""

    initial: InitialConditions
    t_end: float  # in the time unit of the initial conditions


Family = Callable[[np.random.Generator, int], Sample]


def kepler(rng: np.random.Generator, dim: int) -> Sample:
    """Two bodies: m2/m1 = 10^U(-3,0), e = U(0,0.98), random phase and orientation, 10 orbits."""
    return Sample(_orbiting(rng, dim, rng.uniform(0, 0.98)), 10 * ORBIT)


def triple(rng: np.random.Generator, dim: int) -> Sample:
    """Hierarchical: masses 1, 10^U(-1,0) twice, inner e U(0,.9), outer e U(0,.6), outer a U(4,12)/(1-e), to 40 inner orbits."""
    mass = np.array([1.0, 10 ** rng.uniform(-1, 0), 10 ** rng.uniform(-1, 0)])
    inner_e, outer_e = rng.uniform(0, 0.9), rng.uniform(0, 0.6)
    outer_a = rng.uniform(4, 12) / (1 - outer_e)
    initial = nested(mass, [_Orbit(1.0, inner_e), _Orbit(outer_a, outer_e)], rng, dim)
    inner, outer = ORBIT / math.sqrt(mass[:2].sum()), ORBIT * math.sqrt(outer_a**3 / mass.sum())
    return Sample(initial, min(outer, 40 * inner))


def random3(rng: np.random.Generator, dim: int) -> Sample:
    """Three bodies: masses 10^U(-.5,.5), normal positions and velocities, virial ratio U(.2,.5), 8 crossing times."""
    initial = random_bodies(rng, 3, dim)
    return Sample(initial, 8 * crossing_time(initial))


def cluster(rng: np.random.Generator, dim: int) -> Sample:
    """A Plummer sphere of 5 to 16 bodies in virial equilibrium, 2 crossing times."""
    initial = plummer_sphere(rng, int(rng.integers(5, 17)), dim)
    return Sample(initial, 2 * crossing_time(initial))


def planets(rng: np.random.Generator, dim: int) -> Sample:
    """A star with 2 to 5 planets: masses 10^U(-5,-2.5), spacing ratio U(1.4,2), e Rayleigh of mean 0.1, 20 inner orbits."""
    n = int(rng.integers(2, 6))
    mass = np.concatenate([[1.0], 10 ** rng.uniform(-5, -2.5, n)])
    axes = np.cumprod(np.concatenate([[1.0], rng.uniform(1.4, 2.0, n - 1)]))
    orbits = [_Orbit(a, _rayleigh(rng, 0.1), flat=True) for a in axes]
    return Sample(nested(mass, orbits, rng, dim), 20 * ORBIT / math.sqrt(mass[:2].sum()))


def longrun(rng: np.random.Generator, dim: int) -> Sample:
    """Two bodies, e = U(.3,.99), q = 10^U(-3,0), 1000 orbits; one in four: two planets near a resonance, 10^4 inner orbits."""
    if rng.uniform() >= 0.25:
        return Sample(_orbiting(rng, dim, rng.uniform(0.3, 0.99)), 1000 * ORBIT)
    mass = np.array([1.0, 10 ** rng.uniform(-5, -3.5), 10 ** rng.uniform(-5, -3.5)])
    p = int(rng.integers(1, 4))  # 2:1, 3:2, 4:3
    ratio = (p + 1) / p * (1 + rng.uniform(-0.02, 0.02))
    orbits = [_Orbit(1.0, _rayleigh(rng, 0.02), flat=True), _Orbit(ratio ** (2 / 3), _rayleigh(rng, 0.02), flat=True)]
    return Sample(nested(mass, orbits, rng, dim), 10_000 * ORBIT / math.sqrt(mass[:2].sum()))


def scatter(rng: np.random.Generator, dim: int) -> Sample:
    """A single body meets a binary: hyperbolic arrival at 0.1 to 0.8 of the critical speed, pericentre U(0,5) of its axis."""
    mass = np.array([1.0, 10 ** rng.uniform(-1, 0), 10 ** rng.uniform(-1, 0)])
    binary, total = mass[:2].sum(), mass.sum()
    critical = math.sqrt(mass[0] * mass[1] * total / (mass[2] * binary))  # the total energy is 0 at this speed
    speed, pericentre, start = rng.uniform(0.1, 0.8) * critical, rng.uniform(0, 5), 20.0
    e = 1 + pericentre * speed**2 / total
    arrival = _Orbit(-total / speed**2, e, distance=start)
    initial = nested(mass, [_Orbit(1.0, rng.uniform(0, 0.9)), arrival], rng, dim)
    return Sample(initial, 2 * _fall_time(e, total / speed**2, total, start))


FAMILIES: dict[str, Family] = {f.__name__: f for f in (kepler, triple, random3, cluster, planets, longrun, scatter)}
STANDARD = ("kepler", "triple", "random3", "cluster", "planets")  # the families that `bench steps` measures with


def family_named(name: str) -> Family:
    """Return the family of that name."""
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}: {nearest_name_hint(name, FAMILIES)}")
    return FAMILIES[name]


def seed_range(split: str, count: int, first: int = 0) -> range:
    """Return the numbers of `count` problems of a split, beginning with its problem `first`."""
    if split not in SPLITS:
        raise ConfigError(f"split = {split!r}: {nearest_name_hint(split, SPLITS)}")
    if not 1 <= count <= SPLIT_SIZE - first:
        raise ConfigError(f"{count} problems a family: it must be from 1 to {SPLIT_SIZE - first}.")
    return range(SPLITS[split] + first, SPLITS[split] + first + count)


def sample(family: Family, name: str, number: int, dim: int = 3) -> Sample:
    """Return problem `number` of a family, the same on every machine and independent of earlier samples."""
    if dim not in (2, 3):
        raise ConfigError(f"dim = {dim} must be 2 or 3.")
    return family(np.random.default_rng([zlib.crc32(name.encode()), number]), dim)


def crossing_time(initial: InitialConditions) -> float:
    """Return the crossing time M^2.5 / (2 |E|)^1.5 of a system with G = 1."""
    K, U = energies(initial.mass, initial.position, initial.velocity)
    return float(initial.mass.sum() ** 2.5 / (2 * abs(K + U)) ** 1.5)


class _Orbit(NamedTuple):
    """One level of a hierarchy; a < 0 and e > 1 is a hyperbola, which begins at `distance` before the pericentre."""

    a: float
    e: float
    flat: bool = False  # inclined by only a few degrees to a common plane of all flat orbits
    distance: float = 0.0


def nested(mass: np.ndarray, orbits: Sequence[_Orbit], rng: np.random.Generator, dim: int) -> InitialConditions:
    """Return a hierarchy with its centre of mass at rest: body k + 1 is on orbit k about all bodies before it (Jacobi)."""
    position, velocity = np.zeros((len(mass), 3)), np.zeros((len(mass), 3))
    common = random_rotation(rng, dim)
    for k, orbit in enumerate(orbits, start=1):
        total = float(mass[: k + 1].sum())
        if orbit.e < 1:
            x, v = ellipse(orbit.e, orbit.a, eccentric_anomaly(rng.uniform(0, 2 * math.pi), orbit.e), total)
        else:
            x, v = _incoming(orbit, total)
        turn = common @ _tilt(rng, dim) if orbit.flat else random_rotation(rng, dim)
        x, v = turn @ x, turn @ v
        share = float(mass[:k].sum()) / total
        position[:k] -= (1 - share) * x
        velocity[:k] -= (1 - share) * v
        position[k], velocity[k] = share * x, share * v
    return InitialConditions(mass, position[:, :dim], velocity[:, :dim])


def random_rotation(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Draw a rotation (3, 3): any orientation, or for dim = 2 one about the third axis."""
    if dim == 2:
        return _about_z(rng.uniform(0, 2 * math.pi))
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))  # without this, not all orientations are equally likely
    return np.asarray(q * np.linalg.det(q))


def _about_z(angle: float) -> np.ndarray:
    """Return the rotation (3, 3) by `angle` about the third axis."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _tilt(rng: np.random.Generator, dim: int) -> np.ndarray:
    """Draw a rotation (3, 3) of random node and pericentre, and of an inclination with Rayleigh distribution, mean 0.05 rad."""
    node, inclination, pericentre = rng.uniform(0, 2 * math.pi), _rayleigh(rng, 0.05), rng.uniform(0, 2 * math.pi)
    if dim == 2:
        return _about_z(node + pericentre)
    cos, sin = math.cos(inclination), math.sin(inclination)
    return np.asarray(_about_z(node) @ np.array([[1.0, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _about_z(pericentre))


def _rayleigh(rng: np.random.Generator, mean: float) -> float:
    """Draw a number from the Rayleigh distribution of that mean, at most 0.9."""
    return min(0.9, float(rng.rayleigh(mean / math.sqrt(math.pi / 2))))


def _orbiting(rng: np.random.Generator, dim: int, e: float) -> InitialConditions:
    """Draw two bodies of mass ratio 10^U(-3,0) on an orbit of a = 1, at a random phase and orientation."""
    q = 10 ** rng.uniform(-3, 0)
    anomaly = eccentric_anomaly(rng.uniform(0, 2 * math.pi), e)
    return two_body(e, q, 1.0, anomaly, 1.0, dim, random_rotation(rng, dim))


def _incoming(orbit: _Orbit, gm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity, (3,) each, on a hyperbola about `gm`, before its pericentre."""
    size, e = -orbit.a, orbit.e
    H = -math.acosh((orbit.distance / size + 1) / e)
    b = math.sqrt(e * e - 1)
    rate = math.sqrt(gm / size**3) / (e * math.cosh(H) - 1)
    x = np.array([size * (e - math.cosh(H)), size * b * math.sinh(H), 0.0])
    v = np.array([-size * math.sinh(H), size * b * math.cosh(H), 0.0]) * rate
    return x, v


def _fall_time(e: float, size: float, gm: float, distance: float) -> float:
    """Return the time from `distance` to the pericentre of a hyperbola with a = -size about `gm`."""
    H = math.acosh((distance / size + 1) / e)
    return (e * math.sinh(H) - H) / math.sqrt(gm / size**3)
