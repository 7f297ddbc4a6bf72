"""The compiled engine: a batch of systems in plain arrays, advanced in short turns with output and Ctrl-C between them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from .advance import Advance
from .callbacks import OwnFunctions
from .continuation import Continuation
from .event_looks import EventLooks, Steps
from .first_state import first_state, note_capacity, row_capacity, row_width, systems_by_size
from .kernels import layout as at
from .kernels import plan as kernel
from .program import Program
from .progress import Sink, Watch
from .threads import chosen_threads, interrupts, workers

if TYPE_CHECKING:
    from .decided_watch import DecidedWatch
    from .event_watch import EventWatch

MOST_ROWS = 1e9  # of one system's output: 100 GB and more


class Output(NamedTuple):
    """The times or steps at which rows of output are due."""

    every: float
    by_steps: bool  # whether `every` is a number of steps, not a time
    start: np.ndarray  # (B,) time from which multiples of `every` are counted
    times: np.ndarray | None = None  # (T,) the times themselves, in the order in which a run reaches them


@dataclass(frozen=True)
class Batch:
    """Everything about a run: its program, its systems, and their current state. A run changes the arrays in place."""

    program: Program
    start: Bodies
    system: np.ndarray
    state: dict[str, np.ndarray]
    rows: np.ndarray
    output: Output | None
    guard: float
    threads: int
    own: OwnFunctions = field(default_factory=OwnFunctions)
    criterion: Criterion | None = None  # as it is bound; None: nothing follows this run
    looks: EventLooks | None = None  # the events that may happen between its steps

    @classmethod
    def begin(
        cls,
        start: Bodies,
        program: Program,
        own: OwnFunctions,
        t_end: np.ndarray,
        step_limit: float,
        output: Output | None,
        guard: float = 0.0,
        threads: int | None = None,
        criterion: Criterion | None = None,
        looks: EventLooks | None = None,
    ) -> Batch:
        """Return a run that has not started, or one that goes on from the run that the bodies come from.

        t_end: (B,); systems whose time is later go backward. step_limit: largest number of further steps. guard: a relative
        energy error, 0: none.
        """
        before: Continuation | None = start.run
        B, N = start.present.shape
        system, sign = np.zeros((B, at.SYSTEMS)), np.where(t_end < start.time, -1.0, 1.0)
        state = first_state(start, program, sign) if before is None else _later_state(before, start, program, own, sign)
        steps = state["count"][:, at.STEPS]
        system[:, at.T_END], system[:, at.STEP_LIMIT] = sign * t_end, step_limit + steps
        system[:, at.STOP] = system[:, at.T_END]
        capacity = 1 if output is None else row_capacity(B, N)
        if output is not None:
            system[:, at.OUTPUT_START] = sign * output.start
            state["count"][:, at.ROWS] = steps // int(output.every) if output.by_steps else 0
        if output is not None and output.times is not None:
            state["real"][:, at.DUE] = sign * output.times[0] if len(output.times) else np.inf
        start = start if before is None else before.start
        rows, cores = np.zeros((B, capacity, row_width(N))), chosen_threads(threads)
        return cls(program, start, system, state, rows, output, guard, cores, own, criterion, looks)

    @functools.cached_property
    def noted(self) -> np.ndarray:
        """States around the steps of a turn in which events may have happened, (B, R, ...); `NOTED` counts them."""
        B, N = self.start.present.shape
        return np.zeros((B, 1 if self.looks is None else note_capacity(B, N), row_width(N)))

    @property
    def direction(self) -> np.ndarray:
        """1 for systems that go forward in time, -1 for those that go backward, (B,)."""
        return np.asarray(self.state["states"][:, at.TIME_SIGN])

    @property
    def time(self) -> np.ndarray:
        """Time of each system, (B,)."""
        return self.direction * self.state["real"][:, at.TIME] + 0.0  # no -0.0

    def run(
        self,
        sinks: list[Sink],
        watch: Watch | None = None,
        save: Callable[[], None] | None = None,
        events: EventWatch | None = None,
        decided: DecidedWatch | None = None,
    ) -> None:
        """Advance every system to its end. `sinks` take rows of output; `watch` and `save` are called after each turn.

        events: what looks for events in the steps in which they may have happened, and ends the systems that they stop.
        decided: what ends the systems whose outcome is decided.

        Ctrl-C takes effect between turns: the state is consistent then, and a `KeyboardInterrupt` is raised. An error that a
        function of the user raises also ends the run, with the state as it was before that turn.
        """
        advance = Advance(self)
        with workers(self.threads if len(self.start) > 1 else 1) as pool, interrupts() as interrupted:
            self.own.interrupted = interrupted
            while advance.running().any():
                if events is not None:
                    events.before_turn(self)
                if decided is not None:
                    decided.before_turn(self, advance)
                self._turn(advance, pool)
                if decided is not None:
                    decided.after_turn(self)
                if events is not None:
                    events.after_turn(self)
                    if decided is not None:
                        decided.withdraw(events.stopped)
                self._deliver_rows(sinks)
                if watch is not None:
                    watch(advance.status())
                if save is not None:
                    save()
                if interrupted.is_set():
                    raise KeyboardInterrupt

    def turn_alone(self, advance: Advance) -> None:
        """Make one turn of the only system, in the calling thread."""
        if self.own.in_python:
            self._turn(advance, None)
        else:
            advance.turn_alone()
            self.own.raise_error()

    def _turn(self, advance: Advance, pool: ThreadPoolExecutor | None) -> None:
        before = {name: values.copy() for name, values in self.state.items()} if self.own.in_python else {}
        advance.turn(pool)
        try:
            self.own.raise_error()
        except BaseException:
            for name, values in before.items():
                self.state[name][:] = values
            raise

    def _deliver_rows(self, sinks: list[Sink]) -> None:
        """Pass to the sinks every row that all running systems have reached; rows of systems that ended earlier are NaN."""
        if self.output is None:
            return
        count = self.state["count"]
        pending, running = count[:, at.PENDING], count[:, at.STATUS] == at.RUNNING
        ready = int(pending[running].min() if running.any() else pending.max())
        if ready == 0:
            return
        late = np.arange(ready)[None, :] >= pending[:, None]
        rows = np.where(late[:, :, None], np.nan, self.rows[:, :ready])
        for sink in sinks:
            sink(self.start, self.named(rows))
        remaining = int(pending.max()) - ready
        if remaining > 0:
            self.rows[:, :remaining] = self.rows[:, ready : ready + remaining].copy()
        pending -= np.minimum(pending, ready)

    def named(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return rows (B, S, width) as arrays by name, with the time axis first, (S, B, ...)."""
        rows = np.swapaxes(rows, 0, 1)
        bodies, steps, sign = self.unpacked(rows, self.start.present), rows[:, :, kernel.ROW_STEPS], self.direction
        return {
            "time": sign * rows[:, :, kernel.ROW_TIME] + 0.0,
            "dt": rows[:, :, kernel.ROW_DT].copy(),
            "energy": rows[:, :, kernel.ROW_ENERGY].copy(),
            "energy_error": rows[:, :, kernel.ROW_ERROR].copy(),
            "steps": np.where(np.isfinite(steps), steps, -1).astype(np.int64),
            "position": np.ascontiguousarray(bodies[:, :, 0]),
            "velocity": np.ascontiguousarray(sign[:, None, None] * bodies[:, :, 1]),
        }

    def take_noted(self) -> Steps:
        """Return the states around the steps of this turn in which events may have happened; they count as none from now on."""
        noted = self.state["count"][:, at.NOTED]
        system, k = np.nonzero(np.arange(self.noted.shape[1]) < noted[:, None])
        noted[:] = 0
        rows = self.noted[system, k]
        bodies = self.unpacked(rows[None], self.start.present[system])[0]
        return Steps(system, rows[:, kernel.ROW_STEPS], rows[:, kernel.ROW_TIME], bodies[:, 0], bodies[:, 1])

    def unpacked(self, rows: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return positions and velocities in rows (S, B, width) as (S, B, 2, N, D), of the motion in each system's direction.

        Rows have the bodies that are present first; absent ones are zeros at their own places here. present: (B, N).
        """
        N, D = self.start.position.shape[1:]
        bodies = rows[:, :, kernel.ROW_BODIES :].reshape(len(rows), len(present), 2, 3, N)[:, :, :, :D].swapaxes(3, 4)
        if (present[:, 1:] > present[:, :-1]).any():
            place = np.argsort(np.argsort(~present, axis=1, kind="stable"), axis=1)
            bodies = np.take_along_axis(bodies, place[None, :, None, :, None], axis=3)
        return bodies

    def final(self) -> Bodies:
        """Return the bodies as they are now."""
        return self.start.moved(*self.states_of(np.arange(len(self.start))), self.time)

    def states_of(self, systems: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions and velocities of some systems as they are now, each (S, N, D)."""
        present, D = self.start.present[systems], self.start.position.shape[-1]
        position, velocity = (np.zeros((*present.shape, D)) for _ in range(2))
        for n, some in systems_by_size(present):
            own = systems[some]
            first = at.HEAD + self.state["count"][own, at.CURRENT] * at.VECTORS * 3 * n
            places = first[:, None] + np.arange(6 * n)
            block = self.state["states"][own[:, None], places.astype(np.int64)].reshape(-1, 2, 3, n)
            x, v = (np.moveaxis(block[:, k, :D], 1, 2) for k in (0, 1))
            v = self.direction[own][:, None, None] * v
            if n == present.shape[1]:
                position[some], velocity[some] = x, v
            else:
                rows, columns = np.nonzero(present[some])
                position[some[rows], columns], velocity[some[rows], columns] = x.reshape(-1, D), v.reshape(-1, D)
        return position, velocity


def _later_state(
    before: Continuation, start: Bodies, program: Program, own: OwnFunctions, direction: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the state of a run that goes on from another one: as it is, or anew with another program or direction of time."""
    same = np.logical_and(before.continues(program), before.direction == direction)
    if same.all():
        return before.same_program(program)
    state, B = first_state(start, program, direction), len(start)
    begun = Batch(program, start, np.zeros((B, at.SYSTEMS)), state, np.zeros((B, 1, kernel.ROW_BODIES)), None, 0.0, 1, own)
    Advance(begun).begin_only()
    before.carry_over(state)
    if same.any():
        for name, values in before.same_program(program).items():
            state[name][same] = values[same]
    return state
