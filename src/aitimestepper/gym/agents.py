"""Agents as criteria of simulations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..criteria.agent import AgentCriterion as AgentCriterion
from ..errors import ConfigError, shown
from .vectorized import LARGEST_ACTION


def agent_of(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that `AgentCriterion` takes, of a model with `predict` (stable-baselines3) or of a function.

    Actions are clipped as the environment clips them, and those of stable-baselines3 are its deterministic ones.
    """
    predict = getattr(model, "predict", None)
    if predict is None and not callable(model):
        raise ConfigError(f"{shown(model)} is no agent: it is no function and has no `predict`.")

    def agent(features: np.ndarray) -> np.ndarray:
        answer = model(features) if predict is None else predict(features, deterministic=True)[0]
        return np.clip(np.asarray(answer, dtype=np.float64).reshape(len(features)), -LARGEST_ACTION, LARGEST_ACTION)

    return agent
