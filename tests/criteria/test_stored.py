"""Criteria as plain values: what a file of snapshots holds of them is all of them."""

import json

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
    PointMassTidalField,
    Symmetrized,
    Tidal,
)
from aitimestepper.criteria.stored import criterion_from_plain, criterion_to_plain
from aitimestepper.errors import UserError
from aitimestepper.fields import Circle, field_from_plain, field_to_plain
from aitimestepper.models import shipped


def own(time, mass, position, velocity, acceleration, value):
    return value


MODEL = shipped("chin4")
CRITERIA = [
    Constant(0.1 + 0.2),
    FreeFall((0.01, 0.02, 1e-300)),
    HutMakino(0.03),
    Boekholt(0.02),
    Tidal(4e-4),
    Aarseth(0.02),
    PRS23(),
    PRS23(0.017),
    LastTerm(1e-9),
    EnergyBudget((1e-4, 1e-7), "suzuki4", 0.3),
    EnergyBudget(),
    LearnedStep(MODEL, (1e-3, 1e-5)),
    LearnedStep(MODEL, 1e-4, symmetrized=False),
    OwnCriterion(own, 0.3, even=False, power=0.5),
    Symmetrized(FreeFall(0.02)),
    Limited(Symmetrized(LearnedStep(MODEL, 1e-5), 1.7, 1.003), 1e-3, None),
    Limited(Huayno(HutMakino(0.1)), None, 2.0),
    HutMakinoMcMillan(FreeFall(0.1), 5),
    Symmetrized(OwnCriterion(own)),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_they_come_back_equal(criterion):
    plain = json.loads(json.dumps(criterion_to_plain(criterion)))
    assert criterion_from_plain(plain, MODEL, own) == criterion


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
@pytest.mark.parametrize("junk", [None, "words", -1, [], {}, [[1.0]], True, float("nan"), 10**400])
def test_other_values_are_a_sentence_or_another_criterion(criterion, junk):
    plain = json.loads(json.dumps(criterion_to_plain(criterion)))
    for name in plain:
        try:
            made = criterion_from_plain({**plain, name: junk}, MODEL, own)
        except UserError:
            continue
        assert isinstance(made, type(criterion))


def test_what_is_no_criterion_is_a_sentence():
    for plain in (
        None,
        3,
        [],
        {},
        {"kind": "Criterion"},
        {"kind": []},
        {"kind": "FreeFall"},
        {"kind": "FreeFall", "eta": 1, "x": 2},
    ):
        with pytest.raises(UserError, match=r"is none|must be"):
            criterion_from_plain(plain, None, None)


@pytest.mark.parametrize(
    "field",
    [
        None,
        PointMassTidalField(3.0, R0=9.0),
        PointMassTidalField(1 / 3, R0=(1.0, 0.1, -2.0), G=39.478),
        PointMassTidalField(0.1, R_of_t=Circle(5.0, 0.7, 0.1), G=2.0),
    ],
)
def test_fields_come_back_to_the_bit(field):
    assert field_from_plain(json.loads(json.dumps(field_to_plain(field)))) == field


def test_a_field_of_ones_own_is_named_as_such():
    assert field_to_plain(PointMassTidalField(1.0, R_of_t=lambda t: t)) == "own"
