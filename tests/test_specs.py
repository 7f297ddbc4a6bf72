"""The one notation `name:key=value`: values become what the maker's annotations say, and mistakes one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from aitimestepper.criteria.catalogue import CRITERIA, criterion_named
from aitimestepper.errors import ConfigError, MissingExtraError, UserError, missing_extra, require
from aitimestepper.specs import build, describe

Numbers = float | tuple[float, ...]


@dataclass(frozen=True)
class Rule:
    """A rule with numbers.

    More of it.
    """

    eta: Numbers = 0.02
    c: Numbers | None = None
    method: str | None = None
    n: int = 3
    exact: bool = False


def read(path: str, scale: float = 1.0) -> tuple[str, float]:
    """Read a file."""
    return path, scale


MAKERS = {"rule": Rule, "read": read, "plain": lambda dt: dt}


def made(text: str, **extra: object) -> object:
    return build(text, MAKERS, "rule", ConfigError, **extra)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rule", Rule()),
        ("rule:", Rule()),
        ("rule:eta=1e-3", Rule(1e-3)),
        ("rule:0.5", Rule(0.5)),
        ("rule:0.5,c=2", Rule(0.5, 2.0)),
        ("rule:method=a b,n=7,exact=yes", Rule(method="a b", n=7, exact=True)),
        ("rule:exact=False", Rule()),
        ("read:a=b,c.txt", ("a=b,c.txt", 1.0)),
        ("read:path=x", ("x", 1.0)),
    ],
)
def test_text_becomes_what_the_maker_takes(text, expected):
    found = made(text)
    assert found == expected
    assert repr(found) == repr(expected)  # 1 is not 1.0


def test_extra_fills_what_the_text_leaves_open():
    assert made("rule", eta=0.3, unknown=4) == Rule(0.3)
    assert made("rule:eta=0.1", eta=0.3) == Rule(0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rul", "unknown rule 'rul': did you mean 'rule'?"),
        ("rule:etta=1", "rule has no argument 'etta': did you mean 'eta'?"),
        ("rule:eta=small", "rule:eta=small: eta = 'small' must be a number."),
        ("rule:n=2.5", "n = '2.5' must be a whole number."),
        ("rule:exact=maybe", "exact = 'maybe' must be true or false."),
        ("read", "read needs path: write read:path=..."),
        ("plain", "plain needs dt: write plain:dt=..."),
    ],
)
def test_mistakes_are_one_sentence(text, words):
    with pytest.raises(ConfigError) as error:
        made(text)
    assert words in str(error.value)


def test_descriptions_show_defaults_and_what_may_be_left_open():
    assert describe(MAKERS)[:2] == [
        ("rule:eta=0.02[,c=...][,method=...],n=3,exact=False", "A rule with numbers."),
        ("read:path=...,scale=1.0", "Read a file."),
    ]
    written = dict(describe(CRITERIA))
    assert "constant:dt=..." in written
    assert "prs23[:eta=...]" in written
    assert "freefall:eta=0.02" in written


def test_every_criterion_is_made_from_text():
    for name, kind in CRITERIA.items():
        criterion = criterion_named(f"{name}:0.5")
        assert type(criterion) is kind
        assert math.isclose(criterion.values(1)[0], 0.5)


def test_a_missing_extra_is_a_users_error_and_an_import_error():
    error = missing_extra("torch", "train", "training")
    assert str(error) == "training needs PyTorch: pip install 'aitimestepper[train]'."
    assert isinstance(error, UserError)
    assert isinstance(error, ImportError)
    assert require("math", "none", "nothing") is math
    with pytest.raises(MissingExtraError, match=r"^a movie needs no_such_package: pip install 'aitimestepper\[report\]'\.$"):
        require("no_such_package.part", "report", "a movie")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rule:eta=nan", "rule:eta=nan: eta = 'nan' must be a finite number"),
        ("rule:eta=1e400", "eta = '1e400' must be a finite number"),
        ("rule:n=9223372036854775808", "n = '9223372036854775808' must be a whole number below 2"),
        ("rule:n=" + "9" * 5000, r"n = '9{56}\.\.\. must be a whole number"),
        (3.0, "rule = 3.0 must be text, such as 'rule'"),
        (None, "rule = None must be text"),
        ("x" * 300, r"unknown rule 'x{56}\.\.\.: known"),
    ],
)
def test_numbers_are_finite_and_text_is_text(text, words):
    with pytest.raises(ConfigError, match=words):
        made(text)


@pytest.mark.parametrize(
    "make", [lambda x: 1 / x**3, lambda x: math.sqrt(-x), lambda x: math.exp(1 / x), lambda x: int(x / x**2)]
)
def test_what_a_maker_cannot_compute_names_the_text(make):
    def maker(x: float) -> float:
        return make(x)

    with pytest.raises(ConfigError, match=r"small:x=1e-200 cannot be computed with these numbers .*choose units"):
        build("small:x=1e-200", {"small": maker}, "thing", ConfigError)


def test_an_error_of_the_program_itself_is_not_hidden():
    def broken(x: float = 1.0) -> float:
        return x + None  # type: ignore[operator]

    with pytest.raises(TypeError):
        build("broken", {"broken": broken}, "thing", ConfigError)
