"""The look at events in the compiled loop: it changes nothing but the time that they take. A search of every step judges it."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from stopped_runs import at_turn, same_rows, short_turns

from aitimestepper import Bodies, Constant, FreeFall, resume, simulate
from aitimestepper.events import Collision, Crossing, Decided, Encounter, Escape, Event, OwnEvent
from aitimestepper.initial.scattering import binary_meets_single
from aitimestepper.simulate import event_looks, first_state
from aitimestepper.simulate.event_search import Search
from aitimestepper.simulate.snapshots import read_state


def scatterings(count: int, seed: int, v: float = 1.2) -> Bodies:
    rng = np.random.default_rng(seed)
    return binary_meets_single(rng, 4.0 * np.sqrt(rng.uniform(size=count)), v, (1.0, 0.7, 1.3), e=0.4)


def crowds(count: int, seed: int, axes: int = 3, shift: float = 0.0) -> Bodies:
    """Systems of two to five bodies, some of them massless, about any place."""
    rng = np.random.default_rng(seed)
    present = rng.uniform(size=(count, 5)) < 0.75
    present[:, :2] = True
    mass = 10.0 ** rng.uniform(-2.0, 0.0, (count, 5)) * (rng.uniform(size=(count, 5)) < 0.9)
    mass[:, 0] = 1.0
    x, v = 2.0 * rng.normal(size=(count, 5, axes)) + shift, 0.4 * rng.normal(size=(count, 5, axes)) + 0.01 * shift
    x, v = (np.where(present[..., None], values, 0.0) for values in (x, v))
    return Bodies(np.where(present, mass, 0.0), x, v, present=present)


def log_of(result) -> list:
    of_each = ((o.system, o.time, o.kind, o.bodies, o.value, o.number) for o in result.events)
    return [(*one, o.position.tobytes(), o.velocity.tobytes()) for one, o in zip(of_each, result.events, strict=True)]


@pytest.fixture
def both(monkeypatch):
    """Run with looks in the compiled loop, and with a search of every step; return the results, and the states searched."""

    def run(start: Bodies, **settings):
        found, original = [], Search.__call__
        for kinds in (event_looks._KINDS, {}):
            searched = [0]

            def counted(self, steps, searched=searched):
                searched[0] += len(steps.time)
                return original(self, steps)

            with monkeypatch.context() as m:
                m.setattr(event_looks, "_KINDS", kinds)
                m.setattr(Search, "__call__", counted)
                found.append((simulate(start, **{"warn": False, **settings}), searched[0]))
        return found

    return run


RADII = (0.05, 0.02, 0.1, 0.0, 0.03)
# bodies, end time, distance of escapes, and where they are
STARTS = {
    "crowds": (crowds(60, 1), 5.0, 4.0, 0.0),
    "in the plane": (crowds(60, 2, axes=2), 4.0, 4.0, 0.0),
    "far away": (crowds(60, 3, shift=200.0), 5.0, 4.0, 200.0),
    "scattering": (scatterings(60, 4), 60.0, 32.0, 0.0),
}


def logged(start: Bodies, beyond: float = 3.0, shift: float = 0.0) -> list[Event]:
    plane = Crossing(x=1.0, y=0.4, offset=0.1 + 1.4 * shift, body=1, both=True)
    return [Encounter(0.5), Collision(RADII[: start.mass.shape[1]], "log"), Escape(beyond), plane]


def ending(start: Bodies, beyond: float, shift: float) -> list[Event]:
    crossing = Crossing(y=1.0, offset=shift + 0.7 * beyond, stop=True)
    return [Encounter(0.5), Collision(RADII[: start.mass.shape[1]]), Escape(beyond, stop=True), crossing]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("events", [logged, ending])
@pytest.mark.parametrize("name", STARTS)
def test_a_look_misses_and_moves_no_event(both, same_result, name, events, sign):
    start, end, beyond, shift = STARTS[name]
    start = start.replace(velocity=sign * start.velocity)
    (one, few), (other, many) = both(start, t_end=sign * end, tol=1e-4, events=events(start, beyond, shift))
    assert log_of(one) == log_of(other)
    assert same_result(one, other)
    assert len({event.number for event in one.events}) >= 3
    assert ("event" in one.status) == (events is ending)
    assert few < 0.7 * many


@pytest.mark.parametrize("integrator", ["leapfrog", "blanes_moan6", "hermite4", "logh", "radau15"])
@pytest.mark.parametrize("criterion", [FreeFall(0.3), Constant(1.0)], ids=str)
def test_nor_does_it_where_steps_are_far_too_long(both, integrator, criterion):
    start = Bodies.stack([scatterings(30, 5), crowds(100, 6)])
    (one, _), (other, _) = both(start, t_end=20.0, criterion=criterion, integrator=integrator, events=logged(start))
    assert log_of(one) == log_of(other)
    assert {event.number for event in one.events} == {0, 1, 2, 3}


def test_few_states_leave_the_loop(both):
    start = scatterings(100, 7, 1.1)
    rare = [Encounter(0.05), Collision(0.01, "log"), Escape(200.0)]
    (one, few), (other, many) = both(start, t_end=150.0, tol=1e-5, events=rare)
    assert log_of(one) == log_of(other)
    assert len(one.events) > 10
    assert few < 3 * len(one.events) + 20 < 0.02 * many


def test_systems_pause_where_they_may_end(both):
    """Without a pause each would go on to the end of the turn, and be searched until there."""
    start = scatterings(100, 8)
    (one, few), _ = both(start, t_end=150.0, tol=1e-5, events=Escape(30.0, stop=True))
    plain = simulate(start, t_end=150.0, tol=1e-5, warn=False)
    assert set(one.status) == {"event"}
    assert one.steps.sum() < 0.5 * plain.steps.sum()
    assert few <= 5 * len(start)  # one step each, and the last one made again


def test_output_and_neighbours_and_threads_change_no_event(tmp_path):
    start, settings = scatterings(50, 9), {"tol": 1e-5, "events": [Encounter(0.3), Escape(20.0, stop=True)], "warn": False}
    whole = simulate(start, t_end=80.0, threads=1, **settings)
    assert len({event.system for event in whole.events}) == 50
    order = np.random.default_rng(1).permutation(50)
    shuffled = simulate(start.select(order), t_end=80.0, threads=2, **settings)
    assert sorted(log_of(whole)) == sorted((int(order[b]), *rest) for b, *rest in log_of(shuffled))
    times = simulate(start, times=np.linspace(0.0, 80.0, 41), threads=2, **settings)
    assert log_of(times) == log_of(whole)
    ends = np.array([event.time for event in whole.events if event.number == 1])
    there = np.isfinite(times.trajectory.position[:, :, 0, 0]).sum(0)
    assert np.array_equal(there, np.floor(ends / 2.0) + 1)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("events", [[Encounter(0.5)], [Encounter(0.5, stop=True)], [OwnEvent(lambda t, m, x, v: v[0, 0])]])
def test_a_run_that_was_stopped_finds_all_events_and_writes_all_rows(tmp_path, same_result, events):
    """The first step after a saved state was not searched; and rows that waited for slower systems were lost."""
    start, whole, path = scatterings(12, 10), tmp_path / "whole.h5", tmp_path / "stopped.h5"
    settings = {"t_end": 60.0, "tol": 1e-5, "events": events, "warn": False, "output_every": 0.5}
    again = events if isinstance(events[0], OwnEvent) else None
    one = simulate(start, output=whole, **settings)
    with short_turns(), pytest.raises(KeyboardInterrupt):
        simulate(start, output=path, progress=at_turn(3, interrupt), **settings)
    for turn in (2, 4):
        with short_turns(), pytest.raises(KeyboardInterrupt):
            resume(path, events=again, progress=at_turn(turn, interrupt), warn=False)
    on = resume(path, events=again, warn=False)
    assert same_result(on, one)
    assert same_rows(path, whole)
    listed, wanted = (read_state(p).result["events"] for p in (path, whole))
    assert listed == wanted
    assert sum(map(len, listed)) >= 6


def speed(t, mass, x, v) -> float:
    return float(v[0, 0])


def test_little_space_for_states_changes_nothing(monkeypatch, same_result):
    """Where a system paused after a step after which its outcome is looked at, that look was left out."""
    start = scatterings(20, 11)
    settings = {"t_end": 120.0, "tol": 1e-4, "events": [OwnEvent(speed), Decided(), Encounter(0.3)], "warn": False}
    one = simulate(start, **settings)
    monkeypatch.setattr(first_state, "NOTE_MEMORY", 1)
    other = simulate(start, **settings)
    assert same_result(one, other)
    assert log_of(one) == log_of(other)
    assert {event.kind for event in one.events} == {"own", "decided", "encounter"}


def test_what_was_decided_after_an_event_that_ends_a_run_is_taken_back_also_backward():
    start = scatterings(40, 12, 1.5)
    events = [Decided(tide=1e-2), OwnEvent(lambda t, m, x, v: np.linalg.norm(x[2] - x[0]) - 12.0, stop=True)]
    forward = simulate(start, t_end=100.0, tol=1e-4, events=events, warn=False)
    mirrored = Bodies(start.mass, start.position, -start.velocity)
    backward = simulate(mirrored, t_end=-100.0, tol=1e-4, events=events, warn=False)
    assert [(e.system, e.kind, e.time) for e in forward.events] == [(e.system, e.kind, -e.time) for e in backward.events]
    assert [e.system for e in forward.events] == list(range(40))


def test_events_are_in_order_and_a_function_sees_every_state_once():
    seen: list[float] = []

    def own(t: float, mass: np.ndarray, x: np.ndarray, v: np.ndarray) -> float:
        seen.append(t)
        return -1.0

    start = scatterings(9, 13)
    result = simulate(start, t_end=30.0, tol=1e-4, events=[OwnEvent(own), Encounter(0.5)], warn=False)
    places = [(e.system, e.time) for e in result.events]
    assert places == sorted(places)
    assert result.steps.sum() + 9 <= len(seen) <= 1.05 * result.steps.sum() + 9


class Slow(Encounter):
    """An event of a kind that the loop does not know."""


def test_an_event_of_another_kind_is_looked_for_after_every_step():
    start = scatterings(10, 14)
    kinds: tuple[type[Event], ...] = (Encounter, Slow)
    one, other = (simulate(start, t_end=40.0, tol=1e-4, events=kind(0.5), warn=False) for kind in kinds)
    assert log_of(one) == log_of(other)
    assert len(one.events) > 10
