"""Watching a run: the states of one system as they were, thinned evenly when there are many."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aitimestepper.criteria.base import Symmetrized
from aitimestepper.criteria.classical import Constant, FreeFall
from aitimestepper.differentiable.conserved import angular_momentum, momentum
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.integrators import step
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.recording import TrajectoryRecorder


def recorded(p, n, limit=20_000, system=0, criterion=None, **more):
    recorder = TrajectoryRecorder(system, limit)
    result = simulate(p, steps=n, criterion=criterion or Constant(0.01), observer=recorder, **more)
    return recorder.track(), result


def test_a_track_is_the_run_state_by_state(random_system):
    p = random_system(3, 3, softening=0.1)
    criterion = Symmetrized(FreeFall(0.05))
    track, result = recorded(p, 12, criterion=criterion)
    memory, state, states, steps = criterion.init(p), p, [p], []
    for _ in range(12):
        steps.append(criterion.step_size(state, memory))
        memory = criterion.update(state, steps[-1], memory)
        state = step(state, steps[-1])
        states.append(state)
    assert np.array_equal(track.mass, p.mass[0])
    assert np.array_equal(track.time, torch.cat([s.time for s in states]))
    assert np.array_equal(track.position, torch.cat([s.position for s in states]))
    assert np.array_equal(track.velocity, torch.cat([s.velocity for s in states]))
    assert np.array_equal(track.dt, torch.cat([steps[0], *steps]))
    assert np.array_equal(track.energy, torch.cat([s.total_energy() for s in states]))
    np.testing.assert_allclose(track.momentum, torch.cat([momentum(s) for s in states]), rtol=0, atol=1e-15)
    np.testing.assert_allclose(track.angular_momentum, torch.cat([angular_momentum(s) for s in states]), rtol=0, atol=1e-14)
    assert track.energy_error[0] == 0
    expected = np.abs(track.energy - track.energy[0]) / np.abs(track.energy[0])
    assert np.array_equal(track.energy_error, expected)
    assert track.energy_error.max() == result.max_energy_error.item()
    assert track.energy_error[-1] == result.final_energy_error.item()


@pytest.mark.parametrize(("n", "limit"), [(10, 100), (99, 100), (100, 100), (101, 100), (1000, 100), (257, 16), (50, 3)])
def test_memory_is_bounded_and_what_is_left_is_evenly_spaced_up_to_the_end(two_body, n, limit):
    track, _ = recorded(two_body(), n, limit)
    assert len(track.time) <= limit + 2
    assert len(track.time) > min(n, limit) / 2 - 1
    steps = np.round(track.time / 0.01).astype(int)
    assert steps[0] == 0
    assert steps[-1] == n  # the last state is there, whatever the spacing
    gap = int(steps[1])
    assert gap & (gap - 1) == 0  # a power of two
    assert steps[:-1].tolist() == list(range(0, n, gap))[: len(steps) - 1]
    assert n - steps[-2] <= gap
    full, _ = recorded(two_body(), n)
    assert np.array_equal(track.position, full.position[steps])
    assert np.array_equal(track.energy_error, full.energy_error[steps])


def test_one_system_of_a_batch_is_as_it_is_alone(two_body, random_system):
    """Without its absent bodies, from its own start to its own end."""
    systems = [random_system(4, 2), two_body(e=0.6, q=0.2, time=0.1), random_system(3, 2, time=0.25)]
    batch = ParticleTorch.stack(systems)
    for i, p in enumerate(systems):
        together, alone = TrajectoryRecorder(i), TrajectoryRecorder(0)
        simulate(batch, t_end=0.3, criterion=FreeFall(0.02), observer=together)
        simulate(p, t_end=0.3, criterion=FreeFall(0.02), observer=alone)
        a, b = together.track(), alone.track()
        assert a.mass.shape == p.mass[0].shape
        assert a.time[0] == p.time.item()
        assert a.time[-1] == 0.3
        for name in ("mass", "time", "position", "velocity", "dt", "energy", "energy_error", "momentum", "angular_momentum"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_recording_changes_no_bit_of_the_run(two_body):
    p = two_body(e=0.7)
    _, watched = recorded(p, 50, limit=7, criterion=FreeFall(0.05))
    plain = simulate(p, steps=50, criterion=FreeFall(0.05), engine="reference")
    assert torch.equal(watched.final.position, plain.final.position)
    assert torch.equal(watched.final.velocity, plain.final.velocity)


def test_rows_of_the_compiled_engine_make_the_same_track(random_system):
    p = random_system(3, 2, softening=0.1)
    seen, taken = TrajectoryRecorder(), TrajectoryRecorder()
    simulate(p, t_end=0.4, criterion=Symmetrized(FreeFall(0.05)), observer=seen)
    simulate(p, t_end=0.4, criterion=Symmetrized(FreeFall(0.05)), sinks=(taken.take,), output_steps=1)
    a, b = seen.track(), taken.track()
    for name in ("mass", "time", "position", "velocity", "dt", "energy", "energy_error", "momentum", "angular_momentum"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=0, atol=1e-12, err_msg=name)


def test_a_run_without_a_step_has_no_track(two_body):
    recorder = TrajectoryRecorder()
    simulate(two_body(time=1.0), t_end=1.0, criterion=Constant(0.1), observer=recorder)
    with pytest.raises(ValueError, match="nothing was recorded: the run took no step"):
        recorder.track()
