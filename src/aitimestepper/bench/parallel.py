"""Parallel parts of a study, with a thread for each, since compiled runs release Python's lock; Ctrl-C stops them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..simulate.progress import Watch
from ..simulate.threads import available_cores
from .records import Partial, Record

Part = TypeVar("Part")
Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]  # takes the number of finished parts, of all parts, and names of running ones


class Stopped(Exception):
    """Raised inside runs whose results are no longer needed."""


def in_parallel(
    parts: Sequence[Part],
    measure: Callable[[Part, Watch], Result],
    name: Callable[[Part], str],
    threads: int | None,
    progress: Progress,
) -> Iterator[tuple[Part, Result]]:
    """Yield each part with the result of `measure`, in the order in which they finish.

    `measure` passes its second argument on to `simulate`, so that runs whose results are no longer needed are stopped.
    """
    stop = threading.Event()
    running: dict[int, str] = {}

    def watch(_: Any) -> None:
        if stop.is_set():
            raise Stopped

    def job(number: int) -> Result:
        running[number] = name(parts[number])
        try:
            return measure(parts[number], watch)
        finally:
            running.pop(number)

    done = 0
    with ThreadPoolExecutor(available_cores() if threads is None else threads) as pool:
        futures = {pool.submit(job, number): number for number in range(len(parts))}
        try:
            waiting = set(futures)
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    done += 1
                    yield parts[futures[future]], future.result()
                progress(done, len(parts), "; ".join(list(running.values())))
        finally:  # an error, Ctrl-C, or the caller stopped iterating
            stop.set()
            for future in futures:
                future.cancel()


def part_by_part(
    parts: Sequence[Part],
    measure: Callable[[Part, Watch], list[Record]],
    name: Callable[[Part], str],
    partial: Partial,
    threads: int | None,
    progress: Progress,
) -> Iterator[list[Record]]:
    """Yield the records of the parts that `partial` holds, then those of the others as they finish and are stored there."""
    yield from (partial.done[name(part)] for part in parts if name(part) in partial.done)
    remaining = [part for part in parts if name(part) not in partial.done]
    for part, records in in_parallel(remaining, measure, name, threads, progress):
        partial.add(name(part), records)
        yield records
