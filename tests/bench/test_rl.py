# ruff: noqa: NPY002 (the global stream is what the set is defined by)
"""The test set of a reinforcement-learning stepper, and figures of constant parameters from before this package."""

import math

import numpy as np
import pytest

from aitimestepper.bench.records import Partial
from aitimestepper.bench.rl import PUBLISHED, RlPlan, in_pieces, reinforcement_set
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.contenders import rule_named
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import Suite, named_suite, reinforcement_case

# in SI units, from other sources than the package's: IAU 2012 au, nominal GM of the Sun, Julian year
AU, GM_SUN, YEAR = 149_597_870_700.0, 1.3271244e20, 31_557_600.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_positions_are_those_of_the_global_stream_which_stays_as_it_is(seed):
    before = np.random.get_state()
    try:
        np.random.seed(seed)
        x1, y1 = np.random.uniform(5, 20), np.random.uniform(0, 10)
        x2, y2 = np.random.uniform(0, -10), np.random.uniform(5, 20)
    finally:
        np.random.set_state(before)
    bodies = reinforcement_case(seed).initial
    after = np.random.get_state()
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]
    expected = np.array([[0, 0], [x1, y1], [x2, y2]])
    np.testing.assert_allclose(bodies.position - bodies.position[0], expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(bodies.position.sum(0), 0, atol=1e-13)
    speed = AU / YEAR / 1000  # km/s of one au a year
    np.testing.assert_allclose(
        (bodies.velocity - bodies.velocity[2]) * speed, [[0, 10], [-10, 0], [0, 0]], rtol=1e-8, atol=1e-12
    )


def test_the_energy_of_seed_0_in_si_units():
    """Newton's law by hand. 4 pi^2 is the Sun's GM in au^3 / yr^2 but for 4e-5: the year is not that of Gauss."""
    r = np.array([[0, 0], [13.2322025559, 7.1518936637], [-6.0276337607, 13.1732477459]]) * AU
    v = np.array([[0, 1e4], [-1e4, 0], [0, 0]])
    v = v - v.mean(0)
    energy = 0.5 * (v**2).sum()  # per solar mass
    for i, j in ((0, 1), (0, 2), (1, 2)):
        energy -= GM_SUN / math.dist(r[i], r[j])
    start = Systems.of(Suite("rl", (reinforcement_case(0),))).start
    ours = start.total_energy()[0] * GM_SUN / AU  # G = 1, solar masses, au
    assert ours == pytest.approx(energy, rel=2e-4)


@pytest.mark.parametrize("row", [row for row in PUBLISHED if row.eta in (4.64e-3, 0.03)], ids=lambda row: f"eta {row.eta}")
def test_the_table_of_constant_parameters_comes_out_again(row):
    """Median forces within 0.5 %, median and 90 % of the final errors within the digits that are given, or rounding."""
    done = in_pieces(Systems.of(named_suite("rl")), row.eta)
    assert np.median(done.forces) == pytest.approx(row.forces, rel=0.005)
    assert np.median(done.final_error) == pytest.approx(row.median, rel=0.05)
    assert np.quantile(done.final_error, 0.9) == pytest.approx(row.p90, rel=0.03 if row.eta == 0.03 else 0.4)
    assert np.median(done.error) > 1.5 * row.median  # the largest error on the way is another quantity


def test_rows_of_the_study(tmp_path):
    plan = RlPlan(
        rules=[rule_named("freefall"), rule_named("prs23")], etas=(0.03,), seeds=range(7), forces=2000, threads=1
    ).checked()
    partial = Partial(tmp_path / "rl.json", plan.fingerprint())
    records = [r for rows in reinforcement_set(plan, partial, lambda *_: None) for r in rows]
    modes = [r.mode for r in records]
    assert modes.count("published") == 3
    assert modes.count("pieces") == 1
    assert modes.count("run") == 2  # HutMakino with Hermite, and radau15
    assert len({r.key for r in records}) == len(records)
    matched = [r for r in records if r.mode == "matched"]
    assert {(r.criterion, r.variant) for r in matched} == {
        (c, v) for c in ("freefall", "prs23") for v in ("plain", "symmetrized")
    }
    for record in matched:
        assert record.more["median_forces"] == pytest.approx(2000, rel=0.02)
        assert len(record.errors) == len(record.forces_each) == record.n == 7
        assert record.more["final_quantiles"]["0.5"] <= record.error_quantiles["0.5"]
    assert all("published" not in r.more for r in records if r.mode != "published")  # seven problems are not the table's


def test_rows_of_two_parameters_are_different_measurements(tmp_path):
    plan = RlPlan(rules=[], etas=(0.02, 0.03), seeds=range(2), threads=1).checked()
    partial = Partial(tmp_path / "rl.json", plan.fingerprint())
    records = [r for rows in reinforcement_set(plan, partial, lambda *_: None) for r in rows]
    assert len({r.key for r in records}) == len(records) == 3 + 4 + 1


@pytest.mark.parametrize("wrong", [{"forces": 1.0}, {"seeds": [100]}, {"seeds": []}, {"threads": 0}, {"etas": (0.0,)}])
def test_a_plan_out_of_range_is_refused(wrong):
    name = next(iter(wrong))
    with pytest.raises(ConfigError, match=f"{'eta' if name == 'etas' else name} = .* is out of range"):
        RlPlan(**wrong).checked()
