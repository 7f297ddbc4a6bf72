"""Parts of a study side by side: a thread each, since compiled runs let go of Python's lock; Ctrl-C stops them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from ..simulate.batch import Watch
from ..simulate.threads import available_cores
from .records import Partial, Record

Part = TypeVar("Part")
Found = TypeVar("Found")
Tell = Callable[[int, int, str], None]  # parts done, parts in all, what is going on


class Stopped(Exception):
    """Raised inside of runs that nobody waits for any more."""


def side_by_side(
    parts: Sequence[Part], work: Callable[[Part, Watch], Found], name: Callable[[Part], str], threads: int | None, tell: Tell
) -> Iterator[tuple[Part, Found]]:
    """(part, what `work` made of it) as they are finished. `work` hands its second argument on to `simulate`."""
    stop = threading.Event()
    going: dict[int, str] = {}

    def watch(_: Any) -> None:
        if stop.is_set():
            raise Stopped

    def job(number: int) -> Found:
        going[number] = name(parts[number])
        try:
            return work(parts[number], watch)
        finally:
            going.pop(number)

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
                tell(done, len(parts), "; ".join(list(going.values())))
        finally:  # an error, Ctrl-C, or nobody wants more
            stop.set()
            for future in futures:
                future.cancel()


def part_by_part(
    parts: Sequence[Part],
    work: Callable[[Part, Watch], list[Record]],
    name: Callable[[Part], str],
    partial: Partial,
    threads: int | None,
    tell: Tell,
) -> Iterator[list[Record]]:
    """The records of the parts that `partial` has already, then those of the others as they are finished and kept there."""
    yield from (partial.done[name(part)] for part in parts if name(part) in partial.done)
    left = [part for part in parts if name(part) not in partial.done]
    for part, records in side_by_side(left, work, name, threads, tell):
        partial.add(name(part), records)
        yield records
