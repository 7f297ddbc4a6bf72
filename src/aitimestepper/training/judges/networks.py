"""Networks to begin a training with, and the criterion made of a network that was trained on runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ...config import Config
from ...criteria.learned import LearnedStep
from ...differentiable.adapter import torch_dtype
from ...differentiable.network import FullyConnectedNN, model_from, network_from
from ...errors import ConfigError
from ...models import Model

SHAPE = ("feature_type", "layers", "activation", "dropout", "fourier_features")  # settings that a network is built from


def started_from(model: Model, config: Config) -> FullyConnectedNN:
    """Return the network of a model, to be trained further with the settings `config`."""
    for name in SHAPE:
        has, wanted = getattr(model.config, name), getattr(config, name)
        if has != wanted:
            raise ConfigError(
                f"the network to start from has {name} = {has}, not {wanted}: give the same settings, or start without it."
            )
    return network_from(model).to(torch_dtype(config.dtype))


def learned_step(network: FullyConnectedNN, config: Config, card: Mapping[str, Any] | None = None) -> LearnedStep:
    """Return the network, as it is now, as a criterion."""
    return LearnedStep(model_from(network, config, card=card))


def trained_parameters(network: FullyConnectedNN) -> list[nn.Parameter]:
    """Return the parameters that training on runs changes: all but the error estimate, which is fitted afterwards."""
    return [*network.hidden.parameters(), *network.log_dt.parameters()]
