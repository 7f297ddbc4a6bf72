"""The rows of a run as records: their layout, the seal that shows whether one is whole, and columns over old and new ones."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

# one row: all systems at one output
SCALARS, VECTORS, COUNTS = ("time", "dt", "energy", "energy_error"), ("position", "velocity"), ("steps",)
FIELDS = (*SCALARS, *VECTORS, *COUNTS)
CHUNK_BYTES, LARGEST_CHUNK, MOST_ROWS = 1 << 18, 1 << 20, 1024


def rows_per_chunk(systems: int, bodies: int, axes: int) -> int:
    """As many as make a chunk of positions 256 KiB; 1024 at most, which keeps the file of a short run of few bodies small."""
    return max(1, min(MOST_ROWS, CHUNK_BYTES // (8 * systems * bodies * axes)))


def chunk_shape(rows: int, row: tuple[int, ...]) -> tuple[int, ...]:
    """Whole rows; where one is larger than 1 MiB it is cut between systems, then between bodies."""
    shape = [rows, *row]
    for axis in range(1, len(shape)):
        rest = 8 * int(np.prod(shape)) // shape[axis]
        shape[axis] = max(1, min(shape[axis], LARGEST_CHUNK // rest))
    return tuple(shape)


def record_type(systems: int, bodies: int, axes: int) -> np.dtype[Any]:
    """A row as one record, between its number and the CRC-32 of everything before."""
    shapes = {name: (systems, bodies, axes) if name in VECTORS else (systems,) for name in FIELDS}
    fields = [(name, "<i8" if name in COUNTS else "<f8", shape) for name, shape in shapes.items()]
    return np.dtype([("row", "<i8"), *fields, ("seal", "<u8")])


def seals(records: np.ndarray) -> np.ndarray:
    """What the `seal` of each record must be."""
    raw = records.view(np.uint8).reshape(len(records), records.dtype.itemsize)
    return np.array([zlib.crc32(r[:-8].data) for r in raw], dtype=np.uint64)


def newest_rows(tail: np.ndarray) -> tuple[int, np.ndarray]:
    """(number of rows written, those of the newest chunk). `tail` holds the two newest chunks, in turn.

    A chunk counts up to its first record that is torn, or left from an older chunk.
    """
    half = len(tail) // 2
    found = 0, tail[:0]
    for records in (tail[:half], tail[half:]):
        whole = (records["seal"] == seals(records)) & (records["row"] == records["row"][0] + np.arange(half))
        count = half if whole.all() else int(whole.argmin())
        if count and (end := int(records["row"][0]) + count) > found[0]:
            found = end, records[:count]
    return found


class Column:
    """One field of all rows: an array (S, ...) to be sliced, of which only what is asked for is read."""

    def __init__(self, stored: Callable[[Any], np.ndarray], newest: np.ndarray, rows: int) -> None:
        self._stored, self._newest, self._first = stored, newest, rows - len(newest)
        self.shape, self.dtype = (rows, *newest.shape[1:]), newest.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes, that of the rows included."""
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        """As of an array: a row, a slice (also backwards), or a list or mask of rows; then the other axes."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = [k is Ellipsis for k in keys].index(True)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        first, rest = (keys[0], tuple(keys[1:])) if keys else (slice(None), ())
        rows = range(len(self))
        if isinstance(first, slice):
            chosen = rows[first]
            return self._ascending(chosen, rest) if chosen.step > 0 else self._ascending(chosen[::-1], rest)[::-1]
        if np.ndim(first) == 0:
            if not -len(self) <= first < len(self):
                raise IndexError(f"row {first} of {len(self)}")
            return self._ascending(rows[first:][:1], rest)[0]
        distinct, back = np.unique(np.arange(len(self))[first], return_inverse=True)
        picked = [self._ascending(rows[int(i) :][:1], rest) for i in distinct]
        return np.concatenate([self._ascending(rows[:0], rest), *picked])[back]

    def _ascending(self, rows: range, rest: tuple[Any, ...]) -> np.ndarray:
        """Rows in order: the first of them from the file, the newest from memory."""
        below = rows[: len(range(rows.start, min(rows.stop, self._first), rows.step))]
        above = [i - self._first for i in rows[len(below) :]]
        newest = self._newest[above][(slice(None), *rest)]
        if not len(below):
            return newest
        return np.concatenate([self._stored((slice(below.start, below.stop, below.step), *rest)), newest])
