"""Runs that cannot go on: the last good state is kept, the status says what happened, and the neighbours go on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.own import OwnCriterion
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.simulate.engine import simulate

# steps of one's own are what these tests are about
pytestmark = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")


def plays(*lists: tuple[float, ...]) -> OwnCriterion:
    """The steps of a list, one after the other; with several lists, each for the system of its number."""

    left = [iter(steps) for steps in lists]

    def following(time, mass, position, velocity, acceleration, value):
        return next(left[int(value) - 1])

    return OwnCriterion(following, value=[1.0 + k for k in range(len(lists))] if len(lists) > 1 else 1.0)


def test_max_steps_shows_in_the_status_and_keeps_the_state_reached(two_body):
    p = Bodies.stack([two_body(e=0.1), two_body(e=0.1, time=0.95)])
    r = simulate(p, t_end=1.0, criterion=Constant(0.01), max_steps=20)
    assert r.status == ("max_steps", "ok")
    assert r.steps.tolist() == [20, 5]  # the time is summed with compensation: five steps of 0.01 are 0.05
    assert r.final.time.tolist() == pytest.approx([0.2, 1.0], rel=1e-14)
    both = simulate(p, steps=30, max_steps=20, criterion=Constant(0.01))
    assert (both.status, both.steps.tolist()) == (("max_steps",) * 2, [20, 20])
    enough = simulate(p, steps=20, max_steps=30, criterion=Constant(0.01))
    assert (enough.status, enough.steps.tolist()) == (("ok",) * 2, [20, 20])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_a_step_that_is_no_number_ends_that_run(two_body, bad):
    r = simulate(two_body(), steps=5, criterion=plays((0.01, 0.01, bad, 0.01, 0.01)))
    assert r.status == ("non_finite",)
    assert r.steps[0] == 2
    expected = simulate(two_body(), steps=2, criterion=Constant(0.01))
    assert np.array_equal(r.final.position, expected.final.position)


def test_a_collision_ends_its_own_run_with_the_last_finite_state():
    """Two bodies that meet to the last bit in the drift of the second step: no energy there; the neighbour goes on."""
    # massless but for a far body, so that the drift is a straight line in round numbers
    meeting = Bodies([0.0, 0.0, 1.0], [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0**40]], [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    quiet = Bodies([1.0, 2.0, 3.0], [[0.0, 1.0], [2.0, 0.0], [-1.0, -1.0]], np.zeros((3, 2)))
    r = simulate(Bodies.stack([meeting, quiet]), steps=4, criterion=Constant(0.25))
    assert r.status == ("non_finite", "ok")
    assert r.steps.tolist() == [1, 4]
    assert r.final.time.tolist() == [0.25, 1.0]
    assert np.isfinite(r.final.position).all()
    assert r.final.position[0, :2, 0].tolist() == [0.25, 0.75]
    assert np.array_equal(r.final.position[1], simulate(quiet, steps=4, criterion=Constant(0.25)).final.position[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_an_overflow_ends_its_own_run_with_the_last_finite_state(two_body, threads):
    """A state whose energy is no number any more is not taken; the other system takes that step all the same."""
    p = Bodies.stack([two_body(e=0.1), two_body(e=0.5)])
    wild, calm = (0.01, 0.01, 1e200, 0.01), (0.01,) * 4
    r = simulate(p, steps=3, criterion=plays(wild, wild), threads=threads)
    assert r.status == ("non_finite", "non_finite")
    assert r.steps.tolist() == [2, 2]
    assert np.isfinite(r.final.position).all()
    assert np.isfinite(r.max_energy_error).all()
    r = simulate(p, steps=4, criterion=plays(wild, calm), threads=threads)
    assert r.status == ("non_finite", "ok")
    assert r.steps.tolist() == [2, 4]
    other = simulate(two_body(e=0.5), steps=4, criterion=Constant(0.01))
    assert np.array_equal(r.final.position[1], other.final.position[0])
    assert r.final.time[0] == 0.02


def test_a_step_below_the_round_off_of_time_is_stuck(two_body):
    p = Bodies.stack([two_body(e=0.5, time=1e9), two_body(e=0.5)])
    r = simulate(p, t_end=1e9 + 1, criterion=Constant(1e-8), max_steps=3)
    assert r.status == ("stuck", "max_steps")
    assert r.steps.tolist() == [0, 3]
    assert r.final.time.tolist() == [1e9, pytest.approx(3e-8)]
    assert simulate(two_body(), steps=3, criterion=plays((0.1, 0.0, 0.1))).status == ("stuck",)


def test_the_last_short_step_says_nothing_about_the_criterion(two_body):
    def extremes(**given):
        r = simulate(two_body(), **given)
        return r.steps[0], r.dt_min[0], r.dt_max[0]

    assert extremes(t_end=0.35, criterion=Constant(0.1)) == (4, 0.1, 0.1)
    assert extremes(t_end=0.05, criterion=Constant(0.1)) == (1, 0.05, 0.05)
    assert extremes(t_end=1.0, criterion=plays((0.3, 0.05, 0.2, 0.4, 0.9))) == (5, 0.05, 0.4)


def test_advice_that_is_followed_helps(two_body):
    """A tolerance that was missed is kept with the one advised; a run that broke off is told why, each system by its number."""
    p = two_body(e=0.5)
    missed = simulate(p, t_end=20.0, criterion=EnergyBudget(1e-3, c=8.0))
    (sentence,) = missed.advice
    assert f"energy error of {missed.max_energy_error[0]:.1e}, above the 1.0e-03 asked for" in sentence
    advised = float(sentence.split()[-1].rstrip("."))
    assert simulate(p, t_end=20.0, criterion=EnergyBudget(advised, c=8.0)).max_energy_error[0] < 1e-3
    broken = simulate(Bodies.stack([p, p]), t_end=np.array([20.0, 1e-3]), criterion=FreeFall(0.01), max_steps=10)
    assert broken.advice == ("system 0 used up its steps: allow more of them (max_steps).",)


def test_time_does_not_go_back_by_logh():
    """Where bodies that are not bound have parted, K - E is a rounding error of any sign, by which logh divides its steps."""
    mass, softening, G = [27444819.0, 14722567.6], 1840.0, 0.381
    fast = Bodies(mass, [[-0.247, 1.006], [-0.169, 1.3206]], [[-679.0, -1169.0], [-105.7, 830.85]], softening=softening, G=G)
    r = simulate(fast, steps=30, criterion=Symmetrized(FreeFall(0.03)), integrator="logh")
    assert r.status == ("stuck",)
    assert r.steps[0] > 0
    assert r.dt_min[0] > 0.0
    assert r.final.time[0] > 0.0
    assert "logh, which is for bodies that stay together" in r.advice[0]


@pytest.mark.parametrize("integrator", ["leapfrog", "hermite4", "radau15"])
def test_numbers_beyond_the_range_of_doubles_are_no_warnings_of_numpy(two_body, integrator):
    """The seventh power of eta is infinite, which only means that no step is short."""
    r = simulate(two_body(), t_end=0.1, criterion=PRS23(1e60), integrator=integrator, max_steps=50)
    assert r.status[0] in ("ok", "non_finite", "max_steps", "stuck")
    assert np.isfinite(r.final.position).all()
