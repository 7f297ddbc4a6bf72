"""Contenders: each has one number that its steps are proportional to, whatever the rule, the wrapper and the integrator."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.criteria.learned import LearnedStep, covered
from aitimestepper.errors import CheckpointError, ConfigError, SlowPythonWarning
from aitimestepper.evaluation.contenders import CLASSICAL, Contender, contenders, learned_rule, rule_named
from aitimestepper.evaluation.runs import Systems, first_steps, measure
from aitimestepper.evaluation.sweep import coarsest
from aitimestepper.initial.suites import make_suite
from aitimestepper.models import save_model, shipped

OWN = """
import numpy as np

from aitimestepper.criteria.classical import EnergyBudget, FreeFall, Tidal
from aitimestepper.criteria.wrappers import Limited


def Halved(eta):
    return FreeFall(0.5 * np.asarray(eta))

def Root(eta):
    return Tidal(eta)

def Tight(tol):
    return Limited(EnergyBudget(0.1 * np.asarray(tol)), 1e-9)

def pair(time, mass, position, velocity, acceleration, value):
    "The free-fall time of two bodies."
    return value * np.sqrt(np.linalg.norm(position[1] - position[0]) ** 3 / mass.sum())

def root(time, mass, position, velocity, acceleration, value):
    return np.sqrt(value) * 0.1

root.power = 0.5

def Number(eta):
    return eta

def Failing(eta):
    raise ValueError("no such number.")
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return lambda name: rule_named(f"{tmp_path}/own.py:{name}")


@pytest.fixture
def systems() -> Systems:
    return Systems.of(make_suite(("kepler",), "train", 2))


@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6"])
def test_the_step_parameter_is_the_size_of_the_steps(integrator):
    """Half the step parameter is half the step, for every rule and order."""
    start, _ = make_suite(("random3",), "train", 2).batch()
    for contender in contenders([rule_named(n) for n in CLASSICAL], integrators=(integrator,)):
        whole, half = (first_steps(start, contender.criterion(s, start), integrator) for s in (1e-2, np.full(2, 5e-3)))
        # EnergyBudget approaches its ceiling smoothly
        np.testing.assert_allclose(whole / 2, half, rtol=1e-3 if contender.rule.name == "energybudget" else 1e-12)
        assert contender.step_parameter(contender.value(0.3)) == pytest.approx(0.3)


def test_first_steps_are_those_of_a_run_also_where_they_are_far_too_long():
    start, _ = make_suite(("random3",), "train", 2).batch()
    for rule in ("freefall", "tidal", "energybudget"):
        contender = Contender(rule_named(rule), "plain", "leapfrog")
        short, long = (first_steps(start, contender.criterion(s, start)) for s in (1e-3, 10.0))
        np.testing.assert_allclose(1e4 * short, long, rtol=1e-3 if rule == "energybudget" else 1e-12)


def test_what_can_be_measured():
    rules = [rule_named(n) for n in CLASSICAL]
    assert len(contenders(rules)) == 2 * len(CLASSICAL) - 1  # a constant step is symmetric already
    with pytest.raises(ConfigError, match="did you mean 'freefall'"):
        rule_named("frefall")
    with pytest.raises(ConfigError, match="its number is what is calibrated: write tidal"):
        rule_named("tidal:eta=1")
    with pytest.raises(ConfigError, match="variant = 'symetrized': did you mean 'symmetrized'"):
        contenders(rules, ["symetrized"])


@pytest.mark.parametrize(
    ("integrator", "variant"),
    [("leapfrog", "plain"), ("kahan_li6", "plain"), ("leapfrog", "hmm"), ("hermite4:n=3", "plain")],
)
def test_forces_per_step_are_those_that_are_counted(systems, integrator, variant):
    contender = Contender(rule_named("freefall"), variant, integrator)
    outcome = measure(systems, contender, 0.2, 10**6)
    np.testing.assert_allclose(outcome.forces, outcome.steps * contender.forces_per_step, atol=contender.forces_per_step + 1)


# ---- learned rules ---------------------------------------------------------------------------------------------------
def test_networks_of_the_package_are_chosen_by_integrator(systems):
    rule = rule_named("learned")
    for integrator in ("blanes_moan4", "hermite4"):
        contender = Contender(rule, "plain", integrator)
        step = contender.criterion(contender.step_parameter(1e-3), systems.start)
        assert isinstance(step, LearnedStep)
        assert step.model == shipped(integrator)
        assert not step.symmetrized
        assert step.tol == pytest.approx([1e-3, 1e-3])
    assert rule_named("learned:default").checksum == rule.checksum != 0


def test_a_network_of_ones_own_is_known_by_its_numbers(tmp_path, systems):
    path = save_model(tmp_path / "mine.npz", shipped("leapfrog"))
    rule = rule_named(f"learned:{path}")
    assert rule.name == f"learned:{path}"
    assert rule.takes_tolerance
    assert rule.checksum == int(shipped("leapfrog").digest[:8], 16)
    one, other = (measure(systems, Contender(r, "symmetrized", "leapfrog"), 0.05, 3000) for r in (rule, rule_named("learned")))
    assert np.array_equal(one.error, other.error)
    with pytest.raises(CheckpointError, match="no model or run"):
        rule_named("learned:nothing")


# ---- rules of one's own ----------------------------------------------------------------------------------------------
def test_a_function_or_class_that_makes_a_criterion_is_a_rule(own, systems):
    halved = measure(systems, Contender(own("Halved"), "symmetrized", "leapfrog"), 0.4, 2000)
    known = measure(systems, Contender(rule_named("freefall"), "symmetrized", "leapfrog"), 0.2, 2000)
    np.testing.assert_allclose(halved.error, known.error, rtol=1e-9)
    assert own("Halved").name == "own.py:Halved"
    assert own("Halved").checksum != 0
    assert not own("Halved").takes_tolerance
    assert own("Root").exponent("leapfrog") == 0.5
    assert own("Tight").takes_tolerance
    assert Contender(own("Tight"), "plain", "leapfrog").value(0.01) == pytest.approx(1e-4)


def test_a_function_that_chooses_the_step_is_a_rule(own, systems):
    with pytest.warns(SlowPythonWarning):
        mine = measure(systems, Contender(own("pair"), "symmetrized", "leapfrog"), 0.2, 2000)
    known = measure(systems, Contender(rule_named("freefall"), "symmetrized", "leapfrog"), 0.2, 2000)
    np.testing.assert_allclose(mine.error, known.error, rtol=1e-6)
    assert Contender(own("root"), "plain", "leapfrog").value(0.1) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Halve", "has no criterion 'Halve': did you mean 'Halved'"),
        ("FreeFall", "has no criterion 'FreeFall'"),  # imported there, but not written there
        ("Number", "Number must return a criterion, not ndarray"),
        ("Failing", r"must be made from one number for each system; it ended with ValueError: no such number\.$"),
    ],
)
def test_a_wrong_rule_is_refused_in_a_sentence(own, name, message):
    with pytest.raises(ConfigError, match=message):
        own(name)


def test_a_missing_file_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="there is no file"):
        rule_named("none.py:Mine")


@pytest.mark.parametrize("integrator", ["blanes_moan4", "leapfrog"])
def test_a_sweep_of_a_learned_step_begins_with_the_loosest_tolerance_that_its_network_covers(integrator):
    """Far beyond it the steps are tiny: asked for 3.8, blanes_moan4 took 11 times the forces of 1e-3, with errors of 1e-8."""
    model = shipped(integrator)
    for rule in (rule_named("learned"), learned_rule(LearnedStep(model))):
        contender = Contender(rule, "plain", integrator)
        assert contender.value(coarsest(contender)) <= covered(model)[1] * (1 + 1e-12)
    classical = Contender(rule_named("energybudget"), "plain", integrator)
    assert classical.value(coarsest(classical)) > covered(model)[1]
