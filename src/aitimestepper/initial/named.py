"""Initial conditions by name or from files, as arrays.

Each maker is a function. Its arguments are those of `--ic name:key=value`, and the first line of its docstring is its help
text. From the command line, a simulation without an end time lasts ten periods of its initial conditions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import InitialConditionError
from ..files import path_shown
from ..units import UnitSystem

MOST_BODIES = 200_000  # of a sampled system: the energies of so many take minutes, and so does every step
ALL_PAIRS = 2048  # bodies up to which energies are summed over all pairs at once; larger systems go block by block


class InitialConditions(NamedTuple):
    """One system as arrays, in any units for which the gravitational constant is `G`."""

    mass: np.ndarray  # (N,)
    position: np.ndarray  # (N, D)
    velocity: np.ndarray  # (N, D)
    period: float | None = None  # orbital period or crossing time; None: computed by `problems.period_of`
    G: float | None = 1.0  # G for which the velocities are right; None: the G of the settings
    bodies: Bodies | None = None  # the same as they came from a file, with all that it says

    @property
    def units(self) -> UnitSystem | None:
        """The units that the file states."""
        return None if self.bodies is None else self.bodies.units

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the bodies in the file."""
        return None if self.bodies is None else self.bodies.names

    @property
    def time(self) -> float:
        """The time at which the bodies are so."""
        return 0.0 if self.bodies is None else float(self.bodies.time[0])

    @property
    def softening(self) -> float:
        """The softening length that the file states."""
        return 0.0 if self.bodies is None else float(self.bodies.softening[0])


def _recentred(mass: np.ndarray, position: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and velocities about the centre of mass."""
    share = (mass / mass.sum())[:, None]
    return position - (share * position).sum(0), velocity - (share * velocity).sum(0)


def energies(mass: np.ndarray, position: np.ndarray, velocity: np.ndarray) -> tuple[float, float]:
    """Return kinetic and potential energy for G = 1, which scale the generated systems."""
    kinetic = float(0.5 * (mass[:, None] * velocity**2).sum())
    if len(mass) > ALL_PAIRS:
        return kinetic, float(Bodies(mass, position, velocity).potential_energy()[0])
    i, j = np.triu_indices(len(mass), 1)
    return kinetic, float(-(mass[i] * mass[j] / np.linalg.norm(position[i] - position[j], axis=1)).sum())


def two_body(
    e: float, q: float, a: float, anomaly: float, G: float, dim: int, rotation: np.ndarray | None = None
) -> InitialConditions:
    """Return two bodies of total mass 1 and mass ratio q, with their centre of mass at rest, at an eccentric anomaly."""
    for name, value, ok in (
        ("e", e, 0 <= e < 1),
        ("q", q, q > 0),
        ("a", a, a > 0),
        ("dim", dim, dim in (2, 3)),
        ("G", G, G > 0),
    ):
        if not (ok and math.isfinite(value)):
            raise InitialConditionError(
                f"kepler: {name} = {value} is out of range (0 <= e < 1, q > 0, a > 0, dim 2 or 3, G > 0)."
            )
    x, v = ellipse(e, a, anomaly, G)
    if rotation is not None:
        x, v = rotation @ x, rotation @ v
    mass = np.array([1.0, q]) / (1 + q)
    arms = np.array([-mass[1], mass[0]])[:, None]
    return InitialConditions(mass, (arms * x)[:, :dim], (arms * v)[:, :dim], 2 * math.pi / math.sqrt(G / a**3), G)


def ellipse(e: float, a: float, anomaly: float, gm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return relative position and velocity, (3,) each, on an orbit about `gm` = G (m1 + m2), at an eccentric anomaly."""
    n = math.sqrt(gm / a**3)
    b = math.sqrt((1 - e) * (1 + e))
    cos, sin = math.cos(anomaly), math.sin(anomaly)
    return np.array([a * (cos - e), a * b * sin, 0.0]), np.array([-sin, b * cos, 0.0]) * n * a / (1 - e * cos)


def eccentric_anomaly(M: float, e: float) -> float:
    """Solve Kepler's equation M = E - e sin E for E, by Newton's iteration from pi, where it converges for every e < 1."""
    E, before = math.pi, math.nan
    for _ in range(50):
        if before == E:  # nothing changes from here on
            break
        E, before = E - (E - e * math.sin(E) - M) / (1 - e * math.cos(E)), E
    return E


def kepler(e: float = 0.5, q: float = 1.0, a: float = 1.0, dim: int = 2, G: float = 1.0) -> InitialConditions:
    """Two bodies from apocentre: eccentricity e, mass ratio q, semi-major axis a, total mass 1."""
    return two_body(e, q, a, math.pi, G, dim)


def figure8(dim: int = 2) -> InitialConditions:
    """The figure-eight of three equal masses (Chenciner & Montgomery), period 6.32591398."""
    x1, v3 = np.array([0.97000436, -0.24308753]), np.array([-0.93240737, -0.86473146])
    position, velocity = np.array([x1, -x1, [0.0, 0.0]]), np.array([-v3 / 2, -v3 / 2, v3])
    return InitialConditions(np.ones(3), _lifted(position, dim), _lifted(velocity, dim), 6.32591398)


def burrau(dim: int = 2) -> InitialConditions:
    """The Pythagorean three-body problem: masses 3, 4, 5 at rest; closest approach 4.138e-4 at t = 15.830."""
    position = np.array([[1.0, -1.0], [-2.0, -1.0], [1.0, 3.0]])
    return InitialConditions(np.array([5.0, 4.0, 3.0]), _lifted(position, dim), np.zeros((3, dim)), 7.0)


def triple(
    m2: float = 0.6, m3: float = 0.8, e: float = 0.6, a2: float = 10.0, e2: float = 0.4, i: float = 65.0
) -> InitialConditions:
    """A hierarchical triple: masses 1 and m2 at a = 1 with eccentricity e, and m3 at a2 with e2, inclined by i degrees.

    It begins at apocentre of the inner orbit and a quarter of the outer period after its pericentre. The period is the outer.
    """
    for name, value, ok in (("m2", m2, m2 > 0), ("m3", m3, m3 > 0), ("e", e, 0 <= e < 1), ("e2", e2, 0 <= e2 < 1)):
        if not (ok and math.isfinite(value)):
            raise InitialConditionError(f"triple: {name} = {value} must be {'> 0' if name[0] == 'm' else 'from 0 to below 1'}.")
    if not (math.isfinite(a2) and a2 > 0 and math.isfinite(i)):
        raise InitialConditionError(f"triple: a2 = {a2} must be > 0, and i = {i} a number.")
    mass, total = np.array([1.0, m2, m3]), 1.0 + m2 + m3
    x, v = ellipse(e, 1.0, math.pi, 1.0 + m2)
    far, speed = ellipse(e2, a2, eccentric_anomaly(0.5 * math.pi, e2), total)
    cos, sin = math.cos(math.radians(i)), math.sin(math.radians(i))
    turn = np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    share = m2 / (1.0 + m2)
    position = np.array([-share * x, (1.0 - share) * x, turn @ far])
    velocity = np.array([-share * v, (1.0 - share) * v, turn @ speed])
    return InitialConditions(mass, *_recentred(mass, position, velocity), 2 * math.pi * math.sqrt(a2**3 / total))


def kozai() -> InitialConditions:
    """A planet at a = 1 about a star of mass 1, and a perturber of mass 1 at x = 10, inclined by 89.9 degrees."""
    i = math.radians(89.9)
    mass = np.array([1.0, 0.0, 1.0])
    position = np.array([[0.0, 0, 0], [1.0, 0, 0], [10.0, 0, 0]])
    speed = math.sqrt(0.2)
    velocity = np.array([[0.0, 0, 0], [0, 1.0, 0], [0, speed * math.cos(i), speed * math.sin(i)]])
    return InitialConditions(mass, *_recentred(mass, position, velocity), 2 * math.pi)


def solar() -> InitialConditions:
    """Sun, Jupiter, Saturn, Uranus, Neptune, Pluto in au, days, solar masses (Applegate et al. 1986)."""
    mass = np.array([1.00000597682, 1 / 1047.355, 1 / 3501.6, 1 / 22869.0, 1 / 19314.0, 0.0])
    position = np.array(
        [
            [-4.06428567034226e-3, -6.08813756435987e-3, -1.66162304225834e-6],
            [3.40546614227466e0, 3.62978190075864e0, 3.42386261766577e-2],
            [6.60801554403466e0, 6.38084674585064e0, -1.36145963724542e-1],
            [1.11636331405597e1, 1.60373479057256e1, 3.61783279369958e-1],
            [-3.01777243405203e1, 1.91155314998064e0, -1.53887595621042e-1],
            [-2.13858977531573e1, 3.20719104739886e1, 2.49245689556096e0],
        ]
    )
    velocity = np.array(
        [
            [6.69048890636161e-6, -6.33922479583593e-6, -3.13202145590767e-9],
            [-5.59797969310664e-3, 5.51815399480116e-3, -2.66711392865591e-6],
            [-4.17354020307064e-3, 3.99723751748116e-3, 1.67206320571441e-5],
            [-3.25884806151064e-3, 2.06438412905916e-3, -2.17699042180559e-5],
            [-2.17471785045538e-4, -3.11361111025884e-3, 3.58344705491441e-5],
            [-1.76936577252484e-3, -2.06720938381724e-3, 6.58091931493844e-4],
        ]
    )
    return InitialConditions(mass, *_recentred(mass, position, velocity), 4332.6, 0.01720209895**2)


def plummer(n: int = 32, seed: int = 0) -> InitialConditions:
    """A Plummer sphere of n equal masses, scaled to M = 1, E = -1/4, virial equilibrium."""
    _check_sampled("plummer", n, seed)
    return plummer_sphere(np.random.default_rng(seed), n)


def plummer_sphere(rng: np.random.Generator, n: int, dim: int = 3) -> InitialConditions:
    """Draw a Plummer sphere of n bodies from a random stream; with dim = 2 it has the radii and speeds of the sphere."""
    radius = 1 / np.sqrt(rng.uniform(0, 0.999, n) ** (-2 / 3) - 1)
    fraction = _plummer_speeds(rng, n)
    speed = fraction * math.sqrt(2) * (1 + radius**2) ** -0.25
    mass = np.full(n, 1 / n)
    places, motions = radius[:, None] * _directions(rng, n, dim), speed[:, None] * _directions(rng, n, dim)
    position, velocity = _recentred(mass, places, motions)
    K, U = energies(mass, position, velocity)
    return InitialConditions(mass, position * (U / -0.5), velocity * math.sqrt(0.25 / K), 2 * math.sqrt(2))


def random(n: int = 3, dim: int = 3, seed: int = 0) -> InitialConditions:
    """N bodies: masses 10^U(-0.5, 0.5), normal positions and velocities, virial ratio U(0.2, 0.5)."""
    _check_sampled("random", n, seed)
    if dim not in (2, 3):
        raise InitialConditionError(f"random: dim = {dim} must be 2 or 3.")
    return random_bodies(np.random.default_rng(seed), n, dim)


def random_bodies(rng: np.random.Generator, n: int, dim: int) -> InitialConditions:
    """Draw n bodies as `random` does, from a random stream."""
    mass = 10 ** rng.uniform(-0.5, 0.5, n)
    position, velocity = _recentred(mass, rng.normal(size=(n, dim)), rng.normal(size=(n, dim)))
    K, U = energies(mass, position, velocity)
    velocity *= math.sqrt(rng.uniform(0.2, 0.5) * -U / K)
    return InitialConditions(mass, position, velocity)


def agekyan(x: float = 0.2, y: float = 0.5) -> InitialConditions:
    """Agekyan-Anosova region: equal masses at rest at (-1/2, 0), (1/2, 0) and (x, y), x, y >= 0, (x + 1/2)^2 + y^2 <= 1."""
    if not (0 <= x <= 1 and 0 < y <= 1 and (x + 0.5) ** 2 + y**2 <= 1):
        raise InitialConditionError(f"agekyan: x = {x}, y = {y} must satisfy x >= 0, y > 0 and (x + 1/2)^2 + y^2 <= 1.")
    mass = np.ones(3)
    position, velocity = _recentred(mass, np.array([[-0.5, 0.0], [0.5, 0.0], [x, y]]), np.zeros((3, 2)))
    return InitialConditions(mass, position, velocity)


def file(path: str) -> InitialConditions:
    """Bodies in a file: rows mass, position, velocity; a table with a header; .npy, HDF5, a REBOUND archive (docs/input.md)."""
    return from_file(path)


def from_file(path: str, **settings: Any) -> InitialConditions:
    """Return the bodies in a file; `settings` are those of `as_bodies`, which count before what the file says."""
    bodies = as_bodies(Path(path), **settings)
    if len(bodies) != 1:
        raise InitialConditionError(f"{path_shown(path)} holds {len(bodies)} systems, not one; simulate(path) takes them all.")
    known = bodies.G != 1.0 or bodies.units is not None
    mass, position, velocity = bodies.mass[0], bodies.position[0], bodies.velocity[0]
    return InitialConditions(mass, position, velocity, G=bodies.G if known else None, bodies=bodies)


MAKERS: dict[str, Callable[..., InitialConditions]] = {
    "kepler": kepler,
    "figure8": figure8,
    "burrau": burrau,
    "triple": triple,
    "kozai": kozai,
    "solar": solar,
    "plummer": plummer,
    "random": random,
    "agekyan": agekyan,
    "file": file,
}


def _check_sampled(name: str, n: int, seed: int) -> None:
    """Raise an error for a number of bodies or a seed that cannot be sampled with."""
    if n < 2:
        raise InitialConditionError(f"{name}: n = {n} must be at least 2.")
    if n > MOST_BODIES:
        raise InitialConditionError(
            f"{name}: n = {n} must be at most {MOST_BODIES}: a step takes all pairs of bodies, {0.5 * n * n:.0e} of them here."
        )
    if seed < 0:
        raise InitialConditionError(f"{name}: seed = {seed} must be 0 or more.")


def _lifted(x: np.ndarray, dim: int) -> np.ndarray:
    """Return plane vectors (N, 2) with `dim` axes."""
    if dim not in (2, 3):
        raise InitialConditionError(f"dim = {dim} must be 2 or 3.")
    return np.pad(x, ((0, 0), (0, dim - 2)))


def _directions(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Draw isotropic unit vectors, (n, dim)."""
    x = rng.normal(size=(n, dim))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _plummer_speeds(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw speeds in units of the escape speed, (n,), from the density x^2 (1 - x^2)^3.5 < 0.1, by rejection."""
    speeds: list[float] = []
    while len(speeds) < n:
        x, y = rng.uniform(0, 1), rng.uniform(0, 0.1)
        if y < x**2 * (1 - x**2) ** 3.5:
            speeds.append(x)
    return np.array(speeds)
