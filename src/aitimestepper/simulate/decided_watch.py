"""Runs that end when their outcome is decided: systems pause after certain numbers of steps, and are looked at then.

The search for other events takes the states after every step, which cost several times a step of three bodies. What is decided
stays so; so the state is looked at after 64 steps, 128, ..., then each time after a sixteenth more, whatever else is asked for.
"""

from __future__ import annotations

import numpy as np

from ..decided import slack_and_speed
from ..events import Decided, Event, Occurrence
from .batch import Batch
from .kernels import layout as at

STEPS_BETWEEN, SHARE = 64, 16


def next_look(steps: np.ndarray) -> np.ndarray:
    """Return after how many steps systems that have made so many are looked at next."""
    found = (steps // STEPS_BETWEEN + 1) * STEPS_BETWEEN
    long = steps >= STEPS_BETWEEN * SHARE
    if long.any():  # numbers of a sequence that depends on nothing: 16, 17, ..., 31 times a power of two
        unit = 2 ** np.floor(np.log2(np.maximum(steps, SHARE) / SHARE)).astype(np.int64)
        found = np.where(long, (steps // unit + 1) * unit, found)
    return np.asarray(found)


class DecidedWatch:
    """The systems of a run whose outcome is decided. log: when; stopped: the systems that end there."""

    def __init__(self, events: tuple[Event, ...], batch: Batch) -> None:
        self.log: list[Occurrence] = []
        self.stopped: dict[int, Occurrence] = {}
        self._asked = [(number, event) for number, event in enumerate(events) if isinstance(event, Decided)]
        self._limit: np.ndarray | None = None
        self._before = np.zeros((len(self._asked), len(batch.start)), bool)

    def before_turn(self, batch: Batch) -> None:
        """Let every system pause when it is to be looked at."""
        if self._limit is None:  # the state that a run goes on from decides nothing
            self._limit = batch.system[:, at.STEP_LIMIT].copy()
            every = np.arange(len(batch.start))
            self._before = np.array([found[0] >= 0.0 for found in self._verdicts(batch, every)])
        pause = np.minimum(self._limit, next_look(batch.state["count"][:, at.STEPS]))
        batch.system[:, at.STEP_LIMIT] = pause

    def after_turn(self, batch: Batch) -> None:
        """Look at the systems that pause, and let those go on of which nothing is decided that stops them."""
        count = batch.state["count"]
        assert self._limit is not None
        pausing = (count[:, at.STATUS] == at.MAX_STEPS) & (count[:, at.STEPS] < self._limit)
        some = np.flatnonzero(pausing)
        batch.system[:, at.STEP_LIMIT] = self._limit
        if not len(some):
            return
        count[some, at.STATUS] = at.RUNNING
        for k, (slack, speed, x, v) in enumerate(self._verdicts(batch, some)):
            decided = slack >= 0.0
            for c in np.flatnonzero(decided & ~self._before[k, some]).tolist():
                self._note(batch, k, int(some[c]), float(speed[c]), x[c].copy(), v[c].copy())
            self._before[k, some] = decided

    def withdraw(self, stopped: dict[int, Occurrence]) -> None:
        """Take back what was decided of systems that another event ended before."""
        wrong = stopped.keys() & self.stopped.keys()
        self.log = [one for one in self.log if one.system not in wrong or one.time <= stopped[one.system].time]
        for b in wrong:
            del self.stopped[b]

    def _verdicts(self, batch: Batch, some: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Return slack, speed, positions and velocities of some systems by every criterion asked for."""
        start, sign = batch.start, batch.direction[some][:, None, None]
        x, v = batch.states_of(some)
        found: list[tuple[np.ndarray, ...]] = []
        for _, event in self._asked:
            verdict = slack_and_speed(start.mass[some], start.present[some], x[None], sign * v[None], start.G, event.tide)
            found.append((verdict.slack[0], verdict.speed[0], x, v))
        return found

    def _note(self, batch: Batch, k: int, b: int, speed: float, x: np.ndarray, v: np.ndarray) -> None:
        number, event = self._asked[k]
        time = float(batch.direction[b] * batch.state["real"][b, at.TIME]) + 0.0
        one = Occurrence(b, time, event.name, (), speed, x, v, number)
        self.log.append(one)
        if event.stop and b not in self.stopped:
            self.stopped[b] = one
            batch.state["count"][b, at.STATUS] = at.OK
