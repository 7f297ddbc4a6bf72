"""The step that an agent chooses: any function from the features of many states to their steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import ConfigError, nearest_name_hint, shown
from ..integrators import SPLITTINGS, like_splitting
from .base import Criterion, Numbers, positive_numbers
from .classical import EnergyBudget

SERVED = (*SPLITTINGS, "hermite4")  # integrators that agents may choose steps for
LIMIT = 60.0  # no feature is larger: they are logarithms, hardly ever of numbers beyond 1e-20 and 1e20


@dataclass(frozen=True)
class AgentCriterion(Criterion):
    """dt = factor 10^a dt_analytic: an agent chooses a, from the nine inputs that the networks of the package have.

    function: `f(features) -> a`, from an array (R, 9) of float32, one row for each running system, to (R,) or (R, 1); it must
    depend on nothing else. dt_analytic is the step of `EnergyBudget(tol)`. All systems of a batch are asked at once, after
    each step: a batch of a thousand costs about a microsecond a step beside the agent itself, a single system a hundred. tol:
    the tolerance that the agent is told. integrator: the one that it was trained with. factor: one number or one a system,
    which sweeps and benchmarks change. even: whether flipping all velocities leaves the step as it is, which `Symmetrized`
    needs; the features do not change then.
    """

    name: ClassVar[str] = "agent"
    parameter: ClassVar[str] = "factor"
    function: Callable[[np.ndarray], Any]
    tol: float = 1e-5
    integrator: str = "leapfrog"
    factor: Numbers = 1.0
    even: bool = True

    def __post_init__(self) -> None:
        tol = positive_numbers(self.tol, "agent: tol")
        if isinstance(tol, tuple):
            raise ConfigError(f"agent: tol = {shown(tol)} must be one number.")
        object.__setattr__(self, "tol", tol)
        object.__setattr__(self, "factor", positive_numbers(self.factor, "agent: factor"))
        if not callable(self.function):
            raise ConfigError(f"agent: {shown(self.function)} is no function of the features.")
        if self.integrator not in SERVED:
            raise ConfigError(
                f"agent: integrator = {shown(self.integrator)}: {nearest_name_hint(str(self.integrator), SERVED)}"
            )

    @property
    def velocity_even(self) -> bool:
        """Whether flipping all velocities leaves dt as it is."""
        return self.even

    @property
    def made_for(self) -> str:
        """The integrator that the agent was trained with."""
        return self.integrator

    def serves(self, integrator: str) -> bool:
        """Return whether the agent was trained with that integrator."""
        return integrator == self.integrator

    def scaled(self, step_parameter: Numbers) -> AgentCriterion:
        """Return the agent with steps of this length in units of tau_4 chi^(-1/p), where its answer is 0.

        So its number means the same as that of `FreeFall`, which benchmarks expect of a rule of one's own.
        """
        budget = EnergyBudget(self.tol, like_splitting(self.integrator))
        unit = budget.constant * self.tol ** (1.0 / budget.order)
        numbers = np.asarray(positive_numbers(step_parameter, "agent: step parameter")) / unit
        return replace(self, factor=positive_numbers(numbers, "agent: factor"))

    def actions(self, features: np.ndarray) -> np.ndarray:
        """Return what the agent answers to features (R, 9), (R,)."""
        answer = np.asarray(self.function(np.asarray(features, dtype=np.float32)), dtype=np.float64)
        if answer.shape not in ((len(features),), (len(features), 1)):
            raise ConfigError(
                f"the agent {self} answered {len(features)} states with an array of the shape {answer.shape}; it must give one "
                "number for each."
            )
        return answer.reshape(-1)

    def __str__(self) -> str:
        """Return the name of the function with the factor: `my_agent(1)`."""
        first = self.factor[0] if isinstance(self.factor, tuple) else self.factor
        return f"{getattr(self.function, '__name__', self.name)}({first:g})"


def bounded(features: np.ndarray) -> np.ndarray:
    """Return features as an agent sees them: float32 between -LIMIT and LIMIT, 0 where a state broke off."""
    return np.clip(np.nan_to_num(features, nan=0.0), -LIMIT, LIMIT).astype(np.float32)
