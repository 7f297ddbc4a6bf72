"""The look at whether an outcome is decided: in the compiled loop it changes nothing but the time that it takes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aitimestepper import Bodies, Constant, simulate
from aitimestepper.decided import slack_and_speed
from aitimestepper.events import Decided, Encounter
from aitimestepper.initial.scattering import binary_meets_single
from aitimestepper.simulate import decided_watch
from aitimestepper.simulate.advance import Advance


def scatterings(count: int, v: float, seed: int) -> Bodies:
    rng = np.random.default_rng(seed)
    return binary_meets_single(rng, 4.0 * np.sqrt(rng.uniform(size=count)), v, (1.0, 0.5, 0.8), e=0.4)


def parts(count: int, seed: int) -> Bodies:
    """Systems of two or three parts, single bodies and binaries, around the limits of the criterion; some bodies are absent."""
    rng = np.random.default_rng(seed)
    mass, x, v, present = np.zeros((count, 6)), np.zeros((count, 6, 3)), np.zeros((count, 6, 3)), np.zeros((count, 6), bool)
    for b in range(count):
        places = rng.permutation(6)
        for k in range(int(rng.integers(2, 4))):
            centre, speed = rng.normal(size=3), rng.normal(size=3)
            centre *= 10.0 ** rng.uniform(0.3, 2.5) / np.linalg.norm(centre)
            speed = 0.2 * speed + centre / np.linalg.norm(centre) * 10.0 ** rng.uniform(-1.5, 0.7)
            if rng.uniform() < 0.5:
                own, m = places[2 * k : 2 * k + 2], 10.0 ** rng.uniform(-2.0, 0.5, 2)
                angles = dict(zip(("inc", "Omega", "omega", "f"), rng.uniform(0.0, 3.0, 4), strict=True))
                pair = Bodies.from_elements(m, a=10.0 ** rng.uniform(-1.0, 0.5), e=rng.uniform(0.0, 0.95), **angles)
                mass[b, own], x[b, own], v[b, own] = m, centre + pair.position[0], speed + pair.velocity[0]
            else:
                own = places[2 * k : 2 * k + 1]
                mass[b, own], x[b, own], v[b, own] = 10.0 ** rng.uniform(-2.0, 0.5), centre, speed
            present[b, own] = True
    return Bodies(mass, x, v, present=present)


def log_of(result) -> list:
    return [(o.system, o.time, o.value, o.number, o.position.tobytes(), o.velocity.tobytes()) for o in result.events]


@pytest.fixture
def both(monkeypatch):
    """Run with and without looks in the compiled loop; return both results, and how many states Python looked at in each."""

    def run(start: Bodies, blind: bool = False, **settings):
        found = []
        for look in (Advance.look, lambda *arguments: None):
            seen = [0]

            def counted(mass, *arguments, seen=seen, **more):
                verdict = slack_and_speed(mass, *arguments, **more)
                if blind and not seen[0]:  # the start is not looked at
                    verdict = verdict._replace(slack=np.full_like(verdict.slack, -1.0))
                seen[0] += len(mass)
                return verdict

            monkeypatch.setattr(decided_watch, "slack_and_speed", counted)
            monkeypatch.setattr(Advance, "look", look)
            found.append((simulate(start, warn=False, **settings), seen[0] - len(start)))  # each start is looked at once
        return found

    original = Advance.look
    yield run
    monkeypatch.setattr(Advance, "look", original)


def same(one, other) -> bool:
    equal = [np.array_equal(getattr(one.final, name), getattr(other.final, name)) for name in ("position", "velocity", "time")]
    counted = np.array_equal(one.steps, other.steps) and np.array_equal(one.force_evaluations, other.force_evaluations)
    return all(equal) and counted and one.status == other.status and sorted(log_of(one)) == sorted(log_of(other))


EVENTS = {
    "stop": Decided(),
    "no stop": Decided(stop=False),
    "two": [Decided(tide=1e-2), Decided(tide=1e-5)],
    "with encounters": [Encounter(0.3), Decided()],
}


@pytest.mark.parametrize("name", EVENTS)
def test_looks_in_the_loop_decide_nothing_else_at_no_other_time(both, name):
    (one, _), (other, _) = both(scatterings(120, 1.1, 3), t_end=120.0, tol=1e-4, events=EVENTS[name], threads=2)
    assert same(one, other)
    assert len(one.events) > 60


def test_backward_in_time_and_in_files_too(both, tmp_path):
    start = scatterings(40, 1.5, 5)
    mirrored = Bodies(start.mass, start.position, -start.velocity)
    (one, _), (other, _) = both(mirrored, t_end=-100.0, tol=1e-4, events=Decided())
    assert same(one, other)
    (forward, _), _ = both(start, t_end=100.0, tol=1e-4, events=Decided())
    assert np.array_equal(forward.final.time, -one.final.time)
    times = np.linspace(0.0, 100.0, 30)
    (whole, _), (again, _) = both(start, t_end=100.0, tol=1e-4, events=Decided(), times=times)
    assert same(whole, again)
    assert same(whole, forward)
    assert np.array_equal(whole.trajectory.position, again.trajectory.position, equal_nan=True)


def test_it_sees_every_decision_around_the_limits_of_the_criterion(both):
    start = parts(1500, 1)
    decided = slack_and_speed(start.mass, start.present, start.position[None], start.velocity[None], 1.0).slack[0] >= 0.0
    assert 100 < decided.sum() < 1400
    settings = {"t_end": 1.0, "criterion": Constant(1e-12), "integrator": "leapfrog", "max_steps": 65}  # nothing moves
    (one, few), (other, _) = both(start, blind=True, events=Decided(), **settings)
    assert same(one, other)
    assert {o.system for o in one.events} == set(np.flatnonzero(decided).tolist())
    assert few <= decided.sum() + 1  # the loop's conditions are those of the criterion


def test_few_states_leave_the_loop(both):
    start = scatterings(300, 1.1, 4)
    (one, few), (_, many) = both(start, t_end=120.0, tol=1e-4, events=Decided())
    assert few <= len(one.events) + 0.05 * len(start)  # hardly more than the decisions themselves
    assert many > 3 * len(start)


def test_a_decision_does_not_depend_on_threads_neighbours_and_pieces():
    start = scatterings(40, 1.1, 6)
    settings = {"t_end": 120.0, "tol": 1e-4, "events": Decided(), "warn": False}
    whole = simulate(start, threads=1, **settings)
    assert same(whole, simulate(start, threads=2, **settings))
    order = np.random.default_rng(1).permutation(40)
    shuffled = simulate(start.select(order), threads=1, **settings)
    assert np.array_equal(shuffled.final.time, whole.final.time[order])
    for length, b in itertools.product((50, 64), range(0, 40, 7)):
        piece = simulate(start.select(b), max_steps=length, **settings)
        while piece.status[0] == "max_steps":
            piece = simulate(piece, max_steps=length, **settings)
        assert piece.status[0] == whole.status[b]
        assert piece.final.time[0] == whole.final.time[b]
        assert np.array_equal(piece.final.position[0], whole.final.position[b])
