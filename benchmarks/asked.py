"""Runs that are asked for a tolerance and nothing else, with their errors: of the total energy, and of every body's orbit."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from aitimestepper import simulate
from aitimestepper.evaluation.own_errors import Comparison, OwnReference, natural_units, own_reference
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import Suite

BUDGET = 2_000_000  # largest number of steps of a run


class Asked(NamedTuple):
    """Runs of P problems at one tolerance."""

    tol: float
    integrator: str
    error: np.ndarray  # (P,) largest relative error of the total energy; infinite for a run that broke off
    # (P,) largest error of the own energies of the bodies that count (`own_reference`); NaN where none does
    own_error: np.ndarray
    forces: np.ndarray  # (P,)

    @property
    def both(self) -> np.ndarray:
        """What has to stay below the tolerance, (P,): the larger one of both errors."""
        return np.fmax(self.error, self.own_error)


class Problems(NamedTuple):
    """Problems with what the own orbits of their bodies are compared with."""

    suite: Suite
    systems: Systems
    own: OwnReference

    @classmethod
    def of(cls, suite: Suite, threads: int = 1) -> Problems:
        """Return the problems of a suite; own orbits count where the motion is regular."""
        systems = Systems.of(suite)
        return cls(suite, systems, own_reference(systems, suite.regular, threads))

    def asked(self, tol: float, threads: int = 1) -> Asked:
        """Run all problems."""
        options: dict[str, Any] = {"tol": tol, "max_steps": BUDGET, "threads": threads, "warn": False}
        comparison = Comparison(self.own)
        units = natural_units(self.systems)  # those in which own energies are compared
        done = simulate(
            units.start, t_end=units.ends, output_every=comparison.reference.every, sinks=(comparison.take,), **options
        )
        comparison.end(done.final)
        error = np.where(np.array(done.status) == "ok", done.max_energy_error, math.inf)
        own = np.where(self.own.compared, comparison.error, error)  # of two bodies it is that of the total
        own = np.where(np.isfinite(error), own, math.inf)
        own = np.where(self.own.covered.any(1), own, math.nan)
        return Asked(tol, done.integrator, error, own, done.force_evaluations.astype(float))


def share(errors: np.ndarray, tol: float) -> float | None:
    """Return the fraction of the errors that are within the tolerance, of those that count; None: none does."""
    known = errors[~np.isnan(errors)]
    return float((known <= tol).mean()) if len(known) else None


def percent(number: float | None) -> str:
    """Return a fraction for a table."""
    return "-" if number is None else f"{number:.0%}"
