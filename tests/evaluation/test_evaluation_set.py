"""Evaluation sets: budgets from runs of EnergyBudget, and scores that are those of simulations of the same problems."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.evaluation_set import BUDGET_FACTOR, LONG_END, WORST, EvaluationSet, evaluate
from aitimestepper.evaluation.runs import measure
from aitimestepper.models import shipped
from aitimestepper.simulate.engine import simulate

TOLERANCES = (1e-2, 1e-3)


@pytest.fixture(scope="module")
def problems() -> EvaluationSet:
    return EvaluationSet.make("leapfrog", TOLERANCES, "validation", 3, ("kepler", "random3"), first=7000)


@pytest.fixture(scope="module")
def step() -> LearnedStep:
    return LearnedStep(shipped("leapfrog"))


def test_the_set_holds_as_many_problems_of_each_family_with_budgets_for_each_tolerance(problems):
    assert problems.order == 2
    assert problems.families == ("kepler", "random3")
    assert problems.family.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.shape(problems.budgets) == (2, 2)
    rule = Contender(rule_named("energybudget"), "symmetrized", "leapfrog")
    some = problems.systems.rows(np.arange(3))
    forces = measure(some, rule, rule.step_parameter(1e-3), 10**6).forces
    assert problems.budgets[1][0] == BUDGET_FACTOR * forces.max()


def test_long_runs_are_cut():
    long = EvaluationSet.make("leapfrog", (1e-1,), "validation", 2, ("longrun",))
    assert (long.systems.ends == LONG_END).all()


def test_scores_are_those_of_simulations(problems, step):
    scores = evaluate(step, problems)
    assert scores.log_forces.shape == scores.log_excess.shape == (2, 6)
    start, ends, _ = problems.systems
    for t, tol in enumerate(TOLERANCES):
        done = simulate(start, t_end=ends, criterion=Symmetrized(step.at_tolerance(tol)), integrator="leapfrog")
        np.testing.assert_allclose(np.exp(scores.log_forces[t]), done.force_evaluations, rtol=1e-3)
        np.testing.assert_allclose(np.exp(scores.log_excess[t]), done.max_energy_error / tol, rtol=1e-2)


def test_a_factor_changes_what_the_step_is_asked_for_not_what_errors_are_measured_against(problems, step):
    asked, tighter = evaluate(step, problems), evaluate(step, problems, factor=0.1)
    regular = problems.family == 0  # one of three bodies at random may end with a tight binary in one of its two runs
    assert (tighter.log_forces > asked.log_forces)[:, regular].all()
    np.testing.assert_allclose(tighter.log_forces[0], asked.log_forces[1], rtol=1e-3)
    np.testing.assert_allclose(tighter.log_excess[0] - np.log(0.1), asked.log_excess[1], atol=0.05)


def test_the_wrapper_can_be_chosen_and_part_of_the_problems(problems, step):
    plain = evaluate(step, problems.rows(np.arange(3)), wrap=lambda step: step)
    assert plain.log_forces.shape == (2, 3)
    assert not np.allclose(plain.log_excess, evaluate(step, problems).log_excess[:, :3])


def test_a_run_that_the_budget_stops_has_the_worst_score(problems, step):
    poor = problems._replace(budgets=((50, 10**6), (10**6, 10**6)))
    scores = evaluate(step, poor)
    assert (scores.log_excess[0, :3] == WORST).all()
    assert (scores.log_excess[0, 3:] < WORST).all()
