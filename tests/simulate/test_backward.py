"""Runs backward in time, and states at a list of times: neither changes the steps of the physics."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import Bodies, FreeFall, PointMassTidalField, Snapshots, Symmetrized, resume, simulate
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError
from aitimestepper.fields import Circle
from aitimestepper.initial import triple

STEPS = Symmetrized(FreeFall(0.02))


def reversed_motion(bodies: Bodies) -> Bodies:
    return bodies.replace(velocity=-bodies.velocity)


@pytest.mark.parametrize("integrator", ["leapfrog", "blanes_moan4", "hermite4", "logh", "radau15"])
def test_a_run_backward_is_that_of_the_reversed_motion(integrator):
    start = as_bodies(triple())
    back = simulate(start, t_end=-20.0, criterion=FreeFall(0.02), integrator=integrator)
    mirrored = simulate(reversed_motion(start), t_end=20.0, criterion=FreeFall(0.02), integrator=integrator)
    assert back.final.time.tolist() == [-20.0]
    assert np.array_equal(back.final.position, mirrored.final.position)
    assert np.array_equal(back.final.velocity, -mirrored.final.velocity)
    assert back.steps.tolist() == mirrored.steps.tolist()
    assert back.closest_approach.time[0] == -mirrored.closest_approach.time[0]


def test_forward_and_back_again_returns_to_the_start_and_counts_errors_from_it(two_body):
    start = two_body(e=0.6)
    there = simulate(start, t_end=50.0, criterion=STEPS, integrator="blanes_moan4")
    back = simulate(there, t_end=0.0)
    assert np.abs(back.final.position - start.position).max() < 1e-9
    assert np.abs(back.final.velocity - start.velocity).max() < 1e-9
    assert back.max_energy_error[0] >= there.max_energy_error[0]
    assert back.force_evaluations[0] > there.force_evaluations[0]


def test_systems_of_a_batch_go_their_own_way(two_body):
    systems = [two_body(e=0.3), two_body(e=0.7)]
    both = simulate(Bodies.stack(systems), t_end=[3.0, -4.0], criterion=STEPS)
    for i, end in enumerate((3.0, -4.0)):
        alone = simulate(systems[i], t_end=end, criterion=STEPS)
        assert np.array_equal(both.final.position[i], alone.final.position[0])
    onward = simulate(both, t_end=[5.0, -1.0])
    on = simulate(simulate(systems[0], t_end=3.0, criterion=STEPS), t_end=5.0)
    assert np.array_equal(onward.final.position[0], on.final.position[0])  # the one that turned does not disturb it


def test_the_work_of_a_circling_tide_is_that_of_the_reversed_circle():
    start = as_bodies(triple())

    def run(rate: float, t_end: float, bodies: Bodies):
        field = PointMassTidalField(50.0, R_of_t=Circle(40.0, rate, 0.3))
        return simulate(bodies, t_end=t_end, criterion=STEPS, integrator="blanes_moan4", external_field=field)

    back, mirrored = run(0.2, -15.0, start), run(-0.2, 15.0, reversed_motion(start))
    assert np.abs(back.final.position - mirrored.final.position).max() < 1e-12
    assert back.max_energy_error[0] == pytest.approx(mirrored.max_energy_error[0], rel=1e-6)
    assert back.max_energy_error[0] < 1e-4


@pytest.mark.parametrize("t_end", [6.0, -6.0])
def test_times_do_not_change_the_steps_and_their_states_are_those_of_runs_until_then(two_body, t_end):
    start = Bodies.stack([two_body(e=0.2), two_body(e=0.8)])
    times = np.linspace(0.0, t_end, 7)
    plain = simulate(start, t_end=t_end, criterion=STEPS)
    r = simulate(start, criterion=STEPS, times=times)
    assert np.array_equal(r.final.position, plain.final.position)
    assert r.force_evaluations.tolist() == plain.force_evaluations.tolist()
    assert r.trajectory.time.tolist() == times.tolist()
    assert r.trajectory.position.shape == (7, 2, 2, 2)
    assert np.array_equal(r.trajectory.position[0], start.position)
    for k in (1, 4, 6):
        until = simulate(start, t_end=times[k], criterion=STEPS)
        assert np.array_equal(r.trajectory.position[k], until.final.position)
        assert np.array_equal(r.trajectory.velocity[k], until.final.velocity)
        assert r.trajectory.energy_error[k] == pytest.approx(until.final_energy_error, abs=1e-15)


def test_rows_that_a_run_did_not_reach_are_not_numbers(two_body):
    r = simulate(two_body(), times=[0.1, 50.0], t_end=60.0, criterion=STEPS, max_steps=30)
    assert np.isfinite(r.trajectory.position[0]).all()
    assert np.isnan(r.trajectory.position[1]).all()
    assert r.trajectory.steps[1, 0] == -1


def test_absent_bodies_are_not_numbers(two_body):
    flat = Bodies([1.0, 1e-3, 1e-3], [[0, 0], [1, 0], [0, 3]], [[0, 0], [0, 1], [-0.6, 0]])
    start = Bodies.stack([two_body(), flat])
    r = simulate(start, times=[0.5, 1.0], criterion=STEPS)
    assert np.isnan(r.trajectory.position[:, 0, 2]).all()
    assert np.isfinite(r.trajectory.position[:, 0, :2]).all()
    assert np.isfinite(r.trajectory.position[:, 1]).all()


def test_more_times_than_rows_in_memory(two_body):
    times = np.linspace(0.0, 20.0, 5001)
    r = simulate(two_body(e=0.4), criterion=STEPS, times=times)
    dense = simulate(two_body(e=0.4), criterion=STEPS, times=times[[1234, 4321]], t_end=20.0)
    assert np.array_equal(r.trajectory.position[[1234, 4321]], dense.trajectory.position)
    assert np.isfinite(r.trajectory.position).all()


@pytest.mark.parametrize("t_end", [8.0, -8.0])
def test_a_file_of_chosen_times_resumes_to_the_same_bits(two_body, tmp_path, t_end):
    times = np.linspace(0.0, 2 * t_end, 9)[1:]
    whole = simulate(two_body(e=0.7), criterion=STEPS, times=times, output=tmp_path / "whole.h5")
    simulate(two_body(e=0.7), criterion=STEPS, times=times, t_end=2 * t_end, output=tmp_path / "part.h5", max_steps=100)
    with Snapshots(tmp_path / "whole.h5") as rows:
        assert np.array_equal(rows.time[:, 0], times)
        assert np.array_equal(rows.position[:, 0], whole.trajectory.position[:, 0])
    simulate(two_body(e=0.7), criterion=STEPS, t_end=t_end, output=tmp_path / "half.h5", output_every=abs(t_end) / 4)
    on = resume(tmp_path / "half.h5", t_end=2 * t_end)
    assert on.final.time.tolist() == [2 * t_end]
    with Snapshots(tmp_path / "half.h5") as rows:
        assert rows.time[:, 0] == pytest.approx(np.linspace(0.0, 2 * t_end, 9), abs=1e-12)
    with pytest.raises(ConfigError, match="after t = " if t_end > 0 else "before t = "):
        resume(tmp_path / "half.h5", t_end=0.0)
    again = resume(tmp_path / "half.h5", t_end=2.5 * t_end)
    assert again.final.time.tolist() == [2.5 * t_end]
