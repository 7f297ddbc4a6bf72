"""Training with the invariant features: samples keep their own unit of time, and the two phases converge."""

from __future__ import annotations

import torch

from aitimestepper import LearnedStep, Symmetrized, collect_trajectory, evaluate_minibatch, run_two_phase_training, simulate
from aitimestepper.differentiable.adapter import Observation
from aitimestepper.differentiable.network import model_from

SETTINGS = {"feature_type": "invariant", "ic": "kepler", "num_orbits": 8, "e_max": 0.9, "steps_per_epoch": 6}


def test_stored_samples_keep_the_unit_they_were_accepted_with(setup):
    s = setup(**SETTINGS)
    trajectory = collect_trajectory(*s.args).trajectory
    assert len(trajectory) == 48
    observed = s.adapter.observe(trajectory.particle)
    for name in Observation._fields:
        torch.testing.assert_close(getattr(trajectory.start.observation, name), getattr(observed, name), rtol=1e-14, atol=1e-14)
    part = trajectory.select(torch.tensor([3, 40]))
    assert torch.equal(part.start.observation.unit, trajectory.start.observation.unit[[3, 40]])
    with torch.no_grad():
        evaluated = evaluate_minibatch(s.model, trajectory, s.config, s.adapter)
        dt = s.adapter.predict(s.model, trajectory.start.observation).dt
    torch.testing.assert_close(dt, trajectory.dt, rtol=1e-12, atol=0)
    assert evaluated.all_pass
    assert trajectory.start.observation.unit.max() > 3 * trajectory.start.observation.unit.min()


def test_two_phases_converge_and_use_the_tolerance_up(setup):
    """16 epochs from the step of EnergyBudget: every Part 2 converges, and the mean step grows 25-fold, into the band."""
    s = setup(**SETTINGS, epochs=16)
    done = run_two_phase_training(*s.args)
    first, last = done["results"][0], done["results"][-1]
    assert done["convergence_rate"] == 1.0
    assert last["part2/final_pass_rate"] == 1.0
    assert last["part1/mean_dt"] > 15 * first["part1/mean_dt"]
    assert 1e-6 < last["part1/mean_energy_error"] < 2e-4
    learned = LearnedStep(model_from(s.model, s.config))
    run = simulate(s.particle, t_end=10.0, criterion=Symmetrized(learned))
    finer = simulate(s.particle, t_end=10.0, criterion=Symmetrized(learned.at_tolerance(2e-6)))
    assert run.status == finer.status == ("ok",) * 8
    assert (finer.max_energy_error < 0.1 * run.max_energy_error).all()
    assert (finer.steps / run.steps > 4).all()  # 10 for dt ~ tol^(1/2), less what the network makes of it
