"""Comparison of simulation results."""

from __future__ import annotations

import numpy as np

from aitimestepper.bodies import ARRAYS
from aitimestepper.simulate.result import NUMBERS, SimulationResult


def same_bits(ours: SimulationResult, theirs: SimulationResult) -> bool:
    """Return whether status, final state, all numbers, closest approaches and reports are the same to the bit."""
    pairs = [(getattr(ours.final, name), getattr(theirs.final, name)) for name in ARRAYS]
    pairs += [(getattr(ours, name), getattr(theirs, name)) for name in NUMBERS]
    pairs += list(zip(ours.closest_approach, theirs.closest_approach, strict=True))
    pairs += [(ours.reports[name], theirs.reports[name]) for name in theirs.reports]
    same = (a is b is None or np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
    return ours.status == theirs.status and all(same)
