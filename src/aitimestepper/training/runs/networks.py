"""A network as a row of numbers, for a search that knows nothing of networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ...config import Config
from ...differentiable.adapter import ModelAdapter
from ...criteria.learned import LearnedStep
from ..checkpoints import build_network
from ...differentiable.network import FullyConnectedNN


def config_for(integrator: str, layers: Sequence[int] = (16,), dt_ceiling: float = 0.7, seed: int = 1) -> Config:
    """The settings of a network that is tuned for an integrator."""
    values = {"feature_type": "invariant", "integrator": integrator, "layers": tuple(layers), "device": "cpu"}
    return Config.from_dict({**values, "dt_ceiling": dt_ceiling, "seed": seed})


def untrained(config: Config) -> FullyConnectedNN:
    """A network that answers 1 to everything: the step of EnergyBudget. Its hidden units look in random directions."""
    model = build_network(config)
    with torch.no_grad():
        for head in (model.log_dt, model.log_error):
            nn.init.zeros_(head.weight)
    return model.eval()


def parameters_of(model: FullyConnectedNN) -> np.ndarray:
    """Weights and biases of the hidden layers and of the step; the error estimate is no part of the search."""
    return np.concatenate([p.detach().numpy().ravel() for p in searched(model)])


def with_parameters(model: FullyConnectedNN, parameters: np.ndarray) -> FullyConnectedNN:
    """The same network with other numbers, in place."""
    at = 0
    with torch.no_grad():
        for p in searched(model):
            p.copy_(torch.from_numpy(parameters[at : at + p.numel()]).view_as(p))
            at += p.numel()
    return model


def step_of(model: FullyConnectedNN, config: Config) -> LearnedStep:
    """The network as a criterion."""
    return LearnedStep(model, ModelAdapter(config))


def keep_inputs_in(model: FullyConnectedNN, lowest: torch.Tensor, highest: torch.Tensor) -> None:
    """Let inputs outside count as the nearest inside: the network has no experience there."""
    model.lowest.copy_(lowest)
    model.highest.copy_(highest)


def searched(model: FullyConnectedNN) -> list[nn.Parameter]:
    """What is tuned: all but the error estimate."""
    return [*model.hidden.parameters(), *model.log_dt.parameters()]
