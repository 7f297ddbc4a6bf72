"""Step quality: what is reported is what simulations of the same problems give."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from aitimestepper.bench.cost import QUICK, Charges
from aitimestepper.bench.parallel import in_parallel
from aitimestepper.bench.records import Partial
from aitimestepper.bench.steps import StepsPlan, step_quality
from aitimestepper.criteria.classical import EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Limited, Symmetrized
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.contenders import COARSEST, contenders, rule_named
from aitimestepper.evaluation.runs import Systems
from aitimestepper.evaluation.sweep import RATIO, sweep_parameters
from aitimestepper.initial.suites import make_suite
from aitimestepper.simulate.engine import simulate


def quiet(*_):
    pass


def plan_of(*names, **more):
    defaults = {"families": ("kepler", "random3"), "train": 6, "test": 5, "integrators": ("leapfrog",), "budget": 60_000}
    return StepsPlan(rules=[rule_named(n) for n in names], **{**defaults, "tolerances": (1e-2, 1e-3), **more})


def run(plan, path, charges=None, fresh=True):
    charges = charges or Charges(3, QUICK)
    partial = Partial(path, plan.fingerprint(), fresh)
    try:
        return [r for records in step_quality(plan, partial, charges, quiet) for r in records]
    finally:
        partial.stop()


def pick(records, **wanted):
    found = [r for r in records if all(getattr(r, k) == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    plan = plan_of("freefall", "energybudget", variants=("symmetrized",))
    return plan, run(plan, tmp_path_factory.mktemp("steps") / "s.json")


def test_the_calibrated_rule_complies_on_the_problems_it_was_calibrated_on(study):
    plan, records = study
    train, _ = plan.suites()
    for tol in (1e-2, 1e-3):
        eta = pick(records, criterion="freefall", family="all", tolerance=tol, mode="calibrated").value
        systems, ends = train.batch()

        def share(factor, systems=systems, ends=ends, eta=eta, tol=tol):
            rule, budget = Symmetrized(FreeFall(eta * factor)), plan.budget
            done = simulate(systems, t_end=ends, criterion=rule, integrator="leapfrog", max_steps=budget)
            affordable = (np.array(done.status) == "ok") & (done.force_evaluations * 1.3 < budget)
            return (affordable & (done.max_energy_error <= tol)).mean()

        # between two step parameters of the sweep: at the finer one enough comply, at the coarser one too few
        coarser = COARSEST / RATIO ** math.floor(math.log(COARSEST / eta, RATIO))
        assert eta < coarser < 1.5 * eta
        assert share(coarser / eta) < 0.9 <= share(coarser / eta / RATIO)


def test_what_is_measured_is_what_simulations_of_the_test_problems_give(study):
    plan, records = study
    _, test = plan.suites()
    systems, ends = test.batch()
    asked = pick(records, criterion="energybudget", family="all", tolerance=1e-3, mode="asked")
    done = simulate(systems, t_end=ends, criterion=Symmetrized(EnergyBudget(1e-3)), integrator="leapfrog", max_steps=60_000)
    assert asked.value == pytest.approx(1e-3)
    ok = np.array(done.status) == "ok"
    assert [e is not None for e in asked.errors] == ok.tolist()
    np.testing.assert_allclose(np.array(asked.errors, float)[ok], done.max_energy_error[ok], rtol=1e-3)
    np.testing.assert_allclose(asked.forces_each, done.force_evaluations, rtol=1e-3)
    assert asked.forces == pytest.approx(math.exp(np.log(done.force_evaluations).mean()), rel=1e-9)
    error = np.where(ok, done.max_energy_error, np.inf)
    assert asked.compliance == (error <= 1e-3).mean()
    assert asked.unfinished == (~ok).sum() == 1
    assert asked.worst == test.cases[int(error.argmax())].name
    assert asked.error_quantiles["0.5"] == pytest.approx(np.sort(error)[4])
    low, high = asked.forces_interval
    assert low < asked.forces < high
    assert asked.charged_forces > 1.02 * asked.forces


def test_families_add_up_to_the_whole(study):
    _, records = study
    for mode in ("calibrated", "hindsight", "fitted"):
        whole = pick(records, criterion="freefall", family="all", tolerance=1e-2, mode=mode)
        parts = [pick(records, criterion="freefall", family=f, tolerance=1e-2, mode=mode) for f in ("kepler", "random3")]
        assert [p.n for p in parts] == [5, 5]
        assert math.prod(p.forces for p in parts) ** 0.5 == pytest.approx(whole.forces, rel=1e-9)
    calibrated = [
        pick(records, criterion="freefall", family=f, tolerance=1e-2, mode="calibrated").compliance
        for f in ("kepler", "random3", "all")
    ]
    assert sum(calibrated[:2]) / 2 == pytest.approx(calibrated[2])
    assert whole.seeds == [2_000_000, 2_000_005]


def test_hindsight_complies_and_nothing_coarser_does_so_for_good(study):
    plan, records = study
    _, test = plan.suites()
    cost = pick(records, criterion="freefall", family="all", tolerance=1e-3, mode="hindsight").forces_each
    systems = Systems.of(test)
    contender = plan.parts()[0]
    sweep = sweep_parameters(systems, contender, [1e-3], plan.budget)
    for p, forces in enumerate(cost):
        if forces is None:  # not within the budget
            ran = sweep.error[p][~np.isnan(sweep.error[p])]
            assert not ran[-1] <= 1e-3
            continue
        finer = sweep.forces[p] > 1.2 * forces
        assert np.nanmax(sweep.error[p][finer], initial=0) <= 1e-3
        coarser = sweep.forces[p] < forces / 1.5
        assert not coarser.any() or np.nanmax(sweep.error[p][coarser]) > 1e-3


def test_hindsight_costs_no_more_than_one_constant_for_all(study):
    _, records = study
    for name in ("freefall", "energybudget"):
        for tol in (1e-2, 1e-3):
            fitted, hindsight = (
                pick(records, criterion=name, family="all", tolerance=tol, mode=m) for m in ("fitted", "hindsight")
            )
            assert hindsight.forces <= fitted.forces
            assert hindsight.compliance >= fitted.compliance == 0.9
            assert hindsight.compliance == 1 - hindsight.unfinished / hindsight.n


def test_a_study_continues_with_the_same_numbers(study, tmp_path):
    plan, records = study
    partial = Partial(tmp_path / "s.json", plan.fingerprint())
    stream = step_quality(plan, partial, Charges(3, QUICK), quiet)
    next(stream)
    stream.close()
    partial.stop()
    assert len(partial.done) == 1
    before = next(iter(partial.done.values()))
    again = run(replace(plan, threads=1), tmp_path / "s.json", fresh=False)
    assert before[0] in again
    numbers = {r.key: (r.value, r.forces, r.compliance) for r in records}
    assert {r.key: (r.value, r.forces, r.compliance) for r in again} == numbers


def test_a_budget_that_is_too_small_shows_in_the_records(tmp_path):
    plan = plan_of("constant", budget=300, tolerances=(1e-6,))
    for r in run(plan, tmp_path / "s.json"):
        assert r.forces is None
        assert r.more == {"reached": False}
    asked = [r for r in run(replace(plan, rules=[rule_named("energybudget")]), tmp_path / "s.json") if r.mode == "asked"]
    assert asked[0].unfinished == asked[0].n
    assert asked[0].compliance == 0
    assert asked[0].forces <= 301


def test_a_tolerance_has_the_same_answer_whatever_others_are_asked_for(tmp_path):
    loose = plan_of("hutmakino", variants=("plain",), tolerances=(1e-2,), budget=30_000)
    alone = {(r.mode, r.family): r for r in run(loose, tmp_path / "t.json")}
    for more in ((1e-3,), (1e-3, 1e-4), (1e-9,)):
        for r in run(replace(loose, tolerances=(1e-2, *more)), tmp_path / "s.json"):
            if r.tolerance == 1e-9:
                assert r.more == {"reached": False}
            elif r.tolerance == 1e-2:
                assert (r.value, r.compliance) == (alone[r.mode, r.family].value, alone[r.mode, r.family].compliance)
                # fitted forces are read off the sweep, and extrapolated where it ends
                assert r.forces == pytest.approx(alone[r.mode, r.family].forces, rel=1e-2 if r.mode == "fitted" else 1e-12)


def test_the_cost_of_choosing_depends_on_the_quantities_of_the_rule():
    charges = Charges(16, QUICK)
    cost = {
        name: charges.of(contenders([rule_named(name)])[0]).at([2, 3, 16])
        for name in ("constant", "freefall", "prs23", "aarseth")
    }
    assert (cost["constant"] < 0.3).all()
    assert (cost["freefall"] < cost["prs23"]).all()
    assert cost["aarseth"][2] > cost["prs23"][2]
    assert (cost["prs23"] > 0.7).all()  # jerk and snap: two more passes over all pairs


def test_a_wrong_plan_is_refused_in_a_sentence():
    plan = plan_of("freefall")
    for change, message in (
        ({"share": 1.0}, "share = 1.0 is out of range"),
        ({"tolerances": (0.0,)}, "tol = 0.0 is out of range"),
        ({"budget": 3}, "budget = 3 is out of range"),
        ({"integrators": ("leapfrgo",)}, "did you mean 'leapfrog'"),
        ({"split": "train"}, "split = train is what rules are calibrated on"),
        ({"families": ("keplr",)}, "did you mean 'kepler'"),
        ({"measure_on": make_suite(("kepler",), "test", 2, 2)}, "2 and 3 axes"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(plan, **change).checked()


def test_an_error_in_one_part_stops_the_others():
    systems = Systems.of(make_suite(("kepler",), "train", 1))
    stopped = []

    def measure(part, watch):
        if part == "bad":
            raise RuntimeError("no step")
        rule = Limited(FreeFall(1e-4), 1e-9)
        try:
            simulate(systems.start, t_end=1e9, criterion=rule, integrator="leapfrog", progress=watch, threads=1)
        except BaseException:
            stopped.append(part)
            raise
        return part

    with pytest.raises(RuntimeError, match="no step"):
        list(in_parallel(["long", "bad", "long"], measure, str, 2, quiet))
    assert stopped == ["long"]
