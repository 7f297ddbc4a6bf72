"""Systems from a generator or another iterable, which is read once and held chunk by chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import ConfigError, UserError, shown
from .chunks import Chunk, one_batch, systems_in_chunk


class Item(NamedTuple):
    """Systems as they came."""

    bodies: Bodies
    ends: np.ndarray | None  # (n,)


@dataclass
class Stream:
    """Systems from an iterable.

    Its items are systems, batches of them, or pairs of either with an end time.
    """

    items: Iterable[Any]
    settings: dict[str, Any] = field(default_factory=dict)  # of `as_bodies`

    def plain(self) -> dict[str, Any]:
        """Return what kind of source it is; parts hold a checksum of the systems that they began with."""
        return {"kind": "stream"}

    def chunks(self, size: int | None) -> Iterator[Chunk]:
        """Yield all chunks in order, of `size` systems each, or of as many as suit the first item."""
        waiting: list[Item] = []
        first = have = 0
        for item in self._read():
            size = size or systems_in_chunk(item.bodies.mass.shape[1])
            waiting.append(item)
            have += len(item.bodies)
            while have >= size:
                made, waiting = _cut(waiting, size)
                yield _joined(first, made)
                first, have = first + size, have - size
        if waiting:
            yield _joined(first, waiting)
        elif first == 0:
            raise ConfigError("the source gave no systems; if it is a generator, it may have been used up before.")

    def _read(self) -> Iterator[Item]:
        """Yield what comes; an error of the user's code becomes a sentence that says where it happened."""
        items = iter(self.items)
        for number in itertools.count():
            try:
                item = next(items)
            except StopIteration:
                return
            except UserError:
                raise
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                raise ConfigError(f"the source of systems ended at item {number} with {words}.") from error
            thing, end = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
            bodies = as_bodies(thing, **self.settings)
            yield Item(bodies, None if end is None else ends_of(end, len(bodies)))


def ends_of(end: Any, systems: int) -> np.ndarray:
    """Return end times as an array, one for each system, or raise an error."""
    try:
        return np.array(np.broadcast_to(np.asarray(end, dtype=float), (systems,)))
    except (TypeError, ValueError):
        raise ConfigError(f"t_end = {shown(end)} must be one number, or one for each of {systems} systems.") from None


def is_stream(thing: Any) -> bool:
    """Return whether it is a generator or a list of systems, and not one thing that `as_bodies` takes."""
    if isinstance(thing, (list, tuple)):
        return bool(thing) and _is_item(thing[0])
    if isinstance(thing, (Bodies, str, Path, Mapping, np.ndarray)):
        return False
    if any(hasattr(thing, name) for name in ("position", "particles", "columns", "colnames")):
        return False
    return isinstance(thing, Iterable)


def _is_item(thing: Any) -> bool:
    pair = isinstance(thing, tuple) and len(thing) == 2
    return pair or isinstance(thing, (Bodies, Mapping)) or hasattr(thing, "position") or hasattr(thing, "particles")


def _cut(waiting: list[Item], size: int) -> tuple[list[Item], list[Item]]:
    """Return items of `size` systems together, and what remains."""
    taken: list[Item] = []
    for k, item in enumerate(waiting):
        missing = size - sum(len(one.bodies) for one in taken)
        if len(item.bodies) > missing:
            before, after = (_part(item, rows) for rows in np.split(np.arange(len(item.bodies)), [missing]))
            return ([*taken, before] if missing else taken), [after, *waiting[k + 1 :]]
        taken.append(item)
    return taken, []


def _part(item: Item, rows: np.ndarray) -> Item:
    return Item(item.bodies.select(rows), None if item.ends is None else item.ends[rows])


def _joined(first: int, items: list[Item]) -> Chunk:
    """Return a chunk of all systems of these items."""
    bodies = items[0].bodies if len(items) == 1 else Bodies.stack([item.bodies for item in items])
    ends = [item.ends for item in items if item.ends is not None]
    if ends and len(ends) < len(items):
        raise ConfigError("some items of the source come with an end time, others do not: give all of them one, or none.")
    return one_batch(first, bodies, np.concatenate(ends) if ends else None, {"bodies": bodies.body_count})
