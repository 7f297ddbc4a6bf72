"""The work of an ensemble, chunk by chunk, without what is done already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ConfigError
from .chunks import Chunk
from .parts import Label
from .rows import Columns, run_chunk
from .settings import Settings
from .sources import Source
from .streams import Stream


class Task(NamedTuple):
    """One chunk to run: the systems themselves, or a source that whoever runs it makes them from."""

    part: int
    first: int
    systems: int
    source: Source | None
    chunk: Chunk | None

    def made(self) -> Chunk:
        """Return the systems."""
        if self.chunk is not None:
            return self.chunk
        assert self.source is not None
        return self.source.chunk(self.first, self.systems)


class Done(NamedTuple):
    """The rows of a chunk."""

    part: int
    columns: Columns
    start: str  # checksum of the systems before their run


def done(task: Task, settings: Settings, threads: int | None) -> Done:
    """Run a chunk."""
    chunk = task.made()
    return Done(task.part, run_chunk(chunk, settings, threads), chunk.digest())


def tasks_of(source: Source | Stream, size: int | None, finished: dict[int, Label]) -> Iterator[Task]:
    """Yield what is still to do, in order.

    A stream is read again from its beginning, and what it gives is compared with what it gave before.
    """
    if isinstance(source, Stream):
        yield from _tasks_of_stream(source, size, finished)
        return
    size = size or source.size
    for part, first in enumerate(range(0, source.count, size)):
        if part not in finished:
            yield Task(part, first, min(size, source.count - first), source, None)


def _tasks_of_stream(source: Stream, size: int | None, finished: dict[int, Label]) -> Iterator[Task]:
    for part, chunk in enumerate(source.chunks(size)):
        if part not in finished:
            yield Task(part, chunk.first, chunk.systems, None, chunk)
        elif finished[part].start != chunk.digest():
            last = chunk.first + chunk.systems - 1
            raise ConfigError(
                f"the source gives other systems than before ({chunk.first} to {last} differ): begin anew in another folder."
            )
