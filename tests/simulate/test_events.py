"""Events: found at the times at which they happen, in every lane, and without a change of the steps."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from aitimestepper import Bodies, FreeFall, Simulation, Snapshots, Symmetrized, resume, simulate
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError
from aitimestepper.events import Collision, Crossing, Encounter, Escape, OwnEvent, States
from aitimestepper.initial import plummer, triple

STEPS = Symmetrized(FreeFall(0.01))
ORDERS = ["leapfrog", "blanes_moan6", "hermite4", "logh", "radau15"]


def pair(e: float = 0.5, mass: tuple[float, float] = (1.0, 0.5)) -> Bodies:
    """Two bodies at apocentre, a = 1, about their centre of mass."""
    M = sum(mass)
    x, v = 1.0 + e, np.sqrt(M * (1 - e) / (1 + e))
    parts = np.array([-mass[1], mass[0]]) / M
    return Bodies(mass, [[p * x, 0.0] for p in parts], [[0.0, p * v] for p in parts])


def period(bodies: Bodies) -> float:
    return float(bodies.orbit(0, 1).period[0])


@pytest.mark.parametrize("integrator", ORDERS)
def test_pericentres_are_encounters_at_their_times_and_the_steps_stay(integrator):
    start = pair()
    P = period(start)
    plain = simulate(start, t_end=3.2 * P, criterion=FreeFall(0.005), integrator=integrator)
    r = simulate(start, t_end=3.2 * P, criterion=FreeFall(0.005), integrator=integrator, events=Encounter(below=0.6))
    assert np.array_equal(r.final.position, plain.final.position)
    assert (r.steps[0], r.force_evaluations[0], r.status) == (plain.steps[0], plain.force_evaluations[0], plain.status)
    accuracy = {"leapfrog": 5e-3, "logh": 2e-4, "hermite4": 1e-5}.get(integrator, 1e-7)
    assert [e.time for e in r.events] == pytest.approx([0.5 * P, 1.5 * P, 2.5 * P], abs=accuracy)
    assert [e.value for e in r.events] == pytest.approx([0.5] * 3, abs=accuracy)
    assert all(e.bodies == (0, 1) and e.kind == "encounter" for e in r.events)
    for e in r.events:  # r . v = 0 to rounding, whatever the error of the method
        x, v = e.position[1] - e.position[0], e.velocity[1] - e.velocity[0]
        assert abs(x @ v) < 1e-10


def test_only_encounters_below_the_distance():
    assert simulate(pair(), t_end=10.0, criterion=STEPS, events=Encounter(below=0.499)).events == ()
    assert len(simulate(pair(), t_end=10.0, criterion=STEPS, events="encounter:below=0.501").events) == 2


def test_the_closest_of_all_encounters_is_the_closest_approach():
    r = simulate(triple(), t_end=60.0, tol=1e-6, events=Encounter(below=10.0))
    closest = min(r.events, key=lambda e: e.value)
    assert closest.value == pytest.approx(r.closest_approach.distance[0], rel=1e-3)  # which a cubic gives
    assert closest.bodies == tuple(sorted(r.closest_approach.pair[0].tolist()))


@pytest.mark.parametrize("t_end", [9.0, -9.0])
def test_a_collision_stops_the_run_at_touch(t_end):
    r = simulate(pair(), t_end=t_end, criterion=STEPS, integrator="blanes_moan4", events=Collision(0.3))
    assert r.status == ("event",)
    assert r.final.time[0] == r.events[-1].time
    distance = np.linalg.norm(r.final.position[0, 1] - r.final.position[0, 0])
    assert distance == pytest.approx(0.6, abs=1e-11)
    until = simulate(pair(), t_end=r.events[-1].time, criterion=STEPS, integrator="blanes_moan4")
    assert np.array_equal(r.final.position, until.final.position)
    assert r.steps[0] == until.steps[0]
    on = simulate(r, t_end=t_end, events=Collision(0.3))  # it does not stop where it is
    assert abs(on.final.time[0]) > abs(r.final.time[0])


def test_touch_and_go_inside_one_step_is_a_collision():
    start = pair(e=0.5)
    long = Symmetrized(FreeFall(0.2))
    rows = []
    simulate(start, t_end=9.0, criterion=long, integrator="blanes_moan6", output_steps=1, sinks=(lambda _, r: rows.append(r),))
    x = np.concatenate([r["position"][:, 0] for r in rows])
    nearest = np.linalg.norm(x[:, 1] - x[:, 0], axis=1).min()
    assert nearest > 0.5
    radius = 0.25 + 0.25 * (nearest - 0.5)  # between the pericentre and the nearest end of a step
    r = simulate(start, t_end=9.0, criterion=long, integrator="blanes_moan6", events=Collision(radius, "log"))
    assert [e.bodies for e in r.events] == [(0, 1)] * len(r.events) != []
    for e in r.events:
        assert np.linalg.norm(e.position[1] - e.position[0]) == pytest.approx(2 * radius, abs=1e-12)


def test_every_lane_stops_at_its_own_event_with_the_bits_of_a_run_alone():
    systems = [pair(e) for e in (0.1, 0.35, 0.5, 0.62, 0.7, 0.3, 0.55, 0.2, 0.66, 0.45)]
    both = simulate(Bodies.stack(systems), t_end=8.0, criterion=STEPS, events=[Collision(0.3), Encounter(0.9)])
    for i, system in enumerate(systems):
        alone = simulate(system, t_end=8.0, criterion=STEPS, events=[Collision(0.3), Encounter(0.9)])
        assert both.status[i] == alone.status[0]
        assert np.array_equal(both.final.position[i], alone.final.position[0])
        mine = [e for e in both.events if e.system == i]
        assert [(e.kind, e.time, e.value) for e in mine] == [(e.kind, e.time, e.value) for e in alone.events]
    assert set(both.status) == {"ok", "event"}


def test_an_escape_is_beyond_unbound_and_outward():
    start = Bodies([1.0, 1e-3], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]])  # unbound: v^2 > 2 M / r
    r = simulate(start, t_end=50.0, criterion=STEPS, events=Escape(beyond=10.0, stop=True))
    assert r.status == ("event",)
    planet = r.events[0]
    assert planet.bodies in ((0,), (1,))
    assert np.linalg.norm(r.final.position[0, 1] - r.final.position[0, 0]) == pytest.approx(10.0, abs=1e-9)
    assert planet.value == pytest.approx(np.sqrt(4.0 - 2.0 * 1.001), rel=1e-2)
    bound = simulate(pair(0.8), t_end=20.0, criterion=STEPS, events=Escape(beyond=1.0))
    assert bound.events == ()


def test_crossings_are_on_the_plane_in_its_direction():
    start = pair(0.3)
    P = period(start)
    up = simulate(start, t_end=3.3 * P, criterion=STEPS, events=Crossing(y=1.0, body=1))
    both = simulate(start, t_end=3.3 * P, criterion=STEPS, events=Crossing(y=1.0, body=1, both=True))
    assert (len(up.events), len(both.events)) == (3, 6)
    for e in both.events:
        assert abs(e.position[1, 1]) < 1e-12
    assert all(e.velocity[1, 1] > 0 for e in up.events)


@numba.cfunc("float64(int64, float64, CPointer(float64), CPointer(float64), CPointer(float64))")
def height(n, t, mass, x, v):
    return x[n + 1] - 0.1


def test_an_event_of_ones_own_in_python_and_compiled():
    r = simulate(pair(0.3), t_end=10.0, criterion=STEPS, events=OwnEvent(lambda t, m, x, v: x[1, 1] - 0.1, label="high"))
    c = simulate(pair(0.3), t_end=10.0, criterion=STEPS, events=OwnEvent(height, label="high"))
    plane = simulate(pair(0.3), t_end=10.0, criterion=STEPS, events=Crossing(y=1.0, offset=0.1, body=1))
    assert [e.kind for e in r.events] == ["high"] * len(plane.events)
    assert [e.time for e in r.events] == pytest.approx([e.time for e in plane.events], abs=1e-12)
    assert [e.time for e in c.events] == [e.time for e in r.events]


def test_mergers_conserve_mass_and_momentum_in_every_system():
    start = Bodies.stack([as_bodies(plummer(6, seed=k)) for k in range(6)])
    times = np.linspace(0.0, 6.0, 13)
    r = simulate(start, tol=1e-5, times=times, events=Collision(0.03, "merge"))
    assert r.final.mass.sum(1) == pytest.approx(start.mass.sum(1), rel=1e-13)
    assert r.final.momentum() == pytest.approx(start.momentum(), abs=1e-11)
    for b in range(6):
        mine = [e for e in r.events if e.system == b]
        assert r.final.body_count[b] == 6 - len(mine)
        rows = np.isfinite(r.trajectory.position[:, b, :, 0]).sum(1)
        for t, there in zip(times, rows, strict=True):
            assert there == 6 - sum(e.time < t for e in mine)
        energy = r.final.total_energy()[b] - start.total_energy()[b]
        assert energy == pytest.approx(r.energy_change[b], abs=1e-4)
    assert len(r.events) > 3
    assert (r.energy_change[[e.system for e in r.events]] != 0.0).all()
    plain = simulate(start, tol=1e-5, t_end=6.0)
    calm = [b for b in range(6) if not any(e.system == b for e in r.events)]
    assert np.array_equal(r.final.position[calm], plain.final.position[calm])


def test_rows_of_output_are_those_without_events(tmp_path):
    rows = {}
    for name, events in (("with", [Encounter(1.0), Crossing(x=1.0)]), ("without", ())):
        found = rows.setdefault(name, [])
        start = Bodies.stack([pair(e) for e in (0.2, 0.6, 0.8)])
        simulate(
            start,
            t_end=[9.0, 5.0, 7.0],
            criterion=STEPS,
            output_every=0.5,
            sinks=(lambda _, r, f=found: f.append(r),),
            events=events,
        )
    for column in rows["with"][0]:
        joined = [np.concatenate([r[column] for r in rows[name]]) for name in ("with", "without")]
        assert np.array_equal(joined[0], joined[1], equal_nan=True)


def test_a_file_keeps_the_events_of_its_run(tmp_path):
    path = tmp_path / "run.h5"
    simulate(pair(), t_end=3.0, criterion=STEPS, output=path, events=[Encounter(0.6), "crossing:y=1"])
    whole = simulate(pair(), t_end=12.0, criterion=STEPS, events=[Encounter(0.6), "crossing:y=1"])
    on = resume(path, t_end=12.0)
    later = [e for e in whole.events if e.time > 3.0]
    assert [(e.kind, e.bodies) for e in on.events] == [(e.kind, e.bodies) for e in later]
    assert [e.time for e in on.events] == pytest.approx([e.time for e in later], abs=1e-3)
    with pytest.raises(ConfigError, match="events of this run are in the file"):
        resume(path, t_end=13.0, events=Encounter(0.1))
    simulate(pair(), t_end=3.0, criterion=STEPS, output=path, overwrite=True, events=OwnEvent(height))
    with pytest.raises(ConfigError, match="function of your own: give all its events again"):
        resume(path, t_end=13.0)
    assert resume(path, t_end=13.0, events=OwnEvent(height)).final.time[0] == 13.0


def test_a_file_says_which_systems_an_event_ended(tmp_path):
    result = simulate(pair(), t_end=12.0, criterion=STEPS, output=tmp_path / "run.h5", events=Encounter(0.6, stop=True))
    assert result.status == tuple(Snapshots(tmp_path / "run.h5").result["status"]) == ("event",)
    assert resume(tmp_path / "run.h5").status == ("event",)


# ---- Simulation -----------------------------------------------------------------------------------------------------------
def test_a_simulation_stops_at_an_event_and_goes_on_when_asked_again():
    whole = simulate(pair(), t_end=12.0, criterion=STEPS, events=Encounter(0.6))
    sim = Simulation(pair(), criterion=STEPS, events=Encounter(0.6, stop=True))
    seen = []
    while sim.integrate(12.0).status == "event":
        seen.append(sim.time)
    assert seen == [e.time for e in whole.events]
    assert [e.time for e in sim.events] == seen
    plain = Simulation(pair(), criterion=STEPS).integrate(12.0)
    assert np.array_equal(sim.position, plain.position)
    assert sim.step_count == plain.step_count
    assert [e.time for e in sim.integrate(4.0).events] == [t for t in seen if t <= 4.0]


def test_events_of_a_simulation_do_not_depend_on_the_pieces():
    one = Simulation(triple(), tol=1e-5, t_end=40.0, events=[Encounter(1.0), Crossing(x=1.0)]).integrate(40.0)
    many = Simulation(triple(), tol=1e-5, t_end=40.0, events=[Encounter(1.0), Crossing(x=1.0)])
    for t in np.linspace(0.0, 40.0, 23):
        many.integrate(t)
    twin = many.copy()
    assert len(one.events) > 5
    for other in (many, twin):
        assert [(e.kind, e.bodies) for e in other.events] == [(e.kind, e.bodies) for e in one.events]
        assert [e.time for e in other.events] == pytest.approx([e.time for e in one.events], abs=1e-11)


def test_a_simulation_merges_what_collides():
    start = as_bodies(plummer(6, seed=2))
    sim = Simulation(start, tol=1e-5, t_end=8.0, events=Collision(0.03, "merge")).integrate(8.0)
    r = simulate(start, tol=1e-5, t_end=8.0, events=Collision(0.03, "merge"))
    assert (sim.time, sim.status) == (8.0, "ok")
    assert len(sim) == r.final.body_count[0] == 6 - len(sim.events) < 6
    assert next(e.time for e in sim.events) == r.events[0].time
    assert sim.mass.sum() == pytest.approx(1.0, rel=1e-14)
    assert sim.energy() == pytest.approx(start.total_energy()[0] + sim.energy_change, abs=1e-4)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ("encounter:below=-1", "encounter: below = -1.0 must be a positive number"),
        ("encounter:belo=1", "encounter has no argument 'belo'"),
        ("encounters", "unknown event 'encounters'"),
        ("collision:radius=0", "collision: radius = 0.0 must be positive"),
        ("collision:radius=1,action=explode", "action = 'explode' must be log, stop or merge"),
        (Collision([0.1, 0.2, 0.3]), "3 radii for 2 bodies"),
        ("crossing:offset=1", "normal .* not 0"),
        (Crossing(x=1.0, body=5), "body = 5 must be a number from 0 to 1"),
        (3, "events: 3 is none"),
        ([Encounter(0.1), None], "events: None is none"),
    ],
)
def test_what_is_no_event_is_one_sentence(events, words):
    with pytest.raises(ConfigError, match=words):
        simulate(pair(), t_end=1.0, criterion=STEPS, events=events)


def test_mergers_and_files_do_not_go_together(tmp_path):
    with pytest.raises(ConfigError, match="where bodies merge, give t_end, and no output"):
        simulate(pair(), t_end=1.0, criterion=STEPS, events=Collision(0.1, "merge"), output=tmp_path / "run.h5")


def test_the_speed_of_a_body_that_is_where_all_others_are_centred_is_a_number():
    """NumPy warned of a division by zero."""
    three = Bodies([1.0, 1.0, 0.0], [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], [[0.0, -0.5], [0.0, 0.5], [0.0, 0.0]])
    event = Escape(beyond=0.5)
    states = States(three.mass, three.present, np.zeros((1, 1)), three.position[None], three.velocity[None], 1.0)
    assert event.value(states, event.subjects(three))[0, 0].tolist() == [0.0, 0.0, 0.0]
