"""States of a run at a list of times, in memory."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError, shown


class Trajectory(NamedTuple):
    """States at T times, which do not change the steps: each was reached by a step of its own from the last one before it.

    Rows that a system did not reach, and bodies that are absent, are NaN.
    """

    time: np.ndarray  # (T,)
    position: np.ndarray  # (T, B, N, D)
    velocity: np.ndarray  # (T, B, N, D)
    dt: np.ndarray  # (T, B) length of the last step of the run at that time
    energy: np.ndarray  # (T, B)
    energy_error: np.ndarray  # (T, B) relative, since the start of the run
    steps: np.ndarray  # (T, B) number of steps of the run that began before that time; -1 in rows that were not reached


class TrajectorySink:
    """Sink of a run that fills a `Trajectory`."""

    def __init__(self, start: Bodies, times: np.ndarray) -> None:
        T, (B, N, D) = len(times), start.position.shape
        try:
            vectors = [np.full((T, B, N, D), np.nan) for _ in range(2)]
        except (MemoryError, ValueError):
            raise ConfigError(
                f"times: {T} times of {B} systems of {N} bodies need {2 * T * B * N * D * 8 / 1e9:.0f} GB of memory; ask for "
                "fewer, or write them to a file with output."
            ) from None
        dt, energy, error = (np.full((T, B), np.nan) for _ in range(3))
        steps = np.full((T, B), -1, dtype=np.int64)
        self._rows = Trajectory(times.copy(), vectors[0], vectors[1], dt, energy, error, steps)
        self._present, self._next = start.present, 0

    def take(self, start: Bodies, rows: dict[str, np.ndarray]) -> None:
        """Take rows of output, (S, B, ...) by name."""
        here = slice(self._next, self._next + len(rows["time"]))
        for name, values in self._rows._asdict().items():
            if name != "time":
                values[here] = rows[name]
        for name in ("position", "velocity"):
            getattr(self._rows, name)[here, ~self._present] = np.nan
        self._next = here.stop

    def trajectory(self) -> Trajectory:
        """Return what was recorded."""
        return self._rows


def finite_numbers(what: str, values: Any, words: str = "a list of numbers") -> np.ndarray:
    """Return numbers as an array (T,), or raise a `ConfigError`."""
    try:
        found = np.atleast_1d(np.asarray(values))
        if found.dtype.kind not in "fiu" or found.ndim != 1 or not found.size:
            raise TypeError
        found = found.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{what} = {shown(values)} must be {words}.") from None
    if not np.isfinite(found).all():
        raise ConfigError(f"{what} has the value {found[~np.isfinite(found)][0]}; it must be finite.")
    return found


def finite_number(what: str, value: Any) -> float:
    """Return one finite number, or raise a `ConfigError`."""
    if isinstance(value, float) and math.isfinite(value):
        return value
    found = finite_numbers(what, value, "a number")
    if len(found) != 1:
        raise ConfigError(f"{what} = {shown(value)} must be one number.")
    return float(found[0])


def output_times(times: Any) -> np.ndarray:
    """Return the times at which rows are asked for as an array (T,), or raise a `ConfigError`."""
    found = finite_numbers("times", times)
    ahead = np.diff(found) * (1.0 if found[-1] >= found[0] else -1.0)
    if (ahead <= 0).any():
        k = int(np.flatnonzero(ahead <= 0)[0])
        raise ConfigError(f"times: {found[k]:g} is followed by {found[k + 1]:g}; give them in order, each once: np.unique.")
    return found


def refuse_times(times: np.ndarray, start: Bodies, end: np.ndarray) -> None:
    """Raise a `ConfigError` unless a run from `start` to `end` (B,) passes all times in their order."""
    direction = np.where(end < start.time, -1.0, 1.0)
    if (direction != direction[0]).any():
        raise ConfigError("times: some systems go forward and some backward in time; run them one after the other.")
    first, last = (times * direction[0])[[0, -1]]
    begin, stop = (direction * start.time).max(), (direction * end).max()
    if first > last or first < begin or last > stop:
        way = "from" if direction[0] > 0 else "backward from"
        raise ConfigError(
            f"times go from {times[0]:g} to {times[-1]:g}, and the run goes {way} t = {direction[0] * begin:g} to "
            f"{direction[0] * stop:g}: give times between these, in that order."
        )
