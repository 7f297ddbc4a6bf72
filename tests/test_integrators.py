"""The tables of integrators: the kicks and drifts of each splitting, and the text of an integrator."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from aitimestepper.config import INTEGRATORS as OFFERED
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import INTEGRATORS, SPLITTINGS, integrator_named, like_splitting

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnostics"))

from order_conditions import Half, polished, residuals, trees, weight
from splitting_coefficients import PUBLISHED

ORDERS = {
    "leapfrog": 2,
    "suzuki4": 4,
    "kahan_li6": 6,
    "kahan_li8": 8,
    "blanes_moan4": 4,
    "blanes_moan6": 6,
    "chin4": 4,
}
STAGES = dict(zip(ORDERS, (1, 5, 9, 17, 6, 11, 3), strict=True))


def test_the_table_is_the_one_that_the_settings_offer():
    assert tuple(SPLITTINGS) == OFFERED
    assert {name: s.order for name, s in SPLITTINGS.items()} == ORDERS
    assert {name: s.stages for name, s in SPLITTINGS.items()} == STAGES


@pytest.mark.parametrize("integrator", ORDERS)
def test_kicks_and_drifts_are_palindromes_and_make_one_step(integrator):
    method = SPLITTINGS[integrator]
    assert len(method.kicks) == len(method.drifts) + 1 == len(method.displacement_of_kick)
    assert method.displacement_of_kick == method.displacement_of_kick[::-1]
    assert method.stages == len(method.drifts) + sum(d != 0 for d in method.displacements)
    for fractions in (method.kicks, method.drifts):
        assert fractions == fractions[::-1]
        assert math.fsum(fractions) == pytest.approx(1, rel=0, abs=3e-16)


# ---- order conditions ---------------------------------------------------------------------------------------------------
def misses(name: str, order: int) -> list[Fraction]:
    """Residuals of the doubles in the table, computed without rounding."""
    method = SPLITTINGS[name]
    exact = ([*map(Fraction, values)] for values in (method.kicks, method.drifts, method.displacement_of_kick))
    kicks, drifts, displacements = exact
    return residuals(kicks, drifts, order, displacements)


def in_fractions(half: Half, order: int) -> list[Fraction]:
    """Residuals of a palindrome with many digits, without rounding."""
    exact = Half(tuple(map(Fraction, half.kicks)), tuple(map(Fraction, half.drifts)), half.drift_first)
    return residuals(*exact.splitting(), order)


def test_there_are_as_many_trees_as_nystroem_methods_have_conditions():
    """Hairer, Norsett & Wanner II.14: 1, 1, 2, 3, 6, 10, 20, 36, 72 special trees up to order 9."""
    assert [len(trees(order)) for order in range(1, 10)] == [1, 1, 2, 3, 6, 10, 20, 36, 72]
    assert [tree.order / weight(tree) for tree in trees(3)] == [6, 3]  # two kicks one after the other, and sum b c^2 = 1/3
    assert all((tree.order / weight(tree)).denominator == 1 for tree in trees(8))


@pytest.mark.parametrize("name", ORDERS)
def test_a_splitting_has_its_order_and_no_higher_one(name):
    """The last bit of one coefficient of kahan_li8 changes a residual by up to 5e-15, of the others by up to 1e-15."""
    order = ORDERS[name]
    assert max(map(abs, misses(name, order))) < (8e-15 if name == "kahan_li8" else 1e-15)
    assert max(map(abs, misses(name, order + 1))) > 1e-4
    assert max(map(abs, misses(name, order - 1))) <= max(map(abs, misses(name, order)))


def test_chin4_has_order_4_by_its_displacement_alone():
    """Without rounding: kicks and drifts alone meet the conditions of nodes and weights, and miss all three with two kicks."""
    kicks, drifts = [Fraction(1, 6), Fraction(2, 3), Fraction(1, 6)], [Fraction(1, 2)] * 2
    assert not any(residuals(kicks, drifts, 4, [0, Fraction(1, 24), 0]))
    assert any(residuals(kicks, drifts, 5, [0, Fraction(1, 24), 0]))
    assert [miss for miss in residuals(kicks, drifts, 4) if miss] == [Fraction(-1, n) for n in (6, 3, 9)]
    assert SPLITTINGS["chin4"][1:3] == (tuple(map(float, kicks)), tuple(map(float, drifts)))
    assert SPLITTINGS["chin4"].displacements == (1 / 24,)
    # b d is the gradient of Chin's 4A in units of dt^3, sum a_j B_j^2 - 1/3 with B_j the kick done before drift j
    assert kicks[1] * Fraction(1, 24) == sum(drifts[k] * sum(kicks[: k + 1]) ** 2 for k in (0, 1)) - Fraction(1, 3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_digits_are_a_solution_to_rounding(name):
    order, half, _ = PUBLISHED[name]
    found = polished(half, order)
    pairs = zip((*found.kicks, *found.drifts), (*half.kicks, *half.drifts), strict=True)
    assert max(abs(new - old) for new, old in pairs) < 4e-15
    assert max(map(abs, in_fractions(found, order))) < 1e-45
    assert max(map(abs, in_fractions(found, order + 1))) > 1e-4


@pytest.mark.parametrize(("name", "most"), [("blanes_moan4", 2.5e-16), ("blanes_moan6", 6e-16)])
def test_the_table_holds_the_polished_digits(name, most):
    """What the digits as published leave is 1.2e-15 and 1.9e-15."""
    order, half, _ = PUBLISHED[name]
    found, method = polished(half, order), SPLITTINGS[name]
    assert tuple(map(float, found.kicks)) == method.kicks[: len(found.kicks)]
    assert tuple(map(float, found.drifts)) == method.drifts[: len(found.drifts)]
    assert max(map(abs, misses(name, order))) < most


def test_digits_that_are_a_little_off_are_polished_to_a_solution_nearby():
    method = SPLITTINGS["blanes_moan6"]
    off = Half(tuple(b + 1e-4 * (-1) ** k for k, b in enumerate(method.kicks[:5])), method.drifts[:5])
    found = polished(off, 6)
    assert max(map(abs, in_fractions(found, 6))) < 1e-45
    assert max(abs(float(b) - was) for b, was in zip(found.kicks, off.kicks, strict=True)) < 1e-2
    with pytest.raises(ValueError, match="no splitting of order 8 is near the start: the residual stays at "):
        polished(off, 8)


# ---- names --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", INTEGRATORS)
def test_an_integrator_is_written_as_it_is_read(name):
    found = integrator_named(name)
    assert (found.name, str(found)) == (name, name)
    drifts = SPLITTINGS[name].drifts if name in SPLITTINGS else ()
    assert (len(found.kicks), found.drifts) == (len(drifts) + bool(drifts), drifts)
    assert found.allows_field == (name not in ("hermite4", "logh"))
    if name in SPLITTINGS:
        assert (found.order, found.forces_per_step) == (ORDERS[name], STAGES[name])


def test_hermite_takes_a_number_of_corrections():
    three = integrator_named("hermite4:n=3")
    assert (three.name, three.forces_per_step, str(three)) == ("hermite4", 3, "hermite4:n=3")
    assert integrator_named("hermite4:n=1") == integrator_named("hermite4:1") == integrator_named("hermite4")
    for wrong in ("hermite4:n=0", "hermite4:n=21", "hermite4:n=x", "hermite4:n=²"):
        with pytest.raises(ConfigError, match=r"write hermite4:n=3, n from 1 to 20 corrections"):
            integrator_named(wrong)


@pytest.mark.parametrize(("wrong", "hint"), [("suzuki", "suzuki4"), ("leapfrog:n=2", "leapfrog"), ("kahan_li7", "kahan_li")])
def test_a_name_that_is_none_points_to_the_nearest(wrong, hint):
    with pytest.raises(ConfigError, match=f"integrator = '{wrong}': did you mean '{hint}"):
        integrator_named(wrong)


def test_every_integrator_has_a_splitting_of_its_order_or_the_simplest():
    assert {name: like_splitting(name) for name in SPLITTINGS} == {name: name for name in SPLITTINGS}
    others = {name: like_splitting(name) for name in ("hermite4", "hermite4:n=3", "logh", "radau15")}
    assert others == {"hermite4": "suzuki4", "hermite4:n=3": "suzuki4", "logh": "leapfrog", "radau15": "leapfrog"}
