"""States go from REBOUND to `Bodies` and back without a change of a bit."""

import numpy as np
import pytest

import rebound
from aitimestepper.bodies import Bodies
from aitimestepper.rebound import from_bodies, radii, to_bodies


@pytest.fixture
def solar():
    sim, rng = rebound.Simulation(), np.random.default_rng(7)
    sim.units = ("AU", "yr", "Msun")
    for k, name in enumerate(("sun", None, "moon", "probe")):
        x, v = rng.normal(size=3), rng.normal(size=3)
        sim.add(m=10.0**-k, x=x[0], y=x[1], z=x[2], vx=v[0], vy=v[1], vz=v[2], r=1e-3 * k, name=name)
    sim.particles[3].m = 0.0
    sim.t, sim.softening, sim.N_active = 12.3456789, 0.01, 3
    return sim


def everything(sim):
    particles = [(p.m, p.x, p.y, p.z, p.vx, p.vy, p.vz, p.r, p.name) for p in sim.particles]
    return particles, sim.t, sim.G, sim.softening


def test_there_and_back(solar):
    back = from_bodies(to_bodies(solar), radius=radii(solar))
    assert everything(back) == everything(solar)
    assert (back.units, to_bodies(back).units) == (solar.units, to_bodies(solar).units)
    solar.particles[3].m = 1e-3  # of a test particle, which pulls on nobody
    like = from_bodies(to_bodies(solar), like=solar)
    assert everything(like) == everything(solar)
    assert (like.N_active, like.units) == (3, solar.units)


def test_bodies_are_the_same_after_a_visit(random_system):
    bodies = random_system(n=5, seed=4, softening=0.3, time=2.5, G=0.7, names=list("abcde"))
    again = to_bodies(from_bodies(bodies))
    for name, values in bodies.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), values)
    assert (again.G, again.names) == (bodies.G, bodies.names)


def test_energies_agree(random_system):
    bodies = random_system(n=6)
    assert from_bodies(bodies).energy() == pytest.approx(float(bodies.total_energy()[0]), rel=1e-13)


def test_a_plane_is_that_of_z_0_and_absent_bodies_are_left_out(two_body, padded):
    flat = padded(two_body(), 4)
    sim = from_bodies(flat)
    assert sim.N == 2
    np.testing.assert_array_equal(to_bodies(sim).position[0, :, :2], flat.position[0, :2])
    assert all(p.z == p.vz == 0.0 for p in sim.particles)
    assert isinstance(to_bodies(sim), Bodies)
