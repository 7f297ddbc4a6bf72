"""Simulation: one system that one can hold, ask for times, change, look at, and continue."""

from __future__ import annotations

import math
import time as clock
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies, as_bodies
from ..criteria.base import Criterion
from ..errors import ConfigError, InitialConditionError, SimulationWarning
from ..events import Collision, Event, Occurrence, as_events
from ..measured import in_time_unit
from ..units import UnitSystem
from .advice import warn_of
from .branch import Branch, Earlier, Moment
from .changes import merged, on_orbit, one_system, with_body, with_radius, without_body, without_radius
from .event_search import subjects_of
from .first_state import MOST_STEPS
from .kernels import layout as at
from .length import calibrated_span
from .outcome import result_of
from .present import Present
from .progress import Watch
from .result import ENDED, OK, SimulationResult
from .saving import About, asked_again, load, save
from .schedule import DEFAULT_MAX_STEPS, refuse_no_count
from .session import watching
from .steering import Steering, guard_share, steering_of
from .trajectory import Trajectory, finite_number, finite_numbers
from .units import refuse_extreme_units

SEARCHED = 4096  # steps that are searched at once for the first event that stops; from search to search twice as many


class Simulation(Present):
    """One system of bodies, moved to any time, forward or backward, as often as one likes.

    particle, G, softening, external_field, units, criterion, tol, integrator, dt_min, dt_max, guard, events, threads: as in
    `simulate`; one system, whose arrays have no batch axis here: `position` and `velocity` are (N, D).

    The motion is a function of time: the steps are those of one run from the start, and they never end at the times that are
    asked for. The state at a time inside a step is reached by a step of its own, which the run does not take (with
    Gauss-Radau by its polynomial). So the bits at a
    time do not depend on what was asked before. t_end: how long the simulation is meant to go on. The tolerance of a learned
    step for light bodies is calibrated for the length of a run; without `t_end` for forty orbits of the tightest pair.

    Examples:
        >>> from aitimestepper import Simulation
        >>> from aitimestepper.initial import triple
        >>> sim = Simulation(triple(), tol=1e-5)
        >>> sim = sim.integrate(10.0)
        >>> sim.time, sim.position.shape, bool(sim.energy_error < 1e-5)  # (N, D)
        (10.0, (3, 3), True)
        >>> sim.at([2.0, 5.0]).position.shape  # (T, N, D)
        (2, 3, 3)
    """

    def __init__(
        self,
        particle: Any,
        *,
        tol: float | None = None,
        criterion: Criterion | str | Path | None = None,
        integrator: str = "auto",
        G: float | None = None,
        softening: float | None = None,
        external_field: Any = None,
        units: str | UnitSystem | None = None,
        dt_min: float | None = None,
        dt_max: float | None = None,
        guard: bool = False,
        events: Any = None,
        t_end: float | None = None,
        threads: int | None = None,
    ) -> None:
        given = particle.final if isinstance(particle, SimulationResult) else particle
        start = one_system(as_bodies(given, G=G, softening=softening, external_field=external_field, units=units))
        given_times = {"t_end": t_end, "dt_min": dt_min, "dt_max": dt_max}
        t_end, dt_min, dt_max = (in_time_unit(name, value, start.units) for name, value in given_times.items())
        self._steered_by: dict[str, Any] = {"criterion": criterion, "tol": tol, "integrator": integrator, "guard": guard}
        self._steered_by |= {"dt_min": dt_min, "dt_max": dt_max}
        self._t_end = None if t_end is None else finite_number("t_end", t_end)
        self._threads, self._earlier = threads, Earlier()
        self._begin(start, as_events(events))

    # ---- motion ----------------------------------------------------------------------------------------------------------
    def integrate(self, time: float, *, progress: bool | Watch = False) -> Simulation:
        """Move to a time, forward or backward; or to an event on the way that stops, with which `status` is `event`.

        Where the motion cannot be followed, `status` says why, and the time is that of the last step. Another call goes on from
        an event. The last two bodies do not merge: where they would, the call ends.
        """
        time = finite_number("time", in_time_unit("time", time, self._start.units))
        with watching(progress) if progress else nullcontext(None) as watch:
            end = self._next_stop(time, watch) if self._events else None
            while end is not None and self._is_merger(end):
                self._move(end.time, watch)
                self._merge_at(end)
                end = self._next_stop(time, watch)
            self._move(time if end is None else end.time, watch)
        self._stopped = end is not None
        self._warn(stacklevel=2)
        return self

    def _move(self, time: float, watch: Watch | None = None) -> None:
        branch = self._turn_to(time)
        reached = branch.direction * time <= branch.real[at.TIME] or branch.advance_to(time, watch)
        self._now: Moment = branch.at(time if reached else branch.time)

    def _next_stop(self, time: float, watch: Watch | None) -> Occurrence | None:
        """Return the first event that stops, between the present and a time farther from the start."""
        branch, now, known, found = self._turn_to(time), self.time, False, None
        sign = branch.direction
        on = max(sign * now, sign * float(self._start.time[0]))
        most = SEARCHED if any(event.stops for event in self._events) else MOST_STEPS
        while found is None and not known:
            known, most = branch.search(time, self._events, watch, most), 2 * most
            ahead = (e for e in branch.events if on < sign * e.time <= sign * time)
            found = next((e for e in ahead if self._events[e.number].stops), None)
        return found

    def _is_merger(self, end: Occurrence) -> bool:
        event = self._events[end.number]
        return isinstance(event, Collision) and event.action == "merge" and len(self) > 2

    def _merge_at(self, end: Occurrence) -> None:
        """Let two bodies become one now, and log the event, which no branch of the changed system knows."""
        found, before = self.events, self.bodies
        one, other = end.bodies
        bodies, events = merged(before, one, other, self._events)
        self._change(bodies, events)
        self._logged = found

    @property
    def events(self) -> tuple[Occurrence, ...]:
        """What happened between the start, or the last change of the bodies, and now, in the order of time; and before that."""
        sign, now = self._branch.direction, self.time
        return (*self._logged, *(e for e in self._branch.events if sign * e.time <= sign * now))

    def steps(self, count: int = 1, *, progress: bool | Watch = False) -> Simulation:
        """Move to the end of the next step, or of so many, in the direction of time from the start to now.

        As in `integrate`, an event on the way that stops ends this, and bodies merge on the way.
        """
        if count is None:
            raise ConfigError("steps = None must be a whole number, 1 or more.")
        refuse_no_count(steps=count)
        direction = self._branch.direction
        self._branch.at(self.time)  # the newest step is the one that the present is in
        last = self.step_count + count - int(direction * self.time < self._branch.real[at.TIME])
        with watching(progress) as watch:
            end = self._step_until(last, direction, watch)
            while end is not None and self._is_merger(end):
                self._merge_at(end)
                end = self._step_until(last, direction, watch) if self.step_count < last else None
        self._stopped = end is not None
        self._warn(stacklevel=2)
        return self

    def _step_until(self, last: int, direction: float, watch: Watch | None) -> Occurrence | None:
        """Move to the end of step number `last`, or to the first event that stops, and return this."""
        branch = self._branch_of(direction)
        more = last - self._earlier.steps - int(branch.count[at.STEPS])
        if more > 0:
            branch.advance_by(more, watch)
        until = branch.time
        end = self._next_stop(until, watch) if self._events else None
        self._branch = branch
        self._now = branch.at(until if end is None else end.time)
        return end

    def at(self, times: Any, *, progress: bool | Watch = False) -> Trajectory:
        """Return the states at any times, in any order, without leaving the present: arrays (T, N, D) and (T,)."""
        wanted = finite_numbers("times", in_time_unit("times", times, self._start.units))
        order, back = np.unique(wanted, return_inverse=True)
        start, parts = float(self._start.time[0]), []
        with watching(progress) as watch:
            for direction, some in ((-1.0, order[order < start][::-1]), (1.0, order[order >= start])):
                if len(some):
                    found = self._branch_of(direction).trajectory(some, watch)
                    parts.append([x[:: int(direction)] for x in found])
        rows = [np.concatenate(columns)[back] for columns in zip(*parts, strict=True)]
        return Trajectory(rows[0], *(x[:, 0] for x in rows[1:]))

    def _turn_to(self, time: float) -> Branch:
        self._branch = self._branch_of(1.0 if time >= self._start.time[0] else -1.0)
        return self._branch

    def _branch_of(self, direction: float) -> Branch:
        if direction not in self._branches:
            self._branches[direction] = Branch(self._start, self._steering, direction, self._guard, self._threads)
        return self._branches[direction]

    @property
    def result(self) -> SimulationResult:
        """What `simulate` returns, of the branch of time that the present is on, until its newest step; `final` is now."""
        asked = {**self._steering.words, "status_at_limit": OK}
        whole = result_of(self._branch.batch, asked, clock.perf_counter(), None)
        return replace(whole, final=self.bodies, max_energy_error=np.array([self.max_energy_error]))

    # ---- changes ---------------------------------------------------------------------------------------------------------
    def add(
        self,
        mass: Any,
        position: Any = None,
        velocity: Any = None,
        name: str | None = None,
        *,
        about: str | int | None = None,
        radius: float | None = None,
        **elements: Any,
    ) -> Simulation:
        """Add a body now; errors count from the new energy on.

        radius: of the body, for collisions; needed where they have a radius for each body.

        Where it is, is its position and velocity, or its orbit: `a` or `q`, and `e`, `inc`, `Omega`, `omega`, `f`, `M`, `T`,
        `degrees` as in `Bodies.from_elements`, about the body `about`, or about the centre of mass of all.
        """
        now, given = self.bodies, [x for x in (position, velocity) if x is not None]
        if len(given) != (0 if elements else 2):
            raise InitialConditionError("add needs position and velocity, or the elements of an orbit, such as a=1.0, e=0.1.")
        if elements:
            position, velocity = on_orbit(now, mass, None if about is None else self.index(about), elements)
        more = with_body(now, mass, position, velocity, name)
        return self._change(more, tuple(with_radius(e, len(self), radius) for e in self._events))

    def remove(self, which: str | int) -> Simulation:
        """Remove a body now, by its name or number; errors count from the new energy on."""
        number = self.index(which)
        return self._change(without_body(self.bodies, number), tuple(without_radius(e, number) for e in self._events))

    def merge(self, one: str | int, other: str | int) -> Simulation:
        """Make one body of two, at their centre of mass, with their mass and momentum; `energy_change` takes what is lost."""
        return self._change(*merged(self.bodies, self.index(one), self.index(other), self._events))

    def replace(self, **changes: Any) -> Simulation:
        """Change masses, positions, velocities, softening, names or the outer field now, as in `Bodies.replace`."""
        return self._change(one_system(self.bodies.replace(**changes)))

    def _change(self, bodies: Bodies, events: tuple[Event, ...] | None = None) -> Simulation:
        before, logged = self.energy(), self.events
        events = self._events if events is None else events
        earlier = Earlier(
            self.step_count,
            self.force_evaluations,
            self.max_energy_error,
            self.energy_change + float(bodies.total_energy()[0]) - before,
        )
        self._begin(bodies, events)
        self._earlier, self._logged = earlier, logged
        return self

    def _begin(self, start: Bodies, events: tuple[Event, ...]) -> None:
        """Begin a motion at a start: that of the simulation, or the present state after a change of the bodies.

        What does not fit is refused before anything changes.
        """
        subjects_of(events, start)
        if start.run is None:
            refuse_extreme_units(start)
        end = self._end()
        steering = steering_of(start, end, DEFAULT_MAX_STEPS, **self._steered_by)
        words, asked = steering.words, self._steered_by
        if start.run is None:
            refuse_extreme_units(start, steering.criterion, words["integrator"])
        self._steering, self._events = steering, events
        self._guard = guard_share(asked["guard"], asked["tol"], words["run_tolerance"], start.run)
        self._start, self._warned, self._stopped, self._logged = start, False, False, ()
        self._branches: dict[float, Branch] = {}
        self._span = calibrated_span(self._steering.criterion, start, end)
        self._now = self._turn_to(float(start.time[0])).at(float(start.time[0]))

    def _end(self) -> np.ndarray:
        return np.full(1, math.inf if self._t_end is None else self._t_end)

    def _warn(self, stacklevel: int) -> None:
        """Warn once if a tolerance is missed, the motion cannot be followed, or it is longer than the step is made for."""
        if self._warned:
            return
        failed = self.status not in ENDED or (self.tol is not None and self.max_energy_error > self.tol)
        if failed:
            warn_of(self.result, stacklevel + 1)
        elif abs(self.time - self._start.time[0]) > self._span:
            warnings.warn(
                f"the simulation has gone on for longer than {self._span:g}, for which its step is calibrated: give t_end, the "
                "longest time, when you make it.",
                SimulationWarning,
                stacklevel=stacklevel + 1,
            )
        else:
            return
        self._warned = True

    # ---- copies and files ------------------------------------------------------------------------------------------------
    def copy(self) -> Simulation:
        """Return the same simulation as another object, which goes on by itself, with the same bits."""
        made = object.__new__(Simulation)
        made.__dict__.update(self.__dict__)
        made._branches = {sign: b.copy(self._steering, self._guard, self._threads) for sign, b in self._branches.items()}
        made._branch = made._branches[self._branch.direction]
        return made

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Simulation:
        return self.copy()

    def __reduce__(self) -> Any:
        raise ConfigError("a Simulation cannot be pickled: save it to a file, and load it where it is to go on.")

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the simulation to a file, from which `load` goes on with the same bits."""
        if self._start.run is not None:
            raise ConfigError(
                "a Simulation that goes on from the result of `simulate` cannot be saved: begin it from result.final.replace()."
            )
        spent = self.force_evaluations - int(self._branch.count[at.FORCES])  # those of the other direction, too
        others = [float(b.real[at.MAX_ERROR]) for b in self._branches.values() if b is not self._branch]
        worst = max(self._earlier.max_energy_error, *others, 0.0)
        earlier = self._earlier._replace(max_energy_error=worst, force_evaluations=spent)
        present = About(self.time, earlier, self._t_end, asked_again(self._steered_by))
        save(path, self._branch.batch, self._steering.words, present, overwrite)
        return Path(path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        criterion: Criterion | None = None,
        external_field: Any = None,
        events: Any = None,
        threads: int | None = None,
    ) -> Simulation:
        """Return the simulation in a file; events are given again, as are a criterion and a field of one's own."""
        loaded = load(path, threads, criterion, external_field)
        batch, made = loaded.batch, object.__new__(cls)
        made._steering = Steering(batch.program, batch.own, loaded.words, batch.criterion)
        made._steered_by = {"criterion": batch.criterion, "tol": None, "integrator": loaded.words["integrator"]}
        made._steered_by |= {"guard": batch.guard > 0.0, "dt_min": None, "dt_max": None}
        if loaded.about.asked is not None and criterion is None:
            made._steered_by = {"criterion": None, **loaded.about.asked}
        made._t_end, made._threads, made._guard = loaded.about.t_end, threads, batch.guard
        made._earlier, made._start, made._branches, made._warned = loaded.about.earlier, batch.start, {}, False
        made._events, made._stopped, made._logged = as_events(events), False, ()
        subjects_of(made._events, made._start)
        made._span = calibrated_span(batch.criterion, batch.start, made._end())
        made._branch = made._branch_of(float(batch.direction[0]))
        made._branch.restore(batch.state)
        made._now = made._branch.at(loaded.about.time)
        return made
