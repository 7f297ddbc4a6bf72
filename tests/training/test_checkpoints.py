import dataclasses
import io
import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aitimestepper import (
    Config,
    FullyConnectedNN,
    LearnedStep,
    ModelAdapter,
    ParticleTorch,
    load_checkpoint,
    load_config_from_checkpoint,
    load_model_state,
    run_two_phase_training,
    save_checkpoint,
    simulate,
)
from aitimestepper.differentiable.network import build_network, model_from
from aitimestepper.errors import CheckpointError, UserError
from aitimestepper.files import seal
from aitimestepper.initial.problems import make_problem
from aitimestepper.models import find_model, load_model
from aitimestepper.training.checkpoints import export_model, find_checkpoint, save_plain


def train(folder: Path, **settings) -> tuple:
    config = Config(**{"seed": 3, "epochs": 2, "steps_per_epoch": 4, "ic": "kepler:e=0.6", "lr": 1e-3, **settings})
    particle = ParticleTorch.from_bodies(make_problem(config).bodies)
    adapter, model = ModelAdapter(config), build_network(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    run_two_phase_training(model, particle, optimizer, config, adapter, save_dir=folder)
    return config, particle, adapter, model


@pytest.mark.parametrize(
    "settings",
    [
        {"feature_type": "basic"},
        {"feature_type": "delta_mag", "history_len": 2, "layers": (8, 12, 5), "activation": "gelu"},
        {"feature_type": "rich", "normalize": False, "integrator": "suzuki4", "softening": 0.01, "G": 4.0},
        {"feature_type": "basic", "fourier_features": 4, "dropout": 0.1, "external_field": "tidal:M=3,R0=9"},
    ],
)
@pytest.mark.filterwarnings("ignore:epoch 1 recorded no sample")
def test_a_checkpoint_drives_a_simulation_with_nothing_respecified(tmp_path, settings):
    """INTG-03, trap 9: architecture, features, history, normalization, integrator, precision come back to the same bits."""
    config, particle, adapter, model = train(tmp_path, **settings)
    loaded = LearnedStep.load(tmp_path)
    alive = LearnedStep(model_from(model, config, adapter.scales))
    assert loaded == alive
    a, b = (simulate(particle, steps=20, criterion=c) for c in (loaded, alive))
    assert a.integrator == config.integrator
    assert np.array_equal(a.final.position, b.final.position)
    assert np.array_equal(a.dt_min, b.dt_min)
    checkpoint = load_checkpoint(find_checkpoint(tmp_path))
    assert checkpoint.config == config == load_config_from_checkpoint(find_checkpoint(tmp_path))
    stored = checkpoint.initial_conditions
    assert torch.equal(stored.position, particle.position)
    assert stored.G == particle.G
    assert torch.equal(stored.total_energy(), particle.total_energy())  # the external field came back too
    start = load_model(find_model(tmp_path)).initial_conditions
    assert np.array_equal(start.position, particle.position.numpy())
    assert start.total_energy() == pytest.approx(particle.total_energy().numpy(), rel=1e-14)


def test_before_each_checkpoint_the_model_is_written(tmp_path):
    """Contract 7: the .npz is enough to simulate, and equals what the .pt exports."""
    train(tmp_path, feature_type="basic", checkpoint_interval=1)
    for epoch in (1, 2):
        checkpoint, model = (tmp_path / f"model_epoch_{epoch:04d}.{kind}" for kind in ("pt", "npz"))
        assert model.stat().st_mtime_ns <= checkpoint.stat().st_mtime_ns
        written = load_model(model)
        model.unlink()
        assert export_model(checkpoint) == model
        exported = load_model(model)
        assert exported == written
        assert exported.config == written.config
        assert np.array_equal(exported.initial_conditions.velocity, written.initial_conditions.velocity)


def test_a_float32_network_is_written_with_all_its_digits(tmp_path):
    """INTG-03: trained in float32, simulated in float64."""
    _, _, _, network = train(tmp_path, feature_type="basic", dtype="float32")
    written = load_model(find_model(tmp_path))
    for name, values in network.state_dict().items():
        assert values.dtype in (torch.float32, torch.int64)
        assert np.array_equal(written.weights[name], values.double().numpy())
    done = simulate(written.initial_conditions, steps=20, criterion=LearnedStep.load(tmp_path))
    assert done.final.position.dtype == np.float64


def test_networks_of_ones_own_have_checkpoints_only(tmp_path):
    """A model file of the same name, of an earlier network, is removed."""
    path = tmp_path / "model_epoch_0001.pt"
    save_checkpoint(path, build_network(Config(seed=1)), config=Config(seed=1))
    assert path.with_suffix(".npz").exists()
    save_checkpoint(path, torch.nn.Linear(11, 2), config=Config(seed=1))
    assert not path.with_suffix(".npz").exists()
    with pytest.raises(CheckpointError, match=r"holds a Linear, which only you can build"):
        export_model(path)
    with pytest.warns(UserWarning, match=r"model_epoch_0001\.pt comes without a model file .*hidden\.0\.bias has the shape"):
        save_checkpoint(path, FullyConnectedNN(11, layers=(3,), seed=1), config=Config(seed=1))
    assert load_model_state(FullyConnectedNN(11, layers=(3,), seed=2), path).hidden[0].weight.shape == (3, 11)


def test_a_field_of_torch_operations_does_not_prevent_a_checkpoint(tmp_path):
    class Uniform:
        time_dependent = False

        def acceleration(self, x, t):
            return torch.ones_like(x)

        def potential(self, x, t):
            return -x.sum(-1)

    config = Config(seed=1)
    particle = ParticleTorch.from_bodies(make_problem(config).bodies).set_external_field(Uniform())
    save_checkpoint(tmp_path / "x.pt", build_network(config), config=config, initial_conditions=particle)
    assert np.array_equal(load_model(tmp_path / "x.npz").initial_conditions.position, particle.position.numpy())
    assert isinstance(particle.external_field, Uniform)


def test_load_model_state_fits_or_says_why_not(tmp_path):
    _, _, _, model = train(tmp_path, feature_type="basic")
    fresh = FullyConnectedNN(11, seed=99)
    load_model_state(fresh, find_checkpoint(tmp_path))
    assert all(torch.equal(v, fresh.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(CheckpointError, match=r"do not fit the model.*size mismatch"):
        load_model_state(FullyConnectedNN(23, seed=0), find_checkpoint(tmp_path))


def test_a_checkpoint_holds_tensors_and_plain_builtins_only(tmp_path):
    """Trap 10."""
    train(tmp_path, history_len=1)
    content = torch.load(find_checkpoint(tmp_path), weights_only=True)

    def walk(x: object) -> None:
        if isinstance(x, dict):
            for k, v in x.items():
                assert type(k) in (str, int)
                walk(v)
        elif isinstance(x, list | tuple):
            for v in x:
                walk(v)
        else:
            assert x is None or type(x) in (bool, int, float, str) or isinstance(x, torch.Tensor), type(x)

    walk(dict(content))


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_pretending_to_be_a_checkpoint_runs_nothing(tmp_path):
    """Trap 10: both a bare pickle and one inside a proper archive are refused, and their code is not run."""
    bare, archived, target = tmp_path / "bare.pt", tmp_path / "archived.pt", tmp_path / "pwned"
    bare.write_bytes(pickle.dumps({"format": "aitimestepper checkpoint", "x": _Bomb(target)}))
    torch.save({"format": "aitimestepper checkpoint", "x": _Bomb(target)}, archived)
    sealed = tmp_path / "sealed.pt"
    sealed.write_bytes(seal(archived.read_bytes()))
    refused = {bare: "is not a checkpoint", archived: "its contents do not fit", sealed: "nothing in it was run"}
    for path, words in refused.items():
        with pytest.raises(CheckpointError, match=words):
            load_checkpoint(path)
    assert not target.exists()
    pickle.loads(bare.read_bytes())  # the bomb is real: whoever unpickles it runs it
    assert target.exists()


def test_truncated_foreign_and_missing_files(tmp_path):
    train(tmp_path)
    whole = find_checkpoint(tmp_path).read_bytes()
    path = tmp_path / "x.pt"
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match=r"x\.pt"):
            load_checkpoint(path)
    save_plain(path, {"weights": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"was not written by aitimestepper"):
        load_checkpoint(path)
    content = torch.load(io.BytesIO(whole), weights_only=True)
    for version in (3, 99):
        save_plain(path, {**content, "version": version})
        with pytest.raises(CheckpointError, match=rf"version {version}, this program reads 4: train anew"):
            load_checkpoint(path)
    save_plain(path, {k: v for k, v in content.items() if k != "config"})
    with pytest.raises(CheckpointError, match=r"damaged"):
        load_checkpoint(path)
    save_plain(path, {**content, "config": {**content["config"], "lr": "quick"}})
    with pytest.raises(CheckpointError, match=r"damaged.*lr = 'quick'"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"cannot read"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no checkpoint"):
        find_checkpoint(tmp_path / "empty")


def test_the_newest_checkpoint_of_a_run_is_found_by_number(tmp_path):
    for n in (5, 40, 10000, 9999):
        (tmp_path / f"model_epoch_{n:04d}.pt").touch()
    assert find_checkpoint(tmp_path).name == "model_epoch_10000.pt"
    assert find_checkpoint(tmp_path.name, tmp_path.parent).name == "model_epoch_10000.pt"


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path):
    """A limit on the file size stands in for the full disk: writing fails half-way, as it would there."""
    config, _, _, model = train(tmp_path, layers=(300, 300))
    path = find_checkpoint(tmp_path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 8, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*what was there before is untouched"):
            save_checkpoint(path, model, config=config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_disk_that_fills_up_with_metrics_leaves_the_newest_checkpoint(tmp_path):
    train(tmp_path)
    before = find_checkpoint(tmp_path).read_bytes()
    checkpoint = load_checkpoint(find_checkpoint(tmp_path))
    config = dataclasses.replace(checkpoint.config, epochs=60, checkpoint_interval=50)
    adapter, model = ModelAdapter(config), build_network(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    given = {"save_dir": tmp_path, "resume": checkpoint}
    try:
        with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl: File too large; earlier records are still there"):
            run_two_phase_training(model, checkpoint.initial_conditions, optimizer, config, adapter, **given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, len(records) + 1))
    assert find_checkpoint(tmp_path).read_bytes() == before
    assert resumed(find_checkpoint(tmp_path))["epochs_completed"] == 3


def test_killed_while_writing_leaves_the_old_checkpoint_whole(tmp_path):
    """The process dies between writing and renaming: the file under its name is still the old one."""
    train(tmp_path)
    path = find_checkpoint(tmp_path)
    before = path.read_bytes()
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom aitimestepper import files\n"
        "os.replace = lambda *a: os._exit(9)\nfiles.write_atomically(Path(sys.argv[1]), b'half')\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_bytes() == before
    assert load_checkpoint(path).epoch == 2


# ---- damaged and crafted ---------------------------------------------------------------------------------------------
def test_every_flipped_bit_of_a_checkpoint_shows(tmp_path):
    """Weights have no checksum that torch would look at: 1020 of 1600 flips gave others without a word."""
    train(tmp_path, layers=(4,))
    whole, path = find_checkpoint(tmp_path).read_bytes(), tmp_path / "x.pt"
    for bit in np.random.default_rng(0).choice(8 * len(whole), 500, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"x\.pt (is damaged|is not a checkpoint)"):
            load_checkpoint(path)


def resumed(path: Path) -> dict:
    """One more epoch from a checkpoint."""
    checkpoint = load_checkpoint(path)
    config = dataclasses.replace(checkpoint.config, epochs=checkpoint.epoch + 1)
    adapter, model = ModelAdapter(config), build_network(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    return run_two_phase_training(model, checkpoint.initial_conditions, optimizer, config, adapter, resume=checkpoint)


CRAFTED = {
    "no epoch": {"epoch": None},
    "an epoch before the first": {"epoch": -1},
    "a true epoch": {"epoch": True},
    "no optimizer": {"optimizer_state": {}},
    "an optimizer without groups": {"optimizer_state": {"state": {}, "param_groups": []}},
    "no random state": {"random_state": torch.zeros(3)},
    "a short random state": {"random_state": torch.zeros(3, dtype=torch.uint8)},
    "no history": {"history": {"slots": torch.zeros(1)}},
    "history of other shapes": {
        "history": {"slots": torch.zeros(2, 1, 10), "valid": torch.zeros(2, 1), "pushes": torch.zeros(2), "last": {}}
    },
    "totals of words": {"totals": {"time": "long", "converged": 1.0}},
    "no totals": {"totals": {}},
    "a state of one body": {"current_state": {"mass": torch.ones(1, 1), "position": torch.ones(1, 1, 2)}},
    "weights of words": {"model_state": {"hidden.0.weight": "heavy"}},
    "no weights": {"model_state": {}},
    "more numbers than are stored": {"initial_conditions": {"mass": torch.ones(1).expand(10**12)}},
    "nested a hundred times": {"card": None},
    "scales of words": {"scales": {"L0": "long"}},
    "unknown scales": {"scales": {"X0": 1.0}},
    "a network of ones own": {"network": 3},
}


@pytest.mark.parametrize("name", CRAFTED)
def test_checkpoints_that_no_training_writes_are_a_sentence(tmp_path, name):
    """Their checksums fit."""
    train(tmp_path, feature_type="delta_mag", history_len=1, steps_per_epoch=3)
    content = dict(torch.load(find_checkpoint(tmp_path), weights_only=True))
    change = dict(CRAFTED[name])
    if change.get("card", 0) is None:
        deep: list = []
        for _ in range(100):
            deep = [deep]
        change["card"] = {"x": deep}
    path = save_plain(tmp_path / "x.pt", {**content, **change})
    with pytest.raises(CheckpointError) as error:
        resumed(path)
    assert str(error.value).isprintable()
    assert resumed(save_plain(path, content))["epochs_completed"] == 3
