"""Distributions are what they say, and a system's numbers depend on the seed, its number and the column alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.ensembles.distributions import Range, distribution_of, uniforms
from aitimestepper.errors import ConfigError

N = 20_000
CUMULATIVE = {  # the share of draws below x
    "uniform": ({"uniform": [1.0, 3.0]}, lambda x: (x - 1) / 2),
    "loguniform": ({"loguniform": [0.1, 10.0]}, lambda x: np.log10(x / 0.1) / 2),
    "thermal": ({"thermal": [0.0, 0.9]}, lambda x: (x / 0.9) ** 2),
    "ring": ({"disc": [1.0, 2.0]}, lambda x: (x**2 - 1) / 3),
    "isotropic": ("isotropic", lambda x: (1 - np.cos(x)) / 2),
    "cone": ({"isotropic": [0.0, 0.5]}, lambda x: (1 - np.cos(x)) / (1 - math.cos(0.5))),
    "normal": ({"normal": [2.0, 0.5]}, lambda x: np.array([0.5 * (1 + math.erf((y - 2) / (0.5 * 2**0.5))) for y in x])),
}


@pytest.mark.parametrize("name", CUMULATIVE)
def test_draws_follow_their_distribution(name):
    """The largest distance of the empirical distribution (Kolmogorov-Smirnov) exceeds 1.95 / sqrt(N) once in a thousand."""
    given, cumulative = CUMULATIVE[name]
    x = np.sort(distribution_of("x", given, Range()).at(uniforms(5, name, 0, N)))
    assert np.abs(cumulative(x) - (np.arange(N) + 0.5) / N).max() < 1.95 / N**0.5


def test_choices_have_their_weights():
    x = distribution_of("x", {"choice": [1, 2, 5], "weights": [1, 0, 3]}, Range()).at(uniforms(1, "x", 0, N))
    values, counts = np.unique(x, return_counts=True)
    assert values.tolist() == [1.0, 5.0]
    assert counts[1] / N == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / N) ** 0.5)
    even = distribution_of("x", {"choice": [1, 2]}, Range()).at(uniforms(1, "x", 0, N))
    assert even.mean() == pytest.approx(1.5, abs=4 * 0.5 / N**0.5)
    assert (distribution_of("x", 3, Range()).at(uniforms(1, "x", 0, 5)) == 3.0).all()


def test_numbers_depend_on_seed_number_and_column_alone():
    whole = uniforms(7, "e1", 0, 1000)
    for first, count in ((0, 1), (1, 3), (2, 998), (3, 8), (501, 499), (999, 1)):
        assert np.array_equal(uniforms(7, "e1", first, count), whole[first : first + count])
    for seed, name in ((8, "e1"), (7, "e2")):
        other = uniforms(seed, name, 0, 1000)
        assert abs(np.corrcoef(whole, other)[0, 1]) < 4 / 1000**0.5
    assert ((whole > 0) & (whole < 1)).all()
    assert len(np.unique(uniforms(7, "e1", 10**12, 1000))) == 1000  # far along the stream at no cost


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"unifrom": [0, 1]}, "did you mean 'uniform'"),
        ({"uniform": [0, 1], "normal": [0, 1]}, "must name one distribution"),
        ({}, "must name one distribution"),
        ("isotropc", "must be a number, or a distribution"),
        (True, "must be a number, or a distribution"),
        (math.nan, "must be a number, or a distribution"),
        ({"uniform": [1, 0]}, "its lower end and then its upper one"),
        ({"uniform": [0, 1, 2]}, "must be two numbers"),
        ({"uniform": "ab"}, "must be two numbers"),
        ({"uniform": [0, True]}, "must be two numbers"),
        ({"loguniform": [0, 1]}, "must be above 0"),
        ({"thermal": [-0.1, 0.5]}, "must be at least 0"),
        ({"thermal": [0, 1]}, "gives 1, which is out of range: it must be >= 0 and < 1"),
        ({"normal": [0.3, -1]}, "standard deviation -1"),
        ({"choice": []}, "must be a list of numbers"),
        ({"choice": [0.1, 2]}, "gives 2, which is out of range"),
        ({"choice": [0.1, 0.2], "weights": [1]}, "must be 2 numbers"),
        ({"choice": [0.1, 0.2], "weights": [0, 0]}, "not all of them 0"),
        ({"uniform": [0.1, 0.2], "weights": [1, 2]}, "weights belong to choice"),
        (1.5, "gives 1.5, which is out of range"),
    ],
)
def test_what_is_no_distribution_is_one_sentence(given, words):
    with pytest.raises(ConfigError, match=words) as caught:
        distribution_of("e1", given, Range(0.0, 1.0, open_high=True))
    assert str(caught.value).startswith("e1")
