"""Networks that are trained on runs: their settings, their initial weights, and the criterion made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...config import Config
from ...criteria.learned import LearnedStep
from ...differentiable.network import FullyConnectedNN, build_network, model_from, network_from
from ...errors import ConfigError
from ...models import Model

SHAPE = ("feature_type", "layers", "activation", "dropout", "fourier_features")  # settings that a network is built from


def config_for(integrator: str, layers: Sequence[int] = (16,), dt_ceiling: float = 0.7, seed: int = 1) -> Config:
    """Return the settings of a network that is trained on runs of an integrator."""
    values = {"feature_type": "invariant", "integrator": integrator, "layers": tuple(layers), "device": "cpu"}
    return Config.from_dict({**values, "dt_ceiling": dt_ceiling, "seed": seed})


def untrained_network(config: Config) -> FullyConnectedNN:
    """Return a network with the constant output 1, the step of EnergyBudget; the weights of its hidden units are random."""
    network = build_network(config)
    with torch.no_grad():
        for head in (network.log_dt, network.log_error):
            nn.init.zeros_(head.weight)
    return network.eval()


def started_from(model: Model, config: Config) -> FullyConnectedNN:
    """Return the network of a model, to be trained further with the settings `config`."""
    for name in SHAPE:
        has, wanted = getattr(model.config, name), getattr(config, name)
        if has != wanted:
            raise ConfigError(
                f"the network to start from has {name} = {has}, not {wanted}: give the same settings, or start without it."
            )
    return network_from(model).double().eval()


def learned_step(network: FullyConnectedNN, config: Config, card: Mapping[str, Any] | None = None) -> LearnedStep:
    """Return the network, as it is now, as a criterion."""
    return LearnedStep(model_from(network, config, card=card))


def trained_parameters(network: FullyConnectedNN) -> list[nn.Parameter]:
    """Return the parameters that training on runs changes: all but the error estimate, which is fitted afterwards."""
    return [*network.hidden.parameters(), *network.log_dt.parameters()]
