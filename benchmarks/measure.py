"""Rows of results with targets, and timing of jobs in turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from aitimestepper.bench.timing import Effort, Times

CAREFUL, QUICK = Effort(9, 0.3), Effort(3, 0.1, True)


class Row(NamedTuple):
    """One line of the result."""

    group: str
    what: str
    measured: float
    unit: str
    target: float | None = None
    at_least: bool = True  # the target is a lower bound; else an upper one
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def plain(self) -> dict[str, object]:
        """Return the row for JSON, which cannot hold NaN."""
        return {**self._asdict(), "measured": None if math.isnan(self.measured) else self.measured, "met": self.met}


def interleaved(
    jobs: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Return the seconds of every job in every round; jobs take turns, so that other programs slow all of them.

    The first `warm_up` rounds are not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + warm_up):
        for name, job in jobs.items():
            began = clock()
            job()
            if turn >= warm_up:
                times[name].append(clock() - began)
    return Times(times)
