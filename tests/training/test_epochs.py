import copy
import gc
import json

import psutil
import pytest
import torch

from aitimestepper import collect_trajectory_step, load_checkpoint, run_two_phase_training, train_epoch_two_phase
from aitimestepper.training.checkpoints import checkpoint_name
from aitimestepper.training.metrics import Recorder

NAMES = {
    "epoch",
    "epoch_time",
    "part1/trajectory_length",
    "part1/mean_retrain_iterations",
    "part1/max_retrain_iterations",
    "part1/mean_energy_error",
    "part1/warmup_discarded",
    "part1/acceptance_rate",
    "part2/converged",
    "part2/iterations",
    "part2/final_pass_rate",
    "part2/mean_rel_dE",
    "part2/max_rel_dE",
}


def without_times(record: dict) -> dict:
    return {k: v for k, v in record.items() if k != "epoch_time"}


def test_an_epoch_is_part_1_then_part_2_on_one_model(setup):
    """TRAIN-08."""
    s = setup(steps_per_epoch=10, lr=1e-3)
    before = copy.deepcopy(s.model.state_dict())
    result = train_epoch_two_phase(*s.args)
    assert set(result) >= {"trajectory_metrics", "generalization_metrics", "converged", "part2_iterations", "epoch_time"}
    assert result["trajectory_metrics"]["trajectory_length"] == 10
    assert result["part2_iterations"] >= 1
    assert result["epoch_time"] > 0
    assert any(not torch.equal(before[k], v) for k, v in s.model.state_dict().items())


def test_an_empty_trajectory_warns_and_goes_on(setup):
    s = setup(history_len=3, steps_per_epoch=1)
    with pytest.warns(UserWarning, match=r"epoch 1 recorded no sample.*history_len = 3"):
        result = train_epoch_two_phase(*s.args, s.history)
    assert result["converged"]
    assert result["part2_iterations"] == 0


def test_an_epoch_without_a_sample_says_why_however_it_came_to_it(setup, scripted):
    """All systems were dropped at the retry cap: it is not the history."""
    s = setup(scripted(10.0), energy_threshold=1e-9, max_retrain_steps=1, retry_fallback="drop", epochs=1)
    with pytest.warns(UserWarning, match=r"epoch 1 recorded no sample.*dropped at max_retrain_steps = 1"):
        run_two_phase_training(*s.args[:3], s.config, s.adapter, checkpoint_interval=1)


def test_the_published_call_of_a_training(setup, tmp_path):
    """Another interval between checkpoints, and a run of Weights & Biases that stays open."""
    logged = []

    class Run:
        def log(self, metrics, step):
            logged.append((step, metrics["part2/iterations"]))

    s = setup(epochs=3, steps_per_epoch=4, checkpoint_interval=10, lr=1e-3)
    done = run_two_phase_training(*s.args, save_dir=tmp_path, wandb_run=Run(), checkpoint_interval=1)
    assert logged == [(k, r["part2_iterations"]) for k, r in enumerate(done["results"], start=1)]
    assert len(list(tmp_path.glob("*.pt"))) == 3


def test_a_fixed_number_of_epochs_with_every_metric(setup, tmp_path):
    """TRAIN-09, contract 7: one record per epoch under the agreed names, in JSONL always."""
    s = setup(epochs=4, steps_per_epoch=5, checkpoint_interval=2, lr=1e-3)
    result = run_two_phase_training(*s.args, save_dir=tmp_path)
    assert result["epochs_completed"] == 4
    assert set(result) >= {"epochs_completed", "total_time", "convergence_rate", "final_metrics", "results"}
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    assert result["final_metrics"] == records[-1]
    for r, epoch in zip(records, result["results"], strict=True):
        assert r.items() <= epoch.items()
        assert epoch["trajectory_metrics"]["trajectory_length"] == r["part1/trajectory_length"]
        assert epoch["generalization_metrics"]["final_pass_rate"] == r["part2/final_pass_rate"]
        assert set(r) >= NAMES
        assert r["part1/acceptance_rate"] == pytest.approx(1 / (1 + r["part1/mean_retrain_iterations"]))
    assert result["convergence_rate"] == sum(r["part2/converged"] for r in records) / 4
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["model_epoch_0002.pt", "model_epoch_0004.pt"]


@pytest.mark.parametrize("start", ["initial", "continue"])
def test_where_an_epoch_starts(setup, start):
    """`initial`: always from the initial conditions; `continue`: from where the last epoch ended."""
    s = setup(epochs=3, steps_per_epoch=4, epoch_start=start, lr=1e-3)
    seen = []

    class Watch(Recorder):
        def record(self, metrics):
            seen.append(metrics["part1/mean_dt"] * 4)

    saved = {}
    original = run_two_phase_training.__globals__["train_epoch_two_phase"]

    def spy(model, particle, *args, **kwargs):
        saved[len(saved)] = particle.time.item()
        return original(model, particle, *args, **kwargs)

    run_two_phase_training.__globals__["train_epoch_two_phase"] = spy
    try:
        run_two_phase_training(*s.args, recorder=Watch())
    finally:
        run_two_phase_training.__globals__["train_epoch_two_phase"] = original
    if start == "initial":
        assert list(saved.values()) == [0.0, 0.0, 0.0]
    else:
        assert saved[1] == pytest.approx(seen[0])
        assert saved[2] == pytest.approx(seen[0] + seen[1])


@pytest.mark.parametrize(
    "settings",
    [
        {"feature_type": "basic", "epoch_start": "continue", "num_orbits": 3, "ic": "kepler", "e_max": 0.8},
        {"feature_type": "delta_mag", "history_len": 2, "epoch_start": "continue", "dropout": 0.2},
        {
            "feature_type": "rich",
            "history_len": 3,
            "epoch_start": "initial",
            "steps_per_epoch": 2,
            "external_field": "tidal:M=10,R0=20,period=9",
        },
    ],
)
@pytest.mark.filterwarnings("ignore:epoch 1 recorded no sample")
def test_resumed_ends_in_the_same_bits_as_uninterrupted(setup, tmp_path, settings):
    """Weights, optimizer, random state, history and the place on the trajectory all come back."""
    settings = {"steps_per_epoch": 6, "lr": 3e-3, "checkpoint_interval": 3, "replay_batch_size": 4, **settings}
    whole = setup(epochs=7, **settings)
    run_two_phase_training(*whole.args, save_dir=tmp_path / "whole")
    first = setup(epochs=4, **settings)
    run_two_phase_training(*first.args, save_dir=tmp_path / "parts")  # epoch 4 will be done again, from the checkpoint of 3
    second = setup(epochs=7, **{**settings, "seed": 1})
    checkpoint = load_checkpoint(tmp_path / "parts" / checkpoint_name(3))
    particle = checkpoint.initial_conditions
    done = run_two_phase_training(
        second.model, particle, second.optimizer, second.config, second.adapter, save_dir=tmp_path / "parts", resume=checkpoint
    )
    assert all(torch.equal(v, second.model.state_dict()[k]) for k, v in whole.model.state_dict().items())
    a, b = (load_checkpoint(tmp_path / d / checkpoint_name(7)) for d in ("whole", "parts"))
    assert torch.equal(a.random_state, b.random_state)
    assert all(torch.equal(v, b.current_state.tensors()[k]) for k, v in a.current_state.tensors().items())
    for pa, pb in zip(a.optimizer_state["state"].values(), b.optimizer_state["state"].values(), strict=True):
        assert all(torch.equal(pa[k], pb[k]) for k in pa)
    if a.history:
        assert torch.equal(a.history["slots"], b.history["slots"])
    lines = [[json.loads(x) for x in (tmp_path / d / "metrics.jsonl").read_text().splitlines()] for d in ("whole", "parts")]
    assert [without_times(r) for r in lines[0]] == [without_times(r) for r in lines[1]]
    assert done["epochs_completed"] == 7


def test_the_same_seed_gives_the_same_bits_and_touches_no_global_random_state(setup):
    state = torch.get_rng_state()
    runs = []
    for seed in (5, 5, 6):
        s = setup(epochs=3, steps_per_epoch=5, seed=seed, dropout=0.1, lr=1e-3)
        run_two_phase_training(*s.args)
        runs.append(s.model.state_dict())
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, runs[1][k]) for k, v in runs[0].items())
    assert any(not torch.equal(v, runs[2][k]) for k, v in runs[0].items())


def test_the_trajectory_can_be_verified_after_part_2(setup):
    """ENH-03."""
    s = setup(epochs=1, steps_per_epoch=10, recheck_trajectory=True, lr=1e-3)
    result = run_two_phase_training(*s.args)
    assert 0 <= result["final_metrics"]["part2/recheck_pass_rate"] <= 1
    assert "part2/recheck_pass_rate" not in run_two_phase_training(*setup(epochs=1).args)["final_metrics"]


def test_the_learning_rate_decays_geometrically_if_asked_to(setup):
    seen = []

    class Watch(Recorder):
        def record(self, metrics):
            seen.append(s.optimizer.param_groups[0]["lr"])

    for decay, expected in ((0.01, [1e-2, 1e-3, 1e-4]), (1.0, [1e-2, 1e-2, 1e-2])):
        seen.clear()
        s = setup(epochs=3, lr=1e-2, lr_decay=decay)
        run_two_phase_training(*s.args, recorder=Watch())
        assert seen == pytest.approx(expected)


def test_progress_is_reported_while_collecting(setup):
    """ENH-04."""
    s = setup(epochs=2, steps_per_epoch=3)
    reported = []

    class Watch(Recorder):
        def progress(self, stage, done, total, words):
            reported.append((stage, done, total))

    run_two_phase_training(*s.args, recorder=Watch())
    assert reported == 2 * [("part 1", step, 3) for step in (1, 2, 3)]


def _resident() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def test_memory_is_flat_over_retrains_and_epochs(setup, scripted):
    """Trap 1: graphs that stay alive across retries or epochs. (10,000 retrains and 200 epochs: benchmarks/training.py.)"""
    s = setup(scripted(0.1), lr=1e-9, max_retrain_steps=300, retry_fallback="drop", ic="kepler:e=0.9")
    s.particle = s.particle.evolve(3.0).clone_detached()  # a state in which dt = 0.1 fails, and goes on failing
    collect_trajectory_step(*s.args)
    before = _resident()
    for _ in range(2):
        assert collect_trajectory_step(*s.args).metrics["retrain_iterations"] == 300
    assert _resident() < before * 1.02
    s = setup(epochs=5, steps_per_epoch=5, lr=1e-3)
    run_two_phase_training(*s.args)
    before = _resident()
    s = setup(epochs=30, steps_per_epoch=5, lr=1e-3)
    run_two_phase_training(*s.args)
    assert _resident() < before * 1.02


def test_custom_models_are_welcome(setup):
    """Any nn.Module from features (B, F) to (B, 2)."""

    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(11, 2, dtype=torch.float64)
            torch.nn.init.constant_(self.layer.weight, 0.01)
            torch.nn.init.constant_(self.layer.bias, -4.0)

        def forward(self, x):
            out = self.layer(x)
            return torch.cat([torch.nn.functional.softplus(out[:, :1]), out[:, 1:]], dim=-1)

    s = setup(Mine(), epochs=3, steps_per_epoch=10)
    result = run_two_phase_training(*s.args)
    assert result["epochs_completed"] == 3
    assert result["final_metrics"]["part1/mean_energy_error"] <= s.config.energy_threshold
