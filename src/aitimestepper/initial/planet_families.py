"""Families of hierarchies beyond the standard ones: comets, tilted triples, resonant planets, a triple in a tidal field."""

from __future__ import annotations

import math

import numpy as np

from ..fields import PointMassTidalField
from .draws import Sample, log_uniform, period, rayleigh, tilt, tilt_by
from .hierarchies import Orbit, clear_orbits, nested, stable_triple

TIDE = PointMassTidalField(1000.0, R0=100.0)  # one for all problems of `tidal`, so that they are one batch
STRETCH = math.sqrt(2 * 1000.0 / 100.0**3)  # rate at which a displacement towards its mass grows e-fold
TIDE_RADIUS = 100.0 / 1000.0 ** (1 / 3)  # of a system of mass 1
REGULAR_TIDE = 0.3  # largest apocentre, in tidal radii, of an orbit that is called regular
NEAR = 1.5  # Hill radii of a giant within which no comet may come, where its motion is called regular
KICK = 10.0  # a comet's next passage depends KICK m a^2.5 times as much on its phase as this one (m, a of the giant are 1)


def comets(rng: np.random.Generator, dim: int) -> Sample:
    """A star, 1 or 2 giants, and 1 to 4 comets of mass 0 or 10^U(-12,-8), e = 1 - 10^U(-3,-1), pericentre U(.05,1).

    The giants have 10^U(-3.5,-2.5) and e = U(0,.1), at 1 and U(1.8,3). Comets come from any direction; each passes its
    pericentre within the run, of 5 orbits of the shortest comet or 300 of the first giant. Regular where no comet's orbit comes
    within 1.5 Hill radii of a giant's, and those that return are kicked so little that the kicks do not make chaos.
    """
    giants = [Orbit(1.0, rng.uniform(0, 0.1), turn=tilt(rng, dim))]
    if rng.uniform() < 0.5:
        giants.append(Orbit(rng.uniform(1.8, 3), rng.uniform(0, 0.1), turn=tilt(rng, dim)))
    heavy = 10 ** rng.uniform(-3.5, -2.5, len(giants))
    n = int(rng.integers(1, 5))
    light = np.zeros(n) if rng.uniform() < 0.5 else 10 ** rng.uniform(-12, -8, n)
    missing = 10 ** rng.uniform(-3, -1, n)
    axes = rng.uniform(0.05, 1, n) / missing
    t_end = min(5 * period(float(axes.min()), 1.0), 300 * period(1.0, 1.0))
    orbits, regular = [], True
    for a, e in zip(axes, 1 - missing, strict=True):
        cycle = period(a, 1.0)
        passage = rng.uniform(0, 1) * min(cycle, t_end)
        turn = tilt_by(rng, math.acos(rng.uniform(-1, 1)), dim)
        orbits.append(Orbit(a, e, turn=turn, mean_anomaly=2 * math.pi * (1 - passage / cycle)))
        kick = KICK * float(heavy.max()) * a**2.5
        near = [_distance(orbits[-1], giant) / (giant.a * (m / 3) ** (1 / 3)) for giant, m in zip(giants, heavy, strict=True)]
        regular &= min(near) > NEAR and (passage + cycle > t_end or kick < 1)
    initial = nested(np.array([1.0, *heavy, *light]), [*giants, *orbits], rng, dim)
    return Sample(initial, t_end, regular=bool(regular))


def kozai(rng: np.random.Generator, dim: int) -> Sample:
    """A binary of mass ratio 10^U(-5,0), e = U(0,.3), and a third body inclined by U(40,90) degrees; 500 inner orbits.

    The third body has 10^U(-1,.5), a = U(8,25)/(1-e) and e = U(0,.5), so that the inner eccentricity gets large in 3D. Regular
    where the outer pericentre is beyond 1.3 times the limit of Mardling & Aarseth (2001).
    """
    mass = np.array([1.0, log_uniform(rng, -5, 0), log_uniform(rng, -1, 0.5)])
    e, outer_e = rng.uniform(0, 0.3), rng.uniform(0, 0.5)
    inner = Orbit(1.0, e, turn=tilt_by(rng, math.radians(rng.uniform(40, 90)), dim))
    outer = Orbit(rng.uniform(8, 25) / (1 - outer_e), outer_e, turn=np.eye(3))
    initial = nested(mass, [inner, outer], rng, dim)
    return Sample(initial, 500 * period(1.0, mass[:2].sum()), regular=stable_triple(mass, inner, outer))


def resonant(rng: np.random.Generator, dim: int) -> Sample:
    """Two or three planets of 10^U(-6,-3.5) within 2 % of p+1:p, p = 1 to 4, e Rayleigh of mean 0.02; 300 inner orbits.

    They are drawn anew until adjacent orbits are everywhere more than 4 mutual Hill radii apart.
    """
    while True:
        n = int(rng.integers(2, 4))
        mass = np.array([1.0, *(10 ** rng.uniform(-6, -3.5, n))])
        orbits = [Orbit(1.0, rayleigh(rng, 0.02), flat=True)]
        for _ in range(n - 1):
            p = int(rng.integers(1, 5))
            ratio = (p + 1) / p * (1 + rng.uniform(-0.02, 0.02))
            orbits.append(Orbit(orbits[-1].a * ratio ** (2 / 3), rayleigh(rng, 0.02), flat=True))
        if clear_orbits(mass, orbits):
            return Sample(nested(mass, orbits, rng, dim), 300 * period(1.0, mass[:2].sum()), regular=True)


def tidal(rng: np.random.Generator, dim: int) -> Sample:
    """A binary, or one in four a triple, in the tidal field of a mass 1000 at (100, 0, 0), for 40 (inner) orbits.

    Masses 10^U(-1,1), times U(.1,1) for the others; the (outer) axis is 10^U(-2.5,-.8) tidal radii, which are 10 m^(1/3);
    e = U(0,.9), of an outer orbit U(0,.6), its pericentre U(4,12) inner axes. At most 5 times the time in which a displacement
    towards the mass grows e-fold. Regular where the apocentre is below 0.3 tidal radii, and a triple is beyond 1.3 times
    Mardling & Aarseth's limit.
    """
    n = 3 if rng.uniform() < 0.25 else 2
    mass = log_uniform(rng, -1, 1) * np.array([1.0, *rng.uniform(0.1, 1, n - 1)])
    radius = TIDE_RADIUS * float(mass.sum()) ** (1 / 3)
    axis = log_uniform(rng, -2.5, -0.8) * radius
    if n == 2:
        outer = inner = Orbit(axis, rng.uniform(0, 0.9))
        orbits = [outer]
    else:
        outer = Orbit(axis, rng.uniform(0, 0.6))
        inner = Orbit(outer.pericentre / rng.uniform(4, 12), rng.uniform(0, 0.9))
        orbits = [inner, outer]
    t_end = min(40 * period(inner.a, mass[:2].sum()), 5 / STRETCH)
    regular = outer.apocentre < REGULAR_TIDE * radius and (n == 2 or stable_triple(mass, inner, outer))
    return Sample(nested(mass, orbits, rng, dim), t_end, regular=regular, external_field=TIDE)


def _distance(a: Orbit, b: Orbit, points: int = 200) -> float:
    """Return the smallest distance between two orbits of given orientation about one body."""
    places, angles = [], np.linspace(0, 2 * math.pi, points, endpoint=False)
    for orbit in (a, b):
        assert orbit.turn is not None
        across = math.sqrt((1 - orbit.e) * (1 + orbit.e)) * np.sin(angles)
        places.append(orbit.a * np.stack([np.cos(angles) - orbit.e, across, 0 * angles], -1) @ orbit.turn.T)
    return float(np.linalg.norm(places[0][:, None] - places[1][None], axis=-1).min())
