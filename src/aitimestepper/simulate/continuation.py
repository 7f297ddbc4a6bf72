"""What the bodies of a result carry, so that a simulation of them goes on from that run instead of beginning a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from .callbacks import OwnFunctions
from .kernels import layout as at
from .kernels.plan import AGENT, OWN_CRITERION
from .program import Program

# numbers of a run that stay when another criterion or integrator takes over: errors count from the first start
KEPT = (at.TIME_COMPENSATION, at.ENERGY_START, at.ENERGY_SCALE, at.WORK, at.WORK_BEFORE, at.ERROR, at.MAX_ERROR, at.DT_LAST)
COUNTS = (at.STEPS, at.FORCES, at.REJECTED)
MIRRORED = (at.TIME_COMPENSATION, at.CLOSEST_TIME)  # those that change their sign with the direction of time


@dataclass(frozen=True, eq=False)
class Continuation:
    """The state in which a run ended, with its first start and its program."""

    start: Bodies
    program: Program
    state: dict[str, np.ndarray]  # the arrays of `batch.first_state`; they are copied before they change
    words: dict[str, Any]  # criterion, integrator and tolerance, as files and results write them
    own: OwnFunctions
    criterion: Criterion | None  # as it is bound
    guard: float  # largest relative energy error of a step, 0: none

    def __reduce__(self) -> Any:
        """Return how to copy it; addresses of functions of one's own mean nothing elsewhere, and the bodies come without it."""
        if self.own.agent is not None or self.program.calls_user:
            return _gone, ()
        return _again, (self.start, self.program, self.state, self.words, self.criterion, self.guard)

    @property
    def largest_error(self) -> np.ndarray:
        """Largest relative energy error so far, (B,)."""
        return np.asarray(self.state["real"][:, at.MAX_ERROR])

    @property
    def direction(self) -> np.ndarray:
        """Direction of time of each system, (B,)."""
        return np.asarray(self.state["states"][:, at.TIME_SIGN])

    def continues(self, program: Program) -> bool:
        """Return whether a run with that program has the memory of this one: criterion and integrator are the same."""
        mine, other = self.program, program
        if mine.numbers != other.numbers or (mine.numbers["kind"] in (AGENT, OWN_CRITERION) and mine is not other):
            return False
        return all(np.array_equal(values, other.arrays[name]) for name, values in mine.arrays.items() if name != "field")

    def same_program(self, program: Program) -> dict[str, np.ndarray]:
        """Return the state to go on from with the same criterion and integrator."""
        state = {name: values.copy() for name, values in self.state.items()}
        state["states"][:, at.FIELD_TERMS : at.HEAD] = program.arrays["field"]
        state["count"][:, [at.ROWS, at.PENDING]] = 0
        state["real"][:, at.DUE] = np.inf
        status = state["count"][:, at.STATUS]
        status[np.isin(status, at.GOES_ON)] = at.RUNNING
        return state

    def carry_over(self, state: dict[str, np.ndarray]) -> None:
        """Put errors, counts and extremes so far into the state of a run with another program, whose forces are known."""
        before, now = self.state["real"].copy(), state["real"]
        before[:, MIRRORED] *= (state["states"][:, at.TIME_SIGN] * self.direction)[:, None]
        now[:, KEPT] = before[:, KEPT]
        # energies are compared with those of the first start, less the work of a moving field since then
        now[:, at.ENERGY] -= before[:, at.WORK]
        now[:, at.DT_MIN] = np.minimum(now[:, at.DT_MIN], before[:, at.DT_MIN])
        now[:, at.DT_MAX] = np.maximum(now[:, at.DT_MAX], before[:, at.DT_MAX])
        nearer = before[:, at.CLOSEST] < now[:, at.CLOSEST]
        for old, new, columns in (
            (before, now, (at.CLOSEST, at.CLOSEST_TIME)),
            (self.state["count"], state["count"], (at.CLOSEST_I, at.CLOSEST_J)),
        ):
            rows = np.ix_(nearer, np.array(columns))
            new[rows] = old[rows]
        state["count"][:, COUNTS] += self.state["count"][:, COUNTS]
        status = self.state["count"][:, at.STATUS]
        state["count"][:, at.STATUS] = np.where(np.isin(status, at.GOES_ON), at.RUNNING, status)


def _gone() -> None:
    return None


def _again(start: Bodies, program: Program, state: dict[str, np.ndarray], words: dict[str, Any], *more: Any) -> Continuation:
    return Continuation(start, Program(*program), state, words, OwnFunctions(), *more)
