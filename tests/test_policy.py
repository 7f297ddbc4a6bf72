"""A tolerance becomes a criterion and an integrator in one place."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re

import numpy as np
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
from aitimestepper.criteria.classical import ConstantByTrial
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.errors import CheckpointError, ConfigError, nearest_name_hint
from aitimestepper.integrators import SPLITTINGS, like_splitting
from aitimestepper.models import HERMITE_FACTOR, SHIPPED, save_model, shipped
from aitimestepper.policy import CHEAPEST, DEFAULT_TOL, RADAU_BELOW, Kind, bind, cheapest_splitting, choose

LEAST = min(tol for tol, _ in shipped("leapfrog").calibration)
# the smallest tolerance of each splitting that is the cheapest anywhere
FROM = [(max(above, RADAU_BELOW), name) for above, name in CHEAPEST]


@pytest.mark.parametrize(
    ("tol", "integrator"),
    [(1.01 * low, name) for low, name in FROM]
    + [(0.99 * low, name) for (low, _), (_, name) in itertools.pairwise([*FROM, (0.0, "radau15")])]
    + [(1e-12, "radau15")],
)
def test_a_tolerance_picks_the_cheapest(tol, integrator):
    choice = choose(None, tol)
    assert choice.integrator.name == integrator
    assert choice.tol == tol
    if integrator != "radau15":
        assert cheapest_splitting(tol) == integrator
        assert choice.criterion == Symmetrized(LearnedStep(shipped(integrator), tol))
    assert choose("default", tol) == choice


def test_every_splitting_that_is_the_cheapest_anywhere_has_a_network_and_a_range():
    limits = [low for low, _ in FROM]
    assert limits == sorted(limits, reverse=True)
    assert len(set(limits)) == len(limits)
    assert {name for _, name in FROM} <= set(SHIPPED)


@pytest.mark.parametrize(
    ("tol", "of_encounters", "of_long_ones"),
    [
        (1e-3, "chin4", "blanes_moan4"),
        (1e-4, "blanes_moan4", "blanes_moan4"),
        (1e-5, "blanes_moan6", "blanes_moan4"),
        (4e-7, "blanes_moan6", "blanes_moan6"),
        (1e-7, "radau15", "radau15"),
    ],
)
def test_encounters_take_fewer_larger_steps_unless_they_are_long(tol, of_encounters, of_long_ones):
    for kind, name in (
        (Kind(encounters=True), of_encounters),
        (Kind(long=True), of_long_ones),
        (Kind(long=True, encounters=True), of_long_ones),
    ):
        assert choose(None, tol, kind=lambda kind=kind: kind).integrator.name == name
    assert choose(None, 1e-5, "leapfrog", kind=lambda: Kind(encounters=True)).integrator.name == "leapfrog"


def test_below_the_reach_of_a_loose_epsilon_gauss_radau_goes_to_rounding():
    looser, loose, tight = (choose(None, tol).criterion.eta for tol in (1e-7, 1e-8, 1e-9))
    assert looser == pytest.approx((5040e-6) ** (1 / 7))
    assert loose == pytest.approx((5040 * 3e-7) ** (1 / 7))
    assert tight == pytest.approx((5040e-9) ** (1 / 7))


def test_without_a_tolerance_it_is_the_default_one():
    assert choose() == choose(None, DEFAULT_TOL)


@pytest.mark.parametrize("name", SPLITTINGS)
def test_an_integrator_asked_for_is_taken(name):
    choice = choose(None, 1e-4, name)
    assert choice.integrator.name == name
    assert choice.criterion.made_for == name


@pytest.mark.parametrize("name", [name for name in SPLITTINGS if name not in SHIPPED])
def test_a_splitting_without_a_network_gets_the_energy_budget(name):
    budget = EnergyBudget(1e-4, name)
    for criterion in (None, "default", LearnedStep(None, 1e-4)):
        assert choose(criterion, 1e-4, name).criterion == Symmetrized(budget)
    assert choose(LearnedStep(None, 1e-4, symmetrized=False), None, name).criterion == budget
    assert choose(None, 1e-4, name).tol == 1e-4
    hint = nearest_name_hint(name, [*SHIPPED, "hermite4"])
    with pytest.raises(ConfigError, match=re.escape(f"no learned step is shipped for integrator = {name}: {hint}")):
        LearnedStep.load("default", 1e-4, name)
    with pytest.raises(ConfigError, match=f"no learned step is shipped for integrator = {name}: "):
        bind(Limited(LearnedStep(), 1e-9), name)


def test_hermite_is_asked_for_less_and_promises_what_was_asked():
    tol = 1e-4 * HERMITE_FACTOR
    choice = choose(None, tol, "hermite4:n=2")
    assert str(choice.integrator) == "hermite4:n=2"
    assert choice.tol == tol
    step = innermost(choice.criterion)
    assert step.made_for == "hermite4"
    of_chin4 = LearnedStep(shipped("chin4"), sensitive=True).calibrated_tolerance(np.array([1e-4]))
    assert step.calibrated_tolerance(np.array([tol])) == pytest.approx(of_chin4, rel=1e-12)


def test_beyond_what_a_network_covers_energybudget_takes_over():
    choice = choose(None, 1e-9, "leapfrog")
    assert choice.criterion == Symmetrized(EnergyBudget(1e-9, "leapfrog"))


def test_what_was_left_open_is_bound_through_wrappers():
    bound = bind(Limited(Symmetrized(EnergyBudget(1e-5)), 1e-9), "kahan_li8")
    assert innermost(bound) == EnergyBudget(1e-5, "kahan_li8")
    assert innermost(bind(HutMakinoMcMillan(EnergyBudget(1e-5)), "hermite4")) == EnergyBudget(1e-5, like_splitting("hermite4"))
    assert innermost(bind(Symmetrized(LearnedStep.load("default", 1e-5)), "chin4")).model == shipped("chin4")
    assert bind(Symmetrized(LearnedStep.load("default", 1e-5)), "chin4").ratios == (2.0, 1.007)
    given = Huayno(FreeFall(0.1))
    assert bind(given, "kahan_li6") == given
    assert bind(EnergyBudget(1e-5, "leapfrog"), "suzuki4") == EnergyBudget(1e-5, "leapfrog")


def test_a_criterion_brings_its_integrator():
    assert choose(FreeFall(0.1)).integrator.name == "leapfrog"
    assert choose(LastTerm()).integrator.name == "radau15"
    assert choose(EnergyBudget(1e-5, "kahan_li6")).integrator.name == "kahan_li6"
    assert choose(LearnedStep.load("default", 1e-5)).integrator.name == cheapest_splitting(1e-5)
    assert choose(Symmetrized(LearnedStep.load("default", 1e-5, "chin4"))).integrator.name == "chin4"


def test_prs23_alone_is_the_rule_of_radau15():
    choice = choose("prs23")
    assert choice.integrator.name == "radau15"
    assert choice.criterion.eta == pytest.approx((5040e-9) ** (1 / 7))
    assert choose("prs23", None, "leapfrog").criterion == PRS23(0.02)
    assert choose(PRS23(0.1)).criterion == PRS23(0.1)


def test_text_is_a_criterion_too(tmp_path):
    assert choose("freefall:eta=0.03").criterion == FreeFall(0.03)
    assert choose("energybudget", 1e-5, "suzuki4").criterion == EnergyBudget(1e-5, "suzuki4")
    path = save_model(tmp_path / "mine.npz", shipped("chin4"))
    choice = choose(path, 1e-4)
    assert choice.criterion == Symmetrized(LearnedStep(shipped("chin4"), 1e-4))
    assert choice.integrator.name == "chin4"
    assert choose(str(path), 1e-4) == choice


def test_the_tolerance_promised_is_that_of_the_criterion():
    assert choose(FreeFall(0.1)).tol is None
    assert choose(Limited(EnergyBudget(1e-5), 1e-9)).tol == 1e-5
    assert choose(EnergyBudget([1e-5, 1e-6])).tol == (1e-5, 1e-6)


@pytest.mark.parametrize("wrong", ["1e-6", 0, -1e-3, math.nan, math.inf, [1e-3, 1e-4], True])
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
    with pytest.raises(ConfigError, match="lastterm is made for integrator = radau15, not for leapfrog"):
        choose(LastTerm(), None, "leapfrog")


# ---- a tolerance is never dropped, a model never misused ------------------------------------------------------------------
def test_a_tolerance_is_that_of_the_criterion_if_it_can_keep_one(tmp_path):
    assert choose(EnergyBudget(), 1e-5, "kahan_li6").tol == 1e-5
    assert choose(Limited(Symmetrized(EnergyBudget()), 1e-9), 1e-5).tol == 1e-5
    assert choose(EnergyBudget(1e-5), 1e-5).tol == 1e-5
    path = save_model(tmp_path / "mine.npz", shipped("chin4"))
    assert choose(LearnedStep.load(path), 1e-5).tol == 1e-5
    assert choose(LearnedStep.load("default"), 1e-5) == choose(None, 1e-5)


@pytest.mark.parametrize(
    ("criterion", "tol", "words"),
    [
        (FreeFall(0.1), 1e-8, "freefall has no calibrated tolerance; leave the criterion out, give guard"),
        (Symmetrized(FreeFall(0.1)), 1e-8, "freefall has no calibrated tolerance"),
        ("prs23", 1e-8, "prs23 has no calibrated tolerance"),
        (EnergyBudget(1e-5), 1e-6, "the criterion has tol = 1e-05 already: give only one"),
        (LearnedStep.load("default", 1e-5), 1e-6, "the criterion has tol = 1e-05 already"),
        (LearnedStep(shipped("leapfrog")), 1e-9, rf"calibrated for {LEAST:g} to 0.1 \(and 3 times beyond\): ask for one"),
    ],
)
def test_a_tolerance_that_cannot_be_kept_is_refused_in_a_sentence(criterion, tol, words):
    with pytest.raises(ConfigError, match=words):
        choose(criterion, tol)


def test_with_a_guard_the_tolerance_is_its_own():
    assert choose(FreeFall(0.1), 1e-8, guard=True) == choose(FreeFall(0.1))
    assert choose(EnergyBudget(1e-9), 1e-3, guard=True).tol == 1e-9


def test_a_network_of_single_steps_has_no_tolerance_of_a_run():
    alone = dataclasses.replace(shipped("leapfrog"), card={})
    with pytest.raises(ConfigError, match="is not calibrated for the error of a run"):
        choose(LearnedStep(alone), 1e-5)
    assert choose(LearnedStep(alone), 1e-5, guard=True).tol is None
    assert choose(LearnedStep(alone, 1e-5)).criterion == LearnedStep(alone, 1e-5)  # of a step, and not symmetrized


@pytest.mark.parametrize("wrap", [lambda c: c, Symmetrized, HutMakinoMcMillan, lambda c: Limited(c, 1e-9)])
@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6", "hermite4", "radau15", "logh"])
def test_a_network_made_for_one_integrator_is_refused_under_another(wrap, integrator):
    words = f"the network is made for integrator = chin4, not for {integrator}: leave the integrator out"
    with pytest.raises(ConfigError, match=words):
        choose(wrap(LearnedStep.load("default", 1e-4, "chin4")), None, integrator)


def test_energybudget_made_for_one_order_is_refused_under_another():
    with pytest.raises(ConfigError, match="energybudget is made for integrator = suzuki4, not for kahan_li6"):
        choose(Symmetrized(EnergyBudget(1e-4, "suzuki4")), None, "kahan_li6")
    budget = EnergyBudget(1e-4, like_splitting("hermite4"))
    assert choose(budget, None, "hermite4").criterion == budget


def test_a_model_brings_its_symmetrization():
    step = LearnedStep.load("default", 1e-4, "chin4")
    assert choose(step).criterion == Symmetrized(step, 2.0, 1.007)
    assert choose(Limited(step, 1e-9)).criterion == Limited(Symmetrized(step), 1e-9)
    assert choose(Huayno(step)).criterion == Huayno(step)
    plain = dataclasses.replace(step, symmetrized=False)
    assert choose(plain).criterion == plain
    other = dataclasses.replace(step.model, card={**step.model.card, "symmetrization": [1.5, 1.1]})
    assert other != step.model
    assert choose(LearnedStep(other, 1e-4)).criterion.ratios == (1.5, 1.1)


def test_without_a_tolerance_a_network_keeps_one_that_it_was_calibrated_for():
    assert choose(LearnedStep(shipped("leapfrog"))).tol == LEAST
    assert choose(LearnedStep(shipped("blanes_moan6"))).tol == DEFAULT_TOL


def test_logh_with_a_tolerance_alone_is_a_constant_step_found_by_trial():
    choice = choose(None, 1e-4, "logh")
    assert (choice.criterion, choice.tol) == (ConstantByTrial(), 1e-4)


def test_steps_are_made_symmetric_once():
    """A wrapper in between does not hide the outer one."""
    step = LearnedStep.load("default", 1e-4, "chin4")
    assert choose(Symmetrized(Limited(step, 1e-9))).criterion == Symmetrized(Limited(step, 1e-9))


@pytest.mark.parametrize(
    "call",
    [
        lambda: choose(Symmetrized(LearnedStep()), 1e-12),
        lambda: choose(Limited(LearnedStep(), 1e-9), 1e-12),
        lambda: LearnedStep.load("default", 1e-9, "chin4"),
        lambda: choose(LearnedStep(shipped("leapfrog")), 1.0),
    ],
)
def test_a_network_is_not_asked_for_what_it_was_not_calibrated_for(call):
    with pytest.raises(ConfigError, match=r"the network was calibrated for .* beyond\): ask for one of these"):
        call()
