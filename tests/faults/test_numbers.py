"""What the campaign of numbers under stress has found: each of these warned, where a status or a sentence is right."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import Bodies, Constant, Simulation, simulate
from aitimestepper.bodies import free_fall_time
from aitimestepper.decided import slack_and_speed
from aitimestepper.errors import UserError
from aitimestepper.simulate.length import are_long


def three(spread: float, softening: float, mass=(1.0, 1.0, 1.0)) -> Bodies:
    x = [[0.0, 0.0], [spread, 0.0], [1.0, 1.0]]
    return Bodies(mass, x, np.zeros((3, 2)), softening=softening)


@pytest.mark.parametrize("spread", [0.0, 1e-200, 1e-155])
def test_bodies_at_the_same_place_but_for_rounding_have_a_time_of_free_fall(spread):
    tau = free_fall_time(three(spread, 2.7e-126, (1e-3, 1e-28, 0.0)))
    assert tau.shape == (1,)
    assert 0.0 <= tau[0] < 1e-50
    assert free_fall_time(three(spread, 2.7e-126, (0.0, 0.0, 1.0)))[0] == pytest.approx(1.0, rel=1.0)


@pytest.mark.parametrize(
    ("scale", "speed", "tide"), [(1e-200, 1.0, 1e-4), (1.0, 1.0, 1e-300), (1e160, 1.0, 1e-4), (1.0, 1e160, 1.0)]
)
def test_whether_an_outcome_is_decided_is_said_of_any_state(scale, speed, tide):
    x = scale * np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 1.0], [1.0, 2.0]])
    v = speed * np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 1.0], [1.0, 2.0]])
    mass = np.array([[1.0, 1.0, 1e-32, 0.0]])
    found = slack_and_speed(mass, np.ones((1, 4), bool), x[None, None], v[None, None], 1.0, tide)
    assert -1.0 <= found.slack[0, 0] <= 1.0


def test_a_step_by_trial_without_any_error_is_the_longest():
    """Two light bodies in a softening that is far larger: the energy of a constant step has no error at all."""
    x = [[-1.2092327683156547, -1.2853262795225906], [-0.2883037844883889, -3.8862624941434087]]
    v = [[-6.778921679090453e-06, -1.7120261543068147e-05], [7.61188401042327e-06, 7.989065294482072e-06]]
    apart = Bodies([5e-10, 4.9e-21], x, v, softening=7394.672770900052, time=3729110.5785160596)
    near = Bodies([1.0, 1.0], x, v, softening=0.1, time=3729110.5780516)
    both = Bodies.stack([apart, near])
    result = simulate(both, t_end=446085907.8657202, max_steps=30, tol=2.8e-17, integrator="logh", guard=True)
    assert result.status[0] == "max_steps"
    assert result.steps[0] == 30


def test_the_length_of_a_run_may_be_without_number():
    x = np.array([[0.0, 0.0], [0.0, 2.5e139], [0.0, 2.5e139]])
    start = Bodies([0.0, 6e17, 5e17], x, np.zeros((3, 2)), softening=5e-102)
    assert are_long(start, np.array([1e199])).shape == (1,)
    with pytest.raises(UserError, match="range of double precision"):
        simulate(start, t_end=1e199, tol=1e-4)


def test_an_event_is_looked_for_inside_a_last_step_that_breaks_off():
    x, v = [[-1.0, 0.0], [1.0, 0.0], [0.0, 3.0]], [[-1e47, 0.0], [1e47, 1e46], [0.0, -1e47]]
    start = Bodies([1.0, 1.0, 1.0], x, v, softening=1e80, time=3e-140)
    sim = Simulation(start, criterion=Constant(2e117), integrator="blanes_moan6", events="escape:beyond=1e-86")
    sim.steps(15)
    assert np.isfinite(sim.result.final.position).all()
    assert sim.status == "ok"
