"""How contenders are timed: in turns, each call long enough, medians of the ratios within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Job = Callable[[int], Callable[[], object]]  # the amount of work -> the call that is timed; what it takes is made before
Clock = Callable[[], float]

MOST = 2**40


class Effort(NamedTuple):
    """How carefully to measure."""

    rounds: int
    call: float  # seconds that a call must take, so that what it costs to begin is little
    quick: bool = False  # shorter runs


class Times(NamedTuple):
    """Seconds a unit of work, in the rounds."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Of one contender."""
        return statistics.median(self.rounds[name])

    def ratio(self, above: str, below: str) -> float:
        """Median over rounds of the ratio within a round."""
        pairs = zip(self.rounds[above], self.rounds[below], strict=True)
        return statistics.median(a / b for a, b in pairs)


def timed(call: Callable[[], object], clock: Clock) -> float:
    """Seconds of one call."""
    began = clock()
    call()
    return clock() - began


def amount_for(job: Job, clock: Clock, least: float) -> int:
    """How much work takes `least` seconds: tried with more and more of it, after a first time that may compile."""
    amount = 1
    job(amount)()
    while True:
        spent = timed(job(amount), clock)
        if spent >= least or amount >= MOST:
            return amount
        amount = max(amount + 1, int(amount * min(1.2 * least / max(spent, 1e-9), 10.0)))


def rotate(jobs: dict[str, Job], effort: Effort, clock: Clock = time.process_time) -> Times:
    """Every contender once a round, each round beginning with another one.

    The clock is processor time unless a job uses several threads: what else runs on the machine counts less.
    """
    amounts = {name: amount_for(job, clock, effort.call) for name, job in jobs.items()}
    times: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for turn in range(effort.rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(timed(jobs[name](amounts[name]), clock) / amounts[name])
    return Times(times)


def once(call: Callable[[], object]) -> Job:
    """A job whose unit of work is one call."""

    def prepare(amount: int) -> Callable[[], object]:
        def repeat() -> None:
            for _ in range(amount):
                call()

        return repeat

    return prepare
