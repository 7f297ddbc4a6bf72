"""Events of a run: found in the steps in which they may have happened, turn by turn; systems that one stops end there."""

from __future__ import annotations

import numpy as np

from ..events import Event, Occurrence
from .batch import Batch
from .event_looks import Steps
from .event_search import Search
from .kernels import layout as at

JUST = 1e-9  # of its first step: an event so soon after the start of a run is that with which the run before it ended


class EventWatch:
    """The events of a run. stops: whether systems end at those that say so, or all of them are logged only.

    begins: whether a run begins here, maybe where another one ended at an event, or its search goes on.
    """

    def __init__(
        self, events: tuple[Event, ...], batch: Batch, search: Search, stops: bool = True, begins: bool = True
    ) -> None:
        B = len(batch.start)
        self.log: list[Occurrence] = []
        self.stopped: dict[int, Occurrence] = {}
        self._stopping = {k for k, event in enumerate(events) if stops and event.stops}
        self._search, self._before = search, dict(batch.state)
        self._first = batch.state["count"][:, at.STEPS].copy() if begins else np.full(B, -1)  # steps made at the start
        self._ignored = np.full(B, -np.inf)  # time until which events are those of the run before

    def before_turn(self, batch: Batch) -> None:
        """Keep the state of a run, to go back to from an event."""
        if self._stopping:
            self._before = {name: values.copy() for name, values in batch.state.items()}

    def after_turn(self, batch: Batch) -> None:
        """Look for events in the steps of a turn in which they may have happened, and let paused systems go on."""
        status = batch.state["count"][:, at.STATUS]
        status[status == at.PAUSED] = at.RUNNING
        steps = batch.take_noted()
        if self.stopped:
            steps = steps.where(~np.isin(steps.system, list(self.stopped)))
        if not len(steps.time):
            return
        self._ignore_the_start(steps)
        ends: dict[int, Occurrence] = {}
        for one in self._search(steps):
            if one.system in ends or batch.direction[one.system] * one.time <= self._ignored[one.system]:
                continue
            self.log.append(one)
            if one.number in self._stopping:
                ends[one.system] = one
        if ends:
            self._go_back(batch, ends)

    def _ignore_the_start(self, steps: Steps) -> None:
        """Let events at the very beginning of the first step of a system not count again."""
        k = np.flatnonzero(steps.begins & (steps.made == self._first[steps.system])[:-1])
        self._ignored[steps.system[k]] = steps.time[k] + JUST * (steps.time[k + 1] - steps.time[k])

    def _go_back(self, batch: Batch, ends: dict[int, Occurrence]) -> None:
        """Let systems make the steps of this turn again, until the events with which they end."""
        self.stopped |= ends
        some = np.array(list(ends))
        for name, values in self._before.items():
            batch.state[name][some] = values[some]
        batch.state["count"][some, at.STATUS] = at.RUNNING
        time = batch.direction[some] * [end.time for end in ends.values()]
        batch.system[some, at.T_END] = batch.system[some, at.STOP] = time
