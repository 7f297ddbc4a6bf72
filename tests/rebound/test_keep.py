"""REBOUND's own integrators with steps of ours."""

import numpy as np
import pytest

import aitimestepper as ats
from aitimestepper.errors import ConfigError
from aitimestepper.rebound import attach, detach


@pytest.mark.parametrize("kept", ["leapfrog", "whfast"])
def test_a_constant_step_is_rebounds_own_run(orbit, state_of, kept):
    own, ours = (orbit(others=2, integrator=kept, dt=0.01) for _ in range(2))
    attach(ours, ats.Constant(0.01), keep=kept)
    for sim in (own, ours):
        sim.steps(500)
    np.testing.assert_array_equal(state_of(ours), state_of(own))


def test_settings_stay(orbit, state_of):
    own, ours = (orbit(integrator="leapfrog", dt=0.01) for _ in range(2))
    own.integrator.order = ours.integrator.order = 8
    attach(ours, ats.Constant(0.01), keep="leapfrog")
    assert ours.integrator.order == 8
    for sim in (own, ours):
        sim.steps(100)
    np.testing.assert_array_equal(state_of(ours), state_of(own))
    detach(ours)
    assert (str(ours.integrator), ours.integrator.order) == ("leapfrog", 8)


def evaluations(sim, t_end) -> tuple[int, int]:
    """Return force evaluations and steps of a run."""
    count = 0

    def counting(_):
        nonlocal count
        count += 1

    sim.additional_forces = counting
    sim.integrate(t_end)
    return count, int(sim.steps_done)


def test_ias15_makes_the_same_run_with_the_rule_of_its_own(orbit):
    """PRS23 is computed from the particles here and from the polynomial there: the same steps, but for their first guess."""
    own, ours = orbit(), orbit()
    energy = own.energy()
    attach(ours, keep="ias15")
    forces, steps = evaluations(own, 40.0)
    our_forces, our_steps = evaluations(ours, 40.0)
    assert our_steps == pytest.approx(steps, rel=0.03)
    assert our_forces <= 1.1 * forces
    assert abs(ours.energy() / energy - 1.0) < 1e-13
    assert [p.x for p in ours.particles] == pytest.approx([p.x for p in own.particles], abs=1e-9)


@pytest.mark.parametrize("criterion", [None, ats.FreeFall(0.1), ats.FreeFall(0.2)])
def test_polynomials_of_ias15_are_rescaled_for_steps_that_change(orbit, criterion):
    """Without that a step takes more iterations: 0.62 to 0.82 of the forces are spent with it."""
    spent = []
    for forget in (False, True):
        sim = orbit()
        attach(sim, criterion, keep="ias15")
        if forget:
            sim.heartbeat = lambda pointer: setattr(pointer.contents.integrator, "last_done", 0.0)
        spent.append(evaluations(sim, 40.0))
    assert spent[0][1] == spent[1][1]
    assert spent[0][0] < 0.9 * spent[1][0]


@pytest.mark.parametrize("outputs", [2, 200])
def test_ias15_goes_to_rounding_errors_with_any_outputs(orbit, largest_error, outputs):
    sim = orbit(e=0.99)
    attach(sim, ats.FreeFall(0.15), keep="ias15")
    assert largest_error(sim, np.linspace(0, 60.0, outputs)) < 1e-12


def test_whfast_is_exact_on_two_bodies_whatever_the_steps(orbit, largest_error):
    sim = orbit()
    attach(sim, ats.Symmetrized(ats.FreeFall(0.2)), keep="whfast")
    assert largest_error(sim, np.linspace(0, 60.0, 300)) < 1e-12


def test_whfast_needs_its_safe_mode(orbit):
    sim = orbit(integrator="whfast")
    sim.integrator.safe_mode = 0
    with pytest.raises(ConfigError, match="safe_mode = 1"):
        attach(sim, ats.FreeFall(0.1), keep="whfast")
    assert str(sim.integrator) == "whfast"
    sim.integrator.safe_mode = 1
    attach(sim, ats.FreeFall(0.1), keep="whfast")
    sim.integrator.safe_mode = 0
    with pytest.raises(RuntimeError, match="safe_mode = 1"):
        sim.integrate(1.0)


def test_a_tolerance_holds_for_the_leapfrog_of_rebound(orbit, largest_error):
    sim = orbit()
    attach(sim, tol=1e-3, keep="leapfrog")
    assert largest_error(sim, np.linspace(0, 60.0, 300)) < 1e-3
