"""Long runs of disturbed bodies: the tolerance that a network is asked for shrinks with their number of orbits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from aitimestepper import Bodies, EnergyBudget, LearnedStep, Symmetrized, simulate
from aitimestepper.constants import LONG_RUN
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.errors import ConfigError
from aitimestepper.initial import kepler, triple
from aitimestepper.initial.named import plummer
from aitimestepper.models import shipped
from aitimestepper.policy import choose
from aitimestepper.simulate.length import for_length, turns_of

ORBIT = 2 * math.pi


def planets() -> Bodies:
    """A star with two planets of mass 1e-3 at a = 1 and 2, the second without mass in the second system."""
    systems = []
    for outer in (1e-3, 0.0):
        mass = np.array([1.0, 1e-3, outer])
        x = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.0]])
        v = np.array([[0.0, 0.0], [0.0, math.sqrt(1.001)], [0.0, -math.sqrt(0.5)]])
        systems.append(Bodies(mass, x, v))
    return Bodies.stack(systems)


def test_orbits_are_counted_of_the_tightest_pair_where_a_third_body_disturbs_it():
    start = planets()
    period = ORBIT / math.sqrt(1.001)
    assert turns_of(start, np.array([100.0, 200.0]) * period) == pytest.approx([100, 200], rel=1e-9)
    pair, cloud = (Bodies(i.mass, i.position, i.velocity) for i in (kepler(e=0.5), plummer(32, seed=1)))
    assert turns_of(pair, np.array([1e4])).tolist() == [0.0]
    assert turns_of(cloud, np.array([1e4])).tolist() == [0.0]
    assert turns_of(start, np.full(2, np.inf)).tolist() == [0.0, 0.0]


def test_the_tolerance_shrinks_with_the_square_beyond_forty_orbits():
    start, step = planets(), Symmetrized(LearnedStep(shipped("leapfrog"), 1e-2))
    period = ORBIT / math.sqrt(1.001)
    assert for_length(step, start, np.full(2, LONG_RUN * period * 0.99)) == step
    long = innermost(for_length(step, start, np.array([0.5, 4.0]) * LONG_RUN * period))
    assert long.shortening(2) == pytest.approx([1.0, 0.0625], rel=1e-9)
    asked = innermost(step).calibrated_tolerance(np.array([1e-2, 0.0625e-2]))
    assert long.calibrated_tolerance(np.full(2, 1e-2)) == pytest.approx(asked, rel=1e-9)
    assert for_length(EnergyBudget(1e-2), start, np.full(2, 1e9)) == EnergyBudget(1e-2)
    with pytest.raises(ConfigError, match="turns = -1"):
        LearnedStep(None, 1e-2, turns=-1.0)


def test_a_run_that_goes_on_keeps_the_tolerance_that_it_began_with():
    bodies, tol = triple(), 1e-3
    first = simulate(bodies, t_end=50.0, tol=tol)
    second = simulate(first, t_end=5000.0)
    assert second.final.run.criterion == first.final.run.criterion
    at_once = simulate(bodies, t_end=5000.0, tol=tol)
    assert innermost(at_once.final.run.criterion).turns is not None
    assert at_once.steps[0] > 1.1 * second.steps[0]


def test_units_do_not_change_the_number_of_orbits():
    start, T, L, M = planets(), 2.0**20, 2.0**40, 2.0**80
    other = Bodies(start.mass * M, start.position * L, start.velocity * (L / T), G=L**3 / (M * T**2))
    assert turns_of(other, np.full(2, 1e4 * T)) == pytest.approx(turns_of(start, np.full(2, 1e4)), rel=1e-12)


def test_it_is_part_of_the_criterion():
    step = choose(None, 1e-3).criterion
    long = for_length(step, planets(), np.full(2, 1e4))
    assert dataclasses.replace(innermost(long), turns=None) == innermost(step)
    assert long != step
    assert hash(long) != hash(step)
