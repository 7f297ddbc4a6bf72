"""The compiled engine: a batch of systems in plain arrays, advanced in short turns with output and Ctrl-C between them."""

from __future__ import annotations

import contextlib
import functools
import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from .callbacks import OwnFunctions
from .continuation import Continuation
from .first_state import first_state, row_capacity, row_width, step_capacity, systems_by_size
from .kernels import layout as at
from .kernels import plan as kernel
from .program import Program
from .progress import Sink, Status, Watch
from .threads import chosen_threads, interrupts, numba_lock, workers

if TYPE_CHECKING:
    from .event_watch import EventWatch

MOST_ROWS = 1e9  # of one system's output: 100 GB and more
FIRST_BUDGET = 64  # steps of the first call
# seconds that a system spends in a lane at least, and the steps that are enough in any case
ENOUGH, ENOUGH_STEPS = 5e-6, 2000
TURN = 0.1  # seconds of one call of the kernels, after which Ctrl-C, the progress bar and the output are handled


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
    each_step: bool = False  # whether a row is written after every step, besides those of the output, for events

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
        each_step: bool = False,
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
        capacity = step_capacity(B, N) if each_step else 1 if output is None else row_capacity(B, N)
        if output is not None:
            system[:, at.OUTPUT_START] = sign * output.start
            state["count"][:, at.ROWS] = steps // int(output.every) if output.by_steps else 0
        if output is not None and output.times is not None:
            state["real"][:, at.DUE] = sign * output.times[0] if len(output.times) else np.inf
        start = start if before is None else before.start
        rows, cores = np.zeros((B, capacity, row_width(N))), chosen_threads(threads)
        return cls(program, start, system, state, rows, output, guard, cores, own, criterion, each_step)

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
    ) -> None:
        """Advance every system to its end. `sinks` take rows of output; `watch` and `save` are called after each turn.

        events: what looks for events in the rows after every step, and ends the systems that they stop.

        Ctrl-C takes effect between turns: the state is consistent then, and a `KeyboardInterrupt` is raised. An error that a
        function of the user raises also ends the run, with the state as it was before that turn.
        """
        advance = Advance(self)
        with workers(self.threads if len(self.start) > 1 else 1) as pool, interrupts() as interrupted:
            self.own.interrupted = interrupted
            while advance.running().any():
                if events is not None:
                    events.before_turn(self)
                self._turn(advance, pool)
                if events is None:
                    self._deliver_rows(sinks)
                else:
                    events.after_turn(self, sinks)
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
        bodies, steps, sign = self.unpacked(rows), rows[:, :, kernel.ROW_STEPS], self.direction
        return {
            "time": sign * rows[:, :, kernel.ROW_TIME] + 0.0,
            "dt": rows[:, :, kernel.ROW_DT].copy(),
            "energy": rows[:, :, kernel.ROW_ENERGY].copy(),
            "energy_error": rows[:, :, kernel.ROW_ERROR].copy(),
            "steps": np.where(np.isfinite(steps), steps, -1).astype(np.int64),
            "position": np.ascontiguousarray(bodies[:, :, 0]),
            "velocity": np.ascontiguousarray(sign[:, None, None] * bodies[:, :, 1]),
        }

    def unpacked(self, rows: np.ndarray) -> np.ndarray:
        """Return positions and velocities in rows (S, B, width) as (S, B, 2, N, D), of the motion in each system's direction.

        Rows have the bodies that are present first; absent ones are zeros at their own places here.
        """
        (B, N, D), present = self.start.position.shape, self.start.present
        bodies = rows[:, :, kernel.ROW_BODIES :].reshape(len(rows), B, 2, 3, N)[:, :, :, :D].swapaxes(3, 4)
        if (present[:, 1:] > present[:, :-1]).any():
            place = np.argsort(np.argsort(~present, axis=1, kind="stable"), axis=1)
            bodies = np.take_along_axis(bodies, place[None, :, None, :, None], axis=3)
        return bodies

    def final(self) -> Bodies:
        """Return the bodies as they are now."""
        present, D = self.start.present, self.start.position.shape[-1]
        position, velocity = np.zeros(self.start.position.shape), np.zeros(self.start.position.shape)
        for n, some in systems_by_size(present):
            first = at.HEAD + self.state["count"][some, at.CURRENT] * at.VECTORS * 3 * n
            places = first[:, None] + np.arange(6 * n)
            block = np.take_along_axis(self.state["states"][some], places.astype(np.int64), axis=1).reshape(-1, 2, 3, n)
            rows, columns = np.nonzero(present[some])
            x, v = (np.moveaxis(block[:, k, :D], 1, 2).reshape(-1, D) for k in (0, 1))
            position[some[rows], columns] = x
            velocity[some[rows], columns] = np.repeat(self.direction[some], n)[:, None] * v
        return self.start.moved(position, velocity, self.time)


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


def _plan(batch: Batch, wide: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return (ints, floats) of the kernels' `Plan`; `wide`: one system uses several threads."""
    numbers, arrays, output = batch.program.numbers, batch.program.arrays, batch.output
    wraps = arrays["wraps"]
    ints = np.zeros(kernel.WRAPS + len(wraps), dtype=np.int64)
    times = np.zeros(0) if output is None or output.times is None else batch.direction[0] * output.times
    for name in ("method", "stages", "kind", "base", "trials", "with_sums"):
        ints[getattr(kernel, name.upper())] = int(numbers[name])
    ints[kernel.THREADS] = batch.threads if wide else 1
    ints[kernel.ADDRESS] = numbers["address"]
    ints[kernel.WRAP_COUNT], ints[kernel.WRAPS :] = len(wraps), wraps
    ints[kernel.TIMES], ints[kernel.TIME_COUNT] = kernel.WRAP_NUMBERS + 2 * len(wraps), len(times)
    ints[kernel.EACH_STEP] = batch.each_step
    floats = np.zeros(kernel.WRAP_NUMBERS + 2 * len(wraps) + len(times))
    floats[kernel.GUARD] = batch.guard
    for name in ("kicks", "drifts", "displacements"):
        first = getattr(kernel, name.upper())
        floats[first : first + len(arrays[name])] = arrays[name]
    floats[kernel.WRAP_NUMBERS : ints[kernel.TIMES]] = arrays["wrap_numbers"]
    floats[ints[kernel.TIMES] :] = times
    if output is not None:
        by = kernel.EVERY_STEPS if output.by_steps else kernel.EVERY_TIME
        ints[kernel.OUTPUT] = by if output.times is None else kernel.AT_TIMES
        floats[kernel.OUTPUT_EVERY] = output.every
    return ints, floats


class Advance:
    """Calls of the kernels, each of about `TURN` seconds, whatever a step costs."""

    def __init__(self, batch: Batch) -> None:
        from .kernels.jit import use_threads
        from .kernels.pair_sums import CHUNKED
        from .kernels.registers import lane_width
        from .kernels.run import advance, advance_lanes

        self.advance, self.advance_lanes, self.use_threads, self.batch = advance, advance_lanes, use_threads, batch
        arrays = batch.program.arrays
        self.wide = batch.start.present.shape[1] >= CHUNKED and len(batch.start) == 1 and batch.threads > 1
        self.width = 1 if batch.program.calls_user else lane_width()
        self.plan = kernel.Plan(*_plan(batch, self.wide))
        state = batch.state
        self.store = kernel.Store(
            bodies=batch.start.body_count.astype(np.int64),
            system=batch.system,
            rule=arrays["rule"],
            states=state["states"],
            real=state["real"],
            count=state["count"],
            memory=state["memory"],
            window=state["window"],
            radau=state["radau"],
            rows=batch.rows,
        )
        self.budget, self.rate = FIRST_BUDGET, 0.0

    def begin_only(self) -> None:
        """Compute forces and energies of the start, without a step."""
        self.budget = 0
        for part in self._parts(np.arange(len(self.batch.start)), 1):
            self._advance(part)
        self.batch.own.raise_error()

    def running(self) -> np.ndarray:
        """Return which systems are still running, (B,)."""
        return np.asarray(self.batch.state["count"][:, at.STATUS] == at.RUNNING)

    def turn(self, pool: ThreadPoolExecutor | None) -> None:
        """Make up to `budget` steps of every running system, and adapt the budget to the time that they took."""
        began, before = clock.perf_counter(), int(self.batch.state["count"][:, at.STEPS].sum())
        systems = np.flatnonzero(self.running())
        if pool is None:
            with numba_lock if self.wide else contextlib.nullcontext():
                if self.wide:
                    self.use_threads(self.batch.threads)
                for part in self._parts(systems, 1):
                    self._advance(part)
        else:
            for job in [pool.submit(self._advance, part) for part in self._parts(systems, self.batch.threads)]:
                job.result()
        elapsed = max(clock.perf_counter() - began, 1e-6)
        steps = int(self.batch.state["count"][:, at.STEPS].sum()) - before
        self.rate = steps / elapsed
        enough = int(min(ENOUGH * self.rate, ENOUGH_STEPS))  # so that entering and leaving a lane takes a tenth of the time
        self.budget = int(min(max(self.budget * min(TURN / elapsed, 8.0), enough, 1), 2**40))

    def turn_alone(self) -> None:
        """Make a turn of the only system; it costs little more than its steps, so that many short ones can be made."""
        count = self.batch.state["count"]
        began, before = clock.perf_counter(), int(count[0, at.STEPS])
        if self.wide:
            self.turn(None)
            return
        self._alone(self.budget)
        steps, elapsed = int(count[0, at.STEPS]) - before, clock.perf_counter() - began
        if steps > FIRST_BUDGET:
            self.rate = steps / max(elapsed, 1e-6)
            self.budget = int(min(max(TURN * self.rate, FIRST_BUDGET), 2**40))
        elif steps == self.budget:
            self.budget *= 8

    @functools.cached_property
    def _alone(self) -> Callable[[int], None]:
        from .kernels.registers import aligned, registers_for

        only, store, plan = np.zeros(1, dtype=np.int64), self.store, self.plan
        shape, numbers = (self.batch.program.arrays[name] for name in ("shape", "numbers"))
        net = kernel.Net(shape, numbers, aligned((int(shape[kernel.SCRATCH_SIZE]), 1)))
        if not self._side_by_side(int(store.bodies[0])):
            return lambda budget: self.advance(only, 0, 1, budget, store, plan, net)
        registers = registers_for(store, 1)
        return lambda budget: self.advance_lanes(only, 0, 1, budget, store, plan, net, registers, (0.0,))

    def _parts(self, systems: np.ndarray, threads: int) -> Iterator[np.ndarray]:
        """Return the systems in parts for one call each, of equally many bodies."""
        bodies = self.store.bodies[systems]
        for n in np.unique(bodies).tolist():
            group = systems[bodies == n]
            lanes, parts = self.width if self._side_by_side(n) else 1, 8 * threads if threads > 1 else 1
            length = -(-len(group) // parts)
            length = -(-length // lanes) * lanes
            if threads > 1 and len(group) < lanes * threads:
                length = -(-len(group) // threads)
            yield from (group[k : k + length] for k in range(0, len(group), length))

    def _side_by_side(self, bodies: int) -> bool:
        return bodies <= at.FEW and self.batch.program.fits_lanes

    def _advance(self, part: np.ndarray) -> None:
        """Advance some systems of equally many bodies: few side by side, many and those of other methods one by one."""
        from .kernels.registers import aligned, registers_for

        shape, numbers = (self.batch.program.arrays[name] for name in ("shape", "numbers"))
        side_by_side = self._side_by_side(int(self.store.bodies[part[0]]))
        width = self.width if side_by_side and len(part) > 1 else 1
        net = kernel.Net(shape, numbers, aligned((int(shape[kernel.SCRATCH_SIZE]), width)))
        if side_by_side:
            registers, lanes = registers_for(self.store, width), (0.0,) * width
            self.advance_lanes(part, 0, len(part), self.budget, self.store, self.plan, net, registers, lanes)
        else:
            self.advance(part, 0, len(part), self.budget, self.store, self.plan, net)

    def status(self) -> Status:
        """Return the status of the run, for progress bars."""
        real, count = self.batch.state["real"], self.batch.state["count"]
        running = self.running()
        slowest = running if running.any() else np.ones_like(running)
        time, t_end = real[:, at.TIME], self.batch.system[:, at.T_END]
        last = int(np.argmax(np.where(slowest, t_end - time, -np.inf))) if np.isfinite(t_end).all() else int(np.argmin(time))
        sign = self.batch.direction[last]
        return Status(
            time=float(sign * time[last]) + 0.0,
            t_end=float(sign * t_end[last]) + 0.0,
            steps=int(count[:, at.STEPS].max()),
            step_limit=float(self.batch.system[0, at.STEP_LIMIT]),
            dt=float(real[slowest, at.DT_LAST].min()),
            max_energy_error=float(real[:, at.MAX_ERROR].max()),
            running=int(running.sum()),
            steps_per_second=self.rate,
        )
