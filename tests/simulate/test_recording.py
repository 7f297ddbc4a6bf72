"""Watching a run: the states of one system as they were, thinned evenly when there are many."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.recording import RecordedTrajectory, TrajectoryRecorder

NAMES = ("mass", "time", "position", "velocity", "dt", "energy", "energy_error", "momentum", "angular_momentum")


def recorded(p, n, limit=20_000, system=0, criterion=None, **more):
    recorder = TrajectoryRecorder(system, limit)
    criterion = criterion or Constant(0.01)
    result = simulate(p, steps=n, criterion=criterion, sinks=(recorder.take,), output_steps=1, **more)
    return recorder.trajectory(), result


def same(a: RecordedTrajectory, b: RecordedTrajectory) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in NAMES)


def test_a_trajectory_is_the_run_state_by_state(random_system):
    p = random_system(3, 3, softening=0.1)
    criterion = Symmetrized(FreeFall(0.05))
    found, result = recorded(p, 12, criterion=criterion)
    ends = [p, *(simulate(p, steps=n, criterion=criterion).final for n in range(1, 13))]
    states = Bodies.stack(ends)
    assert np.array_equal(found.mass, p.mass[0])
    assert np.array_equal(found.time, states.time)
    assert np.array_equal(found.position, states.position)
    assert np.array_equal(found.velocity, states.velocity)
    steps = np.diff(states.time)
    np.testing.assert_allclose(found.dt, [steps[0], *steps], rtol=0, atol=4.5e-16)  # of times that are rounded
    np.testing.assert_allclose(found.energy, states.total_energy(), rtol=0, atol=1e-15)  # a difference of terms near 1
    np.testing.assert_allclose(found.momentum, states.momentum(), rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.angular_momentum, states.angular_momentum(), rtol=0, atol=1e-14)
    assert found.energy_error[0] == 0
    expected = np.abs(found.energy - found.energy[0]) / p.energy_scale()
    np.testing.assert_allclose(found.energy_error, expected, rtol=1e-13)
    assert found.energy_error.max() == result.max_energy_error[0]
    assert found.energy_error[-1] == result.final_energy_error[0]


@pytest.mark.parametrize(("n", "limit"), [(10, 100), (99, 100), (100, 100), (101, 100), (1000, 100), (257, 16), (50, 3)])
def test_memory_is_bounded_and_what_is_left_is_evenly_spaced_up_to_the_end(two_body, n, limit):
    found, _ = recorded(two_body(), n, limit)
    assert len(found.time) <= limit + 2
    assert len(found.time) > min(n, limit) / 2 - 1
    steps = np.round(found.time / 0.01).astype(int)
    assert steps[0] == 0
    assert steps[-1] == n  # the last state is there, whatever the spacing
    gap = int(steps[1])
    assert gap & (gap - 1) == 0  # a power of two
    assert steps[:-1].tolist() == list(range(0, n, gap))[: len(steps) - 1]
    assert n - steps[-2] <= gap
    full, _ = recorded(two_body(), n)
    assert np.array_equal(found.position, full.position[steps])
    assert np.array_equal(found.energy_error, full.energy_error[steps])


def test_one_system_of_a_batch_is_as_it_is_alone(two_body, random_system):
    """Without its absent bodies, from its own start to its own end."""
    systems = [random_system(4, 2), two_body(e=0.6, q=0.2, time=0.1), random_system(3, 2, time=0.25)]
    batch = Bodies.stack(systems)
    for i, p in enumerate(systems):
        together, alone = TrajectoryRecorder(i), TrajectoryRecorder(0)
        for start, recorder in ((batch, together), (p, alone)):
            simulate(start, t_end=0.3, criterion=FreeFall(0.02), sinks=(recorder.take,), output_steps=1)
        a, b = together.trajectory(), alone.trajectory()
        assert a.mass.shape == p.mass[0].shape
        assert a.time[0] == p.time[0]
        assert a.time[-1] == 0.3
        assert same(a, b)


def test_recording_changes_no_bit_of_the_run(two_body, same_result):
    p = two_body(e=0.7)
    _, watched = recorded(p, 50, limit=7, criterion=FreeFall(0.05))
    assert same_result(watched, simulate(p, steps=50, criterion=FreeFall(0.05)))


def test_a_run_without_a_step_has_no_trajectory(two_body):
    recorder = TrajectoryRecorder()
    simulate(two_body(time=1.0), t_end=1.0, criterion=Constant(0.1), sinks=(recorder.take,))
    with pytest.raises(ValueError, match="nothing was recorded: the run took no step"):
        recorder.trajectory()
