"""The tables of integrators: the kicks and drifts of each splitting, and the text of an integrator."""

from __future__ import annotations

import math

import pytest

from aitimestepper.config import INTEGRATORS as OFFERED
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import INTEGRATORS, SPLITTINGS, integrator_named, like_splitting

ORDERS = {"leapfrog": 2, "suzuki4": 4, "kahan_li6": 6, "kahan_li8": 8, "blanes_moan4": 4, "blanes_moan6": 6}
STAGES = {"leapfrog": 1, "suzuki4": 5, "kahan_li6": 9, "kahan_li8": 17, "blanes_moan4": 6, "blanes_moan6": 11}


def test_the_table_is_the_one_that_the_settings_offer():
    assert tuple(SPLITTINGS) == OFFERED
    assert {name: s.order for name, s in SPLITTINGS.items()} == ORDERS
    assert {name: s.stages for name, s in SPLITTINGS.items()} == STAGES


@pytest.mark.parametrize("integrator", ORDERS)
def test_kicks_and_drifts_are_palindromes_and_make_one_step(integrator):
    method = SPLITTINGS[integrator]
    assert len(method.kicks) == method.stages + 1
    for fractions in (method.kicks, method.drifts):
        assert fractions == fractions[::-1]
        assert math.fsum(fractions) == pytest.approx(1, rel=0, abs=3e-16)


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
