"""Runs at equal cost take the wanted forces."""

import numpy as np
import pytest

from aitimestepper.evaluation.contenders import Contender, contenders, rule_named
from aitimestepper.evaluation.matched import bisected, matched_step_parameter, matched_step_parameters
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import Suite, make_suite, reinforcement_case


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_the_search_finds_a_known_inverse_row_by_row(power):
    wanted, asked = np.array([10.0, 500.0, 7e5]), []

    def forces_at(number, rows):
        asked.append(rows.tolist())
        return wanted[rows] * (np.array([0.3, 2e-3, 5.0])[rows] / number) ** power

    match = bisected(forces_at, np.full(3, 0.02), wanted)
    assert np.abs(match.forces / wanted - 1).max() < 1e-3
    np.testing.assert_allclose(match.number, [0.3, 2e-3, 5.0], rtol=1e-3 / power)
    assert sum(map(len, asked)) < 3 * len(asked)  # rows that are there already are left alone


def test_a_jump_over_the_wanted_forces_ends_the_search_at_the_jump():
    match = bisected(lambda p, _: np.where(p > 0.1, 100.0, 300.0), np.array([0.02]), np.array([180.0]))
    assert match.forces[0] == 100.0
    assert match.number[0] > 0.1


@pytest.mark.parametrize(
    "contender", contenders([rule_named("hutmakino"), rule_named("tidal"), rule_named("constant")]), ids=lambda c: c.label
)
def test_each_problem_takes_the_wanted_forces_within_two_percent(contender):
    suite = make_suite(("kepler", "planets"), "validation", 3)
    wanted = np.linspace(3000, 8000, len(suite))
    step_parameters, done = matched_step_parameters(Systems.of(suite), contender, wanted)
    assert np.abs(done.forces / wanted - 1).max() < 0.02
    assert step_parameters.shape == (len(suite),)


def test_chaotic_problems_are_matched_as_far_as_their_forces_jump():
    """Of 240 of them, one is 3 % off: its forces go up and down by a factor of two with the step parameter."""
    suite = make_suite(("random3",), "validation", 12)
    _, done = matched_step_parameters(Systems.of(suite), Contender(rule_named("hutmakino"), "symmetrized", "leapfrog"), 6000.0)
    off = np.abs(done.forces / 6000 - 1)
    assert np.median(off) < 1e-3
    assert off.max() < 0.1


@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6", "hermite4"])
def test_the_median_problem_takes_the_wanted_forces_within_two_percent(integrator):
    systems = Systems.of(Suite("rl", tuple(reinforcement_case(seed) for seed in range(11))))
    _, done = matched_step_parameter(systems, Contender(rule_named("freefall"), "symmetrized", integrator), 3000.0)
    assert np.median(done.forces) == pytest.approx(3000, rel=0.02)
    assert done.forces.max() > 1.1 * done.forces.min()  # one step parameter for all: they do not cost the same
