"""Sums over bodies and pairs that padding does not change. Arrays of B systems, N bodies and D axes.

Sums over pairs go block by block, so that memory grows with N and not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

PAIRS_AT_ONCE = 2**17  # 1 MB an array: blocks that fit the cache are also the fastest


def tree_sum(x: np.ndarray, axis: int) -> np.ndarray:
    """Return the sum over `axis`, made by adding neighbours, then neighbouring sums, and so on.

    Trailing zeros leave every partial sum as it is, to the last bit; `numpy.sum` regroups with the length.
    """
    x = np.moveaxis(x, axis, 0)
    while (n := len(x)) > 1:
        if n == 3:  # of vectors in space: without the copy it takes a tenth of the time
            return np.asarray(x[0] + x[1] + x[2])
        paired = x[0 : n - 1 : 2] + x[1:n:2]
        x = np.concatenate([paired, x[n - 1 :]]) if n % 2 else paired
    return np.asarray(x[0])


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the scalar product over the last axis."""
    return tree_sum(a * b, -1)


class PairBlock(NamedTuple):
    """All pairs (i, j) of some systems with i in some rows."""

    systems: slice
    rows: slice
    r2: np.ndarray  # (b, r, N) squared distance + softening^2; 1 where (i, j) is no pair, so that nothing divides by zero
    real: np.ndarray  # (b, r, N) bool: two different bodies, both present


def pair_blocks(position: np.ndarray, present: np.ndarray, softening: np.ndarray) -> Iterator[PairBlock]:
    """Yield all ordered pairs of all systems, about 1e5 at a time; arrays as in `Bodies`."""
    B, N = present.shape
    rows = max(1, min(N, PAIRS_AT_ONCE // N))
    systems = max(1, PAIRS_AT_ONCE // (rows * N))
    for b in range(0, B, systems):
        batch = slice(b, b + systems)
        for i in range(0, N, rows):
            first = slice(i, i + rows)
            real = present[batch, first, None] & present[batch, None, :]
            diagonal = np.arange(real.shape[1])
            real[:, diagonal, i + diagonal] = False
            r2 = squared_differences(position[batch], first) + (softening * softening)[batch, None, None]
            yield PairBlock(batch, first, np.where(real, r2, 1.0), real)


def squared_differences(x: np.ndarray, rows: slice) -> np.ndarray:
    """Return |x_j - x_i|^2, (b, r, N), of vectors x (b, N, D) for i in `rows`."""
    parts = [x[:, None, :, k] - x[:, rows, None, k] for k in range(x.shape[2])]
    total = parts[0] * parts[0] + parts[1] * parts[1]
    return total if len(parts) == 2 else total + parts[2] * parts[2]
