"""Encounters of a run: the minima along time of the distance between the two bodies that are closest to each other."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

MOST = 100  # encounters of a run, the closest ones
PAIR_WORK = 3e8  # distances that are computed for one run at most: a few seconds
PAIRS_AT_ONCE = 2_000_000  # distances in memory


class Marker(NamedTuple):
    """An event on the time axis: an encounter, or whatever else a file says happened."""

    time: float
    kind: str  # such as "encounter"
    bodies: tuple[int, ...]
    text: str


class Nearest(NamedTuple):
    """The closest pair at R rows: its distance (R,) and the numbers of its bodies (R, 2)."""

    distance: np.ndarray
    pair: np.ndarray


class Encounter(NamedTuple):
    """A minimum of the distance of the closest pair, at a row."""

    distance: float
    row: int
    time: float
    pair: tuple[int, int]


def every_nth(rows: int, bodies: int) -> int:
    """Return n, where the closest pair is looked for in every n-th row; 1 for up to a million rows of twenty bodies."""
    return 1 + int(rows * (bodies * (bodies - 1) / 2) / PAIR_WORK)


def nearest_pairs(position: np.ndarray) -> Nearest:
    """Return the closest pair at each of R rows of positions (R, N, D); an infinite distance where there is none."""
    i, j = np.triu_indices(position.shape[1], 1)
    if not len(i):
        return Nearest(np.full(len(position), np.inf), np.zeros((len(position), 2), dtype=np.int64))
    at_once = max(1, PAIRS_AT_ONCE // len(i))
    parts = [_nearest(position[a : a + at_once], i, j) for a in range(0, len(position), at_once)]
    return Nearest(np.concatenate([p.distance for p in parts]), np.concatenate([p.pair for p in parts]))


def _nearest(position: np.ndarray, i: np.ndarray, j: np.ndarray) -> Nearest:
    with np.errstate(over="ignore", invalid="ignore"):  # bodies at infinity, as a run that broke off may leave them
        distance = np.linalg.norm(position[:, i] - position[:, j], axis=-1)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    closest = distance.argmin(1)
    return Nearest(distance[np.arange(len(position)), closest], np.stack([i[closest], j[closest]], axis=1))


class Minima:
    """The closest encounters, gathered block by block: rows with a smaller distance than those before and after them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, float, tuple[int, int]]] = []
        self._before: tuple[np.ndarray, np.ndarray, Nearest] | None = None

    def take(self, rows: np.ndarray, time: np.ndarray, nearest: Nearest) -> None:
        """Take a block of rows, after the ones before."""
        if self._before is not None:
            r, t, n = self._before
            rows, time = np.concatenate([r, rows]), np.concatenate([t, time])
            nearest = Nearest(*(np.concatenate([a, b]) for a, b in zip(n, nearest, strict=True)))
        d = nearest.distance
        for k in 1 + np.flatnonzero((d[1:-1] < d[:-2]) & (d[1:-1] <= d[2:])):
            pair = (int(nearest.pair[k, 0]), int(nearest.pair[k, 1]))
            self._keep((-float(d[k]), int(rows[k]), float(time[k]), pair))
        self._before = (rows[-2:], time[-2:], Nearest(d[-2:], nearest.pair[-2:]))

    def _keep(self, found: tuple[float, int, float, tuple[int, int]]) -> None:
        if len(self._heap) < MOST:
            heapq.heappush(self._heap, found)
        else:
            heapq.heappushpop(self._heap, found)

    def closest(self) -> list[Encounter]:
        """Return the encounters, the closest first."""
        return [Encounter(-d, row, time, pair) for d, row, time, pair in sorted(self._heap, key=lambda e: (-e[0], e[1]))]
