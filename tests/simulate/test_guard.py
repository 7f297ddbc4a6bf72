"""Steps that are thrown away, and runs that cannot go on: nothing loops for ever, and the status says what happened."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from stopped_runs import started

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Limited, Symmetrized
from aitimestepper.initial import named as initial
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.steering import GUARD_SHARE

METHODS = (*SPLITTINGS, "hermite4", "hermite4:n=3", "logh", "radau15")


def head_on() -> Bodies:
    """Two bodies at rest: they meet at t = pi."""
    return Bodies([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2)))


# ---- the guard ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", [*SPLITTINGS, "hermite4", "radau15"])
def test_a_guard_makes_a_step_that_is_too_long_shorter_and_counts(integrator):
    """e = 0.9 with 63 steps an orbit; without a guard, splittings lose all energy at the first pericentre."""
    start = started(initial.kepler(0.9))
    given = {"t_end": 20.0, "criterion": Constant(0.1), "integrator": integrator}
    loose, guarded = simulate(start, **given), simulate(start, **given, tol=1e-3, guard=True)
    # radau15 also makes a step again whose iterations do not settle
    assert (loose.rejected_steps[0] == 0) == (integrator != "radau15")
    assert loose.max_energy_error[0] > 0.005
    assert guarded.status == ("ok",)
    assert guarded.rejected_steps[0] > 0
    assert guarded.max_energy_error[0] < 0.02 * loose.max_energy_error[0]
    assert guarded.dt_min[0] < 0.1 == guarded.dt_max[0]


@pytest.mark.parametrize("integrator", [*SPLITTINGS, "hermite4:n=2"])
def test_forces_of_rejected_steps_are_counted(integrator):
    start = started(initial.kepler(0.9))
    r = simulate(start, t_end=4.0, criterion=Constant(0.1), integrator=integrator, tol=1e-3, guard=True)
    stages = SPLITTINGS[integrator].stages if integrator in SPLITTINGS else 2
    assert r.rejected_steps[0] > 3
    assert r.force_evaluations[0] == 1 + stages * (r.steps[0] + r.rejected_steps[0])


def test_no_accepted_step_changes_the_energy_by_more_than_a_tenth_of_the_tolerance():
    energies: list = []
    start = started(initial.kepler(0.9))
    r = simulate(
        start,
        t_end=7.0,
        criterion=Constant(0.1),
        tol=1e-3,
        guard=True,
        output_steps=1,
        sinks=(lambda _, rows: energies.extend(rows["energy"][:, 0]),),
    )
    jumps = np.abs(np.diff(energies)) / abs(energies[0])
    assert len(jumps) == r.steps[0]
    assert jumps.max() <= GUARD_SHARE * 1e-3
    assert jumps.max() > 0.3 * GUARD_SHARE * 1e-3


def test_a_guard_that_has_nothing_to_do_changes_no_bit():
    start = started(initial.random(4, 3, seed=3))
    for criterion, integrator in ((Symmetrized(FreeFall(0.01)), "leapfrog"), (EnergyBudget(1e-9, "kahan_li8"), "kahan_li8")):
        given = {"steps": 200, "criterion": criterion, "integrator": integrator}
        plain, guarded = simulate(start, **given), simulate(start, **given, tol=1e3, guard=True)
        assert guarded.rejected_steps[0] == 0
        assert np.array_equal(plain.final.position, guarded.final.position)
        assert np.array_equal(plain.max_energy_error, guarded.max_energy_error)


@pytest.mark.parametrize("criterion", [Constant(0.02), FreeFall(0.1)], ids=["constant", "freefall"])
def test_a_guard_shortens_the_steps_of_logh_too(criterion):
    """Three bodies, where it is not exact: half as long a step in time is one of half ds, whatever the criterion."""
    given = {"t_end": 3.0, "criterion": criterion, "integrator": "logh"}
    loose, guarded = (simulate(started(initial.burrau()), **given, **more) for more in ({}, {"tol": 1e-4, "guard": True}))
    assert guarded.status == ("ok",)
    assert guarded.rejected_steps[0] > 0
    assert guarded.max_energy_error[0] < 0.8 * loose.max_energy_error[0]


def test_each_system_of_a_batch_is_guarded_for_itself():
    both = Bodies.stack([started(initial.kepler(0.9)), started(initial.kepler(0.1))])
    r = simulate(both, t_end=4.0, criterion=Constant(0.05), tol=1e-2, guard=True)
    assert r.rejected_steps[0] > 0
    assert r.rejected_steps[1] == 0
    assert r.steps[1] == 80


@pytest.mark.parametrize("integrator", METHODS)
@pytest.mark.parametrize("criterion", [Constant(0.01), FreeFall(0.02)], ids=["constant", "freefall"])
def test_a_collision_head_on_ends(integrator, criterion):
    """Whatever the method, with a guard that nothing can satisfy at the collision: `max_steps` or `stuck`, and soon."""
    began = time.perf_counter()
    r = simulate(head_on(), t_end=10.0, criterion=criterion, integrator=integrator, tol=1e-12, guard=True, max_steps=20_000)
    assert time.perf_counter() - began < 5
    assert r.status[0] in ("stuck", "max_steps")
    assert r.max_energy_error[0] < 1e-7
    assert r.final.time[0] < math.pi + 0.01
    assert np.isfinite(r.final.position).all()


def test_where_no_step_is_small_enough_the_run_is_stuck_and_the_others_go_on():
    pair = started(initial.kepler(0.2))
    r = simulate(
        Bodies.stack([head_on(), pair]),
        t_end=5.0,
        criterion=Constant(0.01),
        integrator="kahan_li8",
        tol=1e-10,
        guard=True,
    )
    assert r.status == ("stuck", "ok")
    assert r.final.time[0] == pytest.approx(math.pi, abs=1e-5)
    assert r.max_energy_error[0] < 1e-9
    alone = simulate(pair, t_end=5.0, criterion=Constant(0.01), integrator="kahan_li8", tol=1e-10, guard=True)
    assert np.array_equal(r.final.position[1], alone.final.position[0])


# ---- steps that are no steps ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("begin", [1.0, -1e6, 0.0])
@pytest.mark.parametrize(
    "given", [{"criterion": Constant(1e-300)}, {"criterion": FreeFall(), "dt_max": 1e-300}], ids=["constant", "dt_max"]
)
def test_steps_too_short_to_get_anywhere_are_stuck(begin, given):
    """Also from t = 0, where any step changes the time."""
    r = simulate(started(initial.kepler(), time=begin), t_end=begin + 1, max_steps=1000, **given)
    assert r.status == ("stuck",)
    assert r.final.time[0] <= begin + 1e-290


@pytest.mark.parametrize("integrator", METHODS)
def test_a_step_to_infinity_is_not_finite_and_is_not_taken(integrator):
    start = started(initial.kepler(0.5))
    r = simulate(start, steps=3, criterion=Constant(1e200), integrator=integrator)
    assert r.status == ("non_finite",)
    assert r.steps[0] == 0
    assert np.array_equal(r.final.position, start.position)
    assert np.array_equal(r.final.velocity, start.velocity)


def test_two_bodies_in_one_place_are_not_finite_and_the_state_before_is_kept():
    """All numbers are exact: a step that leads back to where it began, then one of 1 that ends at 0 for both."""
    start = Bodies([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    r = simulate(start, steps=5, criterion=Constant(1.0))
    assert r.status == ("non_finite",)
    assert r.steps[0] == 1
    assert r.final.time[0] == 1.0
    assert r.final.position[0].tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert r.final.velocity[0].tolist() == [[0.5, 0.0], [-0.5, 0.0]]
    assert r.final_energy_error[0] == 0


def test_with_a_guard_that_step_is_made_shorter():
    start = Bodies([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    r = simulate(start, steps=2, criterion=Constant(1.0), tol=1.0, guard=True)
    assert r.status == ("ok",)
    assert r.rejected_steps[0] > 0


def test_the_forces_of_a_step_that_failed_are_counted():
    start = Bodies([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    assert simulate(start, steps=5, criterion=Constant(1.0)).force_evaluations.tolist() == [3]


def test_max_steps_ends_a_run_before_its_time_and_says_so():
    start = Bodies.stack([started(initial.kepler(0.3)), started(initial.kepler(0.3), time=0.9)])
    for integrator in METHODS:
        r = simulate(start, t_end=1.0, criterion=Constant(0.02), integrator=integrator, max_steps=20)
        assert r.status == ("max_steps", "ok")
        assert r.steps[0] == 20
        assert r.final.time[0] < 1.0 == r.final.time[1]


def test_limits_hold_in_every_step():
    steps: list = []
    given = {"t_end": 6.3, "output_steps": 1, "sinks": (lambda _, rows: steps.extend(rows["dt"][:, 0]),)}
    start = started(initial.kepler(0.9))
    r = simulate(start, criterion=Limited(FreeFall(0.05), 0.004, 0.02), **given)
    assert len(steps) == r.steps[0] + 1
    inner = steps[1:-1]  # neither the start nor the step that lands on the end
    assert (min(inner), max(inner)) == (r.dt_min[0], r.dt_max[0]) == (0.004, 0.02)
    assert len(set(inner)) > 20
    by_name = simulate(start, t_end=6.3, criterion=FreeFall(0.05), dt_min=0.004, dt_max=0.02)
    assert np.array_equal(by_name.final.position, r.final.position)
