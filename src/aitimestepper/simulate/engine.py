"""simulate(): the entry to the compiled engine, for every criterion and integrator, over a batch of systems."""

from __future__ import annotations

import dataclasses
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies, as_bodies
from ..criteria.base import Criterion
from ..errors import ConfigError, shown
from ..events import Event, as_events
from ..measured import in_time_unit
from ..units import UnitSystem
from .advice import warn_of
from .batch import Batch
from .event_looks import between_steps, looks_of
from .merging import GoOn, after_mergers, merges
from .progress import Sink, Watch
from .result import MAX_STEPS, OK, SimulationResult
from .schedule import end_times, output_of, step_limit
from .session import run_batch
from .steering import guard_share, steering_of
from .trajectory import TrajectorySink, output_times
from .units import refuse_extreme_units

CHANGED = ("G", "softening", "external_field")  # arguments that the bodies of a run have taken up


def simulate(
    particle: Any,
    *,
    t_end: float | Sequence[float] | np.ndarray | None = None,
    steps: int | None = None,
    criterion: Criterion | str | Path | None = None,
    tol: float | None = None,
    integrator: str = "auto",
    G: float | None = None,
    softening: float | None = None,
    external_field: Any = None,
    units: str | UnitSystem | None = None,
    max_steps: int | None = None,
    dt_min: float | None = None,
    dt_max: float | None = None,
    guard: bool = False,
    output: str | Path | None = None,
    output_every: float | None = None,
    output_steps: int | None = None,
    overwrite: bool = False,
    progress: bool | Watch = False,
    times: Sequence[float] | np.ndarray | None = None,
    events: Any = None,
    threads: int | None = None,
    sinks: tuple[Sink, ...] = (),
    warn: bool = True,
) -> SimulationResult:
    """Advance every system to `t_end` (one time, or one for each; reached exactly) or by `steps` steps.

    A `t_end` before the time of a system is reached backward in time.

    particle: `Bodies`, a `ParticleTorch`, a dict, a table, a file, or what else `inputs.fields_of` takes, in any units in which
    the gravitational constant is `G` (1 unless given or its own); one system (N, D) or a batch (B, N, D). `units` such as
    "au Msun yr" set G, and bodies that have other units are converted to them; lengths and times may then be quantities of
    astropy. `softening` is Plummer's length. The result of a simulation, or its `final` bodies: that run goes on, with its
    criterion and its guard unless `criterion` or `tol` is given; errors, steps and forces count from its first start.

    criterion: what chooses the steps: a value such as `FreeFall(eta=0.02)`, its text `"freefall:eta=0.02"`, or a model (a
    file, a run folder, the name of a run). Without one, `tol` (1e-6) picks the learned step of the package, time-symmetric,
    or below 3.4e-7 Gauss-Radau: nine in ten runs, of lengths as measured (README.md), stay within it. `tol` also is the
    tolerance of EnergyBudget and of networks that were calibrated on runs; beside others it is an error. integrator: `auto` is
    the one that the criterion is made for, or the cheapest for `tol`; besides the splittings (leapfrog, suzuki4, kahan_li6,
    kahan_li8, blanes_moan4, blanes_moan6, chin4) there are hermite4, hermite4:n=3, logh and radau15. `max_steps` is only a
    safety limit and shows in the status.

    guard: a step that changes the energy by more than a tenth of `tol` (any criterion; 1e-6) is rejected and made again half as
    long. Leave it off for symmetrized steps: a step rejected in one direction of time would not be rejected in the other, and
    the energy drifts again. output: an HDF5 file (see `Snapshots`) with a row at every multiple of `output_every` in time, or
    every `output_steps` steps (default: a thousand rows); it does not change the run. times: output times; the states at them
    are in `result.trajectory`, and in the file if there is one. They do not change the steps either; without `t_end` the run
    ends at the last of them. events: what is looked for between steps, such as
    `Encounter(below=0.1)`, `"collision:radius=0.01"` or a list of them (see `aitimestepper.events`). What was found is in
    `result.events`, and ends the run of its system if the event says so; else the steps stay as they are. progress: True for a
    bar, or a function that takes the `Status`. threads: the largest number of threads, all cores by default; it does not change
    the bits. sinks: functions that take rows of output during the run. warn: whether a `SimulationWarning` says what went
    wrong; the advice of the result says so anyway.

    The run is compiled and in float64. Another precision, a GPU, or a network of one's own in torch:
    `aitimestepper.differentiable.simulate`.

    Examples:
        >>> from aitimestepper import simulate
        >>> from aitimestepper.initial import triple
        >>> result = simulate(triple(), t_end=100.0, tol=1e-5)
        >>> result.within_tolerance.tolist(), result.final.position.shape  # (B,) and (B, N, D)
        ([True], (1, 3, 3))
    """
    began, asked_for = clock.perf_counter(), dict(locals())
    given = particle.final if isinstance(particle, SimulationResult) else particle
    start = as_bodies(given, G=G, softening=softening, external_field=external_field, units=units)
    given_times = {"t_end": t_end, "times": times, "output_every": output_every, "dt_min": dt_min, "dt_max": dt_max}
    t_end, times, output_every, dt_min, dt_max = (in_time_unit(name, x, start.units) for name, x in given_times.items())
    if start.run is None:
        refuse_extreme_units(start)
    found = as_events(events)
    if merges(found) and (output is not None or sinks or steps is not None):
        raise ConfigError("where bodies merge, give t_end, and no output: give times, and read result.trajectory.")
    at_times = None if times is None else output_times(times)
    if at_times is not None and t_end is None and steps is None:
        t_end = float(at_times[-1])
    end, limit = end_times(start, t_end, steps), step_limit(steps, max_steps)
    wanted = output is not None or sinks or times is not None
    rows = output_of(start, end, limit, output_every, output_steps, at_times) if wanted else None
    _refuse_no_functions(progress, sinks)
    if isinstance(tol, bool) or (tol is not None and np.ndim(tol)):
        raise ConfigError(f"tol = {shown(tol)} must be one number; criteria take one a system, as in EnergyBudget(tol=[...]).")
    steering = steering_of(start, end, limit, criterion, tol, integrator, guard, dt_min, dt_max)
    if start.run is None:
        refuse_extreme_units(start, steering.criterion, steering.words["integrator"])
    batch = Batch.begin(
        start,
        steering.program,
        steering.own,
        end,
        float(limit),
        rows,
        guard_share(guard, tol, steering.words["run_tolerance"], start.run),
        threads,
        steering.criterion,
        looks_of(between_steps(found), start),
    )
    asked = {
        **steering.words,
        "error_before": None if start.run is None else start.run.largest_error.tolist(),
        "tol": tol,
        "t_end": t_end if t_end is None or np.ndim(t_end) == 0 else end.tolist(),
        "steps": steps,
        "max_steps": max_steps,
        "guard": guard,
        "dt_min": dt_min,
        "dt_max": dt_max,
        "status_at_limit": OK if steps is not None and limit == steps else MAX_STEPS,
    }
    path = None if output is None else Path(output)
    recorder = None if at_times is None else TrajectorySink(start, at_times)
    takers = sinks if recorder is None else (*sinks, recorder.take)
    result = run_batch(batch, asked, began, path, overwrite, progress, takers, found)
    if recorder is not None:
        result = dataclasses.replace(result, trajectory=recorder.trajectory())
    if merges(found):
        result = after_mergers(result, found, _going_on(asked_for, end, at_times))
    if warn:
        warn_of(result, stacklevel=2)
    return result


def _going_on(asked_for: dict[str, Any], end: np.ndarray, times: np.ndarray | None) -> GoOn:
    """Return how one system goes on after a merger: by the same call of `simulate`, until its own end."""

    def go_on(bodies: Bodies, b: int, events: tuple[Event, ...]) -> SimulationResult:
        sign = -1.0 if end[b] < bodies.time[0] else 1.0
        later = None if times is None else times[sign * times > sign * bodies.time[0]]
        if later is not None and not len(later):
            later = None
        own: dict[str, Any] = {"t_end": float(end[b]), "events": events, "times": later, "warn": False, "progress": False}
        same = {name: value for name, value in asked_for.items() if name not in ("particle", "began", *CHANGED, *own)}
        return simulate(bodies, **same, **own)

    return go_on


def _refuse_no_functions(progress: object, sinks: object) -> None:
    """Raise an error before the run for what could not be called during it."""
    if not isinstance(progress, bool) and not callable(progress):
        raise ConfigError(f"progress = {shown(progress)} must be True, False or a function that takes the Status.")
    if not isinstance(sinks, (tuple, list)) or not all(map(callable, sinks)):
        raise ConfigError(f"sinks = {shown(sinks)} must be a tuple of functions.")
