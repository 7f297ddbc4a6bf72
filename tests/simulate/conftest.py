"""What tests of simulations share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor

from aitimestepper.simulate.result import NUMBERS, SimulationResult


@pytest.fixture
def same_result(same_bits: Callable[[Tensor, Tensor], bool]) -> Callable[[SimulationResult, SimulationResult], bool]:
    """To the bit: status, final state, all numbers, closest approaches, reports."""

    def agree(ours: SimulationResult, theirs: SimulationResult) -> bool:
        pairs = [(getattr(ours.final, name), getattr(theirs.final, name)) for name in ("position", "velocity", "time", "dt")]
        pairs += [(getattr(ours, name), getattr(theirs, name)) for name in NUMBERS]
        pairs += list(zip(ours.closest_approach, theirs.closest_approach, strict=True))
        pairs += [(ours.reports[name], theirs.reports[name]) for name in theirs.reports]
        return ours.status == theirs.status and all(a is b is None or same_bits(a, b) for a, b in pairs)

    return agree
