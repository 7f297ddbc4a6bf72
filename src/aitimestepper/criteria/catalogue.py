"""The classical criteria by name, for `--criterion name:key=value`."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..specs import build
from .base import AbstractStepCriterion
from .classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, LastTerm, Tidal

CRITERIA: dict[str, type[AbstractStepCriterion]] = {
    c.name: c for c in (Constant, FreeFall, HutMakino, Aarseth, Tidal, PRS23, Boekholt, EnergyBudget, LastTerm)
}


def criterion_from(text: str, **extra: Any) -> AbstractStepCriterion:
    """The criterion that `text` describes; `extra` (a tolerance, an integrator) goes to those that take it."""
    made: AbstractStepCriterion = build(text, CRITERIA, "criterion", ConfigError, **extra)
    return made
