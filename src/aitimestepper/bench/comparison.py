"""Two results against each other: what got better or worse beyond noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from .records import Record, Results

SURE = 1.96  # standard errors
FEW = 5  # problems below which nothing is said


class Change(NamedTuple):
    """One quantity of one measurement in both files. `low` and `high` hold 95 % of what chance could make of the change."""

    record: Record  # the later one
    quantity: str  # forces, compliance, error
    before: float
    after: float
    change: float  # forces and error: the ratio; compliance: the difference
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """better, worse or same."""
        neutral = 0.0 if self.quantity == "compliance" else 1.0
        if self.low <= neutral <= self.high:
            return "same"
        return "better" if (self.change > neutral) == (self.quantity == "compliance") else "worse"


class Comparison(NamedTuple):
    """All that both files have, and how much only one of them has."""

    changes: list[Change]
    only_before: int
    only_after: int


def compare(before: Results, after: Results) -> Comparison:
    """The records that both have. Problem by problem where both ran the same ones, which is far sharper than two intervals."""
    if before.study != after.study:
        raise UserError(f"the first file holds a study of {before.study}, the second of {after.study}; give two of one kind.")
    first = {record.key: record for record in before.records}
    second = {record.key: record for record in after.records}
    shared = [key for key in second if key in first]
    if not shared:
        raise UserError("the two files have no measurement in common: other criteria, integrators, tolerances or families.")
    same_problems = before.cases == after.cases
    changes = [c for key in shared for c in _changes(first[key], second[key], same_problems)]
    return Comparison(changes, len(first) - len(shared), len(second) - len(shared))


def _changes(a: Record, b: Record, same_problems: bool) -> Iterator[Change]:
    paired = same_problems and a.n == b.n >= FEW
    if paired and a.forces_each and b.forces_each:
        yield _ratio(b, "forces", _logs(a.forces_each), _logs(b.forces_each))
    elif a.forces and b.forces and a.forces_interval and b.forces_interval:
        yield _from_intervals(b, a, "forces")
    if a.errors is None or b.errors is None or not paired:
        return
    x, y = (np.array([math.inf if e is None else e for e in r.errors or []]) for r in (a, b))
    if a.tolerance is not None and a.mode in ("asked", "calibrated"):
        yield _compliance(b, x <= a.tolerance, y <= a.tolerance)
    elif np.isfinite(x).all() and np.isfinite(y).all():
        yield _ratio(b, "error", np.log(np.maximum(x, 1e-300)), np.log(np.maximum(y, 1e-300)))


def _logs(values: list[float]) -> np.ndarray:
    return np.log(np.array([math.nan if v is None else v for v in values], dtype=float))


def _ratio(record: Record, quantity: str, a: np.ndarray, b: np.ndarray) -> Change:
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    difference = b - a
    noise = SURE * difference.std(ddof=1) / math.sqrt(len(difference)) if len(difference) >= FEW else math.inf
    mean = float(difference.mean()) if len(difference) else math.nan
    around = (math.exp(mean), math.exp(mean - noise), math.exp(mean + noise) if math.isfinite(noise) else math.inf)
    return Change(record, quantity, math.exp(a.mean()), math.exp(b.mean()), *around)


def _compliance(record: Record, a: np.ndarray, b: np.ndarray) -> Change:
    """Of the same problems: only those that changed sides say anything."""
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    n = len(a)
    difference = (gained - lost) / n
    noise = SURE * math.sqrt(max(gained + lost - (gained - lost) ** 2 / n, 0.0)) / n
    return Change(record, "compliance", a.mean(), b.mean(), difference, difference - noise, difference + noise)


def _from_intervals(b: Record, a: Record, quantity: str) -> Change:
    """Two samples of problems: their noise adds up."""
    assert a.forces
    assert b.forces
    widths = [math.log(high / max(low, 1e-300)) / 2 for low, high in (r.forces_interval or [1.0, 1.0] for r in (a, b))]
    noise, mean = math.hypot(*widths), math.log(b.forces / a.forces)
    return Change(b, quantity, a.forces, b.forces, math.exp(mean), math.exp(mean - noise), math.exp(mean + noise))
