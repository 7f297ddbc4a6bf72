"""The steps of one system in one direction of time, as a function of time: they depend on nothing that is asked of them.

A branch is a run whose steps are never cut. It keeps the state after its newest step, and some older ones to go on from.
States between two steps are reached by a step of their own from the earlier of them (with Gauss-Radau by its polynomial); they
are the same to the bit, whichever times were asked for before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..events import Event, Occurrence
from ..integrators import integrator_named
from .advance import Advance
from .batch import Batch, Output
from .event_looks import EventLooks, looks_of
from .event_search import Search
from .event_watch import EventWatch
from .first_state import MOST_STEPS, row_capacity, row_width
from .kernels import layout as at
from .kernels.plan import ROW_BODIES, ROW_DT, ROW_ERROR, ROW_STEPS, ROW_TIME
from .progress import Watch
from .steering import Steering
from .trajectory import Trajectory, TrajectorySink

KEPT = 32  # older states
FIRST_GAP = 4096  # steps between them; it doubles whenever there are more than `KEPT`
Arrays = dict[str, np.ndarray]


class Moment(NamedTuple):
    """The state of a system at a time, as a row of output; its numbers are read out when they are asked for."""

    row: np.ndarray  # see `kernels.plan`
    direction: float
    axes: int

    def _vectors(self, k: int) -> np.ndarray:
        both = self.row[ROW_BODIES:].reshape(2, 3, -1)
        return np.ascontiguousarray(both[k, : self.axes].T)

    @property
    def time(self) -> float:
        """Time of the state."""
        return float(self.direction * self.row[ROW_TIME]) + 0.0

    @property
    def position(self) -> np.ndarray:
        """Positions, (N, D)."""
        return self._vectors(0)

    @property
    def velocity(self) -> np.ndarray:
        """Velocities, (N, D)."""
        return self.direction * self._vectors(1)

    @property
    def dt(self) -> float:
        """Length of the last step that began before the state."""
        return float(self.row[ROW_DT])

    @property
    def energy_error(self) -> float:
        """Relative energy error since the start."""
        return float(self.row[ROW_ERROR])

    @property
    def steps(self) -> int:
        """Number of steps that began before the state."""
        return int(self.row[ROW_STEPS])


class Branch:
    """The steps of the only system of `start` forward (direction 1) or backward (-1) in time."""

    def __init__(self, start: Bodies, steering: Steering, direction: float, guard: float, threads: int | None) -> None:
        never = np.full(1, direction * np.inf)
        output = Output(1.0, False, start.time.copy(), np.zeros(1))
        self.batch = Batch.begin(
            start, steering.program, steering.own, never, float(MOST_STEPS), output, guard, threads, steering.criterion
        )
        self.direction, self.gap = direction, FIRST_GAP
        self.events: list[Occurrence] = []  # those found so far, in the order of the branch
        self._searched: Arrays | None = None  # the state until which they are known
        self.older: list[Arrays] = [_copied(self.batch.state)]
        self.integrator = str(steering.words["integrator"])
        self._advance = Advance(self.batch)

    # ---- the newest step -------------------------------------------------------------------------------------------------
    @property
    def real(self) -> np.ndarray:
        """Numbers of the newest state, see `layout`."""
        return self.batch.state["real"][0]

    @property
    def count(self) -> np.ndarray:
        """Counts of the newest state, see `layout`."""
        return self.batch.state["count"][0]

    @property
    def time(self) -> float:
        """Time of the newest state."""
        return float(self.direction * self.real[at.TIME]) + 0.0

    def advance_to(self, time: float, watch: Watch | None = None) -> bool:
        """Make steps until one ends at `time` or beyond it; return whether none failed."""
        return self._run(self.direction * time, float(MOST_STEPS), watch)

    def advance_by(self, steps: int, watch: Watch | None = None) -> bool:
        """Make so many steps; return whether none failed."""
        return self._run(np.inf, float(self.count[at.STEPS] + steps), watch)

    def _run(self, stop: float, limit: float, watch: Watch | None) -> bool:
        """Make steps until the time `stop` of the direction or so many, and leave the state at `stop` in the row of output."""
        count = self.count
        if count[at.STATUS] not in at.GOES_ON:
            return False
        self._ask_for(stop, limit)
        while count[at.STATUS] == at.RUNNING:
            self.batch.turn_alone(self._advance)
            if count[at.STEPS] - self.older[-1]["count"][0, at.STEPS] >= self.gap:
                self._keep()
            if watch is not None:
                watch(self._advance.status())
        return bool(count[at.STATUS] in at.GOES_ON)

    def _ask_for(self, stop: float, limit: float) -> None:
        """Let the next turns run to a time or number of steps, and write a row at that time."""
        system, count = self.batch.system[0], self.count
        system[at.STOP], system[at.STEP_LIMIT], self.real[at.DUE] = stop, limit, stop
        count[at.STATUS], count[at.ROWS], count[at.PENDING] = at.RUNNING, 0, 0

    def _keep(self) -> None:
        self.older.append(_copied(self.batch.state))
        if len(self.older) > KEPT:
            self.older, self.gap = self.older[::2], 2 * self.gap

    # ---- states in between -----------------------------------------------------------------------------------------------
    def at(self, time: float) -> Moment:
        """Return the state at a time that the branch has reached."""
        due = self.direction * time
        if due < self.real[at.TIME_BEFORE]:
            self.restore(self._before(due))
            self._run(due, float(MOST_STEPS), None)
        if self.count[at.PENDING] != 1 or self.batch.rows[0, 0, ROW_TIME] != due:
            status = int(self.count[at.STATUS])
            self._ask_for(due, -1.0)  # no further step is made
            self.batch.turn_alone(self._advance)
            self.count[at.STATUS] = status
        return Moment(self.batch.rows[0, 0].copy(), self.direction, self.batch.start.position.shape[2])

    def _before(self, time: float) -> Arrays:
        return next(state for state in reversed(self.older) if state["real"][0, at.TIME] <= time or state is self.older[0])

    def restore(self, state: Arrays) -> None:
        """Put another state of the branch in place of the newest."""
        for name, values in state.items():
            self.batch.state[name][:] = values

    def trajectory(self, times: np.ndarray, watch: Watch | None = None) -> Trajectory:
        """Return the states at times in the order of the branch; it goes on until the last of them if it has not yet."""
        sink, newest, first = TrajectorySink(self.batch.start, times), self.batch.state, self.direction * times[0]
        state = _copied(newest if newest["real"][0, at.TIME_BEFORE] <= first else self._before(first))
        output = Output(1.0, False, self.batch.start.time.copy(), times)
        self._run_from(state, float(times[-1]), output).run([sink.take], watch)
        if state["count"][0, at.STEPS] > self.count[at.STEPS]:
            self._take(state)
        return sink.trajectory()

    def search(self, time: float, events: tuple[Event, ...], watch: Watch | None = None, most: int = MOST_STEPS) -> bool:
        """Find the events until a time, in the next `most` steps; return whether they are known until then.

        The branch goes on until there if it has not yet.
        """
        due = self.direction * time
        state = _copied(self.older[0] if self._searched is None else self._searched)
        if state["real"][0, at.TIME] >= due:
            return True
        run = self._run_from(state, time, None, looks_of(events, self.batch.start, stops=False))
        run.system[0, at.STEP_LIMIT] = min(float(MOST_STEPS), float(state["count"][0, at.STEPS] + most))
        search = Search(events, run.start, integrator_named(self.integrator), run.direction)
        found = EventWatch(events, run, search, stops=False, begins=self._searched is None)
        run.run([], watch, None, found)
        self.events += found.log
        self._searched = _copied(state)
        if state["count"][0, at.STEPS] > self.count[at.STEPS]:
            self._take(state)
        return bool(state["real"][0, at.TIME] >= due or state["count"][0, at.STATUS] not in at.GOES_ON)

    def _run_from(self, state: Arrays, until: float, output: Output | None, looks: EventLooks | None = None) -> Batch:
        """Return a run of the branch from one of its states, with rows of its own, until the step that reaches a time."""
        b, N, system = self.batch, self.batch.start.position.shape[1], self.batch.system.copy()
        system[0, at.STOP], system[0, at.STEP_LIMIT] = self.direction * until, float(MOST_STEPS)
        count = state["count"]
        if count[0, at.STATUS] not in at.GOES_ON:
            system[0, at.STEP_LIMIT] = -1.0  # no further step can be made, but its last one can be looked into
        count[0, at.STATUS] = at.RUNNING
        count[0, [at.ROWS, at.PENDING, at.NOTED]] = 0
        state["real"][0, at.DUE] = np.inf if output is None or output.times is None else self.direction * output.times[0]
        rows = np.zeros((1, row_capacity(1, N), row_width(N)))
        return Batch(b.program, b.start, system, state, rows, output, b.guard, b.threads, b.own, b.criterion, looks)

    def _take(self, state: Arrays) -> None:
        """Go on from a later state of the branch, with no row of output."""
        self.restore(state)
        self.count[[at.ROWS, at.PENDING]] = 0
        if self.count[at.STEPS] - self.older[-1]["count"][0, at.STEPS] >= self.gap:
            self._keep()

    def copy(self, steering: Steering, guard: float, threads: int | None) -> Branch:
        """Return another branch with the same steps, which goes on by itself."""
        made = Branch(self.batch.start, steering, self.direction, guard, threads)
        made.restore(self.batch.state)
        made.older, made.gap = list(self.older), self.gap
        made.events, made._searched = list(self.events), self._searched
        return made


def _copied(state: Arrays) -> Arrays:
    return {name: values.copy() for name, values in state.items()}


class Earlier(NamedTuple):
    """What a simulation had done before its bodies were changed last."""

    steps: int = 0
    force_evaluations: int = 0
    max_energy_error: float = 0.0
    energy_change: float = 0.0
