"""One system of a snapshot file as the explorer shows it, read in blocks: a long run never is in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import SnapshotError
from ...files import conforms, path_shown
from ...simulate.snapshots import Snapshots
from ..run_data import refuse_held
from .encounters import Encounter, Marker, Minima, Nearest, every_nth, nearest_pairs
from .outcome import Forces, command_of, facts_of, forces_of, located_approach, markers_of, tolerance_of
from .thinning import PIXELS, Extremes, kept_rows, spread

BLOCK_BYTES = 1 << 23  # of positions that are read at once
MOST_KEPT = 50_000  # rows of one run in a page
SCALAR_BYTES = 8 * 5 + 4 + 4  # of a kept row: time, dt, energy error, steps, smallest distance; row, pair
BASE64 = 4 / 3
FAR = 2.5  # in median distances of the others: where a body that leaves is no longer in the picture
MOST_BODIES = 5000  # with their names and masses
FEWEST_DRAWN = 50  # rows with positions; of a run with so many bodies that they do not fit, the heaviest are shown


class Room(NamedTuple):
    """What a page has room for, of one run."""

    kept: int  # rows
    pixels: int  # in which the extremes are kept
    drawn: int  # rows with positions and velocities
    bodies: int


@dataclass(frozen=True)
class Recorded:
    """One system of a run. Arrays of K kept rows are those of the file, to the bit; M of them have positions, of n bodies.

    Positions are (position - centre) / scale, velocities are velocity / speed, in single precision: they are only drawn.
    """

    path: Path
    label: str
    system: int
    rows: int  # that the file holds of this system
    row: np.ndarray  # (K,) their numbers in the file
    time: np.ndarray
    dt: np.ndarray
    energy_error: np.ndarray
    steps: np.ndarray
    nearest: Nearest  # (K,) and (K, 2): the smallest distance of two bodies
    drawn: np.ndarray  # (M,) which of the kept rows have positions
    position: np.ndarray  # (M, n, 3)
    velocity: np.ndarray  # (M, n, 3)
    centre: np.ndarray  # (3,)
    scale: float
    speed: float
    view: list[float]  # centre and radius of what a picture shows first, in units of `scale` about `centre`
    axes: int
    bodies: np.ndarray  # (n,) numbers of the bodies that are shown
    names: list[str]  # of these bodies
    mass: np.ndarray  # (n,)
    all_bodies: int
    tolerance: float | None
    forces: Forces
    pair_rows: int  # the closest pair was looked for in every n-th row
    encounters: list[Encounter]
    approach: tuple[float, float, list[int]] | None  # distance, time and pair of the closest approach, located between steps
    events: list[Marker]
    facts: list[tuple[str, str]]
    command: str | None


def systems_in(path: Path) -> int:
    """Return the number of systems in a snapshot file."""
    with Snapshots(path) as snapshots:
        return int(snapshots.position.shape[1])


def read_recorded(path: Path, system: int, budget: float, label: str) -> Recorded:
    """Return one system of a file, with as many rows as fit into `budget` bytes of a page."""
    with Snapshots(path) as s:
        refuse_held(s)
        source = _Source(s, system)
        room = _room(len(source), len(source.bodies), budget)
        extremes, found, n = _survey(source, room.pixels)
        kept = kept_rows(len(source), room.kept, np.union1d(extremes, [e.row for e in found]).astype(np.int64))
        drawn = spread(len(kept), room.drawn)
        shown = source.heaviest(room.bodies)
        columns = _gathered(source, kept)
        moving = _drawn(source, kept[drawn], shown)
        end, steps = float(columns["time"][-1]), int(columns["steps"][-1])
        if source.direction < 0:  # the page goes along time, and such a run against it
            kept, drawn = kept[::-1], len(kept) - 1 - drawn[::-1]
            columns = {name: values[::-1] for name, values in columns.items()}
            moving |= {name: moving[name][::-1] for name in ("position", "velocity")}
        view = view_of(moving["position"], source.mass[shown])
        about = _about(s, system, end, steps)
        nearest = Nearest(columns["near"], source.bodies[columns["pair"].astype(np.int64)])
        return Recorded(
            path=path, label=label, system=system, rows=len(source), row=kept, time=columns["time"], dt=columns["dt"],
            energy_error=columns["energy_error"], steps=columns["steps"], nearest=nearest, drawn=drawn,
            axes=source.axes, bodies=shown, names=source.names(shown), mass=source.mass[shown],
            all_bodies=len(source.bodies), pair_rows=n,
            encounters=[e._replace(pair=(int(source.bodies[e.pair[0]]), int(source.bodies[e.pair[1]]))) for e in found],
            view=view, **moving, **about,
        )  # fmt: skip


class _Source:
    """One system of an open file: the rows up to its end, and its bodies."""

    def __init__(self, snapshots: Snapshots, system: int) -> None:
        self.snapshots, self.system = snapshots, system
        start = snapshots.saved().initial
        self.bodies = np.flatnonzero(start["present"][system])
        self.mass = start["mass"][system]
        self.axes = int(snapshots.position.shape[-1])
        self.first, self.last, self._rows, self.direction = self._span()

    def __len__(self) -> int:
        return self._rows

    def _span(self) -> tuple[float, float, int, float]:
        """Return the first and the last time, the number of rows until the end of the system, and its direction in time."""
        first, last, count, direction = np.nan, np.nan, 0, 0.0
        time = self.snapshots.column("time")
        for a in range(0, len(self.snapshots), 1 << 18):
            block = time[a : a + (1 << 18), self.system]
            ended = ~np.isfinite(block)
            block = block[: int(ended.argmax()) if ended.any() else len(block)]
            if len(block):
                before = block[0] if count == 0 else last
                first, last, count = (block[0] if count == 0 else first), block[-1], count + len(block)
                direction = direction or float(np.sign(last - first))
                if (direction * np.diff(block, prepend=before) < 0).any():
                    raise SnapshotError(f"{path_shown(self.snapshots.path)} is refused: its times go forward and backward.")
            if ended.any():
                break
        if count == 0:
            raise SnapshotError(
                f"{path_shown(self.snapshots.path)} holds no rows of system {self.system} yet: look at it later, or simulate "
                "with an --output-every that is shorter than the run."
            )
        return float(first), float(last), count, direction or 1.0

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield the first row and the row after the last of each block."""
        size = max(1, BLOCK_BYTES // (8 * self.axes * int(self.snapshots.position.shape[2])))
        size = size // 1024 * 1024 or size  # whole chunks of the file
        for a in range(0, self._rows, size):
            yield a, min(a + size, self._rows)

    def column(self, name: str, a: int, b: int) -> np.ndarray:
        """Return rows a to b of a column, (R,), or of the bodies that are present, (R, N, D)."""
        values = np.asarray(self.snapshots.column(name)[a:b, self.system])
        return values[:, self.bodies] if values.ndim == 3 else values

    def heaviest(self, most: int) -> np.ndarray:
        """Return the numbers of the `most` heaviest bodies, ascending."""
        order = np.argsort(-self.mass[self.bodies], kind="stable")[:most]
        return np.asarray(np.sort(self.bodies[order]))

    def names(self, bodies: np.ndarray) -> list[str]:
        """Return the names of bodies; a body without one has its number."""
        given = self.snapshots.metadata.get("names")
        known = given if isinstance(given, list) and conforms(given, list[str]) and len(given) == len(self.mass) else None
        return [f"body {i}" if known is None else known[i] for i in bodies]


def _room(rows: int, bodies: int, budget: float) -> Room:
    """Return how many rows, rows with positions, and bodies fit into so many bytes; scalars take half of them at most."""
    kept = int(min(rows, MOST_KEPT, max(1000, 0.5 * budget / (BASE64 * SCALAR_BYTES))))
    rest = (budget - BASE64 * SCALAR_BYTES * kept) / (BASE64 * 2 * 3 * 4)  # bodies times rows, for positions and velocities
    drawn = int(min(kept, max(FEWEST_DRAWN, rest / max(1, bodies))))
    pixels = max(1, min(PIXELS, kept // 8))  # five extremes and the encounters are less than the rows kept
    return Room(kept, pixels, drawn, min(bodies, MOST_BODIES, max(2, int(rest / min(drawn, FEWEST_DRAWN)))))


def _survey(source: _Source, pixels: int) -> tuple[np.ndarray, list[Encounter], int]:
    """Return the rows of the extremes in every pixel, the closest encounters, and n: pairs were looked at in every n-th row."""
    n, sign = every_nth(len(source), len(source.bodies)), source.direction  # times ascend to the surveyors
    extremes, near = (Extremes(k, sign * source.first, sign * source.last, pixels) for k in (4, 1))
    minima = Minima()
    for a, b in source.blocks():
        rows, time = np.arange(a, b), source.column("time", a, b)
        dt, error = source.column("dt", a, b), source.column("energy_error", a, b)
        extremes.take(rows, sign * time, np.stack([dt, -dt, error, -error]))
        looked = rows % n == 0
        if looked.any():
            nearest = nearest_pairs(source.column("position", a, b)[looked])
            near.take(rows[looked], sign * time[looked], nearest.distance[None])
            minima.take(rows[looked], time[looked], nearest)
    return np.union1d(extremes.rows(), near.rows()), minima.closest(), n


def _gathered(source: _Source, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns at the kept rows, as the file holds them, and the distance and the numbers of the closest pair."""
    names = ("time", "dt", "energy_error", "steps")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*names, "near", "pair")}
    apart = every_nth(len(kept), len(source.bodies))
    for a, b in source.blocks():
        low, high = np.searchsorted(kept, [a, b])
        here = kept[low:high] - a
        for name in names:
            parts[name].append(source.column(name, a, b)[here])
        looked = np.arange(low, high) % apart == 0
        near, pair = np.full(len(here), np.nan), np.zeros((len(here), 2), dtype=np.int64)
        if looked.any():
            near[looked], pair[looked] = nearest_pairs(source.column("position", a, b)[here[looked]])
        parts["near"].append(near)
        parts["pair"].append(pair)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _drawn(source: _Source, rows: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
    """Return positions and velocities of the bodies shown, (M, n, 3), in units of their extent and of the largest speed."""
    at = np.searchsorted(source.bodies, shown)
    found: dict[str, list[np.ndarray]] = {"position": [], "velocity": []}
    for a, b in source.blocks():
        here = rows[slice(*np.searchsorted(rows, [a, b]))] - a
        for name, parts in found.items():
            parts.append(source.column(name, a, b)[here][:, at])
    flat = [(0, 0), (0, 0), (0, 3 - source.axes)]
    position, velocity = (np.pad(np.concatenate(parts), flat) for parts in found.values())
    with np.errstate(all="ignore"):  # numbers near the largest ones, as a run that broke off may leave them
        finite = np.isfinite(position)
        low, high = (f(position, (0, 1), where=finite, initial=x) for f, x in ((np.min, np.inf), (np.max, -np.inf)))
        centre = np.nan_to_num(0.5 * low + 0.5 * high, nan=0.0, posinf=0.0, neginf=0.0)
        scale, speed = _largest(position - centre), _largest(velocity)
        drawn = ((position - centre) / scale).astype(np.float32), (velocity / speed).astype(np.float32)
    return {"position": drawn[0], "velocity": drawn[1], "centre": centre, "scale": scale, "speed": speed}


def view_of(position: np.ndarray, mass: np.ndarray) -> list[float]:
    """Return centre and radius, 4 numbers, of the ball that holds the run (M, n, 3).

    A body that ends far outside the region of the others does not count once it is there.
    """
    x = np.where(np.isfinite(position), position, 0.0).astype(np.float64)[:: 1 + position[..., 0].size // 1_000_000]
    weight = mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))
    away = np.linalg.norm(x - np.einsum("n,mnd->md", weight, x)[:, None], axis=-1)  # (M, n)
    few = max(1, len(mass) // 8)  # largest number of bodies that may leave
    near = FAR * np.sort(np.median(away, axis=0))[max(0, len(mass) - 1 - few)]
    leaves = (away.max(0) > near) & (away[-1] > FAR * away[0]) & (len(mass) > 2)
    leaves[np.argsort(away.max(0))[: len(mass) - few]] = False
    counted = x[~leaves | (away <= near)]
    centre = 0.5 * (counted.min(0) + counted.max(0))
    radius = float(np.linalg.norm(counted - centre, axis=-1).max())
    return [*centre.tolist(), radius if radius > 0 else 1.0]


def _largest(values: np.ndarray) -> float:
    """Return the largest finite absolute value, or 1 if there is none above zero."""
    sizes = np.abs(values[np.isfinite(values)])
    return float(sizes.max()) if sizes.size and sizes.max() > 0 else 1.0


def _about(s: Snapshots, system: int, end: float, steps: int) -> dict[str, Any]:
    """Return tolerance, forces, events and facts of a system, from what the file says about the run."""
    metadata, result = s.metadata, s.result
    systems = int(s.position.shape[1])
    return {
        "tolerance": tolerance_of(metadata, system),
        "forces": forces_of(metadata, result, system),
        "approach": located_approach(result, system),
        "events": markers_of(result, system),
        "facts": facts_of(metadata, result, system, systems, end, steps),
        "command": command_of(s.path, metadata),
    }
