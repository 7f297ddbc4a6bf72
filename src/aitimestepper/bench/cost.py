"""Cost of choosing a step, in force evaluations: jerk and snap passes, sums over pairs, a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..bodies import as_bodies
from ..criteria.base import Criterion
from ..criteria.classical import Constant
from ..evaluation.contenders import Contender
from ..initial.named import plummer
from ..simulate.engine import simulate
from .timing import Effort, Job, rotate

SIZES = (2, 3, 5, 9, 16, 64, 256)
FINE = 1e-3  # step parameter with which the bodies hardly move
CAREFUL, QUICK = Effort(5, 0.02), Effort(3, 0.005, True)


class Charge(NamedTuple):
    """Cost of one choice of a step in force evaluations, by number of bodies."""

    sizes: tuple[int, ...]
    measured: tuple[float, ...]

    def at(self, bodies: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the cost (P,) for problems of `bodies` bodies, interpolated in the logarithm of their number."""
        return np.interp(np.log(bodies), np.log(self.sizes), self.measured)

    def plain(self) -> dict[str, float]:
        """Return the costs by number of bodies, for JSON."""
        return {str(n): round(c, 3) for n, c in zip(self.sizes, self.measured, strict=True)}


class Charges:
    """Force evaluations that one choice of a step costs beyond those of the step, by number of bodies.

    The unit is a leapfrog step of constant dt: one force evaluation and the overhead of the engine. Times are processor times,
    taken in turns. A cost is measured once and serves all integrators.
    """

    def __init__(self, largest: int, effort: Effort = CAREFUL) -> None:
        most = next((n for n in SIZES if n >= largest), SIZES[-1])
        self.sizes, self.effort = [n for n in SIZES if n <= most], effort
        self._known: dict[str, list[float]] = {}

    def of(self, contender: Contender) -> Charge:
        """Return the cost for a contender, under any integrator."""
        if contender.label not in self._known:
            self._known[contender.label] = [self._measured(contender, n) for n in self.sizes]
        return Charge(tuple(self.sizes), tuple(self._known[contender.label]))

    def _measured(self, contender: Contender, n: int) -> float:
        start = as_bodies(plummer(n, seed=n))
        leapfrog = Contender(contender.rule, contender.variant, "leapfrog").criterion(FINE, start)
        if leapfrog.serves("leapfrog"):
            method, chosen = "leapfrog", leapfrog
        else:  # made for one integrator alone, whose own cost is taken off
            method, chosen = contender.integrator, contender.criterion(FINE, start)

        def steps(criterion: Criterion, integrator: str) -> Job:
            def prepare(amount: int) -> Callable[[], object]:
                return lambda: simulate(start, steps=amount, criterion=criterion, integrator=integrator, threads=1, warn=False)

            return prepare

        constant = Constant(1e-6)
        jobs = {"unit": steps(constant, "leapfrog"), "chosen": steps(chosen, method)}
        if method == "leapfrog":
            return max(0.0, rotate(jobs, self.effort).ratio("chosen", "unit") - 1 - chosen.trial_steps)
        times = rotate({**jobs, "constant": steps(constant, method)}, self.effort)
        return max(0.0, times.ratio("chosen", "unit") - times.ratio("constant", "unit"))
