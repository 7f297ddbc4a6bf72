"""Calls of the kernels for a batch: each of about a tenth of a second, whatever a step costs."""

from __future__ import annotations

import contextlib
import functools
import time as clock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from .agent_steps import UNTIL_THE_LIMIT, AgentSteps, ChosenSteps
from .kernels import layout as at
from .kernels import plan as kernel
from .progress import Status
from .threads import numba_lock

if TYPE_CHECKING:
    from .batch import Batch

FIRST_BUDGET = 64  # steps of the first call
# seconds that a system spends in a lane at least, and the steps that are enough in any case
ENOUGH, ENOUGH_STEPS = 5e-6, 2000
WORTH_THREADS = 2000  # systems from which on several threads are quicker where a turn is one step
TURN = 0.1  # seconds of one call of the kernels, after which Ctrl-C, the progress bar and the output are handled


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
    return (ints, floats) if batch.looks is None else batch.looks.after(ints, floats)


class Advance:
    """Calls of the kernels, each of about `TURN` seconds, whatever a step costs."""

    def __init__(self, batch: Batch, chosen: ChosenSteps | None = None) -> None:
        from .kernels.jit import use_threads
        from .kernels.pair_sums import CHUNKED
        from .kernels.registers import lane_width
        from .kernels.run import advance, advance_lanes

        self.advance, self.advance_lanes, self.use_threads, self.batch = advance, advance_lanes, use_threads, batch
        arrays = batch.program.arrays
        self.wide = batch.start.present.shape[1] >= CHUNKED and len(batch.start) == 1 and batch.threads > 1
        self.width = 1 if batch.program.calls_user else lane_width()
        self.plan = kernel.Plan(*_plan(batch, self.wide))
        state, agent = batch.state, batch.own.agent
        if agent is not None and chosen is None:
            chosen = AgentSteps(agent, batch.system, arrays["rule"])
        self.chosen = chosen
        self.store = kernel.Store(
            bodies=batch.start.body_count.astype(np.int64),
            system=batch.system if chosen is None else chosen.system,
            rule=arrays["rule"] if chosen is None else chosen.rule,
            states=state["states"],
            real=state["real"],
            count=state["count"],
            memory=state["memory"],
            window=state["window"],
            radau=state["radau"],
            rows=batch.rows,
            noted=batch.noted,
            events=np.zeros((len(batch.start), 0)) if batch.looks is None else batch.looks.of_bodies,
            look_until=np.zeros(len(batch.start)),
        )
        self.budget, self.rate = FIRST_BUDGET, 0.0

    def look(self, until: np.ndarray, tide: float) -> None:
        """Let systems that pause go on at once, up to so many steps (B,), unless their outcome may be decided."""
        if self.chosen is None:
            self.store.look_until[:], self.plan.floats[kernel.TIDE] = until, tide

    def begin_only(self, systems: np.ndarray | None = None) -> None:
        """Compute forces and energies of the start of all systems, or of some, without a step."""
        self.budget = 0
        for part in self._parts(np.arange(len(self.batch.start)) if systems is None else systems, 1):
            self._advance(part)
        self.batch.own.raise_error()

    def running(self) -> np.ndarray:
        """Return which systems are still running, (B,)."""
        return np.asarray(self.batch.state["count"][:, at.STATUS] == at.RUNNING)

    def turn(self, pool: ThreadPoolExecutor | None) -> None:
        """Make up to `budget` steps of every running system, and adapt the budget to the time that they took."""
        began, before = clock.perf_counter(), int(self.batch.state["count"][:, at.STEPS].sum())
        systems = self._asked(np.flatnonzero(self.running()))
        if pool is None or (self.chosen is not None and len(systems) < WORTH_THREADS):
            with numba_lock if self.wide else contextlib.nullcontext():
                if self.wide:
                    self.use_threads(self.batch.threads)
                for part in self._parts(systems, 1):
                    self._advance(part)
        else:
            for job in [pool.submit(self._advance, part) for part in self._parts(systems, self.batch.threads)]:
                job.result()
        if self.chosen is not None:
            self.chosen.go_on(self.store, systems)
        elapsed = max(clock.perf_counter() - began, 1e-6)
        steps = int(self.batch.state["count"][:, at.STEPS].sum()) - before
        self.rate = steps / elapsed
        enough = int(min(ENOUGH * self.rate, ENOUGH_STEPS))  # so that entering and leaving a lane takes a tenth of the time
        self.budget = int(min(max(self.budget * min(TURN / elapsed, 8.0), enough, 1), 2**40))

    def _asked(self, systems: np.ndarray) -> np.ndarray:
        """Return the systems of a turn, after their steps were chosen, if they are chosen one by one."""
        if self.chosen is None:
            return systems
        self.chosen.system[:] = self.batch.system
        fresh = systems[self.store.count[systems, at.FORCES] == 0]
        if len(fresh):
            self.begin_only(fresh)
            systems = np.flatnonzero(self.running())
        self.chosen.choose(self.store, systems)
        self.budget = UNTIL_THE_LIMIT
        return systems

    def turn_alone(self) -> None:
        """Make a turn of the only system; it costs little more than its steps, so that many short ones can be made."""
        count = self.batch.state["count"]
        began, before = clock.perf_counter(), int(count[0, at.STEPS])
        if self.wide or self.chosen is not None:
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
