"""From runs to statements: the step_parameter at which so many problems comply, the cost in hindsight, and how sure that is."""

from __future__ import annotations

import math

import numpy as np

from .runs import ParameterSweep, crossing, share_error

RESAMPLES = 400
LEVEL = 0.95  # of intervals


def filled(sweep: ParameterSweep, tol: float) -> np.ndarray:
    """(P, K) errors, with those of runs that were not made: a problem whose last run complied goes on to do so."""
    error = sweep.error.copy()
    for row in error:
        missing = np.isnan(row)
        ran = row[~missing]
        row[missing] = 0.0 if len(ran) and ran[-1] <= tol else np.inf
    return error


def first_crossing(x: np.ndarray, error: np.ndarray, tol: float) -> float:
    """Where the error falls to `tol` for good: where it is there twice running, whatever finer steps may bring.

    So the answer is the same whatever other tolerances the sweep was made for. NaN: nowhere.
    """
    good = error <= tol
    twice = np.flatnonzero(good[1:] & good[:-1])
    end = int(twice[0]) + 2 if len(twice) else len(error)
    return float(x[0]) if good[:end].all() else crossing(x[:end], error[:end], tol)


def calibrated_step_parameter(sweep: ParameterSweep, tol: float, share: float) -> float:
    """The largest step_parameter from which on at least `share` of the problems have errors up to `tol`.

    NaN: none that the budget allows for.
    """
    return first_crossing(sweep.step_parameters, share_error(filled(sweep, tol), share), tol)


def hindsight_forces(sweep: ParameterSweep, tol: float) -> np.ndarray:
    """(P,) forces of the largest steps of each problem that comply, as the next smaller ones do; infinite: not affordable."""
    found = np.full(sweep.problems, np.inf)
    for p, (error, forces) in enumerate(zip(sweep.error, sweep.forces, strict=True)):
        ran = ~np.isnan(error)
        cost = first_crossing(forces[ran], error[ran], tol) if ran.any() else math.nan
        found[p] = cost if math.isfinite(cost) else np.inf
    return found


def forces_at_dial(sweep: ParameterSweep, step_parameter: float) -> np.ndarray:
    """(P,) forces between two rungs; as many more as the steps are smaller beyond the last rung of a problem."""
    found = np.empty(sweep.problems)
    for p in range(sweep.problems):
        ran = np.flatnonzero(~np.isnan(sweep.forces[p]))
        if not len(ran):  # not even the coarsest steps: at least the whole budget
            found[p] = math.log(sweep.budget)
            continue
        fine, forces = -np.log(sweep.step_parameters[ran]), np.log(sweep.forces[p, ran])
        at = -math.log(step_parameter)
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
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")  # some may be infinite
    return [float(low), float(high)]


def step_parameter_spread(sweep: ParameterSweep, tol: float, share: float, draws: np.ndarray) -> np.ndarray:
    """(R,) ln of the calibrated step_parameter over that of the whole set, in each resample of the problems it was calibrated on.

    Minus infinity: a resample that no step_parameter within the budget is good enough for.
    """
    whole, errors = calibrated_step_parameter(sweep, tol, share), filled(sweep, tol)
    step_parameters = np.array([first_crossing(sweep.step_parameters, share_error(errors[rows], share), tol) for rows in draws])
    return np.where(np.isfinite(step_parameters), np.log(step_parameters / whole), -np.inf)


def share_interval(share: float, n: float) -> list[float]:
    """Wilson's interval of a share that was counted among n."""
    z2 = 1.96**2 / n
    middle, half = (share + z2 / 2) / (1 + z2), math.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def geometric_mean(values: np.ndarray) -> float:
    """Of positive numbers."""
    return float(np.exp(np.log(values).mean()))
