"""From runs to statements: the dial at which so many problems comply, the cost in hindsight, and how sure that is."""

from __future__ import annotations

import math

import numpy as np

from .runs import Ladder, crossing

RESAMPLES = 400
LEVEL = 0.95  # of intervals


def share_error(errors: np.ndarray, share: float) -> np.ndarray:
    """The smallest error that at least `share` of the problems do not exceed, (P, ...) -> (...)."""
    k = max(0, math.ceil(share * len(errors) - 1e-9) - 1)
    return np.asarray(np.partition(errors, k, axis=0)[k])


def calibrated_dial(ladder: Ladder, tol: float, share: float, rows: np.ndarray | None = None) -> float:
    """The largest dial from which on at least `share` of the problems (or of those in `rows`) have errors up to `tol`.

    NaN: none that the budget allows for. Where the budget ended more runs than may fail, nothing is known.
    """
    if tol < ladder.smallest:
        return math.nan
    error, below = ladder.error, ladder.below
    if rows is not None:
        error, below = error[rows], below[rows]
    lost = np.isnan(error) & ~below[:, None]
    known = int(np.argmax([*(lost.mean(0) > 1 - share + 1e-9), True]))
    # finer steps than those run had stayed below everything asked for
    errors = np.where(np.isnan(error), np.where(lost, np.inf, 0.0), error)[:, :known]
    typical = share_error(errors, share)
    if known and (typical <= tol).all():
        return float(ladder.dials[0])
    return crossing(ladder.dials[:known], typical, tol)


def hindsight_forces(ladder: Ladder, tol: float) -> np.ndarray:
    """(P,) forces of the largest steps of each problem that comply, and all smaller ones do; infinite: not affordable."""
    found = np.full(ladder.problems, np.inf)
    if tol < ladder.smallest:
        return found
    for p in range(ladder.problems):
        ran = ~np.isnan(ladder.error[p])
        error, forces = ladder.error[p][ran], ladder.forces[p][ran]
        if not len(error):
            continue
        if (error <= tol).all():
            found[p] = forces[0]
            continue
        cost = crossing(forces, error, tol)
        found[p] = cost if math.isfinite(cost) else np.inf
    return found


def forces_at_dial(ladder: Ladder, dial: float) -> np.ndarray:
    """(P,) forces between two rungs; as many more as the steps are smaller beyond the last rung of a problem."""
    found = np.empty(ladder.problems)
    for p in range(ladder.problems):
        ran = np.flatnonzero(~np.isnan(ladder.forces[p]))
        if not len(ran):  # not even the coarsest steps: at least the whole budget
            found[p] = math.log(ladder.budget)
            continue
        fine, forces = -np.log(ladder.dials[ran]), np.log(ladder.forces[p, ran])
        at = -math.log(dial)
        found[p] = np.interp(at, fine, forces) + max(0.0, at - fine[-1])
    return np.exp(found)


def resampled(families: np.ndarray, rng: np.random.Generator, count: int = RESAMPLES) -> np.ndarray:
    """(count, P) problems drawn with replacement, from each family as many as it has."""
    draws = np.empty((count, len(families)), dtype=int)
    for family in np.unique(families):
        own = np.flatnonzero(families == family)
        draws[:, own] = own[rng.integers(0, len(own), (count, len(own)))]
    return draws


def interval(values: np.ndarray) -> list[float]:
    """The middle `LEVEL` of values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]


def dial_spread(ladder: Ladder, tol: float, share: float, draws: np.ndarray) -> np.ndarray:
    """(R,) ln of the calibrated dial over that of the whole set, in each resample of the problems it was calibrated on."""
    whole = calibrated_dial(ladder, tol, share)
    dials = np.array([calibrated_dial(ladder, tol, share, rows) for rows in draws])
    spread = np.log(dials / whole)
    return np.where(np.isfinite(spread), spread, np.log(ladder.dials[-1] / ladder.dials[0]))


def geometric_mean(values: np.ndarray) -> float:
    """Of positive numbers."""
    return float(np.exp(np.log(values).mean()))
