"""Closest approaches: which pair, how near and when, located between steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from stopped_runs import started

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall, HutMakino
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate

COARSE = {
    "kahan_li6": Symmetrized(EnergyBudget(1e-7, "kahan_li6")),
    "kahan_li8": Symmetrized(EnergyBudget(1e-7, "kahan_li8")),
    "hermite4": HutMakino(0.03),
    "radau15": None,
}


@pytest.mark.parametrize("e", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("integrator", COARSE)
def test_the_pericentre_is_found_between_steps(integrator, e):
    """Steps move the pair by 3 to 18 % of its distance there; the distance is found to a few millionths, the time as well."""
    start = started(initial.kepler(e, 0.3), time=-1.5)
    r = simulate(start, t_end=4.5, criterion=COARSE[integrator], integrator=integrator)
    near = r.closest_approach
    fastest = math.sqrt((1 + e) / (1 - e))
    assert near.pair.tolist() == [[0, 1]]
    assert near.distance[0] / (1 - e) == pytest.approx(1, abs=4e-6)
    assert r.dt_min[0] * fastest / (1 - e) > 0.03
    # the distance changes little about its minimum: an error of 1e-6 there is one of 1e-3 in time, in units of its own time
    assert near.time[0] - math.pi + 1.5 == pytest.approx(0, abs=1e-2 * (1 - e) / fastest)


def test_the_place_between_steps_is_of_fourth_order(slope):
    """Exact orbits, constant steps that straddle the pericentre evenly: the worst case of the cubic between them."""
    start, steps, errors = started(initial.kepler(0.5)), [], []
    for n in (20, 40, 80):
        dt = math.pi / (n + 0.5)
        near = simulate(start, steps=n + 2, criterion=Constant(dt), integrator="radau15").closest_approach
        steps.append(dt)
        errors.append(abs(near.distance[0] - 0.5))
        assert near.time[0] == pytest.approx(math.pi, abs=1e-9)
    assert slope(steps, errors) == pytest.approx(4, abs=0.3)
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("softening", [0.0, 0.3])
def test_distances_are_those_of_the_bodies_whatever_the_softening(softening):
    """Two test particles meet on straight lines beside a far mass: the distance is known, steps are ten times as long as it."""
    position = [[-1.0, 0.0, 0.0], [1.0, 0.02, 0.0], [0.0, 0.0, 1e9]]
    start = Bodies([0.0, 0.0, 1.0], position, [[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]], softening=softening)
    near = simulate(start, t_end=2.0, criterion=Constant(0.106)).closest_approach
    assert near.distance[0] == pytest.approx(0.02, rel=1e-9)
    assert near.time[0] == pytest.approx(1.0, abs=1e-9)
    assert near.pair.tolist() == [[0, 1]]


def test_a_second_approach_that_is_nearer_is_found_too():
    """After a record of 0.02, one of 0.01 by another pair, in the middle of a step that begins 0.45 from it."""
    position = [[-1.0, 0.0, 0.0], [1.0, 0.02, 0.0], [4.95, 0.01, 0.0], [0.0, 0.0, 1e9]]
    velocity = [[1.0, 0, 0], [-1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]]
    start = Bodies([0.0, 0.0, 0.0, 1.0], position, velocity)
    near = simulate(start, t_end=4.0, criterion=Constant(0.25)).closest_approach
    assert near.pair.tolist() == [[0, 2]]
    assert near.distance[0] == pytest.approx(0.01, rel=1e-9)
    assert near.time[0] == pytest.approx(2.975, abs=1e-9)


def test_in_a_triple_it_is_the_inner_pair_at_its_pericentre():
    """Inner orbit a = 1, e = 0.6 far from a third body: within 1e-4 of the two-body pericentre, at each of its passages."""
    inner = initial.two_body(0.6, 0.5, 1.0, math.pi, 1.0, 3)
    mass = np.array([0.3, *inner.mass])
    position, velocity = np.zeros((2, 3, 3))
    position[0, 1], velocity[0, 0] = 40.0, 0.18
    position[1:], velocity[1:] = inner.position, inner.velocity
    r = simulate(Bodies(mass, position, velocity), t_end=4.0, criterion=EnergyBudget(1e-9, "kahan_li8"))
    assert r.closest_approach.pair.tolist() == [[1, 2]]
    assert r.closest_approach.distance[0] == pytest.approx(0.4, rel=1e-4)
    assert r.closest_approach.time[0] == pytest.approx(math.pi, abs=1e-3)


@pytest.mark.parametrize(("integrator", "tol"), [("kahan_li8", 1e-11), ("radau15", 1e-6)])
def test_the_pythagorean_problem_has_its_closest_approach_at_15_83(integrator, tol):
    """4.1382e-4 between the bodies 5 and 4 (the same with steps of 2e-3 of the free-fall time there)."""
    r = simulate(started(initial.burrau()), t_end=16.0, tol=tol, integrator=integrator)
    near = r.closest_approach
    assert near.pair.tolist() == [[0, 1]]
    assert near.distance[0] == pytest.approx(4.138248e-4, rel=1e-6)
    assert near.time[0] == pytest.approx(15.8299203, abs=1e-7)


def test_where_nothing_approaches_it_is_the_start():
    start = started(initial.two_body(0.5, 1.0, 1.0, 0.0, 1.0, 2), time=2.0)
    near = simulate(start, t_end=4.0, criterion=FreeFall(0.03)).closest_approach
    assert near.distance[0] == pytest.approx(0.5, rel=1e-15)
    assert near.time[0] == 2.0


def test_before_the_pericentre_it_is_the_end():
    near = simulate(started(initial.kepler(0.5)), t_end=3.0, criterion=FreeFall(0.03)).closest_approach
    assert near.time[0] == 3.0
    assert near.distance[0] > 0.5


def test_each_system_of_a_batch_has_its_own_by_the_numbers_of_its_bodies(padded):
    """Also where absent bodies stand between the present ones."""
    two = [padded(started(initial.kepler(e)), 4) for e in (0.5, 0.8)]
    batch = Bodies.stack(two)
    order = np.array([[2, 0, 3, 1], [2, 3, 0, 1]])
    arrays = {k: x[np.arange(2)[:, None], order] if x.ndim > 1 else x for k, x in batch.arrays().items()}
    near = simulate(Bodies(**arrays), t_end=4.0, criterion=EnergyBudget(1e-6, "kahan_li6")).closest_approach
    assert near.distance.tolist() == pytest.approx([0.5, 0.2], rel=1e-5)
    assert near.time.tolist() == pytest.approx([math.pi] * 2, abs=1e-4)
    assert [sorted(pair) for pair in near.pair.tolist()] == [[1, 3], [2, 3]]


def test_the_nearest_of_more_than_192_bodies_are_found():
    """The nearest pair is put together from chunks: a pair on its orbit, far from 200 bodies that hardly move."""
    orbit = initial.kepler(0.7)
    rng = np.random.default_rng(2)
    mass = np.concatenate([np.full(200, 1e-12), orbit.mass])
    position = np.concatenate([1e3 + 100 * rng.normal(size=(200, 2)), orbit.position])
    velocity = np.concatenate([np.zeros((200, 2)), orbit.velocity])
    shuffled = rng.permutation(202)
    start = Bodies(mass[shuffled], position[shuffled], velocity[shuffled])
    near = simulate(start, t_end=4.0, criterion=EnergyBudget(1e-7, "kahan_li8"), threads=1).closest_approach
    assert set(shuffled[near.pair[0]].tolist()) == {200, 201}
    assert near.distance[0] == pytest.approx(0.3, rel=1e-5)
