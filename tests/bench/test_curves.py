from __future__ import annotations

import dataclasses
import math

import pytest

from aitimestepper.bench import points
from aitimestepper.bench.curves import PEER_BUDGETS, CurvesPlan, curve, part_name, work_precision_curves
from aitimestepper.bench.peer_runs import PeerRun
from aitimestepper.bench.peers import peer_named
from aitimestepper.bench.points import Point, points_of, processor_seconds, step_parameters, values_of
from aitimestepper.bench.records import Partial, Results
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.evaluation.contenders import CLASSICAL, Contender, rule_named
from aitimestepper.initial.suites import Case, reference_case


def short(name: str, share: float) -> Case:
    case = reference_case(name)
    return dataclasses.replace(case, t_end=share * case.t_end)


def contender(rule: str, variant: str = "plain", integrator: str = "leapfrog") -> Contender:
    return Contender(rule_named(rule), variant, integrator)


@pytest.fixture
def small() -> CurvesPlan:
    rules = [rule_named(name) for name in ("constant", "freefall", "energybudget")]
    return CurvesPlan(("kepler0.5",), rules, ("symmetrized",), ("leapfrog",), points=3, tolerances=(1e-2, 1e-3), share=0.03)


@pytest.fixture
def untimed(monkeypatch):
    """Do not repeat runs to time them."""
    monkeypatch.setattr(points, "LONG", 0.0)


def quiet(*_) -> None:
    pass


# ---- the curves ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rule", "variant", "integrator", "first", "power", "within"),
    [
        ("constant", "plain", "leapfrog", 0.04, -2, 0.05),  # in units of the longest time scale, that of apocentre
        ("freefall", "symmetrized", "leapfrog", 0.2, -2, 0.05),
        ("freefall", "symmetrized", "suzuki4", 0.2, -4, 0.2),
        ("freefall", "symmetrized", "kahan_li6", 0.2, -6, 0.5),
    ],
)
def test_the_error_decreases_with_the_forces_at_the_order(slope, rule, variant, integrator, first, power, within):
    sweep = [first / 2 ** (k / 2) for k in range(4)]
    found = points_of(short("kepler0.5", 0.05), contender(rule, variant, integrator), sweep, 10**6)
    assert slope([p.run.forces for p in found], [p.run.error for p in found]) == pytest.approx(power, abs=within)
    assert [p.value for p in found] == pytest.approx(sweep)


def test_records_hold_what_was_run_and_how_it_went(small):
    case = small.cases()[0]
    records = curve(small, case, small.contenders()[1])
    assert len(records) == 3
    for record, value in zip(records, small.sweep(small.contenders()[1]), strict=True):
        assert (record.study, record.family, record.mode, record.n) == ("curves", "kepler0.5", "run", 1)
        assert (record.criterion, record.variant, record.integrator) == ("freefall", "symmetrized", "leapfrog")
        assert record.value == pytest.approx(value)
        assert record.tolerance is None
        assert 0 < record.more["final_error"] <= record.errors[0] * 1.001
        assert record.more["steps"] in (record.forces, record.forces - 1)
        assert 0 < record.wall_time < 0.1
    assert len({r.key for r in records}) == 3


def test_rules_that_take_a_tolerance_are_asked_for_tolerances(small):
    records = curve(small, small.cases()[0], contender("energybudget", "symmetrized"))
    assert [r.tolerance for r in records] == pytest.approx([1e-2, 1e-3])
    assert [r.value for r in records] == pytest.approx([1e-2, 1e-3])
    assert records[1].errors[0] < 1e-3


def test_a_run_that_costs_too_much_is_recorded_without_an_error_and_ends_the_curve(untimed):
    case, free_fall = short("kepler0.5", 0.05), contender("freefall", "symmetrized")
    found = points_of(case, free_fall, [0.2, 0.16, 0.01], 200)
    assert [p.run.unfinished for p in found] == [False, True]
    assert math.isinf(found[1].run.error)
    assert found[1].run.seconds is None
    assert found[1].run.forces in (200, 201)
    few = [p.run for p in points_of(case, free_fall, [0.2, 0.1, 0.05], 200)]
    assert [run.unfinished for run in few] == [False]  # half the steps would surely have been too many


def test_an_unsound_run_does_not_end_the_curve(untimed):
    """Steps that are far too long throw the bodies of Burrau's problem together, and the run never ends; shorter ones do."""
    found = points_of(short("burrau", 0.3), contender("freefall", "plain", "hermite4"), step_parameters("hermite4", 8), 100_000)
    assert math.isinf(found[0].run.error) or found[0].run.error > 0.1
    assert found[-1].run.error < 1e-3


def test_a_curve_ends_where_rounding_begins(untimed):
    found = points_of(short("kepler0.5", 0.02), contender("prs23", "plain", "radau15"), step_parameters("radau15", 40), 10**6)
    errors = [p.run.error for p in found]
    assert 4 < len(errors) < 30
    assert min(errors) < 1e-14
    assert min(errors[:-2]) <= 2 * min(errors[-2:])


def test_budgets_shrink_with_the_pairs_and_problems_with_the_share():
    plan = CurvesPlan(("kepler0.5", "plummer64"), share=0.5, budget=100_000)
    kepler, plummer = plan.cases()
    assert plan.most(kepler) == 100_000
    assert plan.most(plummer) == 100_000 * 100 // (64 * 63 // 2)
    assert kepler.t_end == pytest.approx(0.5 * 200 * math.pi)


def test_the_plan_holds_every_rule_under_every_integrator_that_it_makes_sense_with():
    found = CurvesPlan().contenders()
    assert {c.rule.name for c in found if c.integrator == "kahan_li6"} == set(CLASSICAL)
    assert {c.rule.name for c in found if c.integrator == "radau15"} == {*CLASSICAL, "lastterm"}
    assert {c.variant for c in found if c.integrator in ("hermite4", "logh", "radau15")} == {"plain"}
    assert {c.variant for c in found if c.rule.name == "freefall" and c.integrator == "leapfrog"} == {"plain", "symmetrized"}
    few = CurvesPlan(problems=("burrau",)).quick()
    assert few.problems == ("burrau",)
    assert few.share == pytest.approx(0.1)
    assert len(few.contenders()) < len(found)


@pytest.mark.parametrize("wrong", [{"points": 0}, {"share": 0.0}, {"share": 2.0}, {"budget": 1}, {"tolerances": (0.0,)}])
def test_a_plan_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong)).removesuffix('erances')}"):
        CurvesPlan(**wrong).checked()


def test_unknown_problems_and_missing_peers_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'burrau'"):
        CurvesPlan(problems=("burau",)).checked()
    monkeypatch.setattr("aitimestepper.bench.curves.available_peers", lambda: ("rebound:whfast",))
    assert CurvesPlan(peers=("rebound:whfast",)).checked()
    with pytest.raises(UserError, match=r"heyoka .* pip install 'aitimestepper\[bench\]'"):
        CurvesPlan(peers=("heyoka:taylor", "rebound:whfast")).checked()


# ---- peers -----------------------------------------------------------------------------------------------------------
def test_a_fixed_step_of_a_peer_is_as_long_as_that_of_our_constant_rule():
    """This includes a problem with another G, whose unit of time is not ours."""
    case = short("solar", 0.01)
    ours = points_of(case, contender("constant"), step_parameters("leapfrog", 3), 10**6)
    dts = values_of(peer_named("rebound:leapfrog"), case, 3)
    assert [p.run.steps for p in ours] == [math.ceil(case.t_end / dt) for dt in dts]


def test_ias15_is_always_run_with_its_default():
    case = reference_case("kepler0.5")
    assert [values_of(peer_named("rebound:ias15:prs23"), case, n)[-1] for n in (1, 4, 10)] == [1e-9] * 3


def test_a_peer_that_does_not_apply_says_so_in_a_record():
    plan = CurvesPlan(("figure8",))
    (record,) = curve(plan, plan.cases()[0], peer_named("rebound:whfast"))
    assert record.n == 0
    assert "needs a central body" in record.more["skipped"]
    assert record.errors is None


def test_peers_have_records_like_ours():
    pytest.importorskip("rebound")
    plan = CurvesPlan(("kepler0.5",), share=0.02, points=3)
    records = curve(plan, plan.cases()[0], peer_named("rebound:ias15:prs23"))
    assert {(r.criterion, r.variant, r.integrator) for r in records} == {("rebound", "prs23", "ias15")}
    assert records[-1].value == 1e-9
    assert records[-1].errors[0] < 1e-14
    assert all(r.forces > r.more["steps"] for r in records)
    tight = dataclasses.replace(plan, budget=100)
    last = curve(tight, plan.cases()[0], peer_named("rebound:ias15:prs23"))[-1]
    assert last.unfinished == 1
    assert last.forces > PEER_BUDGETS * 100


# ---- the study -------------------------------------------------------------------------------------------------------
def test_a_study_continues_and_its_file_can_be_read(small, tmp_path, untimed):
    path = tmp_path / "curves.json"
    stopped = Partial(path, small.fingerprint())
    first = next(work_precision_curves(small, stopped, quiet))
    stopped.stop()
    reported = []
    partial = Partial(path, small.fingerprint())
    every = list(work_precision_curves(small, partial, lambda *report: reported.append(report)))
    assert every[0] == first
    names = [part_name((small.cases()[0], c)) for c in small.contenders()]
    assert names == [
        "kepler0.5 leapfrog constant",
        *(f"kepler0.5 leapfrog {r}, symmetrized" for r in ("freefall", "energybudget")),
    ]
    assert [what for _, _, what in reported] == [*names[1:], ""]
    assert reported[-1][:2] == (2, 2)
    records = [record for name in names for record in partial.done[name]]
    assert records == [r for part in every for r in part]
    Results("curves", "", small.fingerprint(), records).save(path)
    assert Results.load(path).records == records


# ---- time ------------------------------------------------------------------------------------------------------------
def test_time_is_that_of_the_steps_alone(monkeypatch):
    """A clock that the jobs advance: 3 to begin and 1 a copy, of which 0.25 are steps."""
    now = [0.0]
    monkeypatch.setattr(points.time, "process_time", lambda: now[0])
    monkeypatch.setattr(points, "CALL", 5.0)

    def job(fixed: float, each: float):
        def prepared(amount: int):
            def call() -> None:
                now[0] += fixed + each * amount

            return call

        return prepared

    def run(seconds: float | None) -> PeerRun:
        return PeerRun(1e-3, 1e-3, 10, 10, False, seconds)

    batch = Point(1.0, None, run(0.01), job(3.0, 1.0), job(3.0, 0.75))
    plain = Point(1.0, None, run(0.01), job(0.0, 0.02))
    long, broken = Point(1.0, None, run(7.0), job(0.0, 9.0)), Point(1.0, None, run(None), job(0.0, 9.0))
    assert processor_seconds([batch, plain, long, broken], 3) == pytest.approx([0.25, 0.02, 7.0, None])
