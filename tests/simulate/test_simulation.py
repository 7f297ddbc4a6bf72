"""`Simulation`: the motion is a function of time, whose bits do not depend on what was asked for before."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from aitimestepper import (
    Bodies,
    Constant,
    FreeFall,
    OwnCriterion,
    PointMassTidalField,
    Simulation,
    SimulationWarning,
    Snapshots,
    Symmetrized,
    resume,
    simulate,
)
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError, InitialConditionError, SnapshotError, UserError
from aitimestepper.initial import plummer, triple

STEPS = Symmetrized(FreeFall(0.02))
HOW = {
    "learned": {"tol": 1e-4, "t_end": 30.0},
    "symmetrized": {"criterion": STEPS, "integrator": "blanes_moan4"},
    "hermite": {"criterion": FreeFall(0.02), "integrator": "hermite4"},
    "logh": {"criterion": FreeFall(0.02), "integrator": "logh"},
    "gauss-radau": {"tol": 1e-9},
    "guarded": {"criterion": FreeFall(0.1), "guard": True},
}


def same(sim: Simulation, bodies: Bodies) -> bool:
    """To the bit; but Gauss-Radau has its polynomial between steps, and a guard may accept the shorter last step of a run."""
    exact = 1e-12 if sim.integrator == "radau15" else 1e-5 if sim._guard else 0.0
    here = np.concatenate([sim.position, sim.velocity])
    return bool(np.abs(here - np.concatenate([bodies.position[0], bodies.velocity[0]])).max() <= exact)


def ask(sim: Simulation, *times: float) -> None:
    for time in times:
        sim.integrate(time)


@pytest.mark.parametrize("how", HOW)
def test_pieces_are_one_run_to_the_bit(how):
    options = {k: v for k, v in HOW[how].items() if k != "t_end"}
    one = simulate(triple(), t_end=30.0, **options)
    sim = Simulation(triple(), **HOW[how])
    for t in np.linspace(0.0, 30.0, 37):
        sim.integrate(t)
        assert sim.time == t
    assert same(sim, one.final)
    assert sim.step_count == one.steps[0] or how == "guarded"
    assert (sim.criterion, sim.integrator) == (one.criterion, one.integrator)
    assert sim.energy_error == pytest.approx(one.final_energy_error[0], abs=1e-6 if how == "guarded" else 1e-13)


@pytest.mark.parametrize("how", HOW)
def test_the_state_at_a_time_does_not_depend_on_the_way_there(how):
    options = {k: v for k, v in HOW[how].items() if k != "t_end"}
    sim = Simulation(triple(), **HOW[how])
    seen = {}
    for t in (3.0, 25.0, -4.0, 3.0, 0.0, 14.0, -1.0, 25.0, 13.99, -4.0):
        sim.integrate(t)
        state = (sim.position, sim.velocity, sim.energy_error, sim.dt, sim.step_count)
        if t in seen:
            assert all(np.array_equal(a, b) for a, b in zip(state, seen[t], strict=True))
        seen[t] = state
    for t in (14.0, -4.0):
        assert same(sim.integrate(t), simulate(triple(), t_end=t, **options).final)


def test_older_states_are_kept_and_thinned(two_body):
    sim = Simulation(two_body(e=0.3), criterion=Constant(1e-3))
    sim.integrate(1.0)
    first = sim.position
    for t in np.linspace(1.0, 600.0, 300):
        sim.integrate(t)
    assert 8 < len(sim._branch.older) <= 33
    assert sim._branch.gap > 4096
    assert np.array_equal(sim.integrate(1.0).position, first)


def test_times_in_any_order_leave_the_present_alone():
    sim = Simulation(triple(), criterion=STEPS).integrate(10.0)
    before = sim.position
    times = [4.0, 12.0, -3.0, 4.0, 0.0, 10.0, -7.5]
    found = sim.at(times)
    assert (sim.time, found.position.shape) == (10.0, (7, 3, 3))
    assert np.array_equal(sim.position, before)
    assert found.time.tolist() == times
    for k, t in enumerate(times):
        sim.integrate(t)
        assert np.array_equal(found.position[k], sim.position)
        assert np.array_equal(found.velocity[k], sim.velocity)
        assert found.energy_error[k] == sim.energy_error


def test_steps_end_where_those_of_a_run_end(two_body):
    ends = []
    simulate(
        two_body(e=0.6), steps=12, criterion=STEPS, output_steps=1, sinks=(lambda _, rows: ends.extend(rows["time"][:, 0]),)
    )
    sim = Simulation(two_body(e=0.6), criterion=STEPS)
    sim.steps(3)
    assert sim.time == ends[3]
    sim.integrate(0.5 * (ends[4] + ends[5]))
    assert sim.steps().time == ends[5]
    assert sim.steps(7).time == ends[12]
    assert sim.step_count == 12


def test_a_copy_goes_on_by_itself_with_the_same_bits():
    sim = Simulation(triple(), tol=1e-5, t_end=40.0).integrate(12.0)
    twin = sim.copy()
    sim.integrate(30.0)
    assert twin.time == 12.0
    assert np.array_equal(twin.integrate(30.0).position, sim.position)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_by_the_standard_library_are_copies(copied):
    sim = Simulation(triple(), criterion=STEPS).integrate(1.0)
    before = sim.step_count
    copied(sim).integrate(3.0).add(1e-3, a=40.0)
    assert (len(sim), sim.time, sim.step_count) == (3, 1.0, before)
    with pytest.raises(ConfigError, match="cannot be pickled: save it"):
        pickle.dumps(sim)


@pytest.mark.parametrize("t", [11.7, -6.2])
@pytest.mark.parametrize("how", HOW)
def test_saved_and_loaded_it_goes_on_with_the_same_bits(tmp_path, how, t):
    sim = Simulation(triple(), **HOW[how]).integrate(t)
    sim.save(tmp_path / "sim.h5")
    again = Simulation.load(tmp_path / "sim.h5")
    assert (again.time, again.tol, again.step_count, again.names) == (sim.time, sim.tol, sim.step_count, sim.names)
    assert np.array_equal(again.position, sim.position)
    for later in (2.0 * t, 0.5 * t, -t):
        assert np.array_equal(again.integrate(later).position, sim.integrate(later).position)
    assert again.max_energy_error == sim.max_energy_error


def test_a_file_of_a_simulation_is_no_run_and_the_other_way_round(tmp_path):
    sim = Simulation(triple(), criterion=STEPS).integrate(1.0)
    sim.save(tmp_path / "sim.h5")
    with pytest.raises(ConfigError, match=r"holds a Simulation, not a run of `simulate`: go on with Simulation\.load"):
        resume(tmp_path / "sim.h5", t_end=2.0)
    with pytest.raises(UserError, match="exists; pass overwrite=True"):
        sim.save(tmp_path / "sim.h5")
    sim.save(tmp_path / "sim.h5", overwrite=True)
    with Snapshots(tmp_path / "sim.h5") as rows:
        assert len(rows) == 0
    simulate(triple(), t_end=1.0, criterion=STEPS, output=tmp_path / "run.h5")
    with pytest.raises(SnapshotError, match="holds the run of `simulate`, not a Simulation"):
        Simulation.load(tmp_path / "run.h5")


def test_functions_of_ones_own_are_given_again(tmp_path):
    own = OwnCriterion(lambda t, m, x, v, a, value: 0.01 * value)
    with pytest.warns(Warning, match="runs in Python"):
        sim = Simulation(triple(), criterion=own).integrate(0.5)
    sim.save(tmp_path / "sim.h5")
    with pytest.raises(ConfigError, match="give it again"):
        Simulation.load(tmp_path / "sim.h5")
    with pytest.warns(Warning, match="runs in Python"):
        again = Simulation.load(tmp_path / "sim.h5", criterion=own)
    assert np.array_equal(again.integrate(0.9).position, sim.integrate(0.9).position)


def test_bodies_come_and_go():
    sim = Simulation(as_bodies(triple()).replace(names=("a", "b", "c")), tol=1e-5, t_end=100.0).integrate(10.0)
    steps, error = sim.step_count, sim.max_energy_error
    sim.add(1e-3, [30.0, 0.0, 0.0], [0.0, 0.25, 0.0], name="d")
    assert (len(sim), sim.names, sim.time) == (4, ("a", "b", "c", "d"), 10.0)
    sim.integrate(12.0)
    assert sim.step_count > steps
    assert sim.max_energy_error >= error
    sim.remove("d")
    assert sim.names == ("a", "b", "c")
    assert sim.within_tolerance
    with pytest.raises(InitialConditionError, match=r"there is no body 'd': they are a, b, c\."):
        sim.remove("d")
    with pytest.raises(InitialConditionError, match="body 7: give its name, or its number from 0 to 2"):
        sim.remove(7)
    with pytest.raises(InitialConditionError, match="must be one number and twice 3 numbers"):
        sim.add(1.0, [0.0], [0.0, 0.0, 0.0])


def test_a_body_on_an_orbit_has_that_orbit():
    sim = Simulation(as_bodies(triple()).replace(names=("a", "b", "c")), criterion=STEPS).integrate(3.0)
    sim.add(1e-6, name="moon", about="c", a=0.05, e=0.3, inc=0.4, f=1.0)
    moon = sim.bodies.elements([0, 0, 2])
    assert (moon.a[0, 2], moon.e[0, 2], moon.inc[0, 2]) == pytest.approx((0.05, 0.3, 0.4), rel=1e-9)
    sim.add(0.0, a=500.0, e=0.1)
    outer = sim.orbits()
    assert outer.a.shape == (4,)
    assert (outer.a[3], outer.e[3]) == pytest.approx((500.0, 0.1), rel=1e-9)
    with pytest.raises(InitialConditionError, match="add needs position and velocity, or the elements"):
        sim.add(1.0)
    with pytest.raises(InitialConditionError, match="add needs position and velocity, or the elements"):
        sim.add(1.0, [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], a=1.0)


def test_a_merger_conserves_mass_and_momentum_and_its_energy_is_known():
    sim = Simulation(triple(), criterion=STEPS, integrator="blanes_moan4").integrate(5.0)
    before = sim.bodies
    energy, momentum = sim.energy(), before.momentum()
    centre = (before.mass[..., None] * before.position).sum(1)
    sim.merge(0, 1)
    after = sim.bodies
    assert after.mass.sum() == pytest.approx(before.mass.sum(), rel=1e-15)
    assert after.momentum() == pytest.approx(momentum, abs=1e-15)
    assert (after.mass[..., None] * after.position).sum(1) == pytest.approx(centre, abs=1e-14)
    assert sim.energy() == pytest.approx(energy + sim.energy_change, rel=1e-14)
    assert sim.energy_change != 0.0
    assert sim.integrate(20.0).energy_error < 1e-4
    with pytest.raises(InitialConditionError, match="are the same body"):
        sim.merge(1, 1)


def test_a_change_of_the_field_or_the_velocities_is_a_new_motion():
    sim = Simulation(triple(), criterion=STEPS).integrate(1.0)
    sim.replace(velocity=sim.velocity * 1.01, external_field=PointMassTidalField(10.0, R0=(50.0, 0.0, 0.0)))
    assert sim.energy_change != 0.0
    assert sim.integrate(2.0).energy_error < 1e-2


def test_a_simulation_goes_on_from_a_result(two_body):
    half = simulate(two_body(e=0.5), t_end=3.0, criterion=STEPS)
    sim = Simulation(half)
    assert np.array_equal(sim.integrate(6.0).position, simulate(half, t_end=6.0).final.position[0])
    assert sim.max_energy_error >= half.max_energy_error[0]
    with pytest.raises(ConfigError, match="cannot be saved"):
        sim.save("nowhere.h5")


def test_what_cannot_be_followed_is_said_once():
    head_on = Bodies([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    sim = Simulation(head_on, criterion=FreeFall(0.05))
    with pytest.warns(SimulationWarning) as said:
        ask(sim, 5.0, 6.0)
    assert len(said) == 1
    assert sim.status in ("stuck", "non_finite") or not sim.max_energy_error < 0.1
    assert sim.time <= 6.0
    assert np.isfinite(sim.position).all()


def test_longer_than_its_step_is_calibrated_for_is_said_once():
    sim = Simulation(triple(), tol=1e-5)
    with pytest.warns(SimulationWarning, match="has gone on for longer than .* give t_end") as said:
        ask(sim, 2000.0, 2001.0)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.integrate(np.nan), "time has the value nan; it must be finite"),
        (lambda s: s.integrate("soon"), "time = 'soon' must be a number"),
        (lambda s: s.integrate([1.0, 2.0]), "must be one number"),
        (lambda s: s.at([]), "must be a list of numbers"),
        (lambda s: s.at([1.0, np.inf]), "times has the value inf"),
        (lambda s: s.steps(0), "steps = 0 must be a whole number"),
        (lambda s: s.steps(None), "steps = None must be a whole number"),
    ],
)
def test_bad_questions_are_one_sentence_and_change_nothing(call, words):
    sim = Simulation(triple(), criterion=STEPS).integrate(1.0)
    with pytest.raises(ConfigError, match=words):
        call(sim)
    assert sim.time == 1.0
    assert np.array_equal(sim.integrate(2.0).position, Simulation(triple(), criterion=STEPS).integrate(2.0).position)


def test_only_one_system():
    two = Bodies.stack([as_bodies(triple()), as_bodies(triple())])
    with pytest.raises(InitialConditionError, match="a Simulation is of one system, and these are 2"):
        Simulation(two)
    padded = Bodies.stack([as_bodies(triple()), as_bodies(plummer(5, seed=1))]).select(0)
    assert len(Simulation(padded)) == 3


def test_the_result_of_a_simulation_is_that_of_simulate(two_body):
    sim = Simulation(two_body(e=0.4), tol=1e-4, t_end=30.0).integrate(20.0)
    result = sim.result
    assert result.final.time.tolist() == [20.0]
    assert bool(result.within_tolerance[0]) == sim.within_tolerance
    assert "Simulation of 2 bodies at t = 20" in repr(sim)
    assert pickle.loads(pickle.dumps(result.final)).time.tolist() == [20.0]


@pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
def test_what_was_reached_before_the_motion_broke_off_can_be_asked_for():
    """It was NaN: the present where no step could be made, and the last step of those that were made."""
    start = Bodies([1.0, 1.0], [[-0.5, 0.0], [0.5, 0.0]], [[0.0, -0.7], [0.0, 0.7]], time=1e20)
    sim = Simulation(start, criterion=Constant(0.1)).steps(3)
    assert sim.status == "stuck"
    assert np.array_equal(sim.at([sim.time]).position[0], start.position[0])
    breaks_off = OwnCriterion(lambda time, *_: 0.1 if time < 0.25 else np.nan)
    sim = Simulation(start.replace(time=0.0), criterion=breaks_off).steps(9)
    assert (sim.status, sim.step_count) == ("non_finite", 3)
    there = sim.at([0.05, 0.25, sim.time])
    assert np.isfinite(there.position).all()
    assert np.array_equal(there.position[2], sim.position)
    assert np.isnan(sim.at([0.5]).position).all()
