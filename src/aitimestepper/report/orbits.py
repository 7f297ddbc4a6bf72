"""Positions of bodies between recorded states, the part of space that a picture shows, and the trails behind the bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..simulate.recording import RecordedTrajectory

FAR = 2.5  # in median distances of the others; a body that leaves and is farther away does not set the scale of the picture
MAX_POSITIONS = 2_000_000  # largest number of bodies times recorded states in use: 50 MB in three dimensions


def _every(trajectory: RecordedTrajectory) -> int:
    """Return n, where only every n-th recorded state is used; 1 means all of them."""
    return 1 + trajectory.position[..., 0].size // MAX_POSITIONS


def positions_at(trajectory: RecordedTrajectory, times: np.ndarray) -> np.ndarray:
    """Return positions at `times` (T,), (T, N, D), by the cubic through positions and velocities at both ends of an interval.

    The cubic is as accurate as a step of the run. Where states in between were dropped, it can swing far out, as for a tight
    binary that is recorded once in many revolutions. Bodies that moved much less than their speeds suggest are therefore
    interpolated linearly.
    """
    t, x, v = trajectory.time, trajectory.position, trajectory.velocity
    i = np.clip(np.searchsorted(t, times, side="right") - 1, 0, len(t) - 2)
    h = t[i + 1] - t[i]
    s = ((np.clip(times, t[0], t[-1]) - t[i]) / h)[:, None, None]
    chord = x[i + 1] - x[i]
    at0, at1 = h[:, None, None] * v[i], h[:, None, None] * v[i + 1]
    reach = np.maximum(np.linalg.norm(at0, axis=-1), np.linalg.norm(at1, axis=-1))
    thinned = (h > 1.5 * trajectory.dt[i + 1])[:, None]
    aliased = (thinned & (reach > 4 * np.linalg.norm(chord, axis=-1)))[..., None]
    bend = s * (1 - s) * ((1 - s) * (at0 - chord) - s * (at1 - chord))
    return np.asarray(x[i] + s * chord + np.where(aliased, 0.0, bend))


@dataclass(frozen=True)
class View:
    """The box that a picture shows: `centre` +- `half`, both (D,)."""

    centre: np.ndarray
    half: np.ndarray

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Return which of the positions (..., D) are not in the picture, (...)."""
        return np.asarray((np.abs(x - self.centre) > self.half).any(-1))


def view_of(trajectory: RecordedTrajectory, aspect: float | None = None, samples: int = 2000) -> View:
    """Return the box that holds the run; in the plane it is `aspect` times as wide as high (None: as wide as the run is).

    A body that ends far outside the region of the others does not count once it is there. In a cluster of 8 bodies or more,
    neither does one that starts there.
    """
    times = np.linspace(trajectory.time[0], trajectory.time[-1], samples)
    # evenly spaced times and recorded states: the turning points of fast orbits lie between the former
    x = np.concatenate([positions_at(trajectory, times), trajectory.position[:: _every(trajectory)]])
    mass = trajectory.mass / trajectory.mass.sum()
    away = np.linalg.norm(x - np.einsum("n,snd->sd", mass, x)[:, None], axis=-1)  # (S, N)
    N, usual = len(mass), np.median(away[:samples], axis=0)
    few = max(1, N // 8)  # largest number of bodies that may leave, since the picture shows the others
    near = FAR * np.sort(usual)[max(0, N - 1 - few)]
    leaves = (away.max(0) > near) & ((away[-1] > FAR * away[0]) | (N >= 8)) & (N > 2)
    leaves[np.argsort(away.max(0))[: N - few]] = False
    counted = x[~leaves | (away <= near)]
    low, high = counted.min(0), counted.max(0)
    extent = float((high - low).max()) or 1.0  # bodies that rest at one place have none
    half = 0.54 * (high - low) + 0.02 * extent
    if x.shape[-1] == 2:
        if aspect is None:
            aspect = float(np.clip(half[0] / half[1], 0.8, 2.6))
        height = max(half[1], half[0] / aspect)
        half = np.array([aspect * height, height])
    else:
        half = np.maximum(half, 0.4 * half.max())
    return View(0.5 * (low + high), half)


@dataclass(frozen=True)
class Trails:
    """The past of all bodies as vertices at `times` (V,), `position` (V, N, D); each fades over `length` of time."""

    times: np.ndarray
    position: np.ndarray
    length: float

    def behind(self, now: float, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the trails at time `now`: vertices (K, N, D) up to `here` (N, D), and their strengths (K,) from 0 to 1."""
        first, last = np.searchsorted(self.times, [now - self.length, now])
        points = np.concatenate([self.position[first:last], here[None]])
        age = np.append(now - self.times[first:last], 0.0) / self.length
        return points, np.clip(1 - age, 0.0, 1.0) ** 1.5


def trails_of(trajectory: RecordedTrajectory, view: View, frames: int) -> Trails:
    """Return trails with vertices 1/200 of the view apart, which looks smooth, and at most some thousand in a frame."""
    N = len(trajectory.mass)
    share = 0.12 if N <= 32 else 0.06
    begin, end = trajectory.time[0], trajectory.time[-1]
    fine = np.linspace(begin, end, min(40 * frames, MAX_POSITIONS // N + 2))
    times = np.union1d(fine, trajectory.time[:: _every(trajectory)])
    x = positions_at(trajectory, times)
    moved = np.linalg.norm(np.diff(x, axis=0), axis=-1)
    moved = np.where(view.outside(x[1:]), 0.0, moved).max(1)
    path_length = np.append(0.0, np.cumsum(moved))
    spacing = max(float(view.half.max()) / 100, share * path_length[-1] / np.clip(6000 // N, 12, 1500))
    vertices = np.append(0, np.flatnonzero(np.diff(np.floor(path_length / spacing)) > 0) + 1)
    return Trails(times[vertices], x[vertices], share * (end - begin))


def dot_areas(mass: np.ndarray) -> np.ndarray:
    """Return the areas of dots, (N,), in points squared; they grow with the mass, and a massless body is still visible."""
    largest = 130.0 / (1 + len(mass) / 12)
    return np.asarray(12.0 / (1 + len(mass) / 60) + largest * np.sqrt(mass / mass.max()))
