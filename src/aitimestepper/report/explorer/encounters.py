"""Encounters of a run: the minima along time of the distance between the two bodies that are closest to each other."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

MOST = 100  # encounters of a run, the closest ones
PAIR_WORK = 3e8  # distances that are computed for one run, about: some seconds
USUAL_NEIGHBOURS = 32  # with which a body of a large system is compared until the closest pair is known
BODIES_AT_ONCE = 200_000  # bodies times rows in memory


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
    """Return n, where the closest pair is looked for in every n-th row; 1 for a million rows of 25 bodies, or 6000 of 1500."""
    return 1 + int(rows * bodies * min((bodies - 1) / 2, USUAL_NEIGHBOURS) / PAIR_WORK)


def nearest_pairs(position: np.ndarray) -> Nearest:
    """Return the closest pair at each of R rows of positions (R, N, D); an infinite distance where there is none."""
    at_once = max(1, BODIES_AT_ONCE // position.shape[1])
    parts = [_nearest(position[a : a + at_once]) for a in range(0, len(position), at_once)]
    return Nearest(np.concatenate([p.distance for p in parts]), np.concatenate([p.pair for p in parts]))


def _nearest(position: np.ndarray) -> Nearest:
    """Return the closest pairs by a sweep: along an axis, each body is compared with the next one, the one after it, and so on.

    It ends where bodies so many places apart are, along that axis alone, farther from each other than the closest pair.
    """
    R, N = position.shape[:2]
    position = np.where(np.isfinite(position), position, np.inf)  # such as a run that broke off may leave
    axis = int(np.argmax([np.ptp(x[np.isfinite(x)]) if np.isfinite(x).any() else 0.0 for x in np.moveaxis(position, -1, 0)]))
    order = np.argsort(position[..., axis], axis=1, kind="stable")
    x = np.take_along_axis(position, order[..., None], axis=1)
    best, places, rows = np.full(R, np.inf), np.zeros((R, 2), dtype=np.int64), np.arange(R)
    for apart in range(1, N):
        with np.errstate(over="ignore", invalid="ignore"):
            step = x[:, apart:] - x[:, :-apart]
            distance = np.sqrt(np.square(step).sum(-1))
        if (_finite(step[..., axis]).min(1) > best).all():
            break
        distance = _finite(distance)
        at = distance.argmin(1)
        better = distance[rows, at] < best
        best[better], places[better] = distance[rows, at][better], np.stack([at, at + apart], axis=1)[better]
    return Nearest(best, np.sort(np.take_along_axis(order, places, axis=1), axis=1))


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.inf)


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
