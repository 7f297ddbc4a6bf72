"""What choosing a step costs, in force evaluations: jerk and snap passes, sums over pairs, a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..criteria.classical import Constant
from ..differentiable.particle import ParticleTorch
from ..evaluation.contenders import Contender
from ..evaluation.runs import forces_a_step
from ..initial.named import plummer
from ..simulate.engine import simulate
from .timing import Effort, Job, rotate

SIZES = (2, 3, 5, 9, 16, 64, 256)
FINE = 1e-3  # the step_parameter: steps so short that the bodies stay where they are
CAREFUL, QUICK = Effort(5, 0.02), Effort(3, 0.005, True)


class Charge(NamedTuple):
    """Force evaluations a step, by number of bodies."""

    sizes: tuple[int, ...]
    measured: tuple[float, ...]

    def at(self, bodies: Sequence[int] | np.ndarray) -> np.ndarray:
        """(P,) for problems of so many bodies; interpolated in the logarithm of the number."""
        return np.interp(np.log(bodies), np.log(self.sizes), self.measured)

    def plain(self) -> dict[str, float]:
        """For JSON."""
        return {str(n): round(c, 3) for n, c in zip(self.sizes, self.measured, strict=True)}


class Charges:
    """Force evaluations that one choice of a step costs beyond those of the step, by number of bodies.

    The unit is a leapfrog step of constant dt, which is one force evaluation and what the engine does around it. Times are
    taken in turns, in processor time; what is known is kept, since a choice costs as much under every integrator.
    """

    def __init__(self, largest: int, effort: Effort = CAREFUL) -> None:
        most = next((n for n in SIZES if n >= largest), SIZES[-1])
        self.sizes, self.effort = [n for n in SIZES if n <= most], effort
        self._known: dict[str, list[float]] = {}

    def of(self, contender: Contender) -> Charge:
        """Of a contender, under any integrator."""
        if contender.label not in self._known:
            self._known[contender.label] = [self._measured(contender, n) for n in self.sizes]
        return Charge(tuple(self.sizes), tuple(self._known[contender.label]))

    def _measured(self, contender: Contender, n: int) -> float:
        bodies = plummer(n, seed=n)
        start = ParticleTorch.from_tensors(bodies.mass, bodies.position, bodies.velocity)
        plain = Contender(contender.rule, contender.variant, "leapfrog")

        def steps(criterion: object) -> Job:
            def prepare(amount: int) -> Callable[[], object]:
                return lambda: simulate(start, steps=amount, criterion=criterion, integrator="leapfrog", threads=1)  # type: ignore[arg-type]

            return prepare

        step_parameter = torch.full((1,), FINE, dtype=torch.float64)
        jobs = {"constant": steps(Constant(1e-6)), "chosen": steps(plain.criterion(step_parameter, start))}
        ratio = rotate(jobs, self.effort).ratio("chosen", "constant")
        return max(0.0, ratio - forces_a_step(plain))
