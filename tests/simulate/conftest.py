"""What tests of simulations share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aitimestepper.bodies import ARRAYS
from aitimestepper.simulate.result import NUMBERS, SimulationResult


@pytest.fixture
def same_result() -> Callable[[SimulationResult, SimulationResult], bool]:
    """To the bit: status, final state, all numbers, closest approaches, reports."""

    def agree(ours: SimulationResult, theirs: SimulationResult) -> bool:
        pairs = [(getattr(ours.final, name), getattr(theirs.final, name)) for name in ARRAYS]
        pairs += [(getattr(ours, name), getattr(theirs, name)) for name in NUMBERS]
        pairs += list(zip(ours.closest_approach, theirs.closest_approach, strict=True))
        pairs += [(ours.reports[name], theirs.reports[name]) for name in theirs.reports]
        same = (a is b is None or np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
        return ours.status == theirs.status and all(same)

    return agree
