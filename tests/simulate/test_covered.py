"""The bodies whose own orbits a tolerance covers, as results list them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from aitimestepper import Bodies, simulate
from aitimestepper.initial.named import figure8, kepler, triple
from aitimestepper.simulate.result import SimulationResult


def sun_and_two(names=("Sun", "planet", "comet")) -> Bodies:
    """A star, a massless planet, and a massless body that leaves."""
    return Bodies([1.0, 0.0, 0.0], [[0, 0], [1, 0], [0, 5]], [[0, 0], [0, 1], [0, 2.0]], names=names)


def test_a_result_lists_the_covered_bodies_of_every_system():
    batch = Bodies.stack([Bodies(*triple(a2=20.0)[:3]), Bodies(*figure8(dim=3)[:3]), Bodies(*kepler(0.5, dim=3)[:3])])
    result = simulate(batch, t_end=0.1, tol=1e-3)
    assert result.covered_bodies.tolist() == [[True] * 3, [False] * 3, [True, True, False]]
    rows = json.loads(json.dumps(result.summary()))["systems"]
    assert [row["covered_bodies"] for row in rows] == ["all", [], "all"]


@pytest.mark.parametrize(("names", "shown"), [(("Sun", "planet", "comet"), ["planet"]), (None, [1])])
def test_a_summary_names_them_where_bodies_have_names(names, shown):
    assert simulate(sun_and_two(names), t_end=0.1, tol=1e-3).summary()["covered_bodies"] == shown


def test_without_a_tolerance_there_is_no_list():
    result = simulate(kepler(0.5), t_end=0.1, criterion="freefall:eta=0.1")
    assert result.covered_bodies is None
    assert "covered_bodies" not in result.summary()


def test_a_run_in_pieces_keeps_the_bodies_of_its_first_start(monkeypatch):
    first = simulate(kepler(0.5), t_end=1.0, tol=1e-3)
    seen = []
    monkeypatch.setattr(
        sys.modules[SimulationResult.__module__], "covered_bodies", lambda bodies: seen.append(bodies) or np.zeros((1, 2), bool)
    )
    second = simulate(first, t_end=2.0)
    assert seen == []  # only those who ask for it pay for it
    assert second.summary()["covered_bodies"] == second.summary()["covered_bodies"] == []
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0].position, kepler(0.5).position[None])
