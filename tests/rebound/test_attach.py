"""The steps inside REBOUND are those of `simulate`; outputs, archives and restarts leave the run as it is, to the bit."""

import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import aitimestepper as ats
import rebound
from aitimestepper.errors import SimulationWarning
from aitimestepper.rebound import attach, load, to_bodies

FALL = ats.Symmetrized(ats.FreeFall(0.05))
END = 60.0
ASKED = [
    {"tol": 1e-6},
    {"tol": 1e-3},
    {"criterion": FALL},
    {"criterion": FALL, "keep": "leapfrog"},
    {"criterion": FALL, "keep": "whfast"},
]


@pytest.mark.parametrize(
    ("criterion", "more"),
    [
        (None, {"tol": 1e-6}),
        (None, {"tol": 1e-3}),
        (None, {"tol": 1e-5, "integrator": "blanes_moan6"}),
        (FALL, {"integrator": "kahan_li8"}),
        (ats.Symmetrized(ats.EnergyBudget(1e-4)), {"integrator": "suzuki4"}),
        (ats.Limited(ats.HutMakino(0.05), dt_max=0.05), {}),
        (ats.Symmetrized(ats.Boekholt(0.05)), {}),
        (ats.Tidal(1e-3), {}),
        (ats.Aarseth(0.01), {}),
        (ats.PRS23(0.05), {"integrator": "leapfrog"}),
    ],
)
@pytest.mark.parametrize("others", [0, 4])
def test_the_steps_are_those_of_simulate(orbit, state_of, criterion, more, others):
    sim = orbit(others=others)
    bodies = to_bodies(sim)
    choice = attach(sim, criterion, **more)
    sim.steps(40)
    result = ats.simulate(bodies, steps=40, criterion=choice.criterion, integrator=choice.integrator.name, warn=False)
    assert sim.t == pytest.approx(float(result.final.time[0]), rel=1e-9)
    np.testing.assert_allclose(state_of(sim)[:, :3], result.final.position[0], rtol=0, atol=1e-8)


def test_a_tolerance_is_kept(orbit, largest_error):
    for tol in (1e-3, 1e-5, 1e-6):
        sim = orbit()
        attach(sim, tol=tol)
        assert 1e-4 * tol < largest_error(sim, np.linspace(0, END, 400)) < tol


@pytest.mark.parametrize("asked", ASKED)
def test_outputs_do_not_change_the_run(orbit, state_of, asked):
    one, many, past = orbit(), orbit(), orbit()
    for sim in (one, many, past):
        attach(sim, **asked)
    one.integrate(END)
    for t in np.linspace(0, END, 1001):
        many.integrate(t)
        assert many.t == pytest.approx(t, abs=1e-12)
    np.testing.assert_array_equal(state_of(many), state_of(one))
    for t in np.linspace(0, END, 101):
        if t >= past.t:  # REBOUND goes back to a time that a long step has passed
            past.integrate(t, exact_finish_time=0)
        assert past.t >= t
    long = orbit()
    attach(long, **asked)
    long.integrate(END, exact_finish_time=0)
    assert (past.t, past.steps_done) == (long.t, long.steps_done)
    np.testing.assert_array_equal(state_of(past), state_of(long))


def test_errors_at_a_thousand_outputs_are_those_of_one_run(orbit, largest_error):
    few, many = orbit(), orbit()
    attach(few, FALL)
    attach(many, FALL)
    heartbeats = []
    energy = few.energy()
    few.heartbeat = lambda sim: heartbeats.append(abs(sim.contents.energy() / energy - 1.0))
    few.integrate(END)
    assert largest_error(many, np.linspace(0, END, 1000)) <= 1.05 * max(heartbeats)


def test_errors_do_not_grow_from_orbit_to_orbit(orbit, largest_error):
    """Steps that lost their symmetry would: without it the errors at the apocentres are 0.14 after 100 orbits, with it 5e-7."""
    sim, plain = orbit(), orbit()
    attach(sim, FALL)
    attach(plain, FALL.criterion)
    apocentres = 2 * math.pi / math.sqrt(1.001) * np.arange(1, 101)
    assert 1e4 * largest_error(sim, apocentres) < largest_error(plain, apocentres)


@pytest.mark.parametrize("asked", ASKED)
def test_archives_copies_and_pickles_go_on_to_the_same_bits(orbit, state_of, tmp_path, asked):
    one, sim = orbit(), orbit()
    attach(one, **asked)
    attach(sim, **asked)
    one.integrate(END)
    path = str(tmp_path / "archive.bin")
    for t in (10.0, 21.7, 33.3):
        sim.integrate(t)
        sim.save_to_file(path)
    for again in (sim.copy(), pickle.loads(pickle.dumps(sim)), load(path), load(path, 0), load(path, 1), sim):
        again.integrate(END)
        np.testing.assert_array_equal(state_of(again), state_of(one))


def test_archives_written_during_a_run_go_on_in_another_process(orbit, state_of, tmp_path):
    sim, path = orbit(), str(tmp_path / "archive.bin")
    attach(sim, tol=1e-6)
    sim.save_to_file(path, interval=7.0)
    sim.integrate(END)
    code = "import sys, aitimestepper as ats; sim = ats.rebound.load(sys.argv[1], 3); sim.integrate(60.0); "
    code += "print(sim.steps_done, *(p.x.hex() for p in sim.particles))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout.split() == [str(sim.steps_done), *(p.x.hex() for p in sim.particles)], done.stderr


@pytest.mark.parametrize("dt", [1e-5, 1e3])
def test_a_dt_of_the_user_does_not_change_the_run(orbit, state_of, dt):
    one, sim = orbit(), orbit()
    for one_of in (one, sim):
        attach(one_of, tol=1e-6)
    one.integrate(END)
    sim.integrate(20.0)
    sim.dt = dt
    sim.integrate(END)
    np.testing.assert_array_equal(state_of(sim), state_of(one))


def test_a_run_that_was_stopped_goes_on(orbit, state_of):
    one, sim = orbit(), orbit()
    for one_of in (one, sim):
        attach(one_of, tol=1e-6)
    one.integrate(END)
    times = []

    def stop_often(pointer):
        times.append(pointer.contents.t)
        if len(times) % 50 == 49:
            pointer.contents.stop()

    sim.heartbeat = stop_often
    while sim.t < END:
        sim.integrate(END)
    assert (np.diff(times) >= 0).all()
    np.testing.assert_array_equal(state_of(sim), state_of(one))


def test_single_steps_are_those_of_a_run(orbit, state_of):
    one, sim = orbit(), orbit()
    for one_of in (one, sim):
        attach(one_of, tol=1e-5)
    one.steps(300)
    for _ in range(300):
        sim.steps(1)
    np.testing.assert_array_equal(state_of(sim), state_of(one))
    assert sim.dt_last_done != sim.dt


def test_time_runs_backwards(orbit, state_of):
    sim = orbit()
    start = state_of(sim)
    attach(sim, ats.Symmetrized(ats.FreeFall(0.01)), integrator="blanes_moan6")
    sim.integrate(20.0)
    assert np.abs(state_of(sim) - start).max() > 0.1
    sim.integrate(0.0)
    np.testing.assert_allclose(state_of(sim), start, atol=1e-9)


def test_a_version_that_was_not_tested_is_said_so(orbit, monkeypatch):
    monkeypatch.setattr(rebound, "__version__", "5.99.0")
    with pytest.warns(SimulationWarning, match=r"REBOUND 5\.99\.0 was not tested"):
        attach(orbit(), tol=1e-5)


def test_a_long_run_has_shorter_steps(orbit):
    short, long = orbit(others=2), orbit(others=2)
    attach(short, tol=1e-4)
    attach(long, tol=1e-4, t_end=1e4, integrator="blanes_moan4")
    assert long.dt < short.dt
