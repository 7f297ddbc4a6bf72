"""Runs that end when their outcome is decided: systems pause after certain numbers of steps, and are looked at then.

What is decided stays so; so the state is looked at after 16 steps, 32, ..., then each time after a sixteenth more, whatever
else is asked for.

The compiled loop takes a quick look itself (`kernels/decision.py`), and lets systems go on whose outcome cannot be decided: of
those that stop where it is, only a decision leaves the loop, about one for each system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..decided import slack_and_speed
from ..events import Decided, Event, Occurrence
from .batch import Batch
from .kernels import layout as at
from .kernels.plan import FIRST_LOOK, LOOKS

if TYPE_CHECKING:
    from .advance import Advance


def next_look(steps: np.ndarray) -> np.ndarray:
    """Return after how many steps systems that have made so many are looked at next."""
    # numbers of a sequence that depends on nothing: 16, 32, ..., then 16, 17, ..., 31 times a power of two
    _, exponent = np.frexp(np.maximum(steps // (FIRST_LOOK * LOOKS), 1))
    unit = FIRST_LOOK << (exponent - 1).astype(np.int64)
    return np.asarray((steps // unit + 1) * unit)


def is_look(steps: np.ndarray) -> np.ndarray:
    """Return whether systems that have made so many steps are looked at; the start counts, too."""
    return np.asarray(next_look(steps - 1) == steps)


class DecidedWatch:
    """The systems of a run whose outcome is decided. log: when; stopped: the systems that end there."""

    def __init__(self, events: tuple[Event, ...], batch: Batch) -> None:
        self.log: list[Occurrence] = []
        self.stopped: dict[int, Occurrence] = {}
        self._asked = [(number, event) for number, event in enumerate(events) if isinstance(event, Decided)]
        self._limit: np.ndarray | None = None
        self._direction = batch.direction
        self._before = np.zeros((len(self._asked), len(batch.start)), bool)  # whether it was decided at the last look
        self._looked = np.full(len(batch.start), -1)  # number of steps then

    def before_turn(self, batch: Batch, advance: Advance) -> None:
        """Let every system pause when it is to be looked at."""
        steps = batch.state["count"][:, at.STEPS]
        if self._limit is None:
            self._limit = batch.system[:, at.STEP_LIMIT].copy()
            known = np.flatnonzero(is_look(steps))  # at the start, or at the last look of the run before this one
            self._before[:, known] = [found[0] >= 0.0 for found in self._verdicts(batch, known)]
            self._looked[known] = steps[known]
        due = is_look(steps) & (steps != self._looked)  # it paused there for another reason
        batch.system[:, at.STEP_LIMIT] = np.minimum(self._limit, np.where(due, steps, next_look(steps)))
        if all(event.stop for _, event in self._asked):
            advance.look(np.where(self._before.any(0), 0.0, self._limit), max(event.tide for _, event in self._asked))

    def after_turn(self, batch: Batch) -> None:
        """Look at the systems that pause, and let those go on of which nothing is decided that stops them."""
        status, steps = (batch.state["count"][:, k] for k in (at.STATUS, at.STEPS))
        assert self._limit is not None
        batch.system[:, at.STEP_LIMIT] = self._limit
        there = ((status == at.MAX_STEPS) | (status == at.OK)) & is_look(steps)
        some = np.flatnonzero(there & (steps != self._looked))
        if not len(some):
            return
        self._looked[some] = steps[some]
        status[(status == at.MAX_STEPS) & (steps < self._limit)] = at.RUNNING
        for k, (slack, speed, x, v) in enumerate(self._verdicts(batch, some)):
            decided = slack >= 0.0
            new = decided & ~self._before[k, some]
            if new.any():
                self._note(batch, k, some[new], speed[new], x[new], v[new])
            self._before[k, some] = decided

    def withdraw(self, stopped: dict[int, Occurrence]) -> None:
        """Take back what was decided of systems that another event ended before."""
        for b in stopped.keys() & self.stopped.keys():
            del self.stopped[b]
        self.log = [one for one in self.log if one.system not in stopped or self._is_before(one, stopped[one.system])]

    def _is_before(self, one: Occurrence, end: Occurrence) -> bool:
        return bool(self._direction[one.system] * (end.time - one.time) >= 0.0)

    def _verdicts(self, batch: Batch, some: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Return slack, speed, positions and velocities of some systems by every criterion asked for."""
        start, sign = batch.start, batch.direction[some][:, None, None]
        x, v = batch.states_of(some)
        found: list[tuple[np.ndarray, ...]] = []
        for _, event in self._asked:
            verdict = slack_and_speed(start.mass[some], start.present[some], x[None], sign * v[None], start.G, event.tide)
            found.append((verdict.slack[0], verdict.speed[0], x, v))
        return found

    def _note(self, batch: Batch, k: int, systems: np.ndarray, speed: np.ndarray, x: np.ndarray, v: np.ndarray) -> None:
        """Log that the outcome of these systems is decided, and end their runs if that is asked for."""
        number, event = self._asked[k]
        time = batch.direction[systems] * batch.state["real"][systems, at.TIME] + 0.0
        of_each = zip(systems.tolist(), time.tolist(), speed.tolist(), x, v, strict=True)
        found = [Occurrence(b, t, event.name, (), s, own_x, own_v, number) for b, t, s, own_x, own_v in of_each]
        self.log += found
        if event.stop:
            self.stopped = {one.system: one for one in found} | self.stopped
            batch.state["count"][systems, at.STATUS] = at.OK
