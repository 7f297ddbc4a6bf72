import copy

import pytest
import torch

from aitimestepper import (
    Config,
    HistoryBuffer,
    attempt_single_step,
    collect_trajectory,
    evaluate_minibatch,
    generalize_on_trajectory,
    sample_minibatch,
)
from aitimestepper.differentiable.network import build_network
from aitimestepper.differentiable.stepping import step
from aitimestepper.errors import ConfigError
from aitimestepper.training.generalization import verify_trajectory


@pytest.fixture
def collected(setup):
    """A trajectory of eight orbits at all phases, 120 samples, and a set-up whose network has since been spoiled."""

    def make(spoil: float = 4.0, **settings):
        orbits = {"ic": "kepler", "num_orbits": 8, "e_min": 0.6, "e_max": 0.9}
        s = setup(**{"steps_per_epoch": 15, "lr": 3e-3, **orbits, **settings})
        trajectory, _ = collect_trajectory(*s.args, s.history)
        with torch.no_grad():
            s.model.log_dt.bias += spoil / 4.0
        return s, trajectory

    return make


def test_minibatches_are_uniform_without_replacement(collected):
    """TRAIN-05: size min(batch, len), no sample twice, every sample equally often."""
    _, trajectory = collected(ic="kepler:e=0.5", num_orbits=1, steps_per_epoch=120)
    generator = torch.Generator().manual_seed(1)
    counts = torch.zeros(len(trajectory))
    rounds = 2000
    for _ in range(rounds):
        batch = sample_minibatch(trajectory, 30, generator)
        index = torch.searchsorted(trajectory.particle.time, batch.particle.time)
        assert len(batch) == len(set(index.tolist())) == 30
        counts[index] += 1
    assert len(sample_minibatch(trajectory, 10_000)) == len(trajectory) == 120
    expected = rounds * 30 / 120
    # 120 binomial counts: sd sqrt(500 * 3/4) = 19.4; five of them is 97
    assert (counts - expected).abs().max() < 97
    assert (counts - expected).abs().max() > 20  # and it is random at all


def test_a_minibatch_is_evaluated_in_one_call_like_its_samples_one_by_one(collected):
    """TRAIN-07, trap 11: one forward of the network and one batched step, whatever the size."""
    s, trajectory = collected()
    calls = []
    s.model.register_forward_hook(lambda *_: calls.append(1))
    all_pass, losses, rel_dE, metrics = evaluate_minibatch(s.model, trajectory, s.config, s.adapter)
    assert len(calls) == 1
    assert not all_pass
    assert metrics["pass_count"] + metrics["fail_count"] == len(trajectory)
    assert 0 < metrics["fail_count"] == int((rel_dE > s.config.energy_threshold).sum())
    assert metrics["mean_rel_dE"] == pytest.approx(rel_dE.mean().item())
    assert metrics["max_rel_dE"] == rel_dE.max().item()
    for i in range(0, len(trajectory), 17):
        one = evaluate_minibatch(s.model, trajectory.select(torch.tensor([i])), s.config, s.adapter)
        assert one.rel_dE.item() == pytest.approx(rel_dE[i].item(), rel=1e-6, abs=1e-15)
        assert one.losses.item() == pytest.approx(losses[i].item(), rel=1e-6, abs=1e-12)


def test_stored_samples_are_never_modified_and_every_iteration_has_a_fresh_graph(collected):
    """TRAIN-07."""
    s, trajectory = collected()
    before = copy.deepcopy((trajectory.particle.tensors(), trajectory.start.observation, trajectory.dt))
    first = evaluate_minibatch(s.model, trajectory, s.config, s.adapter).losses
    first.mean().backward()
    second = evaluate_minibatch(s.model, trajectory, s.config, s.adapter).losses
    second.mean().backward()  # would raise on a graph that was freed
    generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    after = (trajectory.particle.tensors(), trajectory.start.observation, trajectory.dt)
    assert all(torch.equal(before[0][k], v) for k, v in after[0].items())
    assert torch.equal(before[1].features, after[1].features)
    assert torch.equal(before[2], after[2])
    assert not trajectory.particle.position.requires_grad


def test_part_2_trains_until_all_samples_pass(collected):
    """TRAIN-06: a network that fails most of the trajectory learns all of it; no sample is over the threshold at the end."""
    s, trajectory = collected()
    assert verify_trajectory(s.model, trajectory, s.config, s.adapter) < 0.8
    converged, iterations, metrics = generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    assert converged
    assert 10 < iterations < s.config.replay_steps
    assert metrics["final_pass_rate"] == 1.0
    assert metrics["max_rel_dE"] <= s.config.energy_threshold
    assert verify_trajectory(s.model, trajectory, s.config, s.adapter) == 1.0


def test_replay_steps_is_only_a_safety_limit(collected):
    s, trajectory = collected(replay_steps=3, lr=1e-6)
    converged, iterations, metrics = generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    assert (converged, iterations) == (False, 3)
    assert metrics["final_pass_rate"] < 1
    assert metrics["max_rel_dE"] > s.config.energy_threshold


def test_a_network_with_short_steps_learns_longer_ones_although_everything_passes(collected):
    """Without this a network that starts with tiny steps would never learn anything: all of them pass."""
    s, trajectory = collected(spoil=-3.0, lr=1e-3)
    before = evaluate_minibatch(s.model, trajectory, s.config, s.adapter)
    assert before.all_pass
    dt = s.adapter.predict(s.model, trajectory.start.observation).dt.mean().item()
    converged, iterations, _ = generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    assert converged
    assert iterations == s.config.replay_min_steps + 1
    assert s.adapter.predict(s.model, trajectory.start.observation).dt.mean().item() > 1.05 * dt


def test_with_no_minimum_a_passing_minibatch_ends_part_2_at_once(collected):
    s, trajectory = collected(spoil=-3.0, replay_min_steps=0)
    weights = copy.deepcopy(s.model.state_dict())
    converged, iterations, _ = generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    assert (converged, iterations) == (True, 1)
    assert all(torch.equal(weights[k], v) for k, v in s.model.state_dict().items())


def test_empty_and_short_trajectories(setup):
    s = setup(history_len=3, steps_per_epoch=2)
    nothing, _ = collect_trajectory(*s.args)
    assert len(nothing) == 0
    converged, iterations, metrics = generalize_on_trajectory(s.model, nothing, s.optimizer, s.config, s.adapter)
    assert (converged, iterations) == (True, 0)
    assert set(metrics) >= {"mean_rel_dE", "max_rel_dE", "final_pass_rate"}
    s = setup(steps_per_epoch=1)
    one, _ = collect_trajectory(*s.args)
    converged, iterations, metrics = generalize_on_trajectory(s.model, one, s.optimizer, s.config, s.adapter)
    assert (converged, iterations, metrics["skipped"]) == (True, 0, True)
    assert Config().min_replay_size == 2


def test_replay_ignores_the_current_history(collected):
    """Trap 4: whatever is passed as the current history, a sample is evaluated with its own window."""
    s, trajectory = collected(history_len=2, feature_type="delta_mag", steps_per_epoch=30)
    own = evaluate_minibatch(s.model, trajectory, s.config, s.adapter, s.history).rel_dE
    other = HistoryBuffer(2, "delta_mag")
    for _ in range(2):
        other.push(step(s.particle, torch.tensor([0.3], dtype=torch.float64)))
    assert torch.equal(own, evaluate_minibatch(s.model, trajectory, s.config, s.adapter, other).rel_dE)
    assert torch.equal(own, evaluate_minibatch(s.model, trajectory, s.config, s.adapter, None).rel_dE)


def test_checks_have_no_dropout_but_learning_has(collected):
    """Trap 5, in Part 2: the check is the same every time; the losses vary."""
    s, trajectory = collected(dropout=0.5, spoil=0.0)
    a, b = (evaluate_minibatch(s.model, trajectory, s.config, s.adapter) for _ in range(2))
    assert torch.equal(a.rel_dE, b.rel_dE)
    assert not torch.equal(a.losses, b.losses)


def test_the_network_learns_to_estimate_its_own_error(collected):
    """Column 1 is no vestige: it finds the typical error of the steps, to a quarter of a decade, wherever that moved to."""
    s, trajectory = collected(spoil=0.0, replay_min_steps=600, lr=3e-3)
    generalize_on_trajectory(s.model, trajectory, s.optimizer, s.config, s.adapter)
    with torch.no_grad():
        prediction = s.adapter.predict(s.model, trajectory.start.observation)
    truth = torch.log10(evaluate_minibatch(s.model, trajectory, s.config, s.adapter).rel_dE.clamp_min(1e-30))
    residual = prediction.log10_error - truth
    assert residual.mean().abs() < 0.25
    assert residual.pow(2).mean().sqrt() < 0.8
    fresh = build_network(s.config)(trajectory.start.observation.features)[:, 1].detach()
    assert (fresh - truth).mean().abs() > 0.5


# ---- plain lists of (particle, dt) ------------------------------------------------------------------------------------
@pytest.mark.parametrize("features", [{"feature_type": "rich"}, {"feature_type": "delta_mag", "history_len": 2}], ids=str)
def test_plain_pairs_serve_wherever_a_trajectory_does(setup, features):
    """They hold no windows: the history that is passed counts, or the adapter's own."""
    s = setup(steps_per_epoch=8, lr=1e-3, **features)
    history = s.adapter.history_buffer
    trajectory, _ = collect_trajectory(*s.args, history)
    pairs = list(trajectory)
    assert all(len(particle) == 1 and dt.shape == (1,) for particle, dt in pairs)

    whole = evaluate_minibatch(s.model, pairs, s.config, s.adapter, history)
    assert whole.rel_dE.shape == (len(pairs),)
    by_default = evaluate_minibatch(s.model, pairs, s.config, s.adapter)  # with the adapter's own history
    assert torch.equal(by_default.rel_dE, whole.rel_dE)
    if history is None:  # without windows the features are those of the states
        assert torch.equal(whole.rel_dE, evaluate_minibatch(s.model, trajectory, s.config, s.adapter).rel_dE)
    else:
        dts = s.adapter.predict_dt(s.model, pairs[3][0], history)
        _, dt, E0, E1 = attempt_single_step(s.model, pairs[3][0], s.config, s.adapter, history)
        assert torch.equal(dt, dts)
        assert ((E1 - E0).abs() / whole.rel_dE[3]).item() == pytest.approx(trajectory.start.scale[3].item())

    drawn = sample_minibatch(pairs, 3)
    assert isinstance(drawn, list)
    assert len(drawn) == 3
    assert all(any(one is other for other in pairs) for one in drawn)
    converged, iterations, metrics = generalize_on_trajectory(s.model, pairs, s.optimizer, s.config, s.adapter, history)
    assert converged
    assert iterations >= 1
    assert set(metrics) >= {"mean_rel_dE", "max_rel_dE", "final_pass_rate"}


def test_plain_pairs_of_any_dt_and_none(setup):
    s = setup(lr=1e-3)
    pairs = [(s.particle, 0.01), (s.particle, torch.tensor(0.02, dtype=torch.float64))]
    assert evaluate_minibatch(s.model, pairs, s.config, s.adapter).rel_dE.shape == (2,)
    assert generalize_on_trajectory(s.model, [], s.optimizer, s.config, s.adapter)[:2] == (True, 0)
    assert generalize_on_trajectory(s.model, pairs[:1], s.optimizer, s.config, s.adapter).metrics["skipped"]
    with pytest.raises(ConfigError, match="a minibatch of no samples"):
        evaluate_minibatch(s.model, [], s.config, s.adapter)
