"""Models: what is written comes back, what is damaged is refused, and two are equal if they choose the same steps."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest

from aitimestepper import Bodies, LearnedStep, Symmetrized, simulate
from aitimestepper.config import Config
from aitimestepper.errors import CheckpointError
from aitimestepper.features import Scales, feature_count
from aitimestepper.files import pack_arrays, unpack_arrays
from aitimestepper.initial import kepler
from aitimestepper.models import FOLDER, SHIPPED, Model, find_model, load_model, model_name, save_model, shipped


def made(seed: int = 0, **settings) -> Model:
    """A network with random weights."""
    config = Config.from_dict({"feature_type": "basic", "layers": (5, 7), "ic": "figure8", **settings})
    rng, inputs = np.random.default_rng(seed), feature_count(config.feature_type, config.history_len)
    weights = {
        "frequencies": rng.normal(size=(inputs, config.fourier_features)),
        "lowest": np.full(inputs, -np.inf),
        "highest": np.full(inputs, np.inf),
    }
    width = inputs + 2 * config.fourier_features
    for k, out in enumerate(config.layers):
        weights |= {f"hidden.{2 * k}.weight": 0.1 * rng.normal(size=(out, width)), f"hidden.{2 * k}.bias": np.zeros(out)}
        width = out
    for head in ("log_dt", "log_error"):
        weights |= {f"{head}.weight": 0.1 * rng.normal(size=(1, width)), f"{head}.bias": np.full(1, -1.0)}
    start = kepler(e=0.3)
    bodies = Bodies(start.mass, start.position, start.velocity, softening=0.01)
    return Model(config, weights, Scales(1.0, 2.0, 3.0, 4.0, 5.0), {"calibration": [[1e-3, 0.5]]}, bodies)


def test_what_is_written_comes_back(tmp_path):
    model = made(fourier_features=3)
    again = load_model(save_model(tmp_path / "m.npz", model))
    assert again == model
    assert (again.config, again.scales, again.card) == (model.config, model.scales, model.card)
    for name, values in model.weights.items():
        assert np.array_equal(values, again.weights[name])
    for name, values in model.initial_conditions.arrays().items():
        assert np.array_equal(values, again.initial_conditions.arrays()[name])


def test_the_same_model_makes_the_same_file(tmp_path):
    first, second = (save_model(tmp_path / name, made()).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def test_models_are_equal_if_they_choose_the_same_steps():
    model = made()
    assert model == made()
    assert hash(model) == hash(made())
    assert dataclasses.replace(model, card={**model.card, "hours": 3.0}, initial_conditions=None) == model
    others = [made(seed=1), made(dt_ceiling=0.3), dataclasses.replace(model, scales=None), dataclasses.replace(model, card={})]
    assert all(other != model for other in others)


def test_a_loaded_model_drives_a_run_with_nothing_said_again(tmp_path):
    path = save_model(tmp_path / "m.npz", made())
    one, two = (simulate(kepler(e=0.5), steps=20, criterion=c) for c in (LearnedStep(made()), str(path)))
    assert np.array_equal(one.final.position, two.final.position)


@pytest.mark.parametrize("name", SHIPPED)
def test_networks_of_the_package_are_of_their_splitting(name):
    model = shipped(name)
    assert model.config.integrator == name
    assert model.sees_tolerance
    assert len(model.calibration) >= 4
    assert Symmetrized(LearnedStep(model, 1e-3)).tolerance == 1e-3


def test_every_flipped_bit_is_seen(tmp_path):
    """A digest over everything: no damage gives other weights without a word."""
    raw = bytearray((FOLDER / "leapfrog.npz").read_bytes())
    path, rng = tmp_path / "damaged.npz", np.random.default_rng(0)
    for bit in rng.integers(0, 8 * len(raw), 300).tolist():
        flipped = raw.copy()
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with contextlib.suppress(CheckpointError):
            found = load_model(path)  # a bit that means nothing, such as one of a date
            assert found == shipped("leapfrog")
            assert dict(found.card) == dict(shipped("leapfrog").card)


def with_header(tmp_path, **changes):
    header, arrays = unpack_arrays(FOLDER / "leapfrog.npz", "model")
    path = tmp_path / "changed.npz"
    path.write_bytes(pack_arrays({**header, **changes}, arrays))
    return path


def test_files_that_are_no_models_are_refused(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    with pytest.raises(CheckpointError, match="is not a model"):
        load_model(text)
    with pytest.raises(CheckpointError, match="cannot read the model"):
        load_model(tmp_path / "nothing.npz")
    with pytest.raises(CheckpointError, match="this program reads aitimestepper model 1"):
        load_model(with_header(tmp_path, version=7))
    with pytest.raises(CheckpointError, match="damaged or from another version"):
        load_model(with_header(tmp_path, config={"layers": [3], "nonsense": 1}))


def test_objects_in_a_file_are_never_run(tmp_path):
    """An array of objects is a pickle, and a pickle can run code."""
    content = io.BytesIO()
    np.savez(content, header=np.array([print], dtype=object))
    (tmp_path / "m.npz").write_bytes(content.getvalue())
    with pytest.raises(CheckpointError, match="is not a model"):
        load_model(tmp_path / "m.npz")


def test_an_archive_without_a_seal_is_refused(tmp_path):
    header, arrays = unpack_arrays(FOLDER / "leapfrog.npz", "model")
    text = json.dumps({"header": json.dumps(header), "sha256": "0" * 64}).encode()
    np.savez(tmp_path / "m.npz", header=np.frombuffer(text, np.uint8), **arrays)
    with pytest.raises(CheckpointError, match="do not fit the checksum"):
        load_model(tmp_path / "m.npz")
    assert zipfile.is_zipfile(tmp_path / "m.npz")


def test_weights_that_do_not_fit_or_are_no_numbers_are_refused():
    model = made()
    for changes, sentence in (
        ({"log_dt.bias": np.zeros(2)}, "log_dt.bias has the shape"),
        ({"hidden.0.weight": np.full((5, 11), np.nan)}, "not finite"),
        ({"more": np.zeros(1)}, "more has the shape"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            dataclasses.replace(model, weights={**model.weights, **changes})


def test_a_model_is_found_by_file_run_and_name(tmp_path):
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    for epoch in (9, 10):
        save_model(run / model_name(epoch), made(epoch))
    newest = run / "model_epoch_0010.npz"
    assert find_model(newest) == find_model(run) == find_model("mine", tmp_path / "runs") == newest
    (run / "model_epoch_0009.pt").write_bytes(b"")
    assert find_model(run / "model_epoch_0009.pt") == run / "model_epoch_0009.npz"
    (run / "model_epoch_0011.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="extra train"):
        find_model(run / "model_epoch_0011.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no model"):
        find_model(tmp_path / "empty")
    with pytest.raises(CheckpointError, match="there is no model or run"):
        find_model("nobody", tmp_path / "runs")
