"""Environments of Gymnasium in which agents learn to choose the step, and agents as criteria of simulations.

`import aitimestepper.gym` registers `aitimestepper/NBodyStep-v0` and `aitimestepper/HermiteParameter-v0`, so that
`gymnasium.make("aitimestepper.gym:aitimestepper/NBodyStep-v0")` and `gymnasium.make_vec(..., num_envs=4096)` make them.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import require

_HOMES = {
    "NBodyStepEnv": "single",
    "NBodyStepVectorEnv": "vectorized",
    "HermiteParameterEnv": "hermite",
    "HERMITE_PARAMETERS": "hermite",
    "StepSettings": "settings",
    "AgentCriterion": "agents",
    "agent_of": "agents",
}
__all__ = [*_HOMES, "register"]
NBODY_STEP, HERMITE_PARAMETER = "aitimestepper/NBodyStep-v0", "aitimestepper/HermiteParameter-v0"


def register() -> None:
    """Make the environments known to Gymnasium by name."""
    registration = require("gymnasium.envs.registration", "gym", "an environment for agents")
    here = {
        NBODY_STEP: {
            "entry_point": f"{__name__}.single:NBodyStepEnv",
            "vector_entry_point": f"{__name__}.vectorized:NBodyStepVectorEnv",
        },
        HERMITE_PARAMETER: {"entry_point": f"{__name__}.hermite:HermiteParameterEnv"},
    }
    for name, places in here.items():
        if name not in registration.registry:
            registration.register(name, **places)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


register()
