"""Long runs: drift with its error bar, and reversibility."""

import math
from dataclasses import replace

import numpy as np
import pytest

from aitimestepper.bench import longrun
from aitimestepper.bench.drift import drift_of
from aitimestepper.bench.longrun import ROWS_PER_PERIOD, LongrunPlan, bits_lost, long_runs, there_and_back
from aitimestepper.bench.records import Partial, plain
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.named import InitialConditions, kepler
from aitimestepper.initial.suites import Case, Suite

ORBITS, DRIFT = 1000, 3e-6
TIME = np.arange(int(ROWS_PER_PERIOD * ORBITS)) / ROWS_PER_PERIOD


def spikes(rng):
    """Return a series like the energy error of an orbit of e = 0.9, at pericentre 10^5 times its drift."""
    return 1e-2 / (1 - 0.9 * np.cos(2 * math.pi * (TIME + rng.uniform()))) ** 2


NOISES = {
    "oscillation": lambda rng: spikes(rng),
    "white": lambda rng: spikes(rng) + 1e-3 * rng.normal(size=len(TIME)),
    "walk": lambda rng: spikes(rng) + 1e-3 * np.cumsum(rng.normal(size=len(TIME))) / math.sqrt(len(TIME)),
    "slow": lambda rng: spikes(rng) + 1e-3 * np.sin(2 * math.pi * (TIME / rng.uniform(50, 150) + rng.uniform())),
}


@pytest.mark.parametrize("noise", NOISES)
def test_two_error_bars_cover_the_true_drift(noise):
    """Nominally 95 %; of 200 series at least 89 % are four standard deviations of that count below."""
    rng = np.random.default_rng(1)
    found = [drift_of(TIME, DRIFT * TIME + NOISES[noise](rng)) for _ in range(200)]
    slopes, errors = np.array(found).T
    assert (np.abs(slopes - DRIFT) < 2 * errors).mean() > 0.89
    assert np.median(errors) < DRIFT  # a bar that covers everything says nothing
    assert np.median(errors) < 8 * slopes.std()
    assert abs(slopes.mean() - DRIFT) < 4 * slopes.std() / math.sqrt(200) + 1e-8


def test_a_straight_line_has_its_slope_and_a_short_series_has_none():
    assert drift_of(TIME, 2 * TIME - 7).slope == pytest.approx(2, rel=1e-12)
    assert drift_of(TIME, 2 * TIME - 7).error < 1e-10
    assert math.isnan(drift_of(TIME[:50], TIME[:50]).slope)
    assert math.isnan(drift_of(TIME, np.where(TIME > 500, np.nan, TIME)).slope)


def run(tmp_path, **changes):
    plan = LongrunPlan(also=(), higher=(), references=("kepler0.9",), count=0, orbits=100, threads=1)
    plan = replace(plan, **changes).checked()
    partial = Partial(tmp_path / "longrun.json", plan.fingerprint())
    return [record for records in long_runs(plan, partial, lambda *_: None) for record in records]


def test_symmetrized_steps_drift_orders_of_magnitude_less(tmp_path):
    plain_run, symmetrized = run(tmp_path, rules=[rule_named("freefall")])
    for record in (plain_run, symmetrized):
        assert record.forces == pytest.approx(500 * 100, rel=0.02)
        assert record.more["periods"] == 100
    assert plain_run.more["drift_per_orbit"] > 20 * plain_run.more["drift_error"]
    total = 100 * plain_run.more["drift_per_orbit"]
    assert total == pytest.approx(plain_run.more["final_error"], rel=0.2)  # all that a plain step loses is drift
    assert abs(symmetrized.more["drift_per_orbit"]) < 2 * symmetrized.more["drift_error"]
    assert symmetrized.more["drift_error"] < plain_run.more["drift_per_orbit"] / 300
    assert symmetrized.more["final_error"] < plain_run.more["final_error"] / 1e4
    assert symmetrized.more["bits_lost"] < plain_run.more["bits_lost"] - 10


def test_records_say_which_problem_and_which_seed_and_are_json(tmp_path):
    records = run(tmp_path, rules=[rule_named("freefall")], variants=("symmetrized",), count=1, orbits=20)
    assert [record.family for record in records] == ["kepler0.9", "longrun-2000000"]
    assert [record.split for record in records] == [None, "test"]
    assert records[1].seeds == [2000000, 2000001]
    assert len({record.key for record in records}) == 2
    assert {"final_error", "drift_per_orbit", "drift_error", "bits_lost"} <= plain(records[0])["more"].keys()


def test_finished_parts_are_not_run_again(tmp_path):
    plan = LongrunPlan(
        rules=[rule_named("constant")], also=(), higher=(), references=("kepler0.5",), count=0, orbits=5, threads=1
    )
    partial = Partial(tmp_path / "x.json", plan.fingerprint())
    first = list(long_runs(plan, partial, lambda *_: None))
    partial.stop()
    again = Partial(tmp_path / "x.json", plan.fingerprint())
    second = list(long_runs(plan, again, lambda *_: pytest.fail("something ran")))
    again.stop()
    assert second[0][0].more["final_error"] == first[0][0].more["final_error"]


def test_equal_steps_are_reversible():
    """10^5 equal steps that divide the run: rounding alone; 2^-53 a step at random would be 8 bits."""
    plan = LongrunPlan(references=("kepler0.5",), count=0, orbits=100)
    problem = plan.problems()[0]
    one = Systems.of(Suite("", (problem.case,))).rows(np.array([0]))
    one = Systems(one.start, np.array([problem.end]))
    contender = Contender(rule_named("constant"), "plain", "leapfrog")
    unit = contender.criterion(1.0, one.start).dt[0]
    found = there_and_back(one, contender, problem.end / 100_000 / unit, problem, 100_000)
    assert found.forces == pytest.approx(100_001, abs=2)
    assert found.bits_lost < 10
    between = there_and_back(one, contender, problem.end / 100_000.5 / unit, problem, 100_000)
    assert between.final_error < 1e-4
    assert 13 < between.bits_lost < 45  # the shortened step is at another time on the way back


def test_bits_are_powers_of_two_over_rounding():
    start = as_bodies(kepler(0.5))
    back = start.replace(velocity=-start.velocity)
    assert bits_lost(start, back) == 0
    moved = back.replace(position=back.position * (1 + 2.0**-33))
    assert bits_lost(start, moved) == pytest.approx(20, abs=1e-3)
    assert bits_lost(start, start) == pytest.approx(54, abs=1e-9)  # velocities not reversed: twice their size away


def test_the_tightest_pair_counts_the_time():
    initial = kepler(0.7, q=0.1, a=2.0)._replace(period=None)
    problem = longrun._problem(Case("x", "x", initial, 40.0), 1000)
    assert problem.period == pytest.approx(2 * math.pi * 2**1.5, rel=1e-12)
    assert problem.periods == pytest.approx(40.0 / problem.period)
    plan = LongrunPlan(count=8, orbits=2000)
    periods = {p.case.name: p.periods for p in plan.problems()}
    assert periods["figure8"] == 200
    assert periods["kepler0.9"] == 2000
    assert {round(v) for k, v in periods.items() if k.startswith("longrun")} == {1000, 2000}  # two bodies end at 1000


def test_a_problem_without_an_orbit_is_refused():
    unbound = InitialConditions(np.ones(2), np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 3.0]]))
    with pytest.raises(ConfigError, match="x: no two bodies are bound at the start"):
        longrun._problem(Case("x", "x", unbound, 1.0), 1)


@pytest.mark.parametrize("wrong", [{"count": -1}, {"orbits": 0}, {"forces": 1.0}, {"threads": 0}])
def test_a_plan_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} = .* is out of range"):
        LongrunPlan(**wrong).checked()
