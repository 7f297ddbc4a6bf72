"""Small set-ups and scripted networks with known dt for the training tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aitimestepper import Config, HistoryBuffer, ModelAdapter, ParticleTorch
from aitimestepper.differentiable.network import build_network
from aitimestepper.initial.problems import make_problem
from torch_fixtures import *  # noqa: F403


@dataclass
class Setup:
    config: Config
    particle: ParticleTorch
    adapter: ModelAdapter
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: HistoryBuffer | None

    @property
    def args(self) -> tuple:
        return self.model, self.particle, self.optimizer, self.config, self.adapter


class ScriptedStep(nn.Module):
    """dt = exp(p) for every state: one parameter, so that the effect of every optimizer step on dt is known."""

    def __init__(self, dt: float) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.tensor(dt, dtype=torch.float64).log())
        self.calls = 0

    def forward(self, features: Tensor) -> Tensor:
        self.calls += 1
        dt = self.log_dt.exp().expand(len(features))
        return torch.stack([dt, torch.zeros_like(dt)], dim=-1)


def particle_of(**settings: Any) -> ParticleTorch:
    """The systems that settings describe, as tensors."""
    return ParticleTorch.from_bodies(make_problem(Config(**settings)).bodies)


def make_setup(model: nn.Module | None = None, **settings: object) -> Setup:
    config = Config(**{"seed": 1, "lr": 1e-2, "ic": "kepler:e=0.9", "feature_type": "basic", **settings})
    particle = ParticleTorch.from_bodies(make_problem(config).bodies)
    adapter = ModelAdapter(config)
    if model is None:
        model = build_network(config)
        adapter.measure_scales(particle)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return Setup(config, particle, adapter, model, optimizer, adapter.new_history())


@pytest.fixture
def setup():
    return make_setup


@pytest.fixture
def scripted():
    return ScriptedStep


@pytest.fixture
def systems():
    return particle_of
