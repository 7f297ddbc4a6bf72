"""Who is bound to whom, what it is called, and runs that end when it is decided."""

from __future__ import annotations

import dataclasses
import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from aitimestepper import Bodies, Simulation, Snapshots, resume, simulate
from aitimestepper.binding import joins_of
from aitimestepper.ensembles.outcomes import OUTCOMES, hierarchies_of, outcomes_of
from aitimestepper.errors import ConfigError
from aitimestepper.events import Collision, Decided, Encounter
from aitimestepper.initial.scattering import binary_meets_single, critical_speed
from aitimestepper.simulate.decided_watch import next_look


def scatterings(count: int, v: float, seed: int, mass=(1.0, 1.0, 1.0), e: float = 0.0) -> Bodies:
    """Encounters of a binary and a single body with impact parameters uniform in area."""
    rng = np.random.default_rng(seed)
    return binary_meets_single(rng, (4.0 / v + 1.2) * np.sqrt(rng.uniform(size=count)), v, mass, e=e)


def far_apart(*groups: Bodies | SimpleNamespace, speed: float = 3.0) -> Bodies:
    """One system of groups of bodies, far from each other on a line, that fly apart at this speed."""
    mass, x, v = [], [], []
    for k, group in enumerate(groups):
        mass += group.mass[0].tolist()
        x.append(group.position[0] + [200.0 * k, 0.0, 0.0])
        v.append(group.velocity[0] + [speed * k, 0.0, 0.0])
    return Bodies(mass, np.concatenate(x), np.concatenate(v))


def one(mass: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(mass=np.array([[mass]]), position=np.zeros((1, 1, 3)), velocity=np.zeros((1, 1, 3)))


def two(a: float = 1.0, e: float = 0.0, f: float = 1.0) -> Bodies:
    return Bodies.from_elements([1.0, 1.0], a=a, e=e, f=f)


def three() -> Bodies:
    return Bodies.from_elements([1.0, 1.0, 0.5], a=[1.0, 12.0], e=[0.3, 0.1], f=[1.0, 2.0])


def renumbered(bodies: Bodies, order) -> Bodies:
    order = list(order)
    return Bodies(bodies.mass[:, order], bodies.position[:, order], bodies.velocity[:, order])


def outcome(start: Bodies, final: Bodies) -> dict:
    """The columns for systems that go from one state to another one."""
    at_rest = simulate(final, steps=1, tol=1e-4, warn=False)
    return {k: x[0] for k, x in outcomes_of(start, dataclasses.replace(at_rest, final=final)).items()}


START = far_apart(two(), one(), speed=-3.0)
CASES = [
    (START, far_apart(two(2.0), one()), "flyby", "[0 1] 2", "binary+single"),
    (START, renumbered(far_apart(two(), one()), [0, 2, 1]), "exchange", "[0 2] 1", "binary+single"),
    (START, renumbered(far_apart(two(), one()), [2, 0, 1]), "exchange", "0 [1 2]", "binary+single"),
    (START, far_apart(one(), one(), one()), "ionization", "0 1 2", "single+single+single"),
    (START, three(), "capture", "[[0 1] 2]", "triple"),
    (three(), three(), "stable", "[[0 1] 2]", "triple"),
    (three(), far_apart(two(), one(0.5)), "disruption", "[0 1] 2", "binary+single"),
    (three(), renumbered(three(), [2, 1, 0]), "rearrangement", "[0 [1 2]]", "triple"),
    (far_apart(two(), two()), far_apart(two(), two()), "flyby", "[0 1] [2 3]", "binary+binary"),
    (far_apart(two(), two()), renumbered(far_apart(two(), two()), [0, 2, 1, 3]), "exchange", "[0 2] [1 3]", "binary+binary"),
    (far_apart(two(), two()), far_apart(two(), one(), one()), "disruption", "[0 1] 2 3", "binary+single+single"),
    (far_apart(two(), two()), far_apart(three(), one()), "exchange", "[[0 1] 2] 3", "triple+single"),
    (far_apart(one(), one(), one()), far_apart(two(), one()), "capture", "[0 1] 2", "binary+single"),
    (far_apart(one(), one()), far_apart(one(), one()), "flyby", "0 1", "single+single"),
]


@pytest.mark.parametrize(("start", "final", "name", "hierarchy", "parts"), CASES)
def test_outcomes_have_their_names(start, final, name, hierarchy, parts):
    found = outcome(start, final)
    assert (found["outcome"], found["hierarchy"], found["parts"]) == (name, hierarchy, parts)
    assert found["outcome"] in OUTCOMES
    assert found["bodies_left"] == final.mass.shape[1]
    assert found["decided"] == ("triple" not in parts)


def test_the_columns_are_the_orbits_that_the_bodies_have():
    found = outcome(START, far_apart(two(1.5, 0.4), one(), speed=2.0))
    assert (found["inner_first"], found["inner_second"], found["escaper"]) == (0, 1, 2)
    assert (found["inner_a"], found["inner_e"]) == (pytest.approx(1.5, rel=1e-12), pytest.approx(0.4, rel=1e-10))
    assert np.isnan([found["next_a"], found["next_e"]]).all()
    assert found["v_inf"] == pytest.approx(np.sqrt(2.0**2 - 2.0 * 3.0 / 200.0), rel=1e-3)
    triple = outcome(START, three())
    assert (triple["inner_a"], triple["inner_e"]) == (pytest.approx(1.0), pytest.approx(0.3))
    assert (triple["next_a"], triple["next_e"]) == (pytest.approx(12.0), pytest.approx(0.1))
    assert triple["escaper"] == -1
    assert np.isnan(triple["v_inf"])
    ionized = outcome(START, far_apart(one(), one(), one()))
    assert (ionized["inner_first"], ionized["inner_second"]) == (-1, -1)
    assert np.isnan([ionized["inner_a"], ionized["inner_e"]]).all()


def test_a_test_particle_is_a_body_as_well():
    planet = Bodies.from_elements([1.0, 0.0], a=1.0, e=0.2, f=0.5)
    start = Bodies([1.0, 0.0, 1.0], *(np.append(y[0], [[500.0, 0, 0]], 0) for y in (planet.position, planet.velocity)))
    assert hierarchies_of(start)[0] == "[0 1] 2"
    assert outcome(start, start)["inner_e"] == pytest.approx(0.2)
    alone = Bodies([1.0, 0.0, 1.0], [[0, 0, 0], [0, 300, 0], [500, 0, 0]], [[0, 0, 0], [0, 5, 0], [3.0, 0, 0]])
    assert outcome(start, alone)["outcome"] == "ionization"


def test_the_tree_is_the_same_however_bodies_are_padded_and_systems_are_batched():
    rng = np.random.default_rng(3)
    four = Bodies(rng.uniform(0.1, 1, (40, 4)), rng.normal(size=(40, 4, 3)), 0.7 * rng.normal(size=(40, 4, 3)))
    both = Bodies.stack([four, Bodies(np.ones(6), rng.normal(size=(6, 3)), rng.normal(size=(6, 3)))])
    alone = [hierarchies_of(four.select(b))[0] for b in range(40)]
    assert hierarchies_of(four).tolist() == alone == hierarchies_of(both)[:40].tolist()
    assert len(set(alone)) > 5
    j = joins_of(four.mass, four.position, four.velocity, 1.0, four.softening)
    first = j.pair[:, 0]  # the most tightly bound pair of all
    a = np.array([[four.orbit(i, k).semi_major_axis for k in range(4) if k != i] for i in range(4)])
    least = np.where(a > 0, a, np.inf).min((0, 1))
    bound = first[:, 0] >= 0
    assert bound.sum() > 20
    np.testing.assert_allclose(1.0 / j.inverse_axis[bound, 0], least[bound], rtol=1e-12)
    assert np.isinf(least[~bound]).all()


def test_the_last_body_of_a_merger_has_the_numbers_of_all():
    head_on = Bodies([1.0, 1.0, 1.0], [[-2.0, 0, 0], [2.0, 0, 0], [300.0, 0, 0]], [[0.3, 0, 0], [-0.3, 0, 0], [9.0, 0, 0]])
    result = simulate(head_on, t_end=30.0, tol=1e-5, events=[Collision(0.1, "merge"), Decided()], warn=False)
    found = outcomes_of(head_on, result)
    assert (found["outcome"][0], found["hierarchy"][0], found["bodies_left"][0]) == ("merger", "0+1 2", 2)
    touched = outcomes_of(head_on, simulate(head_on, t_end=30.0, tol=1e-5, events=Collision(0.1), warn=False))
    assert (touched["outcome"][0], touched["bodies_left"][0]) == ("merger", 3)
    # two of equal mass and the third one that meets the remnant: everything is one body then
    all_three = head_on.replace(position=[[-2.0, 0, 0], [2.0, 0, 0], [0.0, 30.0, 0]], velocity=np.zeros((3, 3)))
    last = outcomes_of(all_three, simulate(all_three, t_end=200.0, tol=1e-5, events=Collision(0.1, "merge"), warn=False))
    assert (last["outcome"][0], last["hierarchy"][0], last["bodies_left"][0]) == ("merger", "0+1+2", 1)
    assert last["decided"][0]


def test_hundred_thousand_systems_take_less_than_a_second():
    start = scatterings(1000, 2.0, 1)
    result = simulate(start, t_end=40.0, tol=1e-4, warn=False)
    many, rows = start.select(np.tile(np.arange(1000), 100)), np.tile(np.arange(1000), 100)
    whole = dataclasses.replace(result, final=result.final.select(rows), status=result.status * 100)
    began = time.process_time()
    found = outcomes_of(many, whole)
    assert time.process_time() - began < 3.0  # 0.5 s on a quiet machine
    assert (found["outcome"].reshape(100, 1000) == found["outcome"][:1000]).all()


# ---- decided ---------------------------------------------------------------------------------------------------------------
ENCOUNTERS = {
    "slow": (scatterings(700, 0.5, 5), 900.0),
    "fast": (scatterings(1200, 1.8, 6), 400.0),
    "unequal": (scatterings(700, 0.9, 7, (1.0, 0.3, 0.1), 0.6), 900.0),
    "light": (scatterings(400, 2.0, 8, (1.0, 0.03, 0.3), 0.6), 900.0),
}


def test_scatterings_have_the_impact_parameter_and_the_speed_that_were_asked_for():
    mass, b, v = (1.0, 0.5, 0.2), np.array([0.0, 0.3, 2.0, 9.0]), 0.7
    made = binary_meets_single(np.random.default_rng(1), b, v, mass, a=2.0, e=0.4)
    centre = np.einsum("n,bnd->bd", mass[:2], made.position[:, :2]) / 1.5
    speed = np.einsum("n,bnd->bd", mass[:2], made.velocity[:, :2]) / 1.5
    x, u = made.position[:, 2] - centre, made.velocity[:, 2] - speed
    at_infinity = np.sqrt((u * u).sum(1) - 2.0 * sum(mass) / np.linalg.norm(x, axis=1))
    np.testing.assert_allclose(at_infinity, v * critical_speed(mass, 2.0), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(np.cross(x, u), axis=1) / at_infinity, b, atol=1e-3)
    assert ((x * u).sum(1) < 0).all()
    np.testing.assert_allclose(made.orbit(0, 1).eccentricity, 0.4, rtol=1e-9)
    free = binary_meets_single(np.random.default_rng(1), b[1:2], 1.0, mass)
    apart = free.kinetic_energy() - 1.0 * 0.5 / np.linalg.norm(free.position[:, 1] - free.position[:, 0], axis=1)
    assert apart[0] == pytest.approx(0.2 * 1.5 / 30.0, rel=0.01)  # total energy zero
    wide = binary_meets_single(np.random.default_rng(1), np.array([90.0]), 2.0)  # it passes farther away than it starts
    assert np.linalg.norm(wide.position[0, 2] - wide.position[0, :2].mean(0)) == pytest.approx(np.hypot(30.0, 90.0))


@pytest.mark.parametrize("name", ENCOUNTERS)
def test_what_is_decided_stays_so_in_ten_times_the_time(name):
    start, t_end = ENCOUNTERS[name]
    result = simulate(start, t_end=t_end, tol=1e-5, events=Decided(), warn=False)
    before = outcomes_of(start, result)
    done = before["decided"]
    assert done.mean() > 0.9
    ended = np.array([status == "event" for status in result.status])
    assert done[ended].all()  # and those that are decided after the last look
    state = result.final.select(done)
    later = simulate(state, t_end=10.0 * state.time, tol=1e-5, warn=False, max_steps=200_000)
    after = outcomes_of(start.select(done), later)
    reached = np.array([status == "ok" for status in later.status])
    assert reached.mean() > 0.95  # tight binaries take the longest; what they are after so many steps counts as well
    assert (after["hierarchy"] == before["hierarchy"][done]).mean() >= 0.999
    pairs = reached & (before["parts"][done] == "binary+single")  # of three parts the speeds still change a little
    np.testing.assert_allclose(after["v_inf"][pairs], before["v_inf"][done][pairs], rtol=2e-3, atol=2e-3)
    if name == "fast":
        assert {"flyby", "exchange", "ionization"} <= set(before["outcome"][done])
    if name == "slow":
        assert "ionization" not in before["outcome"][done]  # the energy does not suffice


def test_a_bound_triple_is_never_decided_and_an_unbound_pair_at_once():
    stays = simulate(three(), t_end=100.0, tol=1e-5, events="decided", warn=False)
    assert (stays.status, stays.events) == (("ok",), ())
    assert stays.final.time[0] == 100.0
    meets = Bodies([1.0, 1.0], [[-5.0, 0.5, 0], [5.0, 0, 0]], [[1.0, 0, 0], [-1.0, 0, 0]])
    gone = simulate(meets, t_end=1000.0, tol=1e-5, events=Decided())
    assert gone.status == ("event",)
    assert gone.final.time[0] < 30.0
    assert gone.events[0].kind == "decided"
    assert gone.events[0].value == pytest.approx(np.sqrt(4.0 - 4.0 / np.hypot(10.0, 0.5)), rel=1e-4)
    on = simulate(gone, t_end=40.0, events=Decided())  # what is decided already stops nothing
    assert on.final.time[0] == 40.0


def test_a_stop_changes_no_step_and_depends_on_nothing_else():
    start = scatterings(24, 1.2, 9)
    together = simulate(start, t_end=300.0, tol=1e-5, events=Decided(), warn=False)
    with_more = simulate(start, t_end=300.0, tol=1e-5, events=[Encounter(1e-9), Decided()], warn=False)
    for b in range(0, 24, 5):
        alone = simulate(start.select(b), t_end=300.0, tol=1e-5, events=Decided(), warn=False)
        plain = simulate(start.select(b), t_end=300.0, tol=1e-5, max_steps=int(alone.steps[0]), warn=False)
        for run, row in ((together, b), (with_more, b), (plain, 0)):
            assert run.steps[row] == alone.steps[0]
            assert np.array_equal(run.final.position[row], alone.final.position[0])
    assert set(together.status) >= {"event"}


def test_a_run_in_a_file_ends_there_too_and_is_not_resumed_past_it(tmp_path):
    start = scatterings(3, 2.0, 10)
    result = simulate(start, t_end=200.0, tol=1e-5, events=Decided(), output=tmp_path / "run.h5", warn=False)
    again = resume(tmp_path / "run.h5", warn=False)
    assert result.status == again.status == tuple(Snapshots(tmp_path / "run.h5").result["status"]) == ("event",) * 3
    assert np.array_equal(again.final.time, result.final.time)


def test_one_simulation_ends_where_it_is_decided():
    start = scatterings(1, 2.0, 4)
    sim = Simulation(start, tol=1e-5, events=Decided())
    sim.integrate(300.0)
    batch = simulate(start, t_end=300.0, tol=1e-5, events=Decided())
    assert 0.0 < sim.time <= batch.final.time[0]
    assert hierarchies_of(sim.bodies)[0] == hierarchies_of(batch.final)[0]


def test_states_are_looked_at_after_numbers_of_steps_that_depend_on_nothing():
    looks, steps = [], np.array([0])
    while steps[0] < 100_000:
        steps = next_look(steps)
        looks.append(int(steps[0]))
    assert looks[:3] == [16, 32, 48]
    assert all(1 <= b - a <= max(16, a / 16) for a, b in itertools.pairwise(looks))
    assert len(looks) < 192
    between = np.arange(1, 5000)
    assert (next_look(between) > between).all()
    assert set(next_look(between).tolist()) <= set(looks)


def test_a_tide_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="tide"):
        Decided(tide=0.0)
    with pytest.raises(ConfigError, match="tide"):
        simulate(three(), t_end=1.0, events="decided:tied=0.1")
