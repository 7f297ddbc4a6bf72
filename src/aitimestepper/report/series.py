"""The quantities of a run along time, for movies and figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..simulate.recording import RecordedTrajectory
from .style import FLOOR, INK, PALETTE, log_range


@dataclass(frozen=True)
class Series:
    """One quantity at the S recorded times."""

    name: str
    values: np.ndarray  # (S,)
    colour: str
    log: bool = True
    lowest: float = 0.02  # share of the values that may lie below a logarithmic axis, since an error can pass through zero

    @property
    def shown(self) -> np.ndarray:
        """Values to draw, (S,); on a logarithmic axis an error of exactly zero is drawn at the floor."""
        return np.maximum(self.values, FLOOR) if self.log else self.values

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the axis; a linear axis has a margin of at least 1 %, so that a conserved quantity looks conserved."""
        if self.log:
            low, high = log_range(self.shown, lowest=self.lowest)
            return low, max(high, 100 * FLOOR)
        low, high = float(self.values.min()), float(self.values.max())
        margin = max(0.1 * (high - low), 0.01 * abs(self.values[0]), 1e-300)
        return low - margin, high + margin

    def value_at(self, now: float, time: np.ndarray) -> str:
        """Return the value recorded last at time `now`, as text."""
        value = self.values[max(0, int(np.searchsorted(time, now, side="right")) - 1)]
        return f"{value:.1e}" if self.log and value else f"{value:.6g}"


def shown_dt(trajectory: RecordedTrajectory) -> np.ndarray:
    """Return the steps (S,); the last one, which is cut short to land on the end time, is shown as long as the one before.

    Several rows may lie within that step.
    """
    dt = trajectory.dt.copy()
    first = int(np.searchsorted(trajectory.time, trajectory.time[-1] - (1 - 1e-9) * dt[-1], side="right"))
    if 1 < first < len(dt) and dt[-1] < dt[first - 1]:
        dt[first:] = dt[first - 1]
    return dt


def momentum_error(trajectory: RecordedTrajectory) -> np.ndarray:
    """Return the change of the total momentum over the sum of m |v|, (S,)."""
    return _change(trajectory.momentum, np.linalg.norm(trajectory.velocity, axis=-1) @ trajectory.mass)


def angular_momentum_error(trajectory: RecordedTrajectory) -> np.ndarray:
    """Return the change of the total angular momentum over the sum of m |x| |v|, (S,)."""
    size = np.linalg.norm(trajectory.position, axis=-1) * np.linalg.norm(trajectory.velocity, axis=-1)
    return _change(trajectory.angular_momentum, size @ trajectory.mass)


def _change(vector: np.ndarray, scale: np.ndarray) -> np.ndarray:
    # over the larger of the sums at the two ends of the run, as in its summary: bodies may start at rest
    return np.asarray(np.linalg.norm(vector - vector[0], axis=-1) / max(scale[0], scale[-1], np.finfo(float).tiny))


def series_of(trajectory: RecordedTrajectory) -> list[Series]:
    """Return energy and its error, the errors of momentum and angular momentum, and dt if it is known."""
    known = [
        Series("energy", trajectory.energy, INK, log=False),
        Series("relative energy error", trajectory.energy_error, PALETTE[3]),
        Series("momentum error", momentum_error(trajectory), PALETTE[0]),
        Series("angular momentum error", angular_momentum_error(trajectory), PALETTE[4]),
    ]
    if not (trajectory.dt > 0).any():  # rows that came without their steps
        return known
    return [*known, Series("time step dt", shown_dt(trajectory), PALETTE[1], lowest=0.0)]
