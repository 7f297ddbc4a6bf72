"""Families of problems to train on and to measure with; each is a distribution that is sampled by seed.

A family is a function `(rng, dim) -> Sample`: initial conditions and how long to run them. Every problem has a separate random
stream, made from the family's name and the problem's number. The numbers of the splits do not overlap, so that no problem of
`test` was used in training. The standard families and the long runs are here, the others in modules of their kinds.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from ..errors import ConfigError, nearest_name_hint, shown
from .draws import ORBIT, Family, Sample, crossing_time, period, random_rotation, rayleigh
from .encounter_families import binaries, collapse, encounter, primordial, slow3, softened
from .hierarchies import Orbit, clear_orbits, fall_time, nested, stable_triple
from .light_families import TURNS, light_alone, light_binary, light_giant, moons
from .named import InitialConditions, eccentric_anomaly, plummer_sphere, random_bodies, two_body
from .planet_families import comets, kozai, resonant, tidal

SPLITS = {"train": 0, "validation": 1_000_000, "test": 2_000_000}  # the first number of each
SPLIT_SIZE = 1_000_000


def kepler(rng: np.random.Generator, dim: int) -> Sample:
    """Two bodies: m2/m1 = 10^U(-3,0), e = U(0,0.98), random phase and orientation, 10 orbits."""
    return Sample(_orbiting(rng, dim, rng.uniform(0, 0.98)), 10 * ORBIT, regular=True)


def triple(rng: np.random.Generator, dim: int) -> Sample:
    """Hierarchical: masses 1, 10^U(-1,0) twice, inner e U(0,.9), outer e U(0,.6), outer a U(4,12)/(1-e), to 40 inner orbits."""
    mass = np.array([1.0, 10 ** rng.uniform(-1, 0), 10 ** rng.uniform(-1, 0)])
    inner_e, outer_e = rng.uniform(0, 0.9), rng.uniform(0, 0.6)
    outer_a = rng.uniform(4, 12) / (1 - outer_e)
    orbits = [Orbit(1.0, inner_e), Orbit(outer_a, outer_e)]
    initial = nested(mass, orbits, rng, dim)
    inner, outer = ORBIT / math.sqrt(mass[:2].sum()), ORBIT * math.sqrt(outer_a**3 / mass.sum())
    return Sample(initial, min(outer, 40 * inner), regular=stable_triple(mass, *orbits))


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
    orbits = [Orbit(a, rayleigh(rng, 0.1), flat=True) for a in axes]
    t_end = 20 * ORBIT / math.sqrt(mass[:2].sum())
    return Sample(nested(mass, orbits, rng, dim), t_end, regular=clear_orbits(mass, orbits))


def longrun(rng: np.random.Generator, dim: int) -> Sample:
    """Two bodies, e = U(.3,.99), q = 10^U(-3,0), 1000 orbits; one in four: two planets near a resonance, 10^4 inner orbits."""
    if rng.uniform() >= 0.25:
        return Sample(_orbiting(rng, dim, rng.uniform(0.3, 0.99)), 1000 * ORBIT, regular=True)
    mass = np.array([1.0, 10 ** rng.uniform(-5, -3.5), 10 ** rng.uniform(-5, -3.5)])
    p = int(rng.integers(1, 4))  # 2:1, 3:2, 4:3
    ratio = (p + 1) / p * (1 + rng.uniform(-0.02, 0.02))
    orbits = [Orbit(1.0, rayleigh(rng, 0.02), flat=True), Orbit(ratio ** (2 / 3), rayleigh(rng, 0.02), flat=True)]
    t_end = 10_000 * ORBIT / math.sqrt(mass[:2].sum())
    return Sample(nested(mass, orbits, rng, dim), t_end, regular=clear_orbits(mass, orbits))


def scatter(rng: np.random.Generator, dim: int) -> Sample:
    """A single body meets a binary: hyperbolic arrival at 0.1 to 0.8 of the critical speed, pericentre U(0,5) of its axis."""
    mass = np.array([1.0, 10 ** rng.uniform(-1, 0), 10 ** rng.uniform(-1, 0)])
    binary, total = mass[:2].sum(), mass.sum()
    critical = math.sqrt(mass[0] * mass[1] * total / (mass[2] * binary))  # the total energy is 0 at this speed
    speed, pericentre, start = rng.uniform(0.1, 0.8) * critical, rng.uniform(0, 5), 20.0
    e = 1 + pericentre * speed**2 / total
    arrival = Orbit(-total / speed**2, e, distance=start)
    initial = nested(mass, [Orbit(1.0, rng.uniform(0, 0.9)), arrival], rng, dim)
    return Sample(initial, 2 * fall_time(e, total / speed**2, total, start))


def thousand(rng: np.random.Generator, dim: int) -> Sample:
    """1000 innermost orbits of kepler (e to .99), triple (stable ones), light_alone, light_giant, light_binary or resonant.

    All six are equally likely; light bodies about both stars of a binary run for 1000 orbits of the binary.
    """
    kind = int(rng.integers(6))
    if kind == 0:
        return Sample(_orbiting(rng, dim, rng.uniform(0, 0.99)), 1000 * ORBIT, regular=True)
    if kind == 1:
        made = triple(rng, dim)
        while not made.regular:
            made = triple(rng, dim)
        return made._replace(t_end=1000 * period(1.0, made.initial.mass[:2].sum()))
    if kind == 5:
        made = resonant(rng, dim)
        return made._replace(t_end=1000 / 300 * made.t_end)
    made = (light_alone, light_giant, light_binary)[kind - 2](rng, dim)
    longest = 1000 * period(1.0, made.initial.mass[:2].sum()) if kind == 4 else math.inf
    return made._replace(t_end=min(1000 / TURNS * made.t_end, longest))


_ALL = (
    *(kepler, triple, random3, cluster, planets, longrun, scatter),
    *(light_alone, light_giant, light_binary, moons, comets, kozai, resonant, tidal),
    *(encounter, binaries, slow3, collapse, primordial, softened, thousand),
)
FAMILIES: dict[str, Family] = {f.__name__: f for f in _ALL}
# No network of the package learns from these, so that tests see them as problems of a new kind and of a new length.
FOR_TESTS = ("scatter", "thousand")
LEARNED = tuple(name for name in FAMILIES if name not in FOR_TESTS)
STANDARD = ("kepler", "triple", "random3", "cluster", "planets")  # the families that `bench steps` measures with
LIGHT = ("light_alone", "light_giant", "light_binary", "moons")  # those in which the total energy says nothing of most bodies


def family_named(name: str) -> Family:
    """Return the family of that name."""
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}: {nearest_name_hint(name, FAMILIES)}")
    return FAMILIES[name]


def seed_range(split: str, count: int, first: int = 0) -> range:
    """Return the numbers of `count` problems of a split, beginning with its problem `first`."""
    if not isinstance(split, str) or split not in SPLITS:
        raise ConfigError(f"split = {shown(split)}: {nearest_name_hint(str(split), SPLITS)}")
    if not 1 <= count <= SPLIT_SIZE - first:
        raise ConfigError(f"{count} problems a family: it must be from 1 to {SPLIT_SIZE - first}.")
    return range(SPLITS[split] + first, SPLITS[split] + first + count)


def sample(family: Family, name: str, number: int, dim: int = 3) -> Sample:
    """Return problem `number` of a family, the same on every machine and independent of earlier samples."""
    if dim not in (2, 3):
        raise ConfigError(f"dim = {dim} must be 2 or 3.")
    return family(np.random.default_rng([zlib.crc32(name.encode()), number]), dim)


def _orbiting(rng: np.random.Generator, dim: int, e: float) -> InitialConditions:
    """Draw two bodies of mass ratio 10^U(-3,0) on an orbit of a = 1, at a random phase and orientation."""
    q = 10 ** rng.uniform(-3, 0)
    anomaly = eccentric_anomaly(rng.uniform(0, 2 * math.pi), e)
    return two_body(e, q, 1.0, anomaly, 1.0, dim, random_rotation(rng, dim))
