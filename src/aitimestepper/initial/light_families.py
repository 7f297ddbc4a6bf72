"""Families with bodies of little or no mass: the total energy says nothing of them, their own orbits do."""

from __future__ import annotations

import math

import numpy as np

from .draws import Sample, log_uniform, period, tilt_by
from .hierarchies import Orbit, about_both_stars, about_one_star, nested, reordered, stable_pericentre

TURNS = 40  # orbits of the innermost body
GIANT = 5.2  # semi-major axis of the giant of `light_giant`
ECCENTRIC = 0.95  # largest eccentricity of light bodies


def light_alone(rng: np.random.Generator, dim: int) -> Sample:
    """A star and 1 to 4 light bodies on orbits of e = U(0,.95) in any orientation, 40 orbits of the innermost.

    Half of the samples: mass 0, and axes from 1 growing by factors U(1.3,3), so that orbits may cross. The other half: masses
    10^U(-8,-5), and each pericentre is U(1.3,3) times the apocentre of the orbit inside, whose axis is 1.
    """
    n, massless = int(rng.integers(1, 5)), bool(rng.uniform() < 0.5)
    orbits = [Orbit(1.0, rng.uniform(0, ECCENTRIC))]
    for _ in range(n - 1):
        factor, e = rng.uniform(1.3, 3), rng.uniform(0, ECCENTRIC)
        orbits.append(Orbit(factor * (orbits[-1].a if massless else orbits[-1].apocentre / (1 - e)), e))
    light = np.zeros(n) if massless else 10 ** rng.uniform(-8, -5, n)
    return Sample(nested(np.concatenate([[1.0], light]), orbits, rng, dim), TURNS * period(1.0, 1.0), regular=True)


def light_giant(rng: np.random.Generator, dim: int) -> Sample:
    """A star, a giant of 10^U(-3.5,-2.5) at 5.2 with e = U(0,.1), and light bodies of e = U(0,.95); 40 orbits of the innermost.

    Half of the samples: 1 to 6 bodies of mass 0, the other half: one of mass 10^U(-8,-5). Each is inside, with an apocentre of
    U(.1,1) times 0.6 of the giant's pericentre, or outside, with a pericentre of U(1,3) times 1.6 of its apocentre; all are
    inclined by some degrees.
    """
    giant = Orbit(GIANT, rng.uniform(0, 0.1), flat=True)
    giant_mass, light = log_uniform(rng, -3.5, -2.5), _light(rng, 6)
    bodies = [(giant, giant_mass)]
    for m in light:
        e, inside = rng.uniform(0, ECCENTRIC), bool(rng.uniform() < 0.5)
        far, near = rng.uniform(0.1, 1) * 0.6 * giant.pericentre, rng.uniform(1, 3) * 1.6 * giant.apocentre
        bodies.append((Orbit(far / (1 + e) if inside else near / (1 - e), e, flat=True), m))
    bodies.sort(key=lambda body: body[0].a)
    mass = np.array([1.0, *(m for _, m in bodies)])
    initial = nested(mass, [orbit for orbit, _ in bodies], rng, dim)
    return Sample(initial, TURNS * period(bodies[0][0].a, 1.0), regular=True)


def light_binary(rng: np.random.Generator, dim: int) -> Sample:
    """A binary of masses 1 and U(.2,1), e = U(0,.6), and light bodies of e = U(0,.95) about one or both of its stars.

    Half of the samples: 1 to 4 bodies of mass 0, the other half: one of mass 10^U(-8,-5). About one star, either of the two,
    the apocentre is U(.2,1) times half of the critical axis (Holman & Wiegert 1999); about both, the pericentre is U(1,2) times
    the larger of 1.5 times the outer critical axis and 1.3 times the limit of Mardling & Aarseth (2001). Inclined by some
    degrees. 40 orbits of the innermost light body, at most 1000 of the binary.
    """
    q, binary = rng.uniform(0.2, 1), Orbit(1.0, rng.uniform(0, 0.6), flat=True)
    light, about_both = _light(rng, 4), bool(rng.uniform() < 0.5)
    eccentricity, size = rng.uniform(0, ECCENTRIC, len(light)), rng.uniform(0, 1, len(light))
    if about_both:
        critical = 1.5 * about_both_stars(q / (1 + q), binary.e)
        nearest = [max(critical, 1.3 * stable_pericentre(0.0, e)) for e in eccentricity]
        axes = (1 + size) * nearest / (1 - eccentricity)
    else:
        host, other = (1.0, q) if rng.uniform() < 0.5 else (q, 1.0)
        axes = (0.2 + 0.8 * size) * 0.5 * about_one_star(other / (1 + q), binary.e) / (1 + eccentricity)
    orbits = [Orbit(axes[k], eccentricity[k], flat=True) for k in np.argsort(axes)]
    if about_both:
        initial = nested(np.array([1.0, q, *light]), [binary, *orbits], rng, dim)
        return Sample(initial, min(TURNS * period(axes.min(), 1 + q), 1000 * period(1.0, 1 + q)), regular=True)
    made = nested(np.array([host, *light, other]), [*orbits, binary], rng, dim)
    initial = reordered(made, [0, len(light) + 1, *range(1, len(light) + 1)])
    return Sample(initial, TURNS * period(axes.min(), host), regular=True)


def moons(rng: np.random.Generator, dim: int) -> Sample:
    """A star, a planet of 10^U(-5,-2.5) at 1 with e = U(0,.2), and its moons, prograde; 40 orbits of the inner moon.

    Half of the samples: one or two moons of mass 0, the other half: one of 10^U(-5,-2) times the planet's mass. Apocentre
    U(.05,.3) Hill radii at the planet's pericentre, e = U(0,.8), inclined to the planet's orbit by up to 40 degrees, isotropic.
    """
    planet, e = log_uniform(rng, -5, -2.5), rng.uniform(0, 0.2)
    massless = bool(rng.uniform() < 0.5)
    light = np.zeros(rng.integers(1, 3)) if massless else np.array([planet * log_uniform(rng, -5, -2)])
    hill = (1 - e) * (planet / 3) ** (1 / 3)
    orbits = []
    for _ in light:
        eccentricity, far = rng.uniform(0, 0.8), rng.uniform(0.05, 0.3) * hill
        inclination = math.acos(rng.uniform(math.cos(math.radians(40)), 1))
        orbits.append(Orbit(far / (1 + eccentricity), eccentricity, turn=tilt_by(rng, inclination, dim)))
    orbits.sort(key=lambda orbit: orbit.a)
    about_star = Orbit(1.0, e, turn=np.eye(3))
    made = nested(np.array([planet, *light, 1.0]), [*orbits, about_star], rng, dim)
    initial = reordered(made, [len(light) + 1, *range(len(light) + 1)])
    return Sample(initial, TURNS * period(orbits[0].a, planet), regular=True)


def _light(rng: np.random.Generator, most: int) -> np.ndarray:
    """Draw the masses of 1 to `most` bodies without mass, or of one of 10^U(-8,-5), equally likely."""
    massless, n = rng.uniform() < 0.5, int(rng.integers(1, most + 1))
    return np.zeros(n) if massless else np.array([log_uniform(rng, -8, -5)])
