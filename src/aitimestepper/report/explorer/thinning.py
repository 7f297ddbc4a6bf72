"""Which rows of a long run a page keeps: the extremes in every pixel of its charts, and rows evenly spread between them."""

from __future__ import annotations

import numpy as np

PIXELS = 2048  # buckets of time at most; in each, the rows of the extremes are kept: a chart is exact down to its pixels


class Extremes:
    """The row of the smallest value of each of K quantities in every bucket of time, gathered block by block."""

    def __init__(self, quantities: int, first: float, last: float, pixels: int = PIXELS) -> None:
        self._value = np.full((quantities, pixels), np.inf)
        self._row = np.full((quantities, pixels), -1, dtype=np.int64)
        self._first, self._span, self._pixels = first, last - first, pixels

    def take(self, rows: np.ndarray, time: np.ndarray, values: np.ndarray) -> None:
        """Take a block of R rows: their numbers and times (R,), and the quantities (K, R); only finite ones count."""
        bucket = self._buckets(time)
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))  # times ascend, so each bucket is one piece
        for k, quantity in enumerate(np.where(np.isfinite(values), values, np.inf)):
            order = np.lexsort((quantity, bucket))
            best, b = order[starts], bucket[starts]
            better = quantity[best] < self._value[k, b]
            self._value[k, b[better]] = quantity[best][better]
            self._row[k, b[better]] = rows[best][better]

    def rows(self) -> np.ndarray:
        """Return the rows of all extremes, ascending, each once."""
        found = np.unique(self._row)
        return found[found >= 0]

    def _buckets(self, time: np.ndarray) -> np.ndarray:
        if not self._span > 0.0:
            return np.zeros(len(time), dtype=np.int64)
        return np.minimum(((time - self._first) * (self._pixels / self._span)).astype(np.int64), self._pixels - 1)


def spread(count: int, most: int) -> np.ndarray:
    """Return at most `most` (two or more) of the numbers 0 ... count - 1, evenly spread, with the first and the last."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def kept_rows(count: int, most: int, extremes: np.ndarray) -> np.ndarray:
    """Return the rows to keep of `count`: all, or those of the extremes and others evenly spread, about `most` together."""
    if count <= most:
        return np.arange(count)
    return np.union1d(extremes, spread(count, max(2, most - len(extremes))))
