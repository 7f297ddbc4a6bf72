"""Events of a run: found in the rows after its steps, turn by turn; systems that one of them stops end there."""

from __future__ import annotations

import numpy as np

from ..events import Event, Occurrence
from .batch import Batch
from .event_search import Search
from .kernels import layout as at
from .kernels.plan import ROW_OF_STEP, ROW_TIME
from .progress import Sink

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
        self._last: list[np.ndarray | None] = [None] * B  # the newest row of a step of each system
        self._waiting: list[list[np.ndarray]] = [[] for _ in range(B)]  # rows of output of each system
        self._ignored = np.full(B, np.nan if begins else -np.inf)  # time until which events are those of the run before

    def before_turn(self, batch: Batch) -> None:
        """Keep the state of a run, to go back to from an event."""
        if self._stopping:
            self._before = {name: values.copy() for name, values in batch.state.items()}

    def after_turn(self, batch: Batch, sinks: list[Sink]) -> None:
        """Take the rows of a turn: look for events in those of steps, and pass those of the output on."""
        count = batch.state["count"]
        rows = [batch.rows[b, :n].copy() for b, n in enumerate(count[:, at.PENDING].tolist())]
        count[:, at.PENDING] = 0
        steps = [self._steps(b, r) for b, r in enumerate(rows)]
        ends = self._find(batch, steps)
        for b, r in enumerate(rows):
            if b in ends:
                self._go_back(batch, b, ends[b])
            else:
                self._last[b] = steps[b][-1] if len(steps[b]) else self._last[b]
                self._waiting[b] += list(r[r[:, ROW_OF_STEP] == 0.0])
        self._deliver(batch, sinks)

    def _steps(self, b: int, rows: np.ndarray) -> np.ndarray:
        """Return the rows of steps of a system, after the newest of the turn before."""
        own, last = rows[rows[:, ROW_OF_STEP] == 1.0], self._last[b]
        if b in self.stopped:
            return own[:0]
        return own if last is None else np.concatenate([last[None], own])

    def _find(self, batch: Batch, steps: list[np.ndarray]) -> dict[int, Occurrence]:
        """Log the events in rows of steps, and return with which of them systems end."""
        longest, width = max(len(r) for r in steps), batch.rows.shape[2]
        if longest < 2:
            return {}
        table = np.full((longest, len(steps), width), np.nan)
        for b, r in enumerate(steps):
            table[: len(r), b] = r
        bodies, time = batch.unpacked(table), table[:, :, ROW_TIME]
        begun = np.isnan(self._ignored)
        self._ignored[begun] = (time[0] + JUST * (time[1] - time[0]))[begun]
        ends: dict[int, Occurrence] = {}
        for one in self._search(time, bodies[:, :, 0], bodies[:, :, 1]):
            b = one.system
            if b in ends or batch.direction[b] * one.time <= self._ignored[b]:
                continue
            self.log.append(one)
            if one.number in self._stopping:
                ends[b] = one
        return ends

    def _go_back(self, batch: Batch, b: int, end: Occurrence) -> None:
        """Let a system make the steps of this turn again, until the event with which it ends."""
        self.stopped[b] = end
        for name, values in self._before.items():
            batch.state[name][b] = values[b]
        batch.state["count"][b, [at.PENDING, at.STATUS]] = 0, at.RUNNING
        batch.system[b, [at.T_END, at.STOP]] = batch.direction[b] * end.time

    def _deliver(self, batch: Batch, sinks: list[Sink]) -> None:
        """Pass on the rows of output that all running systems have reached; those of systems that ended earlier are NaN."""
        lengths = np.array([len(waiting) for waiting in self._waiting])
        running = batch.state["count"][:, at.STATUS] == at.RUNNING
        ready = int(lengths[running].min() if running.any() else lengths.max())
        if not ready or batch.output is None:
            return
        table = np.full((len(lengths), ready, batch.rows.shape[2]), np.nan)
        for b, waiting in enumerate(self._waiting):
            some = waiting[:ready]
            table[b, : len(some)] = some if some else np.nan
            self._waiting[b] = waiting[ready:]
        for sink in sinks:
            sink(batch.start, batch.named(table))
