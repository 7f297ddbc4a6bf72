"""Events of a `Simulation` whose bodies change, that is saved, or that moves step by step; and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import Bodies, FreeFall, Simulation
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.events import Collision, Crossing, Encounter, OwnEvent
from aitimestepper.fields import Oblateness
from aitimestepper.initial import triple

MERGE = Collision(0.1, "merge")


@pytest.fixture
def three() -> Bodies:
    """Two bodies that collide soon, and a third one that passes by."""
    return Bodies([1.0, 1.0, 0.1], [[-1, 0, 0], [1, 0, 0], [0, 5, 0]], [[0.1, 0, 0], [-0.1, 0.05, 0], [0.5, 0, 0]])


@pytest.fixture
def eccentric() -> Bodies:
    return Bodies.from_elements([1.0, 1e-3], a=1.0, e=0.8, M=np.pi)


def planets() -> Bodies:
    return Bodies([1.0, 1e-3, 1e-6], [[0, 0, 0], [1, 0, 0], [3, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0.57, 0]])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_merge_what_integrate_merges(three, sign):
    start = three.replace(velocity=sign * three.velocity)
    one = Simulation(start, tol=1e-5, events=MERGE).integrate(sign * 3.0)
    sim = Simulation(start, tol=1e-5, events=MERGE)
    sim.integrate(sign * 1e-3).steps(one.step_count)
    assert len(sim) == len(one) == 2
    assert sim.step_count == one.step_count
    assert [e.time for e in sim.events] == [e.time for e in one.events]
    assert sim.energy_change == one.energy_change
    assert sign * sim.time >= 3.0
    assert np.array_equal(sim.integrate(sign * 3.0).position, one.position)


def test_steps_end_at_an_event_that_stops(eccentric):
    sim = Simulation(eccentric, tol=1e-5, events=Encounter(0.5, stop=True))
    times = []
    for _ in range(3):
        sim.steps(10_000)
        assert sim.status == "event"
        times.append(sim.time)
    period = 2.0 * np.pi / np.sqrt(1.001)
    assert times == pytest.approx([0.5 * period, 1.5 * period, 2.5 * period], abs=1e-4)
    sim.steps(1)
    assert (sim.status, len(sim.events)) == ("ok", 3)


def test_the_way_after_an_event_that_stops_is_not_made(eccentric):
    sim = Simulation(eccentric, tol=1e-5, events=Encounter(0.5, stop=True)).integrate(1e5)
    assert sim.time < 4.0
    assert sim._branch.older[-1]["count"][0].max() < 100_000
    rare = Encounter(1e-3, stop=True)  # never, and so the way is searched part by part
    made = Simulation(eccentric, tol=1e-6, events=[Encounter(0.5), rare])
    made.integrate(600.0)
    pieces = Simulation(eccentric, tol=1e-6, events=Encounter(0.5))
    for end in (*np.arange(40.0, 600.0, 40.0), 600.0):
        pieces.integrate(end)
    assert made.step_count > 4096
    assert [e.time for e in pieces.events] == [e.time for e in made.events]
    assert len(made.events) == round(600.0 * np.sqrt(1.001) / (2.0 * np.pi))


def test_the_last_two_bodies_meet_and_the_simulation_stops(three):
    two = Bodies(three.mass[:, :2], three.position[:, :2], three.velocity[:, :2])
    sim = Simulation(two, tol=1e-5, events=MERGE).integrate(10.0)
    assert (sim.status, len(sim), len(sim.events)) == ("event", 2, 1)
    assert np.linalg.norm(sim.position[1] - sim.position[0]) == pytest.approx(0.2, rel=1e-9)
    assert sim.integrate(sim.time + 0.01).status == "ok"


@pytest.mark.parametrize("change", [lambda s: s.remove(2), lambda s: s.merge(1, 2)])
def test_a_crossing_of_a_body_goes_with_it(change):
    events = [Crossing(y=1.0, body=2), Crossing(y=1.0, body=1)]
    sim = Simulation(planets(), tol=1e-4, events=events)
    assert {e.bodies for e in change(sim).integrate(15.0).events} == {(1,)}
    assert {e.number for e in sim.events} == {1}


def test_a_body_comes_with_its_radius():
    sim = Simulation(planets(), tol=1e-4, events=Collision([0.1, 0.01, 0.01], "log"))
    with pytest.raises(ConfigError, match="3 radii for 4 bodies"):
        sim.add(1e-6, [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert len(sim) == 3
    sim.add(1e-6, [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], radius=0.3).integrate(2.0)  # it falls into the first
    first, last = sim.events[0], sim.events[0].position
    assert first.bodies == (0, 3)
    assert np.linalg.norm(last[3] - last[0]) == pytest.approx(0.4, rel=1e-9)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (Collision([0.1, 0.2]), "2 radii for 3 bodies"),
        (Crossing(x=1.0, body=7), "body = 7 must be a number from 0 to 2"),
    ],
)
def test_events_that_do_not_fit_are_refused_at_once(tmp_path, events, words):
    with pytest.raises(ConfigError, match=words):
        Simulation(triple(), criterion=FreeFall(0.1), events=events)
    path = Simulation(triple(), criterion=FreeFall(0.1)).save(tmp_path / "sim.h5")
    with pytest.raises(ConfigError, match=words):
        Simulation.load(path, events=events)


def test_in_the_plane_nothing_crosses_it():
    flat = Bodies([1.0, 1.0], [[0, 0], [1, 0]], [[0, 0], [0, 1]])
    with pytest.raises(ConfigError, match="in the plane"):
        Simulation(flat, criterion=FreeFall(0.1), events=Crossing(z=1.0))


@pytest.mark.parametrize("value", ["high", None, [1.0, 2.0]])
def test_an_own_event_returns_a_number(value):
    sim = Simulation(triple(), criterion=FreeFall(0.1), events=OwnEvent(lambda *state: value, label="mine"))
    with pytest.raises(ConfigError, match=r"own event .mine.: its function returned .*, not a number"):
        sim.integrate(1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.add(1e-3, a=8.0, ecc=0.1), "'ecc' is no element"),
        (lambda s: s.add(1e-3, a=8.0, units="SI"), "'units' is no element"),
        (lambda s: s.add(1e-3, a=8.0, primary="heliocentric"), "'primary' is no element"),
        (lambda s: s.add(1e-3, a=8.0, name="x").add(1e-3, a=9.0, name="x").remove("x"), "2 bodies with the name 'x'"),
    ],
)
def test_bad_additions_are_one_sentence(call, words):
    with pytest.raises(InitialConditionError, match=words):
        call(Simulation(triple(), criterion=FreeFall(0.1)))


def test_a_loaded_simulation_changes_as_the_one_that_was_saved(tmp_path):
    start = Bodies.from_elements([1.0, 0.0, 0.0], a=[1.0, 1.5], e=[0.1, 0.2], M=[0.0, 1.0])
    sim = Simulation(start, tol=1e-4, t_end=5000.0).integrate(5.0)
    again = Simulation.load(sim.save(tmp_path / "sim.h5"))
    for one in (sim, again):
        one.add(1e-3, a=8.0, e=0.1).integrate(10.0)
    assert again.tol == sim.tol
    assert np.array_equal(again.position, sim.position)


def test_a_file_counts_what_was_done_in_the_other_direction(tmp_path, eccentric):
    sim = Simulation(eccentric, tol=1e-3).integrate(30.0).integrate(-0.5)
    again = Simulation.load(sim.save(tmp_path / "sim.h5"))
    assert (again.max_energy_error, again.force_evaluations) == (sim.max_energy_error, sim.force_evaluations)


def test_a_force_stays_with_its_body_where_absent_ones_are_left_out():
    field = Oblateness(J2=1e-3, radius=0.1, body=2)
    whole = Bodies(
        [1.0, 1.0, 0.5],
        [[0, 0, 0], [1, 0, 0], [5, 0, 0]],
        [[0, 0, 0], [0, 1.4, 0], [0, 0.6, 0]],
        present=[True, False, True],
        external_field=field,
    )
    sim = Simulation(whole, tol=1e-5)
    assert sim.energy() == pytest.approx(whole.total_energy()[0], rel=1e-15)
    assert sim.bodies.external_field.body == 1
