"""When a run ends, and when rows of output are due."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ..bodies import Bodies, free_fall_time
from ..criteria.base import positive_numbers
from ..errors import ConfigError, shown
from ..specs import LARGEST_INTEGER
from ..validation import refuse_unit
from .batch import MOST_ROWS, Output
from .trajectory import refuse_times

DEFAULT_MAX_STEPS = 10_000_000
DEFAULT_ROWS = 1000


def step_limit(steps: int | None, max_steps: int | None) -> int:
    """Return the number of steps after which a run ends at the latest."""
    refuse_no_count(steps=steps, max_steps=max_steps)
    if steps is None:
        return DEFAULT_MAX_STEPS if max_steps is None else int(max_steps)
    return int(steps if max_steps is None else min(steps, max_steps))


def refuse_no_count(**given: Any) -> None:
    for word, value in given.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and not (whole and 1 <= value <= LARGEST_INTEGER):
            raise ConfigError(f"{word} = {shown(value)} must be a whole number, 1 or more and below 2^63.")


def output_of(
    start: Bodies, t_end: np.ndarray, limit: int, every: float | None, steps: int | None, times: np.ndarray | None = None
) -> Output:
    """Return the times or steps at which rows are due."""
    begin = start.time.copy()
    refuse_no_count(output_steps=steps)
    if times is not None:
        if steps is not None or every is not None:
            raise ConfigError("times and output_every or output_steps: give only one of them.")
        refuse_times(times, start, t_end)
        return Output(1.0, False, begin, times)
    if steps is not None and every is not None:
        raise ConfigError(f"output_steps = {steps} and output_every = {every}: give only one of them.")
    if steps is not None:
        return Output(float(steps), True, begin)
    if every is not None and not _is_positive_time(every):
        raise ConfigError(f"output_every = {shown(every)} must be a positive time.")
    longest = float(np.abs(t_end - start.time).max())
    if every is None and math.isinf(longest):
        return Output(float(max(1, limit // DEFAULT_ROWS)), True, begin)
    apart = longest / DEFAULT_ROWS if every is None else float(every)
    latest = np.maximum(np.abs(begin), np.where(np.isfinite(t_end), np.abs(t_end), 0.0))
    if (latest + apart > latest).all():
        _refuse_countless_rows(apart, start, longest)
        return Output(apart, False, begin)
    if every is not None:  # the next row would always be due at the same time
        raise ConfigError(f"output_every = {every} is below the round-off of the times of the run: give a longer one.")
    return Output(1.0, True, begin)


def _is_positive_time(value: object) -> bool:
    try:
        return not isinstance(positive_numbers(value, ""), tuple)
    except ConfigError:
        return False


def _refuse_countless_rows(every: float, start: Bodies, longest: float) -> None:
    """Raise an error for more rows than anybody could store; of a run by steps, of unknown length, in a free-fall time."""
    span, words = (longest, "of the run") if math.isfinite(longest) else (float(free_fall_time(start).max()), "of free fall")
    rows = span / every if every > span / sys.float_info.max else math.inf
    if rows > MOST_ROWS:
        raise ConfigError(
            f"output_every = {every:g} would be {rows:.0e} rows in the time {span:g} {words}, more than {MOST_ROWS:.0e}: "
            f"ask for {span / MOST_ROWS:.0e} or longer, {span / DEFAULT_ROWS:.0e} are a thousand rows."
        )


def end_times(start: Bodies, t_end: Any, steps: int | None) -> np.ndarray:
    """Return when every system ends, (B,); infinity where steps are counted."""
    if (t_end is None) == (steps is None):
        raise ConfigError(f"t_end = {t_end} and steps = {steps}: give exactly one of them to say when to stop.")
    refuse_unit("t_end", t_end, ConfigError)
    try:
        end = np.asarray(math.inf if t_end is None else t_end)
        if end.dtype.kind not in "fiu":
            raise TypeError
        end = end.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"t_end = {shown(t_end)} must be a number, or one for each system.") from None
    if end.ndim > 1 or end.size not in (1, len(start)):
        raise ConfigError(f"t_end has shape {end.shape}; give one time, or one for each of the {len(start)} systems.")
    end = np.broadcast_to(end, (len(start),)).copy()
    wrong = ~np.isfinite(end) & (steps is None)
    if wrong.any():
        raise ConfigError(f"t_end = {end[wrong][0]} must be finite.")
    return end
