"""The classical criteria by name, for `--criterion name:key=value` and `simulate(criterion="name:key=value")`."""

from __future__ import annotations

from ..errors import ConfigError
from ..specs import build
from .base import Criterion
from .classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, LastTerm, Tidal

CRITERIA: dict[str, type[Criterion]] = {
    c.name: c for c in (Constant, FreeFall, HutMakino, Aarseth, Tidal, PRS23, Boekholt, EnergyBudget, LastTerm)
}


def criterion_named(text: str) -> Criterion:
    """Return the criterion that `text` describes."""
    made: Criterion = build(text, CRITERIA, "criterion", ConfigError)
    return made
