"""The two-phase training learns what it learned before the rewrite: from stored starts and weights to stored weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, run_two_phase_training
from aitimestepper.differentiable.network import build_network

FOLDER = Path(__file__).resolve().parents[1] / "golden"
# the network of `invariant` was recorded with eleven inputs; it has nine others now
CASES = {
    case["key"]: case for case in json.loads((FOLDER / "cases.json").read_text())["training"] if case["key"] != "invariant"
}
# `sensitivity`: what a change of the last bit of the start does to the result
TIMES_SENSITIVITY, LEAST = 30.0, 1e-12


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "golden.npz") as archive:
        return {name: archive[name] for name in archive.files if name.startswith("training.")}


def weights(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): torch.tensor(x) for name, x in arrays.items() if name.startswith(prefix)}


@pytest.mark.parametrize("key", CASES)
@pytest.mark.filterwarnings("ignore:epoch 1 recorded no sample")
def test_training_ends_in_the_stored_weights(arrays, key):
    case = CASES[key]
    config, prefix, far = Config(**case["settings"]), case["prefix"], case["sensitivity"]
    start = ParticleTorch.from_tensors(*(arrays[f"{prefix}start.{name}"] for name in ("mass", "position", "velocity")))
    network: FullyConnectedNN = build_network(config)
    network.load_state_dict(weights(arrays, f"{prefix}initial."))
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    adapter = ModelAdapter(config)
    done = run_two_phase_training(network, start, optimizer, config, adapter)

    for name, expected in weights(arrays, f"{prefix}final.").items():
        found, close = network.state_dict()[name], max(LEAST, TIMES_SENSITIVITY * far["weights"])
        torch.testing.assert_close(found, expected, rtol=close, atol=close, msg=lambda m, name=name: f"{name}: {m}")
    if adapter.scales is not None:
        scales = [getattr(adapter.scales, name) for name in ("L0", "V0", "A0", "T0", "M0")]
        assert scales == pytest.approx(arrays[f"{prefix}scales"].tolist(), rel=LEAST)
    assert len(done["results"]) == len(case["epochs"])
    for found, expected in zip(done["results"], case["epochs"], strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=max(LEAST, TIMES_SENSITIVITY * far["metrics"])), name
