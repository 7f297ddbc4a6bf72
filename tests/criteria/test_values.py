"""Criteria are values: compared, hashed, printed, with sentences for numbers that cannot be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from aitimestepper import (
    PRS23,
    Aarseth,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    Huayno,
    HutMakino,
    HutMakinoMcMillan,
    LastTerm,
    LearnedStep,
    Limited,
    OwnCriterion,
    Symmetrized,
    Tidal,
)
from aitimestepper.criteria.base import Criterion
from aitimestepper.criteria.catalogue import CRITERIA, criterion_named
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.models import SHIPPED, shipped

ALL = [Constant(0.1), FreeFall(), HutMakino(), Aarseth(), Tidal(), PRS23(), Boekholt(), LastTerm(), EnergyBudget()]
ALL += [LearnedStep.load("default", 1e-4), LearnedStep.load("default", 1e-4, "blanes_moan4")]


def rule(time, mass, position, velocity, acceleration, value):
    return value


@pytest.mark.parametrize("criterion", ALL, ids=str)
def test_equal_numbers_make_equal_values(criterion):
    twin = dataclasses.replace(criterion)
    assert twin == criterion
    assert hash(twin) == hash(criterion)
    assert Symmetrized(twin) == Symmetrized(criterion) != Symmetrized(criterion, max_ratio=1.1)
    assert {criterion: 1}[twin] == 1
    assert type(criterion).__name__ in repr(criterion)


def test_other_numbers_kinds_and_wrappers_make_other_values():
    values = [*ALL, FreeFall(0.03), Symmetrized(FreeFall()), Limited(FreeFall(), 0.1), Huayno(FreeFall())]
    values += [HutMakinoMcMillan(FreeFall()), HutMakinoMcMillan(FreeFall(), 2), LearnedStep.load("default", 1e-5)]
    values += [LearnedStep.load("default", 1e-4, "chin4"), OwnCriterion(rule), OwnCriterion(rule, 2.0)]
    assert len(set(values)) == len(values)


def test_values_cannot_be_changed():
    for criterion, name in ((FreeFall(), "eta"), (Symmetrized(FreeFall()), "max_ratio"), (ALL[-1], "tol")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(criterion, name, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        shipped("leapfrog").weights["log_dt.bias"][0] = 1.0


def test_repr_of_a_classical_criterion_is_how_it_is_made():
    for criterion in (FreeFall(0.03), Symmetrized(EnergyBudget(1e-6, "suzuki4")), Limited(Huayno(PRS23(0.1)), 0.01, 1.0)):
        assert eval(repr(criterion), {**globals(), "inf": math.inf}) == criterion


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (FreeFall(0.02), "freefall(0.02)"),
        (Symmetrized(FreeFall(0.02)), "symmetrized(freefall(0.02))"),
        (HutMakinoMcMillan(Boekholt(0.03), 2), "hmm(boekholt(0.03), 2)"),
        (FreeFall((0.1, 0.2)), "freefall(0.1)"),
        (PRS23(), "prs23"),
        (Symmetrized(LearnedStep.load("default")), "symmetrized(learned)"),
        (OwnCriterion(rule, 0.5), "rule(0.5)"),
    ],
)
def test_text_is_short(criterion, words):
    assert str(criterion) == words


def test_a_sweep_is_one_value_with_a_number_for_each_system():
    sweep = FreeFall(np.array([0.1, 0.2, 0.4]))
    assert sweep.eta == (0.1, 0.2, 0.4)
    assert sweep.values(3).tolist() == [0.1, 0.2, 0.4]
    assert FreeFall(0.1).values(3).tolist() == [0.1] * 3
    with pytest.raises(ConfigError, match="3 values of eta do not fit 2 systems"):
        sweep.values(2)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, "0.1", None, [], [[1.0]], [0.1, -0.2]])
@pytest.mark.parametrize("kind", [Constant, FreeFall, HutMakino, Aarseth, Tidal, Boekholt, LastTerm, EnergyBudget])
def test_numbers_that_cannot_be_are_refused_in_a_sentence(kind, wrong):
    if kind is EnergyBudget and wrong is None:
        assert kind(wrong).tolerance is None  # that of the run
        return
    with pytest.raises(ConfigError, match=rf"{kind.name}: {kind.parameter} = .* must be a positive number\."):
        kind(wrong)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: EnergyBudget(1e-4, "suzuki5"), "did you mean 'suzuki4'"),
        (lambda: EnergyBudget(1e-4, c=-1.0), "c = -1.0 must be a positive number"),
        (lambda: Limited(FreeFall(), 2.0, 1.0), "dt_min = 2.0 and dt_max = 1.0"),
        (lambda: Limited(FreeFall(), "1e-3"), "dt_min = '1e-3' and dt_max = None must be numbers"),
        (lambda: Symmetrized(FreeFall(), max_ratio=0.5), "max_ratio = 0.5 must be above 1"),
        (lambda: Symmetrized(FreeFall(), smoothness=1.0), "smoothness = 1.0 must be above 1"),
        (lambda: Symmetrized(Huayno(FreeFall())), "even in the velocities"),
        (lambda: Huayno(Symmetrized(FreeFall())), "needs a step that is no wrapper"),
        (lambda: HutMakinoMcMillan(FreeFall(), 0), "iterations = 0"),
        (lambda: LearnedStep.load("default", tol=-1.0), "tol = -1.0 must be a positive number"),
        (lambda: LearnedStep.load("default", integrator="radau15"), "no learned step is shipped for integrator = radau15"),
        (lambda: OwnCriterion(lambda x: x), "must take time, mass, position"),
        (lambda: FreeFall(10**400), "eta = .* must be a positive number"),
        (lambda: EnergyBudget(1e-4, 3), "energybudget: integrator = 3"),
        (lambda: EnergyBudget(1e-4, c="1"), "energybudget: c = '1' must be a positive number"),
        (lambda: EnergyBudget(1e-4, c=[1.0, 2.0]), "energybudget: c = .* must be one number"),
        (lambda: Symmetrized("freefall"), "Symmetrized needs a criterion such as FreeFall.* to wrap, not str 'freefall'"),
        (lambda: Huayno(None), "Huayno needs a criterion such as FreeFall.* to wrap, not NoneType None"),
        (lambda: Limited(3.0, 0.1), "Limited needs a criterion"),
        (lambda: Limited(FreeFall(), 10**400), "must be numbers"),
        (lambda: Limited(FreeFall(), [0.1]), "must be numbers"),
        (lambda: Symmetrized(FreeFall(), smoothness="2"), "smoothness = '2' must be above 1"),
        (lambda: HutMakinoMcMillan(FreeFall(), 2**63), "iterations = 9223372036854775808 must be a whole number from 1 to 100"),
        (lambda: HutMakinoMcMillan(FreeFall(), True), "iterations = True must be a whole number"),
        (lambda: LearnedStep(symmetrized=None), "symmetrized = None must be True or False"),
        (lambda: LearnedStep([1]), r"LearnedStep needs a Model, not list \[1\]: take LearnedStep.load"),
        (lambda: OwnCriterion(3.0), "neither a function nor a numba cfunc"),
        (lambda: Symmetrized(OwnCriterion(rule, even=False)), "even in the velocities"),
    ],
)
def test_what_cannot_be_made_says_why(make, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make()


def test_a_criterion_made_of_a_model_brings_what_the_model_was_made_with():
    step = LearnedStep.load("default", 1e-5, "chin4")
    assert step.made_for == "chin4"
    assert step.tolerance == 1e-5
    assert step.symmetrization == (2.0, 1.007)
    assert Symmetrized(step).ratios == (2.0, 1.007)
    assert Symmetrized(FreeFall()).ratios == (1.5, math.inf)
    assert Symmetrized(step).made_for == "chin4"
    assert Limited(Symmetrized(step), 1e-9).tolerance == 1e-5
    assert innermost(Limited(Symmetrized(step), 1e-9)) is step


def test_dt_goes_with_a_power_of_the_parameter():
    assert (FreeFall().exponent, Tidal().exponent, Aarseth().exponent) == (1.0, 0.5, 0.5)
    for name, method in SPLITTINGS.items():
        assert EnergyBudget(1e-4, name).exponent == 1 / method.order
        assert Symmetrized(EnergyBudget(1e-4, name)).exponent == 1 / method.order
    for name in SHIPPED:
        assert LearnedStep.load("default", integrator=name).exponent == 1 / SPLITTINGS[name].order


def test_the_constant_of_energybudget_is_that_of_the_method():
    found = {name: EnergyBudget(1e-4, name).constant for name in SPLITTINGS}
    of_order_4 = {"suzuki4": 0.7, "chin4": 0.75, "blanes_moan4": 2.2}
    assert found == {"leapfrog": 0.4, **of_order_4, "kahan_li6": 0.9, "blanes_moan6": 2.0, "kahan_li8": 1.0}
    assert EnergyBudget(1e-4).constant == 0.4
    assert EnergyBudget(1e-4, "blanes_moan4", 0.7).constant == 0.7


def test_the_calibration_is_linear_between_logarithms():
    step = LearnedStep.load("default", integrator="blanes_moan4")
    known = dict(shipped("blanes_moan4").calibration)
    tol = np.array(sorted(known))
    np.testing.assert_allclose(step.calibrated_tolerance(tol) / tol, [known[t] for t in tol], rtol=1e-12)
    middle = math.sqrt(tol[0] * tol[1])
    expected = math.sqrt(known[tol[0]] * known[tol[1]])
    np.testing.assert_allclose(step.calibrated_tolerance(np.array([middle])) / middle, expected, rtol=1e-12)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_can_be_named(name):
    kind = CRITERIA[name]
    assert criterion_named(f"{name}:{kind.parameter}=0.125") == kind(0.125)
    assert criterion_named(f"{name}:0.125") == kind(0.125)
    assert issubclass(kind, Criterion)


def test_a_name_that_is_none_points_to_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'freefall'"):
        criterion_named("freefal:eta=0.1")
    with pytest.raises(ConfigError, match="freefall has no argument 'etta'"):
        criterion_named("freefall:etta=0.1")
