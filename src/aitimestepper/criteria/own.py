"""A criterion of one's own in the compiled engine: called by address, or through Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from .base import Criterion, Numbers, positive_numbers

ARGUMENTS = ("time", "mass", "position", "velocity", "acceleration", "value")


@dataclass(frozen=True)
class OwnCriterion(Criterion):
    """The step that a function of the user's own chooses.

    function: a C function as numba's `cfunc` makes it (see `simulate.kernels.callbacks` for its arguments), which costs no more
    than a criterion of the package; or a Python function `f(time, mass, position, velocity, acceleration, value) -> dt` of
    arrays (N,) and (N, D), which is slow: a call from compiled code into Python costs about ten microseconds. `value` is the
    parameter of the criterion, one number or one a system, that a sweep or a benchmark may change; dt should be proportional
    to value^power. `even` states that flipping all velocities leaves dt as it is, which `Symmetrized` needs.

    Examples:
        >>> import warnings
        >>> import numpy as np
        >>> from aitimestepper import OwnCriterion, simulate
        >>> from aitimestepper.initial import kepler
        >>> def share(time, mass, position, velocity, acceleration, value):
        ...     return value * np.linalg.norm(position[1] - position[0]) ** 1.5
        >>> with warnings.catch_warnings(action="ignore"):  # a function in Python is slow, and a warning says so
        ...     simulate(kepler(e=0.5), t_end=6.28, criterion=OwnCriterion(share, 0.02)).criterion
        'share(0.02)'
    """

    name: ClassVar[str] = "own"
    parameter: ClassVar[str] = "value"
    function: Callable[..., Any]
    value: Numbers = 1.0
    even: bool = True
    power: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", positive_numbers(self.value, "own criterion: value"))
        if not callable(self.function) and self.address is None:
            raise ConfigError(f"own criterion: {self.function!r} is neither a function nor a numba cfunc.")
        if self.address is None:
            _refuse_signature(self.function)

    @property
    def address(self) -> int | None:
        """Address of the C function; None: the function is Python."""
        found = getattr(self.function, "address", None)
        return None if found is None else int(found)

    @property
    def exponent(self) -> float:
        """The power of the value that dt is proportional to."""
        return self.power

    @property
    def velocity_even(self) -> bool:
        """Whether flipping all velocities leaves dt as it is."""
        return self.even

    def __str__(self) -> str:
        """Return the name of the function with the value: `my_rule(0.02)`."""
        first = self.value[0] if isinstance(self.value, tuple) else self.value
        return f"{getattr(self.function, '__name__', self.name)}({first:g})"


def _refuse_signature(function: Callable[..., Any]) -> None:
    """Raise an error before the run if a Python function does not take `ARGUMENTS`."""
    try:
        inspect.signature(function).bind(*ARGUMENTS)
    except TypeError:
        raise ConfigError(
            f"own criterion: {getattr(function, '__name__', function)} must take {', '.join(ARGUMENTS)} and return dt."
        ) from None
    except ValueError:
        return  # built-in functions have no signature
