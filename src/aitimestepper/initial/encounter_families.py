"""Families of meetings and of chaos: flybys, collapses, primordial binaries, softened systems."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from .draws import ORBIT, Sample, collapse_time, crossing_time, log_uniform, random_rotation
from .hierarchies import Orbit, fall_time, nested
from .named import InitialConditions, energies, plummer_sphere, two_body

SCALE = 3 * math.pi / 16  # scale radius of a Plummer sphere with M = 1 and E = -1/4
FAR = 30.0  # distance at both ends of an encounter, in pericentres
START = 20.0  # distance of two binaries at the start, in units of the larger axis


def encounter(rng: np.random.Generator, dim: int) -> Sample:
    """Two bodies pass at a pericentre of 1, from a distance of 30 to 30: mass ratio 10^U(-8,0), one in five times 0.

    Half of the samples are hyperbolas of e = 1 + 10^U(-2,1), a quarter parabolas, a quarter has e = 1 + U(-.001,.001).
    """
    ratio = 0.0 if rng.uniform() < 0.2 else log_uniform(rng, -8, 0)
    kind = rng.uniform()
    e = 1 + (log_uniform(rng, -2, 1) if kind < 0.5 else rng.uniform(-1e-3, 1e-3) if kind < 0.75 else 0.0)
    mass = np.array([1.0, ratio])
    x, v, t = _approach(e, 1 + ratio)
    turn = random_rotation(rng, dim)
    arms = np.array([-ratio, 1.0])[:, None] / (1 + ratio)
    return Sample(InitialConditions(mass, (arms * (turn @ x))[:, :dim], (arms * (turn @ v))[:, :dim]), 2 * t, regular=True)


@cache
def _gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return np.asarray(nodes), np.asarray(weights)


def _approach(e: float, gm: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return position and velocity at the distance FAR before a pericentre of 1, and the time to it; e is above 0.99.

    With s = tan(f/2) of the true anomaly f the time is an integral without a limit at e = 1.
    """
    p = 1 + e
    cos = (p / FAR - 1) / e
    sin = -math.sqrt((1 - cos) * (1 + cos))
    x, v = FAR * np.array([cos, sin, 0.0]), math.sqrt(gm / p) * np.array([-sin, e + cos, 0.0])
    nodes, weights = _gauss(200)
    end = math.sqrt((1 - cos) / (1 + cos))
    s = (nodes + 1) / 2 * end
    t = float((weights * (1 + s**2) / (1 + (1 - e) / (1 + e) * s**2) ** 2).sum()) * end / math.sqrt(gm * p)
    return x, v, t


def binaries(rng: np.random.Generator, dim: int) -> Sample:
    """Two binaries meet: hyperbolic arrival at U(.1,1) of the critical speed, pericentre U(0,4) of the larger axis.

    Masses 1 and 10^U(-1,0) three times, axes 1 and 10^U(-1,0), e = U(0,.9), from a distance of 20; twice the fall time.
    """
    mass = np.array([1.0, *(10 ** rng.uniform(-1, 0, 3))])
    axes, e = (1.0, log_uniform(rng, -1, 0)), rng.uniform(0, 0.9, 2)
    pairs = [nested(mass[2 * k : 2 * k + 2], [Orbit(axes[k], e[k])], rng, dim) for k in (0, 1)]
    both, total = (float(mass[:2].sum()), float(mass[2:].sum())), float(mass.sum())
    binding = mass[0] * mass[1] / (2 * axes[0]) + mass[2] * mass[3] / (2 * axes[1])
    speed = rng.uniform(0.1, 1) * math.sqrt(2 * binding * total / (both[0] * both[1]))  # the total energy is 0 at 1
    size, pericentre = total / speed**2, rng.uniform(0, 4)
    arrival = Orbit(-size, 1 + pericentre / size, distance=START)
    centres = nested(np.array(both), [arrival], rng, dim)
    position = np.concatenate([pair.position + x for pair, x in zip(pairs, centres.position, strict=True)])
    velocity = np.concatenate([pair.velocity + v for pair, v in zip(pairs, centres.velocity, strict=True)])
    return Sample(InitialConditions(mass, position, velocity), 2 * fall_time(arrival.e, size, total, START))


def slow3(rng: np.random.Generator, dim: int) -> Sample:
    """Three to five bodies far apart: from rest (half), or virial ratio U(0,.1); 3 free-fall times.

    Masses 10^U(-.5,.5), places uniform in a ball (disc). One in four is three equal masses from rest, two of them at a distance
    of 1, the third in the region of Agekyan & Anosova, where every triangle occurs once.
    """
    if rng.uniform() < 0.25:
        mass, position, ratio = np.ones(3), _triangle(rng) @ random_rotation(rng, dim).T, 0.0
    else:
        n = int(rng.choice([3, 3, 3, 4, 5]))
        mass, position = 10 ** rng.uniform(-0.5, 0.5, n), _ball(rng, n, dim)
        ratio = rng.uniform(0, 0.1) if rng.uniform() < 2 / 3 else 0.0
    initial = _slow(rng, mass, position[:, :dim], ratio)
    return Sample(initial, 3 * collapse_time(initial))


def collapse(rng: np.random.Generator, dim: int) -> Sample:
    """A uniform ball (disc) of 6 to 24 equal masses of virial ratio U(0,.1) collapses, 3 free-fall times."""
    n = int(rng.integers(6, 25))
    initial = _slow(rng, np.full(n, 1 / n), _ball(rng, n, dim), rng.uniform(0, 0.1))
    return Sample(initial, 3 * collapse_time(initial))


def primordial(rng: np.random.Generator, dim: int) -> Sample:
    """A Plummer sphere of 17 to 100 bodies (log-uniform) with one primordial binary, half a crossing time.

    The binary has an axis of 10^U(-2.5,-1.3) scale radii, mass ratio U(.2,1), and e = U(0,.9).
    """
    n = int(math.exp(rng.uniform(math.log(17), math.log(101))))
    sphere = plummer_sphere(rng, n - 1, dim)
    q, a, e = rng.uniform(0.2, 1), log_uniform(rng, -2.5, -1.3) * SCALE, rng.uniform(0, 0.9)
    pair = nested(np.array([1.0, q]) / (1 + q) * sphere.mass[0], [Orbit(a, e)], rng, dim)
    mass = np.concatenate([pair.mass, sphere.mass[1:]])
    position = np.concatenate([sphere.position[0] + pair.position, sphere.position[1:]])
    velocity = np.concatenate([sphere.velocity[0] + pair.velocity, sphere.velocity[1:]])
    return Sample(InitialConditions(mass, position, velocity), crossing_time(sphere) / 2)


def softened(rng: np.random.Generator, dim: int) -> Sample:
    """Half: Plummer spheres of 4 to 24 bodies, softening 10^U(-2,-.7) scale radii, 2 crossing times; half: two bodies.

    The two bodies, of mass ratio 10^U(-3,0), are softened by 10^U(-2,-.3) and begin as at the apocentre of an unsoftened orbit
    of a = 1, e = U(0,.9), for 20 of its orbits.
    """
    if rng.uniform() < 0.5:
        initial = plummer_sphere(rng, int(rng.integers(4, 25)), dim)
        return Sample(initial, 2 * crossing_time(initial), softening=log_uniform(rng, -2, -0.7) * SCALE)
    e, q, softening = rng.uniform(0, 0.9), log_uniform(rng, -3, 0), log_uniform(rng, -2, -0.3)
    initial = two_body(e, q, 1.0, math.pi, 1.0, dim, random_rotation(rng, dim))
    return Sample(initial, 20 * ORBIT, softening=softening, regular=True)


def _triangle(rng: np.random.Generator) -> np.ndarray:
    """Draw three places (3, 3): two at (-.5, 0) and (.5, 0), the third uniform in the region of Agekyan & Anosova."""
    while True:
        x, y = rng.uniform(0, 0.5), rng.uniform(0, math.sqrt(0.75))
        if (x + 0.5) ** 2 + y**2 <= 1:
            return np.array([[-0.5, 0, 0], [0.5, 0, 0], [x, y, 0]])


def _ball(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Draw n places (n, dim), uniform in the unit ball or disc."""
    direction = rng.normal(size=(n, dim))
    radius = rng.uniform(0, 1, (n, 1)) ** (1 / dim)
    return np.asarray(radius * direction / np.linalg.norm(direction, axis=1, keepdims=True))


def _slow(rng: np.random.Generator, mass: np.ndarray, position: np.ndarray, ratio: float) -> InitialConditions:
    """Return bodies at these places with normal velocities of the virial ratio K/|U|, with the centre of mass at rest."""
    share = (mass / mass.sum())[:, None]
    velocity = rng.normal(size=position.shape)
    position, velocity = position - (share * position).sum(0), velocity - (share * velocity).sum(0)
    K, U = energies(mass, position, velocity)
    return InitialConditions(mass, position, velocity * math.sqrt(ratio * -U / K))
