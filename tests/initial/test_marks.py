"""Where a sample is called regular, nearby starts stay near: checked on true runs, beside samples that are not."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.initial.draws import Sample
from aitimestepper.initial.families import FAMILIES, STANDARD, sample
from aitimestepper.initial.suites import make_suite
from aitimestepper.simulate.engine import simulate

REGULAR = ("kepler", "triple", "planets", "light_alone", "light_giant", "light_binary", "moons", "comets", "kozai", "resonant")
OFF = 1e-9  # of the smallest distance to body 0, between two starts


def final(made: Sample, shift=0.0) -> Bodies:
    x = made.initial.position + shift
    start = Bodies(made.initial.mass, x, made.initial.velocity, softening=made.softening, external_field=made.external_field)
    done = simulate(start, t_end=made.t_end, integrator="radau15")
    assert done.status == ("ok",)
    return done.final


def binding(bodies: Bodies, centre: np.ndarray, softening: float) -> np.ndarray:
    """Logarithms of the two-body energies about other bodies, which count as no less than 1e-4 of their two terms."""
    m, x, v = bodies.mass[0], bodies.position[0], bodies.velocity[0]
    found = []
    for k, c in enumerate(centre, start=1):
        kinetic = ((v[k] - v[c]) ** 2).sum() / 2
        potential = (m[k] + m[c]) / np.sqrt(((x[k] - x[c]) ** 2).sum() + softening**2)
        found.append(np.log(max(abs(kinetic - potential), 1e-4 * (kinetic + potential))))
    return np.array(found)


def spread(name: str, number: int, made: Sample) -> float:
    """The relative difference of the bodies' own energies at the end of two runs that start OFF apart."""
    x, m = made.initial.position, made.initial.mass
    centre = np.zeros(len(m) - 1, dtype=int)
    if name == "moons":
        centre[1:] = 1
    nearest = min(np.linalg.norm(x[k] - x[c]) for k, c in enumerate(centre, start=1))
    shift = OFF * nearest * np.random.default_rng(number).normal(size=x.shape)
    shift -= m @ shift / m.sum()
    ends = [binding(final(made, by), centre, made.softening) for by in (0.0, shift)]
    return float(np.abs(ends[0] - ends[1]).max())


@pytest.mark.parametrize("name", [*REGULAR, "tidal", "encounter", "softened"])
def test_nearby_starts_stay_near_where_the_motion_is_called_regular(name):
    made = [(k, sample(FAMILIES[name], name, k)) for k in range(40)]
    found = np.array([spread(name, k, s) for k, s in made if s.regular][:12])
    assert len(found) >= 3
    assert np.median(found) < 1e-5
    assert (found < 1e-4).mean() >= 0.9, found  # one in ten may lie at a border


@pytest.mark.parametrize("name", ["random3", "cluster", "scatter", "binaries", "slow3", "collapse", "primordial"])
def test_what_is_not_regular_is_not_called_so(name):
    assert not any(sample(FAMILIES[name], name, k).regular for k in range(30))


@pytest.mark.parametrize("dim", [2, 3])
def test_moons_stay_on_their_orbits(dim):
    for number in range(12):
        made = sample(FAMILIES["moons"], "moons", number, dim)
        axes = []
        for bodies in (Bodies(*made.initial[:3]), final(made)):
            axes.append([bodies.orbit(1, k).semi_major_axis[0] for k in range(2, bodies.mass.shape[1])])
        np.testing.assert_allclose(axes[1], axes[0], rtol=0.3)


@pytest.mark.parametrize(("dim", "checksum"), [(3, 622680181), (2, 1596222000)])
def test_the_first_seven_families_keep_their_bits(dim, checksum):
    """Recorded before the other families existed: figures that were published depend on these problems."""
    assert make_suite((*STANDARD, "longrun", "scatter"), "test", 3, dim).checksum == checksum
