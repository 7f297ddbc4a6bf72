"""Criteria by name: `name:key=value`, as the command line writes them."""

from __future__ import annotations

import pytest

from aitimestepper import Constant, EnergyBudget, FreeFall, Tidal
from aitimestepper.criteria.catalogue import CRITERIA, criterion_named
from aitimestepper.errors import ConfigError


def test_every_criterion_has_its_own_name():
    assert {name: kind.name for name, kind in CRITERIA.items()} == {name: name for name in CRITERIA}


@pytest.mark.parametrize(
    ("text", "criterion"),
    [
        ("freefall", FreeFall()),
        ("freefall:eta=0.07", FreeFall(0.07)),
        ("tidal:0.07", Tidal(0.07)),
        ("constant:dt=0.5", Constant(0.5)),
        ("energybudget:tol=1e-3,integrator=suzuki4,c=0.3", EnergyBudget(1e-3, "suzuki4", 0.3)),
    ],
)
def test_text_says_all_numbers(text, criterion):
    assert criterion_named(text) == criterion


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frefall:eta=0.1", "unknown criterion 'frefall': did you mean 'freefall'"),
        ("freefall:etta=0.1", "freefall has no argument 'etta': did you mean 'eta'"),
        ("freefall:eta=fast", "eta = 'fast' must be a number"),
        ("freefall:eta=-1", "freefall: eta = -1.0 must be a positive number"),
        ("constant", "constant needs dt: write constant:dt=..."),
    ],
)
def test_what_is_no_criterion_is_answered_with_the_nearest(text, message):
    with pytest.raises(ConfigError, match=message):
        criterion_named(text)
