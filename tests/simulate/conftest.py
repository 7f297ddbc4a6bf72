"""Fixtures of the tests of simulations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aitimestepper.simulate.result import SimulationResult
from results import same_bits


@pytest.fixture
def same_result() -> Callable[[SimulationResult, SimulationResult], bool]:
    """Return whether two results are the same to the bit."""
    return same_bits
