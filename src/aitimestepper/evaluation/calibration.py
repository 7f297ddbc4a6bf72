"""Calibration: from a sweep of runs to the step parameter at which enough problems comply, and to the cost in hindsight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .statistics import first_crossing, share_error

if TYPE_CHECKING:
    from .sweep import ParameterSweep


def filled(sweep: ParameterSweep, tol: float) -> np.ndarray:
    """Return the errors (P, K) of a sweep, with values in place of runs that were not made.

    A problem whose last run complies with `tol` counts as complying at all finer steps, any other as never complying.
    """
    error = sweep.error.copy()
    for row in error:
        missing = np.isnan(row)
        made = row[~missing]
        row[missing] = 0.0 if len(made) and made[-1] <= tol else np.inf
    return error


def calibrated_step_parameter(sweep: ParameterSweep, tol: float, share: float) -> float:
    """Return the largest step parameter from which on at least `share` of the problems have errors up to `tol`.

    It is NaN if the budget allows for none.
    """
    return first_crossing(sweep.step_parameters, share_error(filled(sweep, tol), share), tol)


def step_parameter_spread(sweep: ParameterSweep, tol: float, share: float, draws: np.ndarray) -> np.ndarray:
    """Return ln of the calibrated step parameter over that of the whole set, for R resamples of the problems: (R,).

    It is minus infinity for a resample in which no step parameter within the budget is good enough.
    """
    whole, errors = calibrated_step_parameter(sweep, tol, share), filled(sweep, tol)
    found = np.array([first_crossing(sweep.step_parameters, share_error(errors[rows], share), tol) for rows in draws])
    return np.where(np.isfinite(found), np.log(found / whole), -np.inf)


def hindsight_forces(sweep: ParameterSweep, tol: float) -> np.ndarray:
    """Return the force evaluations (P,) of each problem at its own largest steps that comply; infinite if there are none.

    Steps comply only if the next smaller ones of the sweep comply too.
    """
    found = np.full(sweep.problems, np.inf)
    for p, (error, forces) in enumerate(zip(sweep.error, sweep.forces, strict=True)):
        made = ~np.isnan(error)
        cost = first_crossing(forces[made], error[made], tol) if made.any() else math.nan
        found[p] = cost if math.isfinite(cost) else np.inf
    return found


def forces_at(sweep: ParameterSweep, step_parameter: float) -> np.ndarray:
    """Return the force evaluations (P,) at any step parameter, interpolated in logarithms.

    Beyond a problem's last run they grow as the steps shrink. A problem without any run counts with the whole budget.
    """
    found = np.empty(sweep.problems)
    for p in range(sweep.problems):
        made = np.flatnonzero(~np.isnan(sweep.forces[p]))
        if not len(made):
            found[p] = math.log(sweep.budget)
            continue
        fineness, forces = -np.log(sweep.step_parameters[made]), np.log(sweep.forces[p, made])
        here = -math.log(step_parameter)
        found[p] = np.interp(here, fineness, forces) + max(0.0, here - fineness[-1])
    return np.exp(found)
