"""Wrappers: criteria around another one, whose properties they pass on unless they define their own."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import ConfigError, shown
from .base import Criterion, Numbers, Symmetrization

MOST_ITERATIONS = 100  # the fixed-point iteration gains a digit in three; more than 100 cannot change the step


@dataclass(frozen=True)
class Wrapper(Criterion):
    """A criterion around another one, `criterion`."""

    criterion: Criterion

    def __post_init__(self) -> None:
        if not isinstance(self.criterion, Criterion):
            raise ConfigError(
                f"{type(self).__name__} needs a criterion such as FreeFall(eta=0.02) to wrap, not "
                f"{type(self.criterion).__name__} {shown(self.criterion)}."
            )

    @property
    def exponent(self) -> float:
        """The power of the wrapped criterion's parameter that dt is proportional to."""
        return self.criterion.exponent

    @property
    def velocity_even(self) -> bool:
        """Whether flipping all velocities leaves dt as it is."""
        return self.criterion.velocity_even

    @property
    def made_for(self) -> str | None:
        """The integrator that the wrapped criterion is made for."""
        return self.criterion.made_for

    def serves(self, integrator: str) -> bool:
        """Return whether the wrapped criterion may choose steps for that integrator."""
        return self.criterion.serves(integrator)

    @property
    def tolerance(self) -> Numbers | None:
        """The tolerance of the wrapped criterion."""
        return self.criterion.tolerance

    @property
    def symmetrization(self) -> Symmetrization:
        """Parameters with which steps of the wrapped criterion are best made time-symmetric."""
        return self.criterion.symmetrization

    @property
    def trial_steps(self) -> int:
        """Number of whole trial steps for each step chosen."""
        return self.criterion.trial_steps

    def __str__(self) -> str:
        """Return the name around the text of the wrapped criterion."""
        return f"{self.name}({self.criterion})"


def innermost(criterion: Criterion) -> Criterion:
    """Return the criterion inside all wrappers."""
    while isinstance(criterion, Wrapper):
        criterion = criterion.criterion
    return criterion


def _is_number(value: object) -> bool:
    """Return whether `value` is a number that a float can hold."""
    if isinstance(value, (bool, np.complexfloating)) or not isinstance(value, (int, float, np.number)):
        return False
    return not isinstance(value, int) or abs(value) <= sys.float_info.max


def _refuse_velocity_odd(wrapper: str, criterion: Criterion) -> None:
    """Raise an error unless the step is even in the velocities: only such a step can be made time-symmetric."""
    if not criterion.velocity_even:
        raise ConfigError(
            f"{wrapper} needs a step that is even in the velocities; {criterion.name} is not (it looks at past states, or is "
            "time-symmetric already): use it as it is, or train one with history_len = 0."
        )


@dataclass(frozen=True)
class Limited(Wrapper):
    """The wrapped criterion's dt, limited to `dt_min` ... `dt_max`.

    Examples:
        >>> from aitimestepper import FreeFall, Limited, simulate
        >>> from aitimestepper.initial import kepler
        >>> result = simulate(kepler(e=0.9), t_end=6.28, criterion=Limited(FreeFall(0.02), dt_max=0.01))
        >>> bool(result.dt_max[0] <= 0.01)  # dt_min and dt_max are in the unit of time
        True
    """

    name: ClassVar[str] = "limited"
    dt_min: float | None = None
    dt_max: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = 0.0 if self.dt_min is None else self.dt_min, math.inf if self.dt_max is None else self.dt_max
        if not (_is_number(low) and _is_number(high)) or not 0 <= low <= high or high == 0:
            raise ConfigError(
                f"Limited: dt_min = {shown(self.dt_min)} and dt_max = {shown(self.dt_max)} must be numbers, "
                "0 <= dt_min <= dt_max, dt_max > 0."
            )
        object.__setattr__(self, "dt_min", float(low))
        object.__setattr__(self, "dt_max", float(high))

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest dt."""
        return float(self.dt_min or 0.0), math.inf if self.dt_max is None else self.dt_max

    def __str__(self) -> str:
        """Return the wrapped criterion with the smallest dt, as in `limited(freefall(0.02), 0.001)`."""
        return f"{self.name}({self.criterion}, {self.limits[0]:g})"


@dataclass(frozen=True)
class Symmetrized(Wrapper):
    """Time-symmetric steps without an extra force evaluation: dt_{n+1} = Q(s_n)^2 / dt_n, Q the wrapped criterion's step.

    Q at a state is then the geometric mean of the steps before and after it, in either direction of time, so that the
    energy error of a bound orbit does not drift (Kepler e = 0.9, 1000 orbits: final error down by 1e5). Where the new
    step would differ from Q by more than the factor `max_ratio`, it is Q. Q must be even in the velocities.

    Any roughness of Q starts an alternation of long and short steps that never dies out: a learned step needs 25 % more
    forces then (diagnostics/ablations.py). The step expected from the last three Q is exp(ln Q + d/2 + c/4), d and c being the
    first and second backward differences of ln Q: where ln Q is a parabola of time it is the symmetric step, half a step ahead
    (3 c/8) less what the mean of two neighbouring steps adds (c/8). Where the symmetric step differs from it by more than the
    factor `smoothness`, the expected one is taken, and the symmetric sequence begins anew from it. Both numbers are
    `symmetrization` of the wrapped criterion unless given.

    Examples:
        >>> from aitimestepper import FreeFall, Symmetrized, simulate
        >>> from aitimestepper.initial import kepler
        >>> def error(step):  # at the end of ten orbits
        ...     return simulate(kepler(e=0.9), t_end=62.83, criterion=step).final_energy_error[0]
        >>> bool(error(Symmetrized(FreeFall(0.05))) < 0.1 * error(FreeFall(0.05)))
        True
    """

    name: ClassVar[str] = "symmetrized"
    max_ratio: float | None = None
    smoothness: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_velocity_odd("Symmetrized", self.criterion)
        for name, default in self.criterion.symmetrization._asdict().items():
            value = default if getattr(self, name) is None else getattr(self, name)
            if not (_is_number(value) and value > 1):
                raise ConfigError(f"Symmetrized: {name} = {shown(value)} must be above 1.")
            object.__setattr__(self, name, float(value))

    @property
    def ratios(self) -> tuple[float, float]:
        """Both numbers, `max_ratio` and `smoothness`."""
        return float(self.max_ratio or 0.0), float(self.smoothness or 0.0)  # __post_init__ has set both


@dataclass(frozen=True)
class _LookAhead(Wrapper):
    """A time-symmetric step that evaluates the wrapped criterion at states that are not those of the run.

    So the criterion must be a function of the state, even in the velocities, and no wrapper: put other wrappers around it, as
    in `Limited(Huayno(c), ...)`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        wrapped, kind = self.criterion, type(self).__name__
        if isinstance(wrapped, Wrapper):
            raise ConfigError(
                f"{kind} needs a step that is no wrapper; {wrapped.name}({wrapped.criterion.name}) is one: "
                f"put it around {wrapped.criterion.name} itself, and limits around both."
            )
        _refuse_velocity_odd(kind, wrapped)

    @property
    def velocity_even(self) -> bool:
        """False, since the step is time-symmetric already."""
        return False


@dataclass(frozen=True)
class Huayno(_LookAhead):
    """dt = tau / (1 - 1/2 dtau/dt), tau the wrapped step: time-symmetric to second order in tau (arXiv 1205.5668).

    dtau/dt is a central difference along the motion, at most 1, so that dt is at most 2 tau. It costs two more passes over
    the pairs, but no trial step. A rate that is not finite counts as 0.

    Examples:
        >>> from aitimestepper import Huayno, HutMakino, simulate
        >>> from aitimestepper.initial import kepler
        >>> simulate(kepler(e=0.9), t_end=6.28, criterion=Huayno(HutMakino(0.03))).criterion
        'huayno(hutmakino(0.03))'
    """

    name: ClassVar[str] = "huayno"


@dataclass(frozen=True)
class HutMakinoMcMillan(_LookAhead):
    """dt = 1/2 (tau(s) + tau(s')), s' the state that this dt leads to, tau the wrapped step (Hut, Makino & McMillan 1995).

    It is solved by `iterations` fixed-point iterations from dt = tau(s), each a whole trial step by the integrator of the run.
    An iteration multiplies the error by about 1/2 dtau/dt.

    Examples:
        >>> from aitimestepper import HutMakino, HutMakinoMcMillan, simulate
        >>> from aitimestepper.initial import kepler
        >>> result = simulate(kepler(e=0.9), t_end=6.28, criterion=HutMakinoMcMillan(HutMakino(0.03)))
        >>> bool(result.force_evaluations[0] > 3 * result.steps[0])  # three trial steps for each
        True
    """

    name: ClassVar[str] = "hmm"
    iterations: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        count = isinstance(self.iterations, (int, np.integer)) and not isinstance(self.iterations, bool)
        if not (count and 1 <= self.iterations <= MOST_ITERATIONS):
            raise ConfigError(
                f"HutMakinoMcMillan: iterations = {shown(self.iterations)} must be a whole number from 1 to {MOST_ITERATIONS}."
            )
        object.__setattr__(self, "iterations", int(self.iterations))

    @property
    def trial_steps(self) -> int:
        """Number of whole trial steps for each step chosen."""
        return self.iterations

    def __str__(self) -> str:
        """Return the wrapped criterion with the number of iterations, as in `hmm(freefall(0.02), 3)`."""
        return f"{self.name}({self.criterion}, {self.iterations})"


TIME_SYMMETRIC = (Symmetrized, Huayno, HutMakinoMcMillan)
