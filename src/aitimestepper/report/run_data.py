"""The rows of one system of a run, whatever it comes from: a file of snapshots, a recorded trajectory, a result."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..errors import UserError, nearest_name_hint, shown
from ..files import path_shown
from ..simulate.described import name_of
from ..simulate.recording import RecordedTrajectory
from ..simulate.simulation import Simulation
from ..simulate.snapshots import Snapshots
from .orbits import MAX_POSITIONS

MOST_ROWS = 20_000  # rows that are drawn; of more, every n-th one
ROWS = 1001  # states of a `Simulation` from its start to now
LARGEST = 1e140  # coordinate, whose square matplotlib can compute with
WAYS = "give the path of an output file, its Snapshots, a Simulation, or a result of simulate(..., output='run.h5')"


@dataclass(frozen=True)
class RunData:
    """T rows of one system of N bodies, those present; times increase, also of a run that went backward."""

    time: np.ndarray  # (T,)
    position: np.ndarray  # (T, N, D)
    velocity: np.ndarray  # (T, N, D)
    bodies: Bodies  # at the start, those that are present alone
    names: tuple[str, ...]  # of the N bodies, or their numbers
    dt: np.ndarray | None = None  # (T,) step that led to each row
    errors: np.ndarray | None = None  # (T,) energy error at each row, as the run measured it
    energy: np.ndarray | None = None  # (T,) as the run measured it
    tol: float | None = None
    units: Any = None  # system of units of all numbers
    backward: bool = False  # whether the run began with the last row

    @property
    def end(self) -> int:
        """The row that the run ended with."""
        return 0 if self.backward else -1

    def states(self) -> Bodies:
        """Return the rows as a batch of T systems."""
        every = self.bodies.select(np.zeros(len(self.time), dtype=int))
        return every.moved(self.position, self.velocity, self.time)

    @cached_property
    def energy_error(self) -> np.ndarray:
        """Energy error relative to the start, (T,): as the run measured it, or else from the rows."""
        if self.errors is not None:
            return np.abs(self.errors)
        if self.bodies.external_field is not None:
            raise UserError(
                f"a run in an outer field has its energy errors, less the work of the field, only in a file: {WAYS}."
            )
        states = self.states()
        energy = states.total_energy()
        start = -1 if self.backward else 0
        return np.asarray(np.abs(energy - energy[start]) / states.select([start]).energy_scale())

    def path(self) -> RecordedTrajectory:
        """Return the rows as figures take them, without energies and momenta; dt is 0 where no steps are known."""
        nothing, rows = np.zeros_like(self.time), len(self.time)
        return RecordedTrajectory(
            mass=self.bodies.mass[0],
            time=self.time,
            position=self.position,
            velocity=self.velocity,
            dt=nothing if self.dt is None else self.dt,
            energy=nothing,
            energy_error=nothing,
            momentum=np.zeros((rows, self.position.shape[-1])),
            angular_momentum=np.zeros((rows, 3)),
        )

    def recorded(self) -> RecordedTrajectory:
        """Return the rows with energies and momenta, as movies take them."""
        states = self.states()
        return replace(
            self.path(),
            energy=states.total_energy() if self.energy is None else self.energy,
            energy_error=self.energy_error,
            momentum=states.momentum(),
            angular_momentum=states.angular_momentum(),
        )

    def body(self, which: Any) -> int:
        """Return the place of a body among the N, by its name or number."""
        for name in (which, f"body {which}"):
            if isinstance(name, str) and name in self.names:
                return self.names.index(name)
        number = int(which) if isinstance(which, str) and which.isdecimal() and len(which) < 9 else which
        if isinstance(number, (int, np.integer)) and not isinstance(number, bool) and 0 <= number < len(self.names):
            return int(number)
        raise UserError(f"there is no body {shown(which)} in the run: {nearest_name_hint(str(which), self.names)}")

    def about(self, which: Any) -> RunData:
        """Return the rows relative to a body."""
        k = self.body(which)
        return replace(self, position=self.position - self.position[:, [k]], velocity=self.velocity - self.velocity[:, [k]])


def run_data(run: Any, system: int = 0) -> RunData:
    """Return the rows of one system of a run, or raise one sentence that says what a run is."""
    if isinstance(run, RunData):
        return run
    if isinstance(run, (str, os.PathLike)):
        with Snapshots(Path(run)) as snapshots:
            return _of_snapshots(snapshots, system)
    if isinstance(run, Snapshots):
        return _of_snapshots(run, system)
    if isinstance(run, RecordedTrajectory):
        return _of_recorded(run)
    if isinstance(run, Simulation):
        _check_system(system, 1)
        return _of_trajectory(_Motion.of(run), 0)
    if getattr(run, "trajectory", None) is not None:
        return _of_trajectory(run, system)
    if getattr(run, "output", None) is not None:
        return run_data(run.output, system)
    raise UserError(f"{type(run).__name__} {shown(run)} holds no rows to draw: {WAYS}.")


def refuse_held(snapshots: Snapshots) -> None:
    """Raise an error for a file of a `Simulation`, which has no rows."""
    if "simulation" in snapshots.metadata:
        raise UserError(
            f"{path_shown(snapshots.path)} holds a Simulation, of which a file has no rows: load it with Simulation.load, and "
            "plot it."
        )


def _of_snapshots(snapshots: Snapshots, system: int) -> RunData:
    """Read the rows of one system, every n-th of many, and the last one."""
    refuse_held(snapshots)
    start = snapshots.initial
    _check_system(system, len(start))
    ended = ~np.isfinite(snapshots.time[:, system])
    count = int(ended.argmax()) if ended.any() else len(ended)
    every = 1 + count // _row_limit(start)
    rows = slice(0, count, every)
    present = start.present[system]
    last = slice(count - 1, count if count and (count - 1) % every else count - 1)  # unless it is among the others

    def column(name: str) -> np.ndarray:
        values = snapshots.column(name)
        return np.concatenate([values[rows, system], values[last, system]])

    return _checked(
        RunData(
            time=column("time"),
            position=column("position")[:, present],
            velocity=column("velocity")[:, present],
            bodies=_present(start, system),
            names=_names(start, system),
            dt=column("dt"),
            errors=column("energy_error"),
            energy=column("energy"),
            tol=_tolerance(snapshots.metadata.get("tol"), system),
            units=getattr(start, "units", None),
        )
    )


def _present(start: Bodies, system: int) -> Bodies:
    """Return the bodies of one system, without the absent ones that pad it."""
    present = start.present[system]
    arrays = (getattr(start, name)[system, present] for name in ("mass", "position", "velocity"))
    return Bodies(
        *arrays, softening=start.softening[system], G=start.G, time=start.time[system], external_field=start.external_field
    )


def _names(start: Bodies, system: int) -> tuple[str, ...]:
    return tuple(name_of(start.names, int(k)) for k in np.flatnonzero(start.present[system]))


def _of_recorded(trajectory: RecordedTrajectory) -> RunData:
    bodies = Bodies(trajectory.mass, trajectory.position[0], trajectory.velocity[0])
    shared = (trajectory.time, trajectory.position, trajectory.velocity)
    return _checked(RunData(*shared, bodies, _names(bodies, 0), trajectory.dt, trajectory.energy_error, trajectory.energy))


class _Motion(NamedTuple):
    """A simulation from its start to now, as rows."""

    trajectory: Any
    bodies: Bodies
    tol: float | None

    @classmethod
    def of(cls, simulation: Simulation) -> _Motion:
        limits = simulation.result.limits
        start = simulation.time if limits is None else float(limits.start.time[0])
        if start == simulation.time:
            raise UserError("the simulation is at its start: integrate it, and what it passed through can be drawn.")
        found = simulation.at(np.linspace(start, simulation.time, ROWS))
        batched = found._replace(position=found.position[:, None], velocity=found.velocity[:, None])
        return cls(batched, simulation.bodies, simulation.tol)


def _of_trajectory(run: Any, system: int) -> RunData:
    """Return the rows of a `trajectory`: time (T,) or (T, B), position and velocity (T, B, N, D)."""
    found = run.trajectory
    start = next((x for name in ("final", "bodies", "initial") if isinstance(x := getattr(run, name, None), Bodies)), None)
    if start is None:
        raise UserError(f"{type(run).__name__} has a trajectory, and no bodies that it is of: {WAYS}.")
    _check_system(system, len(start))
    position, velocity = np.asarray(found.position), np.asarray(found.velocity)
    present = start.present[system]

    def column(values: Any) -> np.ndarray | None:
        if values is None:
            return None
        array = np.asarray(values, dtype=np.float64)
        return array[:, system] if array.ndim == 2 else array

    time = column(found.time)
    assert time is not None
    rows = np.flatnonzero(np.isfinite(time) & np.isfinite(position[:, system][:, present]).all((1, 2)))
    rows = rows[:: 1 + len(rows) // _row_limit(start)]
    known = (column(getattr(found, name, None)) for name in ("dt", "energy_error", "energy"))
    dt, errors, energy = (None if c is None else c[rows] for c in known)
    return _checked(
        RunData(
            time=time[rows],
            position=position[rows, system][:, present],
            velocity=velocity[rows, system][:, present],
            bodies=_present(start, system),
            names=_names(start, system),
            dt=dt,
            errors=errors,
            energy=energy,
            tol=_tolerance(getattr(run, "tol", None), system),
            units=getattr(start, "units", None),
        )
    )


def _row_limit(bodies: Bodies) -> int:
    return max(2, min(MOST_ROWS, MAX_POSITIONS // bodies.mass.shape[1]))


def _tolerance(tol: Any, system: int) -> float | None:
    try:
        numbers = np.asarray(np.nan if tol is None else tol, dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):  # from a file that no run wrote
        return None
    if not len(numbers):
        return None
    value = float(numbers[system if system < len(numbers) else 0])
    return value if 0 < value < np.inf else None


def _check_system(system: Any, systems: int) -> None:
    if isinstance(system, bool) or not isinstance(system, (int, np.integer)) or not 0 <= system < systems:
        raise UserError(f"system = {shown(system)}: the run has systems 0 to {systems - 1}.")


def _checked(data: RunData) -> RunData:
    """Return rows of increasing times, or raise an error if there are fewer than two, or if their numbers are none."""
    if not (np.isfinite(data.position).all() and np.isfinite(data.velocity).all()):
        raise UserError("some positions or velocities of the run are not finite numbers; they cannot be drawn.")
    if np.abs(data.position).max(initial=0.0) > LARGEST:
        raise UserError(
            "some positions of the run are so large that they cannot be drawn: choose units that bring them near 1."
        )
    backward = len(data.time) > 1 and bool(data.time[-1] < data.time[0])
    passed = -data.time if backward else data.time
    later = np.append(True, np.diff(np.maximum.accumulate(passed)) > 0) if len(passed) else np.zeros(0, bool)
    if later.sum() < 2:
        raise UserError(
            f"the run has {int(later.sum())} rows, and a picture of it needs at least 2: simulate further, or with more output."
        )
    rows = np.flatnonzero(later)
    # a column with anything but numbers counts as unknown
    columns = (None if x is None or not np.isfinite(x).all() else x[rows] for x in (data.dt, data.errors, data.energy))
    dt, errors, energy = columns
    if dt is not None:  # no step led to the start, which gets that of the first step
        dt = np.abs(np.append(dt[1], dt[1:]))
    kept: dict[str, Any] = {"dt": dt, "errors": errors, "energy": energy}
    kept |= {"time": data.time[rows], "position": data.position[rows], "velocity": data.velocity[rows]}
    if backward:
        kept = {name: None if x is None else x[::-1] for name, x in kept.items()}
    return replace(data, **kept, backward=backward)
