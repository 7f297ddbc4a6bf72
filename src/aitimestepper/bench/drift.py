"""Drift of a quantity that should be constant, with its standard error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

BLOCKS = 32  # number of blocks, to whose medians (the levels) a line is fitted
GROUPS = 8  # number of groups of blocks, between which the levels may do a random walk
WALK = 1.8  # variance of the slope of a random walk in G steps of mean square V: (6/5) (3/2) V / G


class Drift(NamedTuple):
    """A slope, per unit of time, and its standard error."""

    slope: float
    error: float


def drift_of(time: np.ndarray, values: np.ndarray) -> Drift:
    """Return the drift of a series (S,) at evenly spaced times (S,): the slope of a line through the medians of 32 blocks.

    Medians are used since the error of a bound orbit has a spike at every pericentre, thousands of times its drift, and a mean
    depends on how many samples happen to lie in spikes. Blocks must be some orbits long. The error bar is the larger one of
    two: that of the line, from the scatter of the levels about it, which is right if they are independent; and that of a
    random walk, from the changes of the levels between eighths of the run, which is right if changes are never reversed. It
    covers the true slope in both cases (within two error bars: 94 % of walks and more of all else), and is four to five times
    too large for independent noise. The result is NaN for a series that is too short or not finite.
    """
    if len(time) < 2 * BLOCKS or not np.isfinite(values).all():
        return Drift(math.nan, math.nan)
    x = np.array([part.mean() for part in np.array_split(time, BLOCKS)])
    y = np.array([np.median(part) for part in np.array_split(values, BLOCKS)])
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    residual = y - y.mean() - slope * x
    scatter = (residual * residual).sum() / (BLOCKS - 2) / (x * x).sum()
    moved = np.diff(residual.reshape(GROUPS, -1).mean(1))
    distance = (x[-1] - x[0]) / (BLOCKS - 1) * (BLOCKS / GROUPS)  # between the middles of two groups
    walk = WALK * (moved * moved).mean() / GROUPS / distance**2
    return Drift(slope, math.sqrt(max(scatter, walk)))
