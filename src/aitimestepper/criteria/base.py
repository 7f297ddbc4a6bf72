"""Criterion: the value that describes how steps are chosen. The engine reads it, the torch twin builds a module from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import ConfigError, shown
from ..validation import refuse_unit

Numbers = float | tuple[float, ...]  # one for all systems, or one for each


def positive_numbers(value: Any, what: str) -> Numbers:
    """Return `value`, a number or an array of one number a system, as a float or a tuple; all must be positive and finite."""
    refuse_unit(what, value, ConfigError)
    try:
        array = np.asarray(math.nan if isinstance(value, bool) else value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        array = np.array(math.nan)
    if array.ndim > 1 or not array.size or isinstance(value, str) or not (np.isfinite(array).all() and (array > 0).all()):
        raise ConfigError(f"{what} = {shown(value)} must be a positive number.")
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def each(numbers: Numbers) -> tuple[float, ...]:
    """Return one number, or one for each system, as a tuple."""
    return numbers if isinstance(numbers, tuple) else (numbers,)


class Symmetrization(NamedTuple):
    """Parameters of `Symmetrized` that suit a criterion; see there."""

    max_ratio: float = 1.5
    smoothness: float = math.inf


@dataclass(frozen=True)
class Criterion:
    """A rule for the step as a frozen value: comparable, hashable, printable, and the same in both forms of the physics.

    Examples:
        >>> from aitimestepper import Criterion, FreeFall
        >>> isinstance(FreeFall(0.05), Criterion), str(FreeFall(0.05))
        (True, 'freefall(0.05)')
        >>> FreeFall([0.02, 0.05]).values(systems=2).tolist()  # (B,)
        [0.02, 0.05]
    """

    name: ClassVar[str] = ""
    parameter: ClassVar[str | None] = None  # the field that holds its number, if it has one

    @property
    def exponent(self) -> float:
        """The power of the parameter that dt is proportional to."""
        return 1.0

    @property
    def velocity_even(self) -> bool:
        """Whether flipping all velocities leaves dt as it is, which all time-symmetric steps need."""
        return True

    @property
    def made_for(self) -> str | None:
        """The integrator that the criterion is made for, which a run takes if none is asked for; None: leapfrog."""
        return None

    def serves(self, integrator: str) -> bool:
        """Return whether the criterion may choose steps for that integrator."""
        return True

    @property
    def tolerance(self) -> Numbers | None:
        """The relative energy error that whole runs are to stay below; None: the criterion has no tolerance."""
        return None

    @property
    def symmetrization(self) -> Symmetrization:
        """Parameters with which steps of this criterion are best made time-symmetric."""
        return Symmetrization()

    @property
    def trial_steps(self) -> int:
        """Number of whole trial steps for each step chosen; each costs the forces of a step."""
        return 0

    def values(self, systems: int) -> np.ndarray:
        """Return the parameter of every system, (systems,)."""
        given = getattr(self, self.parameter or "", None)
        numbers = np.asarray(math.nan if given is None else given, dtype=np.float64).reshape(-1)
        if len(numbers) not in (1, systems):
            raise ConfigError(
                f"{self.name}: {len(numbers)} values of {self.parameter} do not fit {systems} systems; "
                "give one, or one for each."
            )
        return np.broadcast_to(numbers, (systems,)).copy()

    def __str__(self) -> str:
        """Return the criterion as summaries and legends write it: `freefall(0.02)`."""
        given = None if self.parameter is None else getattr(self, self.parameter)
        first = given[0] if isinstance(given, tuple) else given
        return self.name if first is None else f"{self.name}({first:g})"
