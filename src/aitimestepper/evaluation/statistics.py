"""Statistics of many runs: quantiles, the place where an error falls below a level, and confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 400
CONFIDENCE = 0.95  # probability of an interval
STANDARD_ERRORS = 1.96  # half-width of such an interval about a mean, in standard errors


def share_error(errors: np.ndarray, share: float) -> np.ndarray:
    """Return the smallest error that at least `share` of the P problems do not exceed: (P, ...) -> (...)."""
    k = max(0, math.ceil(share * len(errors) - 1e-9) - 1)
    return np.asarray(np.partition(errors, k, axis=0)[k])


def crossing(x: Sequence[float] | np.ndarray, error: Sequence[float] | np.ndarray, level: float) -> float:
    """Return the x from which on the error stays at or below `level`, interpolated in logarithms; x goes from coarse to fine.

    It is NaN where the runs do not enclose it: where the last of them is above the level, or all are below. A single run below
    the level that is followed by one above does not count.
    """
    x, error = np.asarray(x, float), np.asarray(error, float)
    above = np.flatnonzero(~(error <= level))
    if not len(above) or above[-1] == len(error) - 1:
        return math.nan
    k = above[-1]
    if not np.isfinite(error[k]):
        return float(x[k + 1])
    lx, ly = np.log(x[k : k + 2]), np.log(np.maximum(error[k : k + 2], np.finfo(float).tiny))
    return float(np.exp(lx[0] + (lx[1] - lx[0]) * (ly[0] - math.log(level)) / (ly[0] - ly[1])))


def first_crossing(x: np.ndarray, error: np.ndarray, level: float) -> float:
    """Return the x at which the error reaches `level` for good; NaN: nowhere.

    Two consecutive runs at or below the level end the search, whatever the errors of finer steps. So the result does not depend
    on the other tolerances that a sweep was made for.
    """
    good = error <= level
    twice = np.flatnonzero(good[1:] & good[:-1])
    end = int(twice[0]) + 2 if len(twice) else len(error)
    return float(x[0]) if good[:end].all() else crossing(x[:end], error[:end], level)


def geometric_mean(values: np.ndarray) -> float:
    """Return the geometric mean of positive numbers."""
    return float(np.exp(np.log(values).mean()))


def resampled(families: np.ndarray, rng: np.random.Generator, count: int = RESAMPLES) -> np.ndarray:
    """Draw problems with replacement, from each family as many as it has, and return their indices (count, P)."""
    draws = np.empty((count, len(families)), dtype=int)
    for family in np.unique(families):
        members = np.flatnonzero(families == family)
        draws[:, members] = members[rng.integers(0, len(members), (count, len(members)))]
    return draws


def interval(values: np.ndarray) -> list[float]:
    """Return the two ends of the middle 95 % of values, of which some may be infinite."""
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="inverted_cdf")
    return [float(low), float(high)]


def share_interval(share: float, n: float) -> list[float]:
    """Return Wilson's 95 % interval of a fraction `share` of n."""
    z2 = STANDARD_ERRORS**2 / n
    middle, half = (share + z2 / 2) / (1 + z2), math.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return [max(0.0, middle - half), min(1.0, middle + half)]
