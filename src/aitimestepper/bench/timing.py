"""Timing of programs against each other: in turns, with calls that are long enough, by medians of ratios within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Job = Callable[[int], Callable[[], object]]  # from an amount of work to the call that is timed, with all preparations made
Clock = Callable[[], float]

LARGEST_AMOUNT = 2**40


class Effort(NamedTuple):
    """Effort of a measurement."""

    rounds: int
    call: float  # shortest time of a call, in seconds, so that its overhead is small
    quick: bool = False  # shorter runs


class Times(NamedTuple):
    """Seconds per unit of work of every job, one number a round."""

    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median over the rounds of one job."""
        return statistics.median(self.rounds[name])

    def ratio(self, above: str, below: str) -> float:
        """Return the median over the rounds of the ratio of two jobs within a round."""
        pairs = zip(self.rounds[above], self.rounds[below], strict=True)
        return statistics.median(a / b for a, b in pairs)


def timed(call: Callable[[], object], clock: Clock) -> float:
    """Return the seconds that one call takes."""
    began = clock()
    call()
    return clock() - began


def amount_for(job: Job, clock: Clock, least: float) -> int:
    """Return an amount of work that takes at least `least` seconds, by trying larger and larger amounts.

    A first call, which may compile, is not timed.
    """
    amount = 1
    job(amount)()
    while True:
        seconds = timed(job(amount), clock)
        if seconds >= least or amount >= LARGEST_AMOUNT:
            return amount
        amount = max(amount + 1, int(amount * min(1.2 * least / max(seconds, 1e-9), 10.0)))


def rotate(jobs: dict[str, Job], effort: Effort, clock: Clock = time.process_time) -> Times:
    """Time every job once a round; each round begins with another one.

    The default clock is processor time, which other programs disturb less. Jobs with several threads need another clock.
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
    """Return a job whose unit of work is one call."""

    def prepare(amount: int) -> Callable[[], object]:
        def repeat() -> None:
            for _ in range(amount):
                call()

        return repeat

    return prepare
