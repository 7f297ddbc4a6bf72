"""The environment `aitimestepper/NBodyStep-v0` for one problem at a time."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from .settings import checked_options
from .vectorized import NBodyStepVectorEnv, actions, observations


class NBodyStepEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A problem for which an agent chooses the logarithm of the next step: `NBodyStepVectorEnv` for one system."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, *, render_mode: None = None, **settings: Any) -> None:
        self._one = NBodyStepVectorEnv(1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **settings)
        self.settings = self._one.settings
        self.observation_space, self.action_space = observations(), actions()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a new episode; only `seed` decides which."""
        super().reset(seed=seed)
        checked_options(options)
        self._one.generators = [self.np_random]
        seen, infos = self._one.reset()
        return seen[0], _only(infos)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make one step."""
        seen, reward, terminated, truncated, infos = self._one.step(action)
        return seen[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _only(infos)


def _only(infos: dict[str, Any]) -> dict[str, Any]:
    """Return the infos of the only system."""
    return {name: values[0] for name, values in infos.items() if not name.startswith("_")}
