"""Comparison of two results: changes for better or worse beyond noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from .records import Record, Results

FEW = 5  # smallest number of problems for a verdict
STRICT = 4.0  # standard errors for a verdict on hundreds of comparisons at once
DECISIVE = ("dim", "budget", "share", "calibrated_on", "measured_on", "forces", "orbits", "problems")


class Change(NamedTuple):
    """One quantity of one measurement in both files. The true change is between `low` and `high` in 95 % of such cases."""

    record: Record  # the later one
    quantity: str  # forces, compliance, error
    before: float
    after: float
    change: float  # forces and error: the ratio; compliance: the difference
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the later measurement is better, worse or the same."""
        return self.verdict_beyond(1.0)

    def verdict_beyond(self, factor: float) -> str:
        """Return the verdict with an interval so many times as wide."""
        share = self.quantity == "compliance"
        numbers = (self.change, self.low, self.high)
        mean, low, high = numbers if share else (math.log(x) if x > 0 else -math.inf for x in numbers)
        if mean - factor * (mean - low) <= 0 <= mean + factor * (high - mean):
            return "same"
        return "better" if (mean > 0) == share else "worse"


class Comparison(NamedTuple):
    """Changes of the measurements that both files hold, and the number of those that only one of them holds."""

    changes: list[Change]
    only_before: int
    only_after: int
    differences: list[str]  # settings that differ, and may be the cause of a change

    @property
    def surely_worse(self) -> bool:
        """Whether a measurement is worse by more than chance, given the number of comparisons."""
        return any(change.verdict_beyond(STRICT / 1.96) == "worse" for change in self.changes)


def compare(before: Results, after: Results) -> Comparison:
    """Compare the records that both results hold.

    Where both ran the same problems they are compared one by one, which is far more sensitive than two intervals.
    """
    if before.study != after.study:
        raise UserError(f"the first file holds a study of {before.study}, the second of {after.study}; give two of one kind.")
    first = {record.key: record for record in before.records}
    second = {record.key: record for record in after.records}
    shared = [key for key in second if key in first]
    if not shared:
        raise UserError("the two files have no measurement in common: other criteria, integrators, tolerances or problems.")
    differences = [k for k in DECISIVE if before.settings.get(k) != after.settings.get(k)]
    same = before.cases == after.cases and not {"dim", "measured_on", "problems"} & set(differences)
    pairs = [(_with_arrays(first, key, before), _with_arrays(second, key, after)) for key in shared]
    changes = [c for a, b in pairs for c in _changes(a, b, same)]
    return Comparison(changes, len(first) - len(shared), len(second) - len(shared), differences)


def _with_arrays(records: dict[tuple[Any, ...], Record], key: tuple[Any, ...], results: Results) -> Record:
    """Return the record of a family with the results of each problem, which only the record of all families holds."""
    record = records[key]
    whole = records.get(replace(record, family="all").key)
    if record.forces_each or whole is None:
        return record
    rows = [i for i, name in enumerate(results.cases) if name.rpartition("-")[0] == record.family]
    if len(rows) != record.n:
        return record

    def own(values: list[Any] | None) -> list[Any] | None:
        return None if values is None else [values[i] for i in rows]

    return replace(record, forces_each=own(whole.forces_each), errors=own(whole.errors))


def _changes(a: Record, b: Record, same_problems: bool) -> Iterator[Change]:
    """Yield the changes from the earlier record `a` to the later one `b`."""
    paired = same_problems and a.n == b.n >= FEW
    if paired and a.forces_each and b.forces_each:
        yield _ratio(b, "forces", _logs(a.forces_each), _logs(b.forces_each), _calibration_noise(a, b))
    elif a.forces and b.forces and a.forces_interval and b.forces_interval:
        yield _from_intervals(b, a, "forces")
    if a.mode == "hindsight" and a.compliance is not None and b.compliance is not None and paired:
        yield _counts(b, a.unfinished, b.unfinished)
    if a.errors is None or b.errors is None or not paired:
        return
    x, y = (np.array([math.inf if e is None else e for e in r.errors or []]) for r in (a, b))
    if a.tolerance is not None and a.mode in ("asked", "calibrated"):
        yield _compliance(b, x <= a.tolerance, y <= a.tolerance)
    elif np.isfinite(x).all() and np.isfinite(y).all():
        yield _ratio(b, "error", np.log(np.maximum(x, 1e-300)), np.log(np.maximum(y, 1e-300)))


def _calibration_noise(a: Record, b: Record) -> float:
    """Return the standard error of ln(forces) from the calibration: other problems would have given other constants."""
    widths = [r.more.get("step_parameter_spread") for r in (a, b) if r.mode in ("calibrated", "fitted")]
    same = a.value is not None and b.value is not None and a.value == b.value
    return 0.0 if same else math.hypot(*(math.inf if w is None else w for w in widths))


def _student(n: int) -> float:
    """Return the half-width of a 95 % interval with n problems, in standard errors: 1.96 for many, 2.8 for five."""
    return 1.96 + 2.4 / (n - 1) + 3.5 / (n - 1) ** 2


def _logs(values: list[float]) -> np.ndarray:
    """Return the logarithms of numbers of which some may be missing: NaN."""
    return np.log(np.array([math.nan if v is None else v for v in values], dtype=float))


def _ratio(record: Record, quantity: str, a: np.ndarray, b: np.ndarray, more: float = 0.0) -> Change:
    """Return the change of a geometric mean from the logarithms of each problem, with `more` noise beside their own."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    n = len(a)
    if n < FEW:
        return Change(record, quantity, math.nan, math.nan, 1.0, 0.0, math.inf)
    difference = b - a
    noise = _student(n) * math.hypot(difference.std(ddof=1) / math.sqrt(n), more)
    mean = float(difference.mean())
    around = (math.exp(mean), math.exp(mean - noise), math.exp(mean + noise) if math.isfinite(noise) else math.inf)
    return Change(record, quantity, math.exp(a.mean()), math.exp(b.mean()), *around)


def _compliance(record: Record, a: np.ndarray, b: np.ndarray) -> Change:
    """Return the change of a compliance on the same problems; only those whose compliance changed contribute."""
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    n = len(a)
    difference = (gained - lost) / n
    noise = _student(n) * math.sqrt(max(gained + lost - (gained - lost) ** 2 / n, 0.0)) / n
    return Change(record, "compliance", a.mean(), b.mean(), difference, difference - noise, difference + noise)


def _counts(record: Record, before: int, after: int) -> Change:
    """Return the change of a compliance in hindsight from the numbers of problems out of reach."""
    n = record.n
    difference, noise = (before - after) / n, _student(n) * math.sqrt(abs(before - after)) / n
    return Change(record, "compliance", 1 - before / n, 1 - after / n, difference, difference - noise, difference + noise)


def _from_intervals(b: Record, a: Record, quantity: str) -> Change:
    """Return the change between two samples of problems, whose noise adds up."""
    assert a.forces
    assert b.forces
    widths = [_half_width(r) for r in (a, b)]
    noise, mean = math.hypot(*widths), math.log(b.forces / a.forces)
    high = math.exp(mean + noise) if math.isfinite(noise) else math.inf
    return Change(b, quantity, a.forces, b.forces, math.exp(mean), math.exp(mean - noise), high)


def _half_width(record: Record) -> float:
    """Return half the width of the interval of the forces, in logarithms."""
    low, high = record.forces_interval or [None, None]
    return math.inf if low is None or high is None else math.log(high / low) / 2
