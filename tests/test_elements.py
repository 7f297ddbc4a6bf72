"""Systems from orbital elements and back, in the conventions of REBOUND, whatever the orbits are about."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rebound
from aitimestepper import Bodies, simulate
from aitimestepper.errors import InitialConditionError

MASS = np.array([1.0, 1e-3, 3e-4, 0.2, 0.0])
ORBITS = {
    "a": [1.0, 2.1, -30.0, 5.0],
    "e": [0.1, 0.0, 1.4, 0.6],
    "inc": [0.2, 0.0, 1.0, math.pi],
    "Omega": [1.0, 0.0, -2.0, 0.0],
    "omega": [0.3, 0.0, 0.4, 0.5],
    "M": [0.5, -2.0, -3.0, 1e-3],
}
PRIMARIES = ["jacobi", "heliocentric", "barycentric", 0, 3, [0, 0, 1, 0], [0, 1, 2, 3]]


def centre(b: Bodies) -> np.ndarray:
    return np.abs([(b.mass[..., None] * x).sum(1) for x in (b.position, b.velocity)]).max()


@pytest.mark.parametrize("primary", PRIMARIES, ids=str)
def test_elements_in_and_out_agree(primary):
    b = Bodies.from_elements(MASS, **ORBITS, primary=primary)
    found = b.elements(primary)
    assert centre(b) < 1e-14
    for name, values in ORBITS.items():
        difference = getattr(found, name)[0] - values
        turns = np.round(difference / (2 * math.pi)) * 2 * math.pi if name in ("Omega", "omega", "M") else 0.0
        difference = np.abs(difference - turns)
        if name in ("Omega", "omega", "M"):  # a circle has no pericentre, and an orbit in the plane no node
            difference = difference[[0, 2]]
        assert (difference < 1e-11).all(), name
    again = Bodies.from_elements(
        MASS, q=found.q, e=found.e, inc=found.inc, Omega=found.Omega, omega=found.omega, T=found.T, primary=primary
    )
    size = np.abs(b.position).max(), np.abs(b.velocity).max()
    assert np.abs(again.position - b.position).max() < 1e-12 * size[0]
    assert np.abs(again.velocity - b.velocity).max() < 1e-12 * size[1]


def test_elements_are_those_of_rebound():
    sim = rebound.Simulation()
    sim.G, sim.t = 2.5, 0.75
    sim.add(m=1.0)
    for k in range(4):
        sim.add(m=MASS[k + 1], **{name: values[k] for name, values in ORBITS.items()})
    sim.move_to_com()
    b = Bodies.from_elements(MASS, **ORBITS, G=2.5, time=0.75)
    assert b.position[0] == pytest.approx(np.array([p.xyz for p in sim.particles]), abs=1e-12)
    assert b.velocity[0] == pytest.approx(np.array([p.vxyz for p in sim.particles]), abs=1e-12)
    found = b.elements()
    for k, orbit in enumerate(sim.orbits()):
        for name, theirs in (("a", orbit.a), ("e", orbit.e), ("inc", orbit.inc)):
            assert getattr(found, name)[0, k] == pytest.approx(theirs, rel=1e-10, abs=1e-13)
        if k in (0, 2):
            for name, theirs in (("Omega", orbit.Omega), ("omega", orbit.omega), ("f", orbit.f), ("M", orbit.M)):
                assert math.remainder(getattr(found, name)[0, k] - theirs, 2 * math.pi) == pytest.approx(0.0, abs=1e-9), name
        if orbit.a > 0:
            assert found.period[0, k] == pytest.approx(orbit.P, rel=1e-10)
    assert found.T[0, 0] == pytest.approx(0.75 - found.M[0, 0] * found.period[0, 0] / (2 * math.pi), rel=1e-12)
    assert np.isinf(found.period[0, 2])


def test_a_body_is_where_its_anomaly_says():
    there = Bodies.from_elements([1.0, 0.5], a=2.0, e=0.3, omega=0.4, f=1.2)
    found = there.elements()
    for name in ("M", "T"):
        again = Bodies.from_elements([1.0, 0.5], a=2.0, e=0.3, omega=0.4, **{name: getattr(found, name)})
        assert again.position == pytest.approx(there.position, abs=1e-14)
        assert again.velocity == pytest.approx(there.velocity, abs=1e-14)
    at_pericentre = Bodies.from_elements([1.0, 0.5], a=2.0, e=0.3)
    assert np.linalg.norm(at_pericentre.position[0, 1] - at_pericentre.position[0, 0]) == pytest.approx(1.4, rel=1e-15)


def test_degrees_are_those_of_radians():
    angles = {"inc": 30.0, "Omega": -70.0, "omega": 200.0, "M": 45.0}
    b = Bodies.from_elements([1.0, 0.5], a=2.0, e=0.3, **angles, degrees=True)
    other = Bodies.from_elements([1.0, 0.5], a=2.0, e=0.3, **{name: math.radians(x) for name, x in angles.items()})
    assert np.array_equal(b.position, other.position)
    found = b.elements().in_degrees()
    for name, wanted in angles.items():
        assert math.remainder(getattr(found, name).item() - wanted, 360.0) == pytest.approx(0.0, abs=1e-12), name


@pytest.mark.parametrize("e", [0.0, 0.9, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0])
def test_a_run_moves_along_the_conic(e):
    b = Bodies.from_elements([1.0, 1e-3], q=1.0, e=e, inc=0.4, Omega=1.0, omega=2.0, T=1.3)
    later = simulate(b, t_end=3.1, criterion="prs23").final
    wanted = Bodies.from_elements([1.0, 1e-3], q=1.0, e=e, inc=0.4, Omega=1.0, omega=2.0, T=1.3, time=3.1)
    assert later.position == pytest.approx(wanted.position, abs=1e-12)
    assert later.velocity == pytest.approx(wanted.velocity, abs=1e-12)
    if e:  # a circle has no pericentre
        assert later.elements().T[0, 0] == pytest.approx(1.3, abs=1e-10)


def test_a_batch_has_orbits_of_each_system():
    a, M = np.array([[1.0, 3.0], [2.0, 5.0], [1.5, 4.0]]), np.array([[0.1], [0.2], [0.3]])
    b = Bodies.from_elements([1.0, 1e-3, 1e-3], a=a, M=M, names=["A", "b", "c"], softening=0.1)
    assert b.elements().a == pytest.approx(a, rel=1e-13)
    assert (b.names, b.softening.tolist()) == (("A", "b", "c"), [0.1] * 3)
    alone = Bodies.from_elements([1.0, 1e-3, 1e-3], a=a[1], M=0.2)
    assert np.array_equal(alone.position[0], b.position[1])


def test_absent_bodies_and_bodies_about_no_mass_have_no_elements():
    pair = Bodies.from_elements([1.0, 1e-3], a=1.0)
    b = Bodies.stack([Bodies.from_elements([1.0, 1e-3, 1e-3], a=[1.0, 2.0]), pair])
    a = b.elements().a
    assert np.isnan(a[1, 1])
    assert a[:, 0] == pytest.approx([1.0, 1.0], rel=1e-13)
    light = Bodies([0.0, 0.0, 1.0], np.eye(3), np.eye(3)[::-1])
    assert np.isnan(light.elements().a[0, 0])
    assert np.isfinite(light.elements(2).a).all()


def test_planar_bodies_have_elements_too():
    flat = Bodies([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, -1.0]])
    found = flat.elements()
    assert found.inc.tolist() == [[math.pi]]  # it goes round clockwise
    assert found.a.item() == pytest.approx(flat.orbit(0, 1).semi_major_axis.item(), rel=1e-15)


BAD = {
    "e below 0": ({"a": 1.0, "e": -0.1}, "e = -0.1 of orbit 0 must be 0 or more"),
    "ellipse": ({"a": 1.0, "e": 1.5}, "a = 1 of orbit 0 does not fit its e"),
    "hyperbola": ({"a": -1.0, "e": 0.5}, "hyperbolas .* have a < 0"),
    "parabola": ({"a": 1.0, "e": 1.0}, "give the pericentre distances q instead of a"),
    "no size": ({"e": 0.5}, "need the semi-major axis a or the pericentre distance q"),
    "two sizes": ({"a": 1.0, "q": 0.5}, "and not both"),
    "no axis": ({"a": 0.0}, "a = 0 of orbit 0 must not be 0"),
    "no pericentre": ({"q": -1.0, "e": 1.0}, "q = -1 of orbit 0 must be above 0"),
    "degrees": ({"a": 1.0, "inc": 60.0}, "inc = 60 .* from 0 to pi; for angles in degrees give degrees=True"),
    "beyond": ({"a": -1.0, "e": 1.5, "f": 3.0}, "f = 3 of orbit 0 is beyond the asymptotes"),
    "two places": ({"a": 1.0, "f": 0.0, "M": 1.0}, "f and M all say where"),
    "nan": ({"a": math.nan}, "a = nan of orbit 0 must be a finite number"),
    "text": ({"a": "far"}, "a must be numbers"),
    "too many": ({"a": [1.0, 2.0, 3.0]}, r"a has shape \(3,\), which does not fit \(1, 2\)"),
    "primary": ({"a": 1.0, "primary": "jacobean"}, "did you mean 'jacobi'"),
    "primary after": ({"a": 1.0, "primary": [0, 2]}, "about a body that comes before it"),
    "primary number": ({"a": 1.0, "primary": 7}, "indices are 0 to 2"),
    "primary fraction": ({"a": 1.0, "primary": 0.5}, "must be one index of a body"),
}


@pytest.mark.parametrize("case", BAD)
def test_elements_out_of_range_are_named(case):
    given, message = BAD[case]
    with pytest.raises(InitialConditionError, match=message):
        Bodies.from_elements([1.0, 1e-3, 1e-3], **given)


@pytest.mark.parametrize(
    ("mass", "more"), [([0.0, 0.0, 1.0], {}), ([0.0, 1.0, 1.0], {"primary": "barycentric"}), ([1.0, -1.0, 1.0], {})]
)
def test_an_orbit_needs_a_mass(mass, more):
    with pytest.raises(InitialConditionError, match="an orbit needs a mass that it is about"):
        Bodies.from_elements(mass, a=[1.0, 2.0], **more)


def test_one_body_is_no_system():
    with pytest.raises(InitialConditionError, match="give the mass of every body, the first one included"):
        Bodies.from_elements([1.0], a=1.0)
