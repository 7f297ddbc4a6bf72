"""Forces between bodies: energies, reactions, and the precessions that they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper import Bodies, Constant, simulate
from aitimestepper.criteria.classical import PRS23
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.fields import Oblateness, PrecessionPotential
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.changes import without_body
from some_fields import BETWEEN


def bodies(**more) -> Bodies:
    """Two systems of a heavy body and three others on wide, inclined orbits, which move as a whole."""
    rng = np.random.default_rng(4)
    angle, r = rng.uniform(0, 6, (2, 4)), np.array([0.0, 1.5, 2.5, 4.0])
    way = np.stack([np.cos(angle), np.sin(angle), 0.4 * np.sin(2 * angle)], -1)
    across = np.stack([-np.sin(angle), np.cos(angle), 0.3 * np.cos(angle)], -1)
    speed = np.sqrt(2.0 / np.maximum(r, 1.0)) * (r > 0)
    return Bodies([1.0, 0.1, 0.05, 0.2], r[:, None] * way, speed[:, None] * across + [0.1, 0.2, -0.1], G=2.0, **more)


def orbit(a: float, e: float, mass: float, light: float = 0.0, incline: float = 0.0) -> Bodies:
    """A light body at pericentre of its orbit about one of mass `mass`, inclined about the first axis."""
    speed = math.sqrt((mass + light) / a * (1 + e) / (1 - e))
    x = [[0.0] * 3, [a * (1 - e), 0.0, 0.0]]
    v = [[0.0] * 3, [0.0, speed * math.cos(incline), speed * math.sin(incline)]]
    return Bodies([mass, light], x, v)


def pericentre(b: Bodies) -> float:
    """The longitude of pericentre of an orbit in the plane."""
    x, v = b.position[0, 1] - b.position[0, 0], b.velocity[0, 1] - b.velocity[0, 0]
    gm, r = b.mass[0].sum(), math.hypot(*x)
    towards = (v @ v / gm - 1 / r) * x - (x @ v) / gm * v
    return math.atan2(towards[1], towards[0])


@pytest.mark.parametrize("kind", BETWEEN)
def test_the_acceleration_is_minus_the_gradient_of_the_energy_over_the_mass(kind):
    force, b, h = BETWEEN[kind], bodies(), 1e-3

    def energy(x):
        return (b.mass * force.potential(x, b.time, b.mass)).sum(1)

    a = force.acceleration(b.position, b.time, b.mass)
    for i in range(4):
        for axis in range(3):
            e = np.zeros((4, 3))
            e[i, axis] = h
            steps = zip((-1, 9, -45, 45, -9, 1), (-3, -2, -1, 1, 2, 3), strict=True)
            slope = sum(c * energy(b.position + k * e) for c, k in steps) / (60 * h)
            np.testing.assert_allclose(b.mass[:, i] * a[:, i, axis], -slope, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose((b.mass[..., None] * a).sum(1), 0.0, atol=1e-14)


@pytest.mark.parametrize("integrator", ["kahan_li8", "radau15"])
@pytest.mark.parametrize("kind", BETWEEN)
def test_energy_and_momentum_are_conserved(kind, integrator):
    start = bodies(external_field=BETWEEN[kind])
    r = simulate(start, t_end=1.0, criterion=Constant(0.002), integrator=integrator)
    assert r.max_energy_error.max() < 1e-11
    assert r.momentum_error.max() < 1e-14
    alone = simulate(start.replace(external_field=None), t_end=1.0, criterion=Constant(0.002), integrator=integrator)
    assert np.abs(r.final.position - alone.final.position).max() > 1e-3
    if kind == "precession":
        assert r.angular_momentum_error.max() < 1e-14
    else:
        assert r.angular_momentum_error is None  # the spin of the body has the rest
        along = np.array(BETWEEN[kind].axis)
        if kind == "oblateness":
            np.testing.assert_allclose((r.final.angular_momentum() - start.angular_momentum()) @ along, 0.0, atol=1e-13)


@pytest.mark.parametrize(("a", "e", "mass"), [(1.0, 0.2056, 1.0), (0.4, 0.7, 2.5)])
def test_the_precession_of_relativity(a, e, mass):
    """6 pi G M / (c^2 a (1 - e^2)) an orbit, to the next order in 1/c^2."""
    c = 1e4 * math.sqrt(mass / a)
    start = orbit(a, e, mass).replace(external_field=PrecessionPotential(c))
    orbits = 10
    r = simulate(start, t_end=orbits * 2 * math.pi * math.sqrt(a**3 / mass), criterion=PRS23())
    expected = 6 * math.pi * mass / (c * c * a * (1 - e * e))
    assert pericentre(r.final) / orbits == pytest.approx(expected, rel=1e-4)
    assert abs(pericentre(simulate(start.replace(external_field=None), t_end=10.0, criterion=PRS23()).final)) < 1e-4 * expected


def test_the_precession_of_node_and_pericentre_about_an_oblate_body():
    """dOmega/dt = -3/2 n J2 (R/p)^2 cos i, averaged over orbits, to first order in J2."""
    a, e, incline, J2, R = 1.0, 0.1, 0.6, 1e-6, 0.5
    start = orbit(a, e, 1.0, incline=incline).replace(external_field=Oblateness(J2, R))
    turns = 20
    final = simulate(start, t_end=turns * 2 * math.pi, criterion=PRS23()).final
    x, v = final.position[0, 1] - final.position[0, 0], final.velocity[0, 1] - final.velocity[0, 0]
    pole = np.cross(x, v)
    node = math.atan2(pole[0], -pole[1])
    assert node / turns == pytest.approx(-3 * math.pi * J2 * (R / (a * (1 - e * e))) ** 2 * math.cos(incline), rel=1e-3)


def test_bodies_in_the_plane_and_systems_of_different_sizes():
    force = Oblateness(0.02, 0.5) + PrecessionPotential(8.0, body=1)
    systems = [kepler(0.3), kepler(0.5, 0.2)]
    batch = Bodies.stack([Bodies(s.mass, s.position, s.velocity, external_field=force) for s in systems])
    three = Bodies([1.0, 0.1, 0.2], [[0, 0], [1, 0], [0, 2.0]], [[0, 0], [0, 1], [0.7, 0]], external_field=force)
    both = Bodies.stack([batch, three])
    r = simulate(both, t_end=2.0, criterion=Constant(0.005), integrator="kahan_li6")
    for b in range(3):
        single = both.select(b)
        n = int(single.body_count[0])
        lone = Bodies(*(x[:, :n] for x in (single.mass, single.position, single.velocity)), external_field=force)
        alone = simulate(lone, t_end=2.0, criterion=Constant(0.005), integrator="kahan_li6")
        assert np.array_equal(alone.final.position[0], r.final.position[b, :n])
    assert r.max_energy_error.max() < 1e-8


def test_a_force_stays_with_its_body_when_others_go_or_are_absent():
    force = Oblateness(0.02, 0.3, body=2, G=2.0) + PrecessionPotential(30.0, G=2.0)
    whole = bodies(external_field=force).select([0])
    absent = Bodies(
        *(whole.arrays()[k] for k in ("mass", "position", "velocity")), present=[1, 0, 1, 1], G=2.0, external_field=force
    )
    less = without_body(whole, 1)
    assert [part.body for part in less.external_field.parts] == [1, 0]
    ours, theirs = (simulate(b, t_end=1.0, criterion=Constant(0.01), integrator="kahan_li6") for b in (absent, less))
    assert np.array_equal(ours.final.position[:, [0, 2, 3]], theirs.final.position)
    assert ours.max_energy_error[0] < 1e-9
    with pytest.raises(
        InitialConditionError, match=r"^PrecessionPotential comes from body 0, which cannot go while it acts[.]$"
    ):
        without_body(whole, 0)
    mixed = Bodies.stack([whole, absent])
    with pytest.raises(
        ConfigError, match=r"^Oblateness: body = 2 must be present in every system, after as many others in each"
    ):
        simulate(mixed, steps=1, criterion=Constant(0.01))


def test_a_system_that_moves_as_a_whole_has_the_error_scale_of_one_at_rest():
    start = bodies(external_field=BETWEEN["precession"])
    centred = start.replace(velocity=start.velocity - (start.momentum() / start.mass.sum(1)[:, None])[:, None])
    moving = start.replace(velocity=centred.velocity + 100.0)
    assert moving.energy_scale() == pytest.approx(centred.energy_scale(), rel=1e-8)
    assert moving.total_energy().min() > 1e3 * centred.energy_scale().max()
    given = {"t_end": 1.0, "criterion": Constant(0.05), "integrator": "leapfrog"}
    ours, theirs = (simulate(b, **given).max_energy_error for b in (moving, centred))
    assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Oblateness(0.1, -1.0), r"^Oblateness: radius = -1.0 must be a positive number[.]$"),
        (lambda: Oblateness(math.inf, 1.0), r"^Oblateness: J2 = inf must be a finite number[.]$"),
        (lambda: Oblateness(0.1, 1.0, axis=(0, 0, 0)), r"^Oblateness: axis has no direction; give one such as \(0, 0, 1\)[.]$"),
        (
            lambda: Oblateness(0.1, 1.0, body=-1),
            r"^Oblateness: body = -1 must be the number of a body: 0 for the first, .*[.]$",
        ),
        (lambda: PrecessionPotential(0.0), r"^PrecessionPotential: c = 0.0 must be a positive number[.]$"),
        (
            lambda: orbit(1.0, 0.1, 1.0).replace(external_field=PrecessionPotential(10.0, body=5)),
            r"^PrecessionPotential: body = 5, but there are 2 bodies, from 0 to 1[.]$",
        ),
        (
            lambda: Bodies([1, 1, 1], np.eye(3), np.eye(3), present=[0, 1, 1], external_field=PrecessionPotential(10.0)),
            r"^PrecessionPotential: body = 0 must be present in every system[.]$",
        ),
        (
            lambda: Bodies([1, 1], [[0, 0], [1, 0]], [[0, 0], [0, 1]], external_field=Oblateness(0.1, 1.0, axis=(0, 1, 1))),
            r"^Oblateness: axis = .* is tilted, and pulls bodies out of their plane; give them three axes[.]$",
        ),
        (
            lambda: orbit(1.0, 0.1, 1.0).replace(external_field=PrecessionPotential(10.0, G=2.0)),
            r"^the external field has G = 2.0, the bodies G = 1.0; give both the same[.]$",
        ),
        (
            lambda: orbit(1.0, 0.1, 1.0).replace(external_field=[PrecessionPotential(1.0), 3]),
            r"^external_field: 3 is no field ",
        ),
    ],
)
def test_what_is_no_force_is_refused_in_a_sentence(make, message):
    with pytest.raises(InitialConditionError, match=message):
        make()


@pytest.mark.parametrize("integrator", ["hermite4", "logh"])
def test_integrators_for_gravity_alone_refuse_them(integrator):
    with pytest.raises(ConfigError, match="allows no outer field"):
        simulate(bodies(external_field=BETWEEN["precession"]), steps=1, criterion=Constant(0.01), integrator=integrator)
    five = [PrecessionPotential(10.0 + k, G=2.0) for k in range(5)]
    with pytest.raises(ConfigError, match=r"^external_field is the sum of 5 fields and forces; give 4 at most[.]$"):
        simulate(bodies(external_field=five), steps=1, criterion=Constant(0.01))
