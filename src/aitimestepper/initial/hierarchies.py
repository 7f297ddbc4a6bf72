"""Hierarchies of orbits, and the limits beyond which their motion is regular."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .draws import random_rotation, rotations_from, tilt
from .named import InitialConditions, eccentric_anomaly, ellipse

SAFE = 1.3  # times the limit of Mardling & Aarseth: closer triples are not called regular
CLEAR = 4.0  # mutual Hill radii between adjacent orbits: closer planets are not called regular


class Orbit(NamedTuple):
    """One level of a hierarchy; a < 0 and e > 1 is a hyperbola, which begins at `distance` before the pericentre."""

    a: float
    e: float
    flat: bool = False  # inclined by only a few degrees to a common plane of all flat orbits
    distance: float = 0.0
    turn: np.ndarray | None = None  # (3, 3) the orientation towards the common plane, instead of a random one
    mean_anomaly: float | None = None  # instead of a random one

    @property
    def pericentre(self) -> float:
        """Smallest distance."""
        return self.a * (1 - self.e)

    @property
    def apocentre(self) -> float:
        """Largest distance."""
        return self.a * (1 + self.e)


def nested(mass: np.ndarray, orbits: Sequence[Orbit], rng: np.random.Generator, dim: int) -> InitialConditions:
    """Return a hierarchy with its centre of mass at rest: body k + 1 is on orbit k about all bodies before it (Jacobi)."""
    position, velocity = np.zeros((len(mass), 3)), np.zeros((len(mass), 3))
    inside = [float(mass[: k + 1].sum()) for k in range(len(mass))]
    turns, along = _Turns(rng, dim), []
    for orbit, total in zip(orbits, inside[1:], strict=True):
        if orbit.e < 1:
            M = rng.uniform(0, 2 * math.pi) if orbit.mean_anomaly is None else orbit.mean_anomaly
            along.append(ellipse(orbit.e, orbit.a, eccentric_anomaly(M, orbit.e), total))
        else:
            along.append(_incoming(orbit, total))
        turns.draw(orbit)
    for k, (turn, (x, v)) in enumerate(zip(turns.all(), along, strict=True), start=1):
        x, v = turn @ x, turn @ v
        share = inside[k - 1] / inside[k]
        position[:k] -= (1 - share) * x
        velocity[:k] -= (1 - share) * v
        position[k], velocity[k] = share * x, share * v
    return InitialConditions(mass, position[:, :dim], velocity[:, :dim])


class _Turns:
    """The orientations of the orbits of a system. Their random numbers are drawn one by one, their rotations made at once."""

    def __init__(self, rng: np.random.Generator, dim: int) -> None:
        self._rng, self._dim = rng, dim
        self._drawn = [self._random()]  # the first is the common one: numbers of a random rotation, or in the plane itself
        self._towards: list[np.ndarray | None] = []  # from the common plane

    def _random(self) -> np.ndarray:
        return random_rotation(self._rng, 2) if self._dim == 2 else self._rng.normal(size=(3, 3))

    def draw(self, orbit: Orbit) -> None:
        """Draw the orientation of the next orbit."""
        alone = orbit.turn is None and not orbit.flat
        if alone:
            self._drawn.append(self._random())
        towards = tilt(self._rng, self._dim) if orbit.turn is None and orbit.flat else orbit.turn
        self._towards.append(None if alone else towards)

    def all(self) -> Iterator[np.ndarray]:
        """Yield the rotations (3, 3) of all orbits."""
        alone = iter(self._drawn) if self._dim == 2 else iter(rotations_from(np.array(self._drawn)))
        common = next(alone)
        for towards in self._towards:
            yield next(alone) if towards is None else common @ towards


def reordered(made: InitialConditions, order: Sequence[int] | np.ndarray) -> InitialConditions:
    """Return the same system with its bodies in another order."""
    rows = list(order)
    return InitialConditions(made.mass[rows], made.position[rows], made.velocity[rows])


def _incoming(orbit: Orbit, gm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity, (3,) each, on a hyperbola about `gm`, before its pericentre."""
    size, e = -orbit.a, orbit.e
    H = -math.acosh((orbit.distance / size + 1) / e)
    b = math.sqrt(e * e - 1)
    rate = math.sqrt(gm / size**3) / (e * math.cosh(H) - 1)
    x = np.array([size * (e - math.cosh(H)), size * b * math.sinh(H), 0.0])
    v = np.array([-size * math.sinh(H), size * b * math.cosh(H), 0.0]) * rate
    return x, v


def fall_time(e: float, size: float, gm: float, distance: float) -> float:
    """Return the time from `distance` to the pericentre of a hyperbola with a = -size about `gm`."""
    H = math.acosh((distance / size + 1) / e)
    return (e * math.sinh(H) - H) / math.sqrt(gm / size**3)


# ---- limits of regular motion ----------------------------------------------------------------------------------------------
def stable_pericentre(outer_mass_ratio: float, outer_e: float) -> float:
    """Return the pericentre, in inner axes, beyond which a coplanar triple is stable (Mardling & Aarseth 2001).

    outer_mass_ratio: mass of the outer body over that of the inner pair.
    """
    return 2.8 * ((1 + outer_mass_ratio) * (1 + outer_e) / math.sqrt(1 - outer_e)) ** 0.4


def stable_triple(mass: np.ndarray, inner: Orbit, outer: Orbit) -> bool:
    """Return whether the outer pericentre is beyond `SAFE` times the limit."""
    limit = stable_pericentre(float(mass[2] / mass[:2].sum()), outer.e)
    return outer.pericentre > SAFE * limit * inner.a


def clear_orbits(mass: np.ndarray, orbits: Sequence[Orbit]) -> bool:
    """Return whether adjacent orbits about body 0 are everywhere more than `CLEAR` mutual Hill radii apart.

    orbits: those of the bodies 1, 2, ..., from the inside out.
    """
    for k, (inner, outer) in enumerate(itertools.pairwise(orbits), start=1):
        hill = (float(mass[k] + mass[k + 1]) / (3 * float(mass[0]))) ** (1 / 3) * (inner.a + outer.a) / 2
        if outer.pericentre - inner.apocentre <= CLEAR * hill:
            return False
    return True


def about_one_star(companion_share: float, e: float) -> float:
    """Return the largest stable axis about one star of a binary of a = 1 (Holman & Wiegert 1999).

    companion_share: mass of the other star over that of both.
    """
    mu = companion_share
    return 0.464 - 0.380 * mu - 0.631 * e + 0.586 * mu * e + 0.150 * e**2 - 0.198 * mu * e**2


def about_both_stars(secondary_share: float, e: float) -> float:
    """Return the smallest stable axis about both stars of a binary of a = 1 (Holman & Wiegert 1999)."""
    mu = secondary_share
    return 1.60 + 5.10 * e - 2.22 * e**2 + 4.12 * mu - 4.27 * e * mu - 5.09 * mu**2 + 4.61 * e**2 * mu**2
