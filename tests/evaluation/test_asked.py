"""Asked and got: every contender is asked for the same errors, and classical rules get their tolerance by calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.bodies import as_bodies
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.evaluation.asked import (
    FIRST,
    RULES,
    CalibratedRule,
    answers_of_network,
    answers_of_package,
    answers_of_rule,
    calibrated_rules,
)
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.initial.named import triple
from aitimestepper.initial.suites import make_suite
from aitimestepper.models import shipped
from aitimestepper.simulate.engine import simulate

TOLERANCES = (1e-2, 1e-4)


@pytest.fixture(scope="module")
def rules() -> list[CalibratedRule]:
    return calibrated_rules("chin4", ("kepler", "triple"), TOLERANCES, problems=10)


def test_nine_in_ten_of_the_training_problems_are_within_each_tolerance_and_not_wastefully(rules):
    systems = Systems.of(make_suite(("kepler", "triple"), "train", 10, 3, None, FIRST))
    assert [rule.contender.rule.name for rule in rules] == list(RULES)
    for rule in rules:
        for tol, parameter in rule.step_parameter.items():
            within = measure(systems, rule.contender, parameter, 10**6).error <= tol
            longer = measure(systems, rule.contender, 1.5 * parameter, 10**6).error <= tol
            assert 0.8 <= within.mean() <= 1.0, (rule.contender.label, tol)
            assert longer.mean() < 0.95, (rule.contender.label, tol)


def test_the_answers_are_those_of_plain_runs(rules):
    bodies = as_bodies(triple())
    model = shipped("chin4")
    for tol, mine in zip(TOLERANCES, answers_of_network("x", LearnedStep(model), bodies, 50.0, TOLERANCES), strict=True):
        run = simulate(bodies, t_end=50.0, criterion=LearnedStep(model), tol=tol)
        assert (mine.tol, mine.error, mine.forces) == (tol, run.max_energy_error[0], run.force_evaluations[0])
        assert mine.within
    alone = answers_of_package("y", bodies, 50.0, TOLERANCES)
    assert alone[0].forces == simulate(bodies, t_end=50.0, tol=1e-2).force_evaluations[0]
    for answer in answers_of_rule(rules[0], bodies, 50.0, TOLERANCES):
        assert answer.label == "freefall"
        assert answer.forces > 0


def test_a_tolerance_without_a_calibration_is_left_out_and_a_broken_run_got_nothing(rules):
    bodies = as_bodies(triple())
    rule = rules[0]._replace(step_parameter={1e-2: math.nan, 1e-4: rules[0].step_parameter[1e-4]})
    assert [answer.tol for answer in answers_of_rule(rule, bodies, 5.0, TOLERANCES)] == [1e-4]
    endless = CalibratedRule(Contender(rule_named("freefall"), "symmetrized", "chin4"), {1e-2: 1e-9})
    (answer,) = answers_of_rule(endless, bodies, 5.0, (1e-2,))
    assert np.isinf(answer.error)
    assert not answer.within
