"""The rows of a run as records: their layout, the checksum that shows whether one is complete, and columns over all rows."""

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
    """Return the number of rows with which a chunk of positions has 256 KiB, at most 1024.

    The limit keeps the file of a short run of few bodies small.
    """
    return max(1, min(MOST_ROWS, CHUNK_BYTES // (8 * systems * bodies * axes)))


def chunk_shape(rows: int, row: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a chunk of whole rows; a row of more than 1 MiB is cut between systems, then between bodies."""
    shape = [rows, *row]
    for axis in range(1, len(shape)):
        others = 8 * int(np.prod(shape)) // shape[axis]
        shape[axis] = max(1, min(shape[axis], LARGEST_CHUNK // others))
    return tuple(shape)


def record_type(systems: int, bodies: int, axes: int) -> np.dtype[Any]:
    """Return the type of a row as one record: its number, its columns, and the CRC-32 of these."""
    shapes = {name: (systems, bodies, axes) if name in VECTORS else (systems,) for name in FIELDS}
    fields = [(name, "<i8" if name in COUNTS else "<f8", shape) for name, shape in shapes.items()]
    return np.dtype([("row", "<i8"), *fields, ("seal", "<u8")])


def seals(records: np.ndarray) -> np.ndarray:
    """Return the checksum that each record must have as its `seal`, (S,)."""
    raw = records.view(np.uint8).reshape(len(records), records.dtype.itemsize)
    return np.array([zlib.crc32(r[:-8].data) for r in raw], dtype=np.uint64)


def newest_rows(tail: np.ndarray) -> tuple[int, np.ndarray]:
    """Return (number of rows written, records of the newest chunk). `tail` holds the two newest chunks, written alternately.

    The records of a chunk count up to the first that is incomplete, or left from an older chunk.
    """
    half = len(tail) // 2
    for records in sorted((tail[:half], tail[half:]), key=lambda part: int(part["row"][0]), reverse=True):
        first = int(records["row"][0])
        whole = (records["seal"] == seals(records)) & (records["row"] == first + np.arange(half))
        if whole[0]:
            count = half if whole.all() else int(whole.argmin())
            return first + count, records[:count]
    return 0, tail[:0]


class Column:
    """One column of all rows, an array (S, ...) to be sliced; only the part that is sliced is read."""

    def __init__(self, stored: Callable[[Any], np.ndarray], newest: np.ndarray, rows: int) -> None:
        self._stored, self._newest, self._first = stored, newest, rows - len(newest)
        self.shape, self.dtype = (rows, *newest.shape[1:]), newest.dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes, including that of the rows."""
        return len(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        """Return a row, a slice (also backwards), or a list or mask of rows, then of the other axes, as an array does."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = [k is Ellipsis for k in keys].index(True)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        first, others = (keys[0], tuple(keys[1:])) if keys else (slice(None), ())
        rows = range(len(self))
        if isinstance(first, slice):
            chosen = rows[first]
            return self._ascending(chosen, others) if chosen.step > 0 else self._ascending(chosen[::-1], others)[::-1]
        if np.ndim(first) == 0:
            if not -len(self) <= first < len(self):
                raise IndexError(f"row {first} of {len(self)}")
            return self._ascending(rows[first:][:1], others)[0]
        distinct, inverse = np.unique(np.arange(len(self))[first], return_inverse=True)
        picked = [self._ascending(rows[int(i) :][:1], others) for i in distinct]
        return np.concatenate([self._ascending(rows[:0], others), *picked])[inverse]

    def _ascending(self, rows: range, others: tuple[Any, ...]) -> np.ndarray:
        """Return rows in ascending order, the older ones from the file and the newest from memory."""
        below = rows[: len(range(rows.start, min(rows.stop, self._first), rows.step))]
        above = [i - self._first for i in rows[len(below) :]]
        newest = self._newest[above][(slice(None), *others)]
        if not len(below):
            return newest
        return np.concatenate([self._stored((slice(below.start, below.stop, below.step), *others)), newest])
