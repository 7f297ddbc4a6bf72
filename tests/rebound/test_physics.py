"""What REBOUND and its users do to the particles counts: forces, collisions, test particles, changes by hand."""

import math

import numpy as np
import pytest

import aitimestepper as ats
import rebound
from aitimestepper.rebound import attach

FALL = ats.Symmetrized(ats.FreeFall(0.02))


def test_extra_forces_count(orbit):
    spring = 1e-3

    def pull(pointer):
        for p in pointer.contents.particles:
            p.ax -= spring * p.x

    def energy(sim):
        return sim.energy() + sum(0.5 * spring * p.m * p.x * p.x for p in sim.particles)

    sim = orbit()
    sim.additional_forces = pull
    start = energy(sim)
    attach(sim, tol=1e-6)
    sim.integrate(20.0)
    assert abs(energy(sim) / start - 1.0) < 1e-6
    assert abs(sim.energy() / start - 1.0) > 1e-5


@pytest.mark.parametrize("criterion", [None, FALL])
@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_forces_that_depend_on_velocities_keep_the_order_of_the_splitting(orbit, state_of, criterion, tol):
    """A force at right angles to the velocity does no work; kicks at the velocity before would add energy in every step."""

    def turn(pointer):
        for p in pointer.contents.particles:
            p.ax, p.ay = p.ax + 0.01 * p.vy, p.ay - 0.01 * p.vx

    def energy(sim):
        return sim.energy() / orbit(e=0.6).energy()

    sims = [orbit(e=0.6) for _ in range(3)]
    for sim in sims:
        sim.force_is_velocity_dependent, sim.additional_forces = 1, turn
    sim, outputs, reference = sims
    for one in (sim, outputs):
        attach(one, criterion, integrator="blanes_moan4") if criterion else attach(one, tol=tol)
    sim.integrate(20.0)
    for t in np.linspace(0, 20.0, 100):
        outputs.integrate(t)
    reference.integrate(20.0)
    assert abs(energy(sim) - 1.0) < tol
    np.testing.assert_allclose(state_of(sim), state_of(reference), atol=100 * tol)
    np.testing.assert_array_equal(state_of(outputs), state_of(sim))


def test_a_drag_takes_its_share(orbit):
    """Drag -g v on a circular orbit: E grows as exp(2 g t)."""
    g, sim = 1e-4, orbit(e=0.0)

    def drag(pointer):
        for p in pointer.contents.particles:
            p.ax, p.ay = p.ax - g * p.vx, p.ay - g * p.vy

    sim.force_is_velocity_dependent, sim.additional_forces = 1, drag
    energy = sim.energy()
    attach(sim, tol=1e-6)
    sim.integrate(100.0)
    assert sim.energy() / energy == pytest.approx(math.exp(2 * g * 100.0), rel=1e-6)


def test_operators_after_a_step_act_once_in_time(orbit):
    """A rate times dt_last_done: with many outputs it acts as long as without."""

    def slow(pointer):
        sim = pointer.contents
        for p in sim.particles:
            p.vx, p.vy = p.vx * (1 - 1e-4 * sim.dt_last_done), p.vy * (1 - 1e-4 * sim.dt_last_done)

    found = []
    for outputs in (1, 300):
        sim = orbit(e=0.3)
        sim.post_timestep_modifications = slow
        attach(sim, FALL, integrator="blanes_moan4")
        for t in np.linspace(0, 30.0, outputs + 1)[1:]:
            sim.integrate(t)
        found.append(sim.energy() / orbit(e=0.3).energy() - 1.0)
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert found[0] == pytest.approx(2e-4 * 30.0, rel=0.03)


def test_collisions_merge_bodies_and_keep_momentum():
    sim, rng = rebound.Simulation(), np.random.default_rng(3)
    for x, v in zip(rng.normal(size=(12, 3)), 0.3 * rng.normal(size=(12, 3)), strict=True):
        sim.add(m=1 / 12, x=x[0], y=x[1], z=x[2], vx=v[0], vy=v[1], vz=v[2], r=0.1)
    momentum = sum(p.m * np.array(p.vxyz) for p in sim.particles)
    sim.collision, sim.collision_resolve = "direct", "merge"
    attach(sim, tol=1e-5)
    sim.integrate(8.0)
    assert 1 < sim.N < 12
    assert sum(p.m for p in sim.particles) == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_allclose(sum(p.m * np.array(p.vxyz) for p in sim.particles), momentum, atol=1e-15)
    sim.collision, energy = "none", sim.energy()
    sim.integrate(8.5)
    assert abs(sim.energy() / energy - 1.0) < 1e-3
    while sim.N > 1:
        sim.remove(0)
    velocity = sim.particles[0].vx
    sim.integrate(20.0)
    assert (sim.t, sim.particles[0].vx) == (20.0, velocity)


@pytest.mark.parametrize("mass", [0.0, 1e-3])
def test_test_particles_do_not_pull(orbit, state_of, mass):
    alone, sim, reference = orbit(e=0.3), orbit(e=0.3), orbit(e=0.3)
    for many in (sim, reference):
        for k in range(6):
            many.add(m=0.0, a=3.0 + k, e=0.3, f=k)
            many.particles[-1].m = mass
        many.N_active, many.testparticle_hidewarnings = 2, 1
    for one in (alone, sim):
        attach(one, tol=1e-6)
    for one in (alone, sim, reference):
        one.integrate(30.0)
    np.testing.assert_allclose(state_of(sim)[:2], state_of(alone), atol=1e-4)
    np.testing.assert_allclose(state_of(sim), state_of(reference), atol=1e-4)


def test_what_the_user_changes_counts_from_then_on(orbit):
    sim = orbit()
    attach(sim, tol=1e-6)
    sim.integrate(10.3)
    sim.add(m=1e-3, a=5.0, e=0.1)
    energy = sim.energy()
    sim.integrate(40.0)
    assert abs(sim.energy() / energy - 1.0) < 1e-6
    sim.particles[2].m, sim.G = 2e-3, 1.1
    energy = sim.energy()
    sim.integrate(60.0)
    assert abs(sim.energy() / energy - 1.0) < 1e-6
    sim.remove(2)
    for p in sim.particles:
        p.vx, p.vy, p.vz = -p.vx, -p.vy, -p.vz
    energy = sim.energy()
    sim.integrate(90.0)
    assert abs(sim.energy() / energy - 1.0) < 1e-6


def test_a_kick_by_a_heartbeat_is_not_undone_by_the_next_step(orbit):
    """Particles go back to where an output interrupted the run only if nobody changed them at the output."""
    sim, gain = orbit(e=0.2), []
    attach(sim, tol=1e-6)
    for t in np.linspace(0.1, 5.0, 50):
        sim.integrate(t)
        before = sim.energy()
        sim.particles[1].vx += 1e-3
        gain.append(sim.energy() - before)
    after = sim.energy() - orbit(e=0.2).energy()
    assert after == pytest.approx(sum(gain), rel=1e-3)


def test_softening_counts(orbit):
    bodies = []
    for softening in (0.0, 0.3):
        sim = orbit(softening=softening)
        attach(sim, tol=1e-6)
        bodies.append(sim.dt)
        attach(sim, FALL)
        bodies.append(sim.dt)
    assert bodies[2] > bodies[0]
    assert bodies[3] > bodies[1]


@pytest.mark.parametrize("gravity", ["basic", "compensated"])
def test_both_sums_of_gravity_work(orbit, gravity, largest_error):
    sim = orbit(gravity=gravity)
    attach(sim, tol=1e-6)
    assert largest_error(sim, np.linspace(0, 30.0, 100)) < 1e-6
