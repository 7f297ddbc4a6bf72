"""Fields as text and as plain values: what is written comes back to the bit."""

from __future__ import annotations

import json

import pytest

from aitimestepper import OwnField
from aitimestepper.errors import InitialConditionError, UserError
from aitimestepper.fields import (
    OWN,
    CombinedField,
    Oblateness,
    PlummerField,
    UniformField,
    as_field,
    field_from_plain,
    field_named,
    field_text,
    field_to_plain,
    tidal,
)
from aitimestepper.simulate.kernels import callbacks
from some_fields import EVERY, HALOS, SUMS


@pytest.mark.parametrize("kind", EVERY)
def test_plain_values_and_text_give_the_field_again(kind):
    field = EVERY[kind]
    assert field_from_plain(json.loads(json.dumps(field_to_plain(field)))) == field
    again = field_named(field_text(field), 2.0)
    if "circling" in field_text(field) or "period" in field_text(field):
        assert repr(again)[:40] == repr(field)[:40]  # the rate is 2 pi over the period, to rounding
    else:
        assert again == field


def test_text_of_sums():
    made = field_named("plummer:M=1e+3,b=2+uniform:z=-0.5+oblateness:J2=1e-3,radius=0.1,body=1", 2.0)
    assert made == PlummerField(1000.0, 2.0, G=2.0) + UniformField((0, 0, -0.5)) + Oblateness(1e-3, 0.1, 1, G=2.0)
    assert field_named("tidal:M=3,R0=4", 1.0) == tidal(3.0, 4.0)
    with pytest.raises(UserError, match=r"unknown external field 'plumer': did you mean 'plummer'"):
        field_named("tidal:M=3,R0=4+plumer:M=2", 1.0)


def test_a_sum_of_sums_is_one():
    a, b, c = HALOS["plummer"], HALOS["nfw"], HALOS["uniform"]
    assert (a + b) + c == a + (b + c) == as_field([a, b, c]) == CombinedField((a, b + c))
    assert as_field([a]) is a
    assert as_field([]) is None
    assert (a + b).time_dependent is False
    assert SUMS["sum"].time_dependent is True


def test_a_field_of_ones_own_in_a_sum_makes_all_of_it_ones_own():
    @callbacks.field
    def nothing(n, t, x, a, phi, rate):
        pass

    class Mine:
        time_dependent = False

        def acceleration(self, x, t):
            return 0.0 * x

        def potential(self, x, t):
            return 0.0 * x[..., 0]

    for both in (HALOS["nfw"] + OwnField(nothing), OwnField(nothing) + HALOS["nfw"], Mine() + HALOS["nfw"]):
        assert isinstance(both, CombinedField)
        assert field_to_plain(both) == OWN
        assert "a function of the user's own" in field_text(both)


@pytest.mark.parametrize("plain", [{"kind": "plumer", "M": 1.0}, {"kind": ["nfw"]}, {"sum": [{"kind": 3}]}])
def test_an_unknown_kind_in_a_file_is_refused(plain):
    with pytest.raises(InitialConditionError, match=r"^the field of the kind .* is none of plummer, .*[.]$"):
        field_from_plain(plain)
