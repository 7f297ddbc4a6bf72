from __future__ import annotations

import dataclasses
import importlib
import math

import numpy as np
import pytest

from aitimestepper.bench import peers, rebound_runs
from aitimestepper.bench.peer_runs import energy_of
from aitimestepper.bench.peers import PEERS, available_peers, peer_named, prepare, refusal
from aitimestepper.bench.rebound_runs import ADAPTIVE_MODES, METHODS, rebound_of, watched
from aitimestepper.bodies import as_bodies
from aitimestepper.criteria.classical import Constant
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.initial.named import InitialConditions, kepler
from aitimestepper.initial.suites import Case, Suite, make_suite, reference_case
from aitimestepper.simulate.engine import simulate

PROBLEMS = ("kepler0.9", "figure8", "burrau", "solar", "plummer64")


def short(name: str, share: float) -> Case:
    case = reference_case(name)
    return dataclasses.replace(case, t_end=share * case.t_end)


def state_of(sim) -> np.ndarray:
    return np.array([[p.x, p.y, p.z, p.vx, p.vy, p.vz] for p in sim.particles])


@pytest.fixture
def rebound():
    return pytest.importorskip("rebound")


@pytest.fixture
def heyoka():
    return pytest.importorskip("heyoka")


# ---- what there is ---------------------------------------------------------------------------------------------------
def test_peers_have_names_and_unknown_ones_are_refused():
    assert all(peer_named(name).name == name for name in PEERS)
    assert {"rebound:ias15:prs23", "rebound:whfast", "rebound:trace", "heyoka:taylor"} <= set(PEERS)
    assert {"rebound:leapfrog", "rebound:leapfrog4", "rebound:leapfrog6", "rebound:leapfrog8"} <= set(PEERS)
    with pytest.raises(ConfigError, match="did you mean 'rebound:whfast'"):
        peer_named("rebound:whfats")


def test_a_package_that_is_missing_is_a_sentence_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert available_peers() == ()
    for name in ("rebound:ias15:prs23", "heyoka:taylor"):
        with pytest.raises(UserError, match=r"pip install 'aitimestepper\[bench\]'"):
            prepare(peer_named(name), short("kepler0.5", 0.01), 1e-6).watch(100)


@pytest.mark.parametrize(
    ("peer", "problem", "softening", "why"),
    [
        ("rebound:whfast", "kepler0.9", 0.0, ""),
        ("rebound:whfast", "solar", 0.0, ""),
        ("rebound:whfast", "figure8", 0.0, "needs a central body with more than 90% of the mass, figure8 has 33%"),
        ("rebound:whfast", "plummer64", 0.0, "plummer64 has 2%"),
        ("rebound:whfast", "solar", 0.1, "no softening"),
        ("rebound:trace", "kepler0.9", 0.0, ""),
        ("rebound:trace", "burrau", 0.0, "TRACE needs a central body with more than 90% of the mass, burrau has 42%"),
        ("rebound:trace", "solar", 0.1, "no softening"),
        ("rebound:leapfrog8", "figure8", 0.1, ""),
        ("heyoka:taylor", "solar", 0.1, "no softening"),
        ("heyoka:taylor", "figure8", 0.0, ""),
        ("rebound:ias15:prs23", "figure8", 0.1, ""),
    ],
)
def test_methods_are_refused_where_they_do_not_apply(peer, problem, softening, why):
    case = dataclasses.replace(reference_case(problem), softening=softening)
    found = refusal(peer_named(peer), case)
    assert why in found
    assert bool(found) == bool(why)
    if why:
        with pytest.raises(ConfigError, match=r"WHFast|TRACE|softening"):
            prepare(peer_named(peer), case, 1e-2)


def test_no_peer_is_run_on_a_problem_in_an_outer_field():
    case = make_suite(("tidal",), "test", 1).cases[0]
    for peer in PEERS.values():
        assert "outer field" in refusal(peer, case) or "central body" in refusal(peer, case)


# ---- the same problem ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("softening", [0.0, 0.3])
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_code_starts_with_the_same_energy(rebound, name, softening):
    case = dataclasses.replace(reference_case(name), softening=softening)
    sim = rebound_of(case.initial, "leapfrog", softening=softening)
    ours = as_bodies(case.initial, softening=case.softening).total_energy()[0]
    assert rebound_runs._energy_of(sim)() == pytest.approx(ours, rel=1e-13)
    assert energy_of(case.initial.mass, state_of(sim), sim.G, softening) == pytest.approx(ours, rel=1e-13)


def test_the_leapfrog_of_rebound_is_ours_half_a_step_later(rebound):
    """Theirs begins with half a drift (D), ours with half a kick (K): DKD after Q = D K is Q after KDK, step for step."""
    case, n, h = reference_case("figure8"), 200, 0.01

    def kicked_and_drifted(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        apart = x[None] - x[:, None]
        distance = np.linalg.norm(apart, axis=-1) + np.eye(len(x))
        v = v + 0.5 * h * np.einsum("j,ijk,ij->ik", case.initial.mass, apart, distance**-3)
        return np.hstack([x + 0.5 * h * v, v])

    first = kicked_and_drifted(case.initial.position, case.initial.velocity)
    p = simulate(case.initial, steps=n, criterion=Constant(h), integrator="leapfrog").final
    sim = rebound_of(case.initial._replace(position=first[:, :2], velocity=first[:, 2:]), "leapfrog", h)
    sim.steps(n)
    there = kicked_and_drifted(p.position[0], p.velocity[0])
    np.testing.assert_allclose(state_of(sim)[:, [0, 1, 3, 4]], there, atol=1e-12)


def test_the_two_leapfrogs_err_alike(rebound):
    """Both fall with the square of dt. At pericentre, where they are largest, those of D K D are 3.7 times as small."""
    case = short("kepler0.5", 0.1)
    systems = Systems.of(Suite("", (case,)))
    constant = Contender(rule_named("constant"), "plain", "leapfrog")
    unit = constant.criterion(1.0, systems.start).dt[0]
    errors = []
    for step_parameter in (0.04, 0.02):
        theirs = prepare(peer_named("rebound:leapfrog"), case, step_parameter * unit).watch(10**6)
        ours = measure(systems, constant, step_parameter, 10**6)
        assert abs(theirs.steps - ours.steps[0]) <= 1
        assert theirs.forces == theirs.steps
        assert ours.error[0] / theirs.error == pytest.approx(3.7, rel=0.1)
        errors.append(theirs.error)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


# ---- REBOUND ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ADAPTIVE_MODES)
def test_ias15_conserves_the_energy_to_machine_precision_in_each_of_its_modes(rebound, mode):
    case = short("kepler0.5", 0.05)
    run = prepare(peer_named(f"rebound:ias15:{mode}"), case, 1e-9).watch(10**6)
    assert run.final_error <= run.error < 1e-14
    assert 6 * run.steps < run.forces < 60 * run.steps
    assert run.seconds > 0


def test_the_modes_of_ias15_are_really_set(rebound):
    """Each chooses other steps, and a smaller epsilon shorter ones."""
    case = short("kepler0.9", 0.02)
    steps = [prepare(peer_named(f"rebound:ias15:{mode}"), case, 1e-9).watch(10**6).steps for mode in ADAPTIVE_MODES]
    assert len(set(steps)) == len(steps)
    coarse = prepare(peer_named("rebound:ias15:prs23"), case, 1e-6).watch(10**6)
    assert coarse.steps < 0.6 * steps[list(ADAPTIVE_MODES).index("prs23")]


def test_a_run_that_its_watching_changes_is_an_error(rebound):
    case = short("kepler0.5", 0.01)
    made = []

    def make():
        made.append(rebound_of(case.initial, "ias15"))
        made[-1].particles[0].x += 1e-9 * len(made)
        return made[-1]

    with pytest.raises(RuntimeError, match="watching"):
        watched(make, case.t_end, math.inf)


def test_a_run_that_costs_too_much_is_stopped(rebound):
    run = prepare(peer_named("rebound:ias15:prs23"), short("kepler0.5", 0.05), 1e-9).watch(500)
    assert run.unfinished
    assert math.isinf(run.error)
    assert 500 < run.forces < 800
    assert run.seconds is None


def test_whfast_makes_no_error_with_two_bodies_and_one_of_second_order_with_planets(rebound):
    whfast = peer_named("rebound:whfast")
    two = short("kepler0.5", 0.05)
    assert prepare(whfast, two, two.t_end / 40).watch(10**6).error < 1e-13
    solar = short("solar", 0.1)
    coarse, fine = (prepare(whfast, solar, dt).watch(10**6).error for dt in (200.0, 50.0))
    assert math.log(coarse / fine) / math.log(4) == pytest.approx(2, abs=0.3)
    leapfrog = prepare(peer_named("rebound:leapfrog"), solar, 50.0).watch(10**6)
    assert fine < 0.1 * leapfrog.error


@pytest.mark.parametrize(("order", "dt"), [(2, 0.1), (4, 0.1), (6, 0.2), (8, 0.3)])
def test_each_leapfrog_converges_at_its_order(rebound, order, dt):
    peer = peer_named("rebound:leapfrog" if order == 2 else f"rebound:leapfrog{order}")
    case = Case("kepler0.3", "", kepler(0.3, q=1e-3), 20.0)
    coarse, fine = (prepare(peer, case, h).watch(10**6) for h in (dt, dt / 2))
    assert math.log2(coarse.error / fine.error) == pytest.approx(order, abs=0.45)
    assert fine.seconds > 0


@pytest.mark.parametrize("method", [m for m in METHODS if m.startswith("leapfrog")])
def test_the_forces_of_a_leapfrog_are_those_that_rebound_evaluates(rebound, method):
    integrator, per_step, settings = METHODS[method]
    initial = kepler(0.3, q=1e-3)
    counted = watched(lambda: rebound_of(initial, integrator, 0.05, **settings), 5.0, math.inf)
    assert counted.forces == per_step * counted.steps
    known = prepare(peer_named(f"rebound:{method}"), Case("", "", initial, 5.0), 0.05).watch(10**6)
    assert (known.forces, known.steps, known.error) == (counted.forces, counted.steps, counted.error)
    stopped = prepare(peer_named(f"rebound:{method}"), Case("", "", initial, 5.0), 0.05).watch(20 * per_step)
    assert stopped.unfinished
    assert stopped.forces == 21 * per_step


def test_the_leapfrogs_know_softening(rebound):
    """At their order they conserve the softened energy, and not the other one."""
    case = Case("", "", kepler(0.3, q=1e-3), 20.0, softening=0.3)
    errors = [prepare(peer_named(f"rebound:leapfrog{order}"), case, 0.1).watch(10**6).error for order in (4, 6, 8)]
    assert errors[0] < 1e-4
    assert errors[2] < errors[1] < 0.01 * errors[0]


def test_trace_converges_at_order_two_and_its_forces_are_not_counted(rebound):
    trace, case = peer_named("rebound:trace"), Case("kepler0.3", "", kepler(0.3, q=1e-3), 20.0)
    coarse, fine = (prepare(trace, case, dt).watch(10**6) for dt in (0.05, 0.025))
    assert math.log2(coarse.error / fine.error) == pytest.approx(2, abs=0.3)
    assert fine.forces is None
    assert fine.seconds > 0
    stopped = prepare(trace, case, 0.05).watch(100)
    assert stopped.unfinished
    assert stopped.steps == 51


def test_trace_resolves_an_encounter_of_planets(rebound):
    """Two planets, which collide on nearly the same orbit: WHFast at the same step loses them."""
    mass, place, speed = np.array([1.0, 1e-3, 1e-3]), np.zeros((3, 3)), np.zeros((3, 3))
    place[1:, 0], speed[1:, 1] = (1.0, -1.05), (1.0, -1.0 / math.sqrt(1.05))
    case = Case("", "", InitialConditions(mass, place, speed, None, 1.0), 150.0)
    whfast, trace = (prepare(peer_named(f"rebound:{name}"), case, 0.05).watch(10**6).error for name in ("whfast", "trace"))
    assert trace < 0.1 * whfast


def test_whfast_gets_the_central_body_first_whatever_the_order_of_the_problem(rebound):
    case = short("solar", 0.02)
    b = case.initial
    turned = dataclasses.replace(
        case, initial=b._replace(mass=b.mass[::-1], position=b.position[::-1], velocity=b.velocity[::-1])
    )
    one, other = (prepare(peer_named("rebound:whfast"), c, 100.0).watch(10**6) for c in (case, turned))
    assert one.error == pytest.approx(other.error, rel=1e-6)


# ---- heyoka ----------------------------------------------------------------------------------------------------------
def test_taylor_errs_by_its_tolerance(heyoka):
    case = short("figure8", 0.02)
    runs = {tol: prepare(peer_named("heyoka:taylor"), case, tol).watch(10**6) for tol in (1e-6, 1e-15)}
    assert 1e-9 < runs[1e-6].error < 1e-5
    assert runs[1e-15].error < 3e-14
    for run in runs.values():
        assert run.forces is None
        assert run.seconds > 0
    assert runs[1e-15].more["order"] > 1.5 * runs[1e-6].more["order"]
    assert set(runs[1e-6].more) == {"order", "compile_time"}


def test_taylor_can_be_run_again_and_be_stopped(heyoka):
    prepared = prepare(peer_named("heyoka:taylor"), short("kepler0.5", 0.02), 1e-9)
    first = prepared.watch(10**6)
    prepared.job(3)()
    again = prepared.watch(10**6)
    assert (first.error, first.final_error, first.steps) == (again.error, again.final_error, again.steps)
    stopped = prepared.watch(5)
    assert stopped.unfinished
    assert stopped.steps == 5


# ---- time ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rebound:ias15:prs23", 1e-9),
        ("rebound:whfast", 0.1),
        ("rebound:leapfrog8", 0.1),
        ("rebound:trace", 0.1),
        ("heyoka:taylor", 1e-15),
    ],
)
def test_what_is_timed_is_whole_runs(name, value):
    peer = peer_named(name)
    pytest.importorskip(peer.package)
    case = short("kepler0.5", 0.05)
    prepared = prepare(peer, case, value)
    if peer.package == "rebound":
        made = []
        original = rebound_runs.rebound_of
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rebound_runs, "rebound_of", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
            call = prepared.job(3)
            assert [sim.t for sim in made] == [0.0] * 3  # making them is not timed
            call()
        assert [sim.t for sim in made] == pytest.approx([case.t_end] * 3)
    else:
        prepared.job(2)()
