"""A tolerance becomes a criterion and an integrator in one place."""

from __future__ import annotations

import math

import pytest

from aitimestepper import (
    PRS23,
    EnergyBudget,
    FreeFall,
    Huayno,
    HutMakinoMcMillan,
    LastTerm,
    LearnedStep,
    Limited,
    Symmetrized,
)
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.models import save_model, shipped
from aitimestepper.policy import DEFAULT_TOL, bind, cheapest_composition, choose


@pytest.mark.parametrize(
    ("tol", "integrator"),
    [(1e-2, "leapfrog"), (1e-3, "suzuki4"), (1e-5, "kahan_li6"), (1e-7, "kahan_li8"), (1e-8, "radau15"), (1e-12, "radau15")],
)
def test_a_tolerance_picks_the_cheapest(tol, integrator):
    choice = choose(None, tol)
    assert choice.integrator.name == integrator
    assert choice.tol == tol
    if integrator != "radau15":
        assert cheapest_composition(tol) == integrator
        assert choice.criterion == Symmetrized(LearnedStep(shipped(integrator), tol))
    assert choose("default", tol) == choice


def test_below_the_reach_of_a_loose_epsilon_gauss_radau_goes_to_rounding():
    loose, tight = (choose(None, tol).criterion.eta for tol in (1e-9, 1e-11))
    assert loose == pytest.approx((5040e-6) ** (1 / 7))
    assert tight == pytest.approx((5040e-9) ** (1 / 7))


def test_without_a_tolerance_it_is_the_default_one():
    assert choose() == choose(None, DEFAULT_TOL)


@pytest.mark.parametrize("name", ["leapfrog", "suzuki4", "kahan_li6", "kahan_li8"])
def test_an_integrator_asked_for_is_taken(name):
    choice = choose(None, 1e-4, name)
    assert choice.integrator.name == name
    assert choice.criterion.made_for == name


def test_hermite_is_asked_for_less_and_promises_what_was_asked():
    choice = choose(None, 1e-4, "hermite4:n=2")
    assert str(choice.integrator) == "hermite4:n=2"
    assert choice.tol == 1e-4
    assert innermost(choice.criterion).tol == pytest.approx(1e-4 / 300)
    assert innermost(choice.criterion).made_for == "suzuki4"


def test_beyond_what_a_network_covers_energybudget_takes_over():
    choice = choose(None, 1e-9, "leapfrog")
    assert choice.criterion == Symmetrized(EnergyBudget(1e-9, "leapfrog"))


def test_what_was_left_open_is_bound_through_wrappers():
    bound = bind(Limited(Symmetrized(EnergyBudget(1e-5)), 1e-9), "kahan_li8")
    assert innermost(bound) == EnergyBudget(1e-5, "kahan_li8")
    assert innermost(bind(HutMakinoMcMillan(EnergyBudget(1e-5)), "hermite4")) == EnergyBudget(1e-5, "suzuki4")
    assert innermost(bind(Symmetrized(LearnedStep.load("default", 1e-5)), "suzuki4")).model == shipped("suzuki4")
    assert bind(Symmetrized(LearnedStep.load("default", 1e-5)), "suzuki4").ratios == (2.0, 1.007)
    given = Huayno(FreeFall(0.1))
    assert bind(given, "kahan_li6") == given
    assert bind(EnergyBudget(1e-5, "leapfrog"), "suzuki4") == EnergyBudget(1e-5, "leapfrog")


def test_a_criterion_brings_its_integrator():
    assert choose(FreeFall(0.1)).integrator.name == "leapfrog"
    assert choose(LastTerm()).integrator.name == "radau15"
    assert choose(EnergyBudget(1e-5, "kahan_li6")).integrator.name == "kahan_li6"
    assert choose(LearnedStep.load("default", 1e-5)).integrator.name == "kahan_li6"
    assert choose(Symmetrized(LearnedStep.load("default", 1e-5, "suzuki4"))).integrator.name == "suzuki4"


def test_prs23_alone_is_the_rule_of_radau15():
    choice = choose("prs23")
    assert choice.integrator.name == "radau15"
    assert choice.criterion.eta == pytest.approx((5040e-9) ** (1 / 7))
    assert choose("prs23", None, "leapfrog").criterion == PRS23(0.02)
    assert choose(PRS23(0.1)).criterion == PRS23(0.1)


def test_text_is_a_criterion_too(tmp_path):
    assert choose("freefall:eta=0.03").criterion == FreeFall(0.03)
    assert choose("energybudget", 1e-5, "suzuki4").criterion == EnergyBudget(1e-5, "suzuki4")
    path = save_model(tmp_path / "mine.npz", shipped("suzuki4"))
    choice = choose(path, 1e-4)
    assert choice.criterion == LearnedStep(shipped("suzuki4"), 1e-4)
    assert choice.integrator.name == "suzuki4"
    assert choose(str(path), 1e-4) == choice


def test_the_tolerance_promised_is_that_of_the_criterion():
    assert choose(FreeFall(0.1)).tol is None
    assert choose(Limited(EnergyBudget(1e-5), 1e-9)).tol == 1e-5
    assert choose(EnergyBudget([1e-5, 1e-6])).tol == (1e-5, 1e-6)


@pytest.mark.parametrize("wrong", ["1e-6", 0, -1e-3, math.nan, math.inf, [1e-3, 1e-4]])
def test_a_tolerance_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"tol = .* must be"):
        choose(None, wrong)


def test_names_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'freefall'"):
        choose("freefal")
    with pytest.raises(ConfigError, match="did you mean 'kahan_li"):
        choose(None, 1e-4, "kahan_li")
    with pytest.raises(CheckpointError, match="there is no model or run"):
        choose("nowhere/model.npz")
    with pytest.raises(ConfigError, match="lastterm is the rule of radau15"):
        choose(LastTerm(), None, "leapfrog")
