"""What runs of all other codes have in common: their result, and how their errors are measured."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError
from .timing import Job


class PeerRun(NamedTuple):
    """Result of a run. Errors are relative energy errors, infinite for a run that broke off or was stopped."""

    error: float  # largest over all steps
    final_error: float
    forces: float | None  # force evaluations; None: the method evaluates none
    steps: int
    unfinished: bool  # stopped, because it cost more than allowed
    seconds: float | None = None  # processor time of one clean run; None: no run was completed
    more: dict[str, Any] | None = None  # quantities of this method only


class Prepared(NamedTuple):
    """A run that can be repeated."""

    watch: Callable[[int], PeerRun]  # takes the largest number of forces; it checks every step, so that it must not be timed
    job: Job  # clean runs on one thread, to be timed


def package(name: str) -> Any:
    """Return an optional package, or raise an error of one sentence that says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{name} is not installed: pip install 'aitimestepper[bench]'") from None


def energy_of(mass: np.ndarray, state: np.ndarray, G: float, softening: float = 0.0) -> float:
    """Return the total energy of bodies from their masses (N,) and rows (x, y, z, vx, vy, vz) (N, 6)."""
    i, j = np.triu_indices(len(mass), 1)
    separation = state[i, :3] - state[j, :3]
    distance = np.sqrt(np.einsum("pk,pk->p", separation, separation) + softening**2)
    kinetic = 0.5 * np.sum(mass * np.einsum("nk,nk->n", state[:, 3:], state[:, 3:]))
    return float(kinetic - G * np.sum(mass[i] * mass[j] / distance))


def relative_error(energy: float, start: float, scale: float) -> float:
    """Return the relative error; infinite where the energy is NaN, which `max` would ignore."""
    error = abs(energy - start) / scale
    return error if error == error else math.inf
