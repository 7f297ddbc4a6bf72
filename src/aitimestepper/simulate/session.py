"""A run with progress bar, file of snapshots and result, and the continuation of a run that stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time as clock
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..errors import ConfigError, SnapshotError
from ..events import Decided, Event, Occurrence, event_to_plain
from ..integrators import integrator_named
from ..measured import in_time_unit
from .advice import warn_of
from .batch import Batch
from .decided_watch import DecidedWatch
from .event_looks import between_steps, looks_of
from .event_search import Search
from .event_watch import EventWatch
from .kernels import layout as at
from .outcome import listed_events, result_of, summary_so_far
from .progress import Sink, Watch
from .restart import batch_from, contents_of, events_from
from .result import EVENT, OK, SimulationResult
from .snapshots import SnapshotWriter, read_state

SAVE_EVERY = 2.0  # seconds between saved states, from which a killed run can be resumed


def run_batch(
    batch: Batch,
    asked: dict[str, Any],
    began: float,
    path: Path | None = None,
    overwrite: bool = False,
    progress: bool | Watch = False,
    sinks: tuple[Sink, ...] = (),
    events: tuple[Event, ...] = (),
) -> SimulationResult:
    """Run a batch to the end, with progress and an output file if asked for, and return its result."""
    look_out, decided = event_watch(events, batch, asked), decided_watch(events, batch)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(watching(progress))
        if path is None:
            batch.run(list(sinks), watch, None, look_out, decided)
            return with_events(result_of(batch, asked, began, None), batch, look_out, decided)
        writer = stack.enter_context(_new_file(batch, asked, path, overwrite, events))
        return _run_into(writer, batch, asked, began, watch, sinks, (look_out, decided))


def resume(
    path: str | Path,
    *,
    t_end: float | None = None,
    criterion: Criterion | None = None,
    external_field: Any = None,
    events: Any = None,
    progress: bool | Watch = False,
    threads: int | None = None,
    warn: bool = True,
) -> SimulationResult:
    """Continue the run in a file of snapshots, with the same bits as if it had not stopped.

    t_end: a later end time than the one of the file, in its unit of time. criterion, external_field, events: those of the run
    if they are functions that the user wrote; everything else is in the file. The events in the result are those after the
    state that the run goes on from. warn: as in `simulate`.

    Examples:
        >>> import tempfile
        >>> from aitimestepper import resume, simulate
        >>> from aitimestepper.initial import triple
        >>> path = tempfile.mkdtemp() + "/run.h5"
        >>> half = simulate(triple(), t_end=50.0, tol=1e-5, output=path)
        >>> resume(path, t_end=100.0).final.time.tolist()
        [100.0]
    """
    began = clock.perf_counter()
    saved = read_state(path)
    found = events_from(saved.metadata, events)
    batch = batch_from(saved, threads, criterion, external_field)
    batch = dataclasses.replace(batch, looks=looks_of(between_steps(found), batch.start))
    if "simulation" in saved.metadata:
        raise ConfigError(f"{path} holds a Simulation, not a run of `simulate`: go on with Simulation.load.")
    asked = saved.metadata["asked"]
    if t_end is not None:
        if not saved.newest:  # the last step before an end is shorter, and the one before it is not the same with a later end
            raise SnapshotError(f"{path}: its newest saved state is damaged; resume without a later end makes it again.")
        t_end = in_time_unit("t_end", t_end, batch.start.units)
        _extend(batch, t_end, asked)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(watching(progress))
        changes = None if t_end is None else ({**saved.metadata, "asked": asked, "t_end": t_end}, batch.system)
        writer = stack.enter_context(SnapshotWriter.reopen(path, changes))
        watches = event_watch(found, batch, asked), decided_watch(found, batch)
        result = _run_into(writer, batch, asked, began, watch, (), watches, saved.result.get("events"))
    if warn:
        warn_of(result, stacklevel=2)
    return result


def _run_into(
    writer: SnapshotWriter,
    batch: Batch,
    asked: dict[str, Any],
    began: float,
    watch: Watch | None,
    sinks: tuple[Sink, ...],
    watches: tuple[EventWatch | None, DecidedWatch | None],
    earlier: Any = None,
) -> SimulationResult:
    """Run to the end, and write rows and states with `writer`. earlier: events that the file lists already."""
    last = clock.perf_counter()

    def write(_: Bodies, rows: dict[str, np.ndarray]) -> None:
        writer.append(rows)

    def save(now: bool = False) -> None:
        nonlocal last
        if now or clock.perf_counter() - last > SAVE_EVERY:
            result = with_events(result_of(batch, asked, began, writer.path), batch, *watches)
            log = {} if watches == (None, None) else {"events": listed_events(result.events, len(batch.start), earlier)}
            writer.save_state({**batch.state, "rows": batch.rows}, summary_so_far(result) | log)
            last = clock.perf_counter()

    try:
        batch.run([write, *sinks], watch, save, *watches)
    finally:
        save(now=True)
    return with_events(result_of(batch, asked, began, writer.path), batch, *watches)


def _new_file(batch: Batch, asked: dict[str, Any], path: Path, overwrite: bool, events: tuple[Event, ...]) -> SnapshotWriter:
    """Create a file with everything that is needed to repeat the run, and to resume it."""
    metadata, arrays = contents_of(batch, asked)
    metadata["events"] = [event_to_plain(event) for event in events]
    state = {**batch.state, "rows": batch.rows}
    return SnapshotWriter.create(
        path,
        metadata=metadata,
        initial=batch.start.arrays(),
        arrays=arrays,
        state=state,
        axes=batch.start.position.shape[-1],
        overwrite=overwrite,
    )


def event_watch(events: tuple[Event, ...], batch: Batch, asked: dict[str, Any]) -> EventWatch | None:
    """Return what looks for the events of a run between its steps; None if there are none."""
    some = [number for number, event in enumerate(events) if not isinstance(event, Decided)]
    if not some:
        return None
    return EventWatch(events, batch, Search(events, batch.start, integrator_named(asked["integrator"]), batch.direction, some))


def decided_watch(events: tuple[Event, ...], batch: Batch) -> DecidedWatch | None:
    """Return what ends the systems of a run whose outcome is decided; None if that is not asked for."""
    return DecidedWatch(events, batch) if any(isinstance(event, Decided) for event in events) else None


def with_events(result: SimulationResult, batch: Batch, *watches: EventWatch | DecidedWatch | None) -> SimulationResult:
    """Return a result with the events of its run, and the status of the systems that one of them ended."""
    some = [each for each in watches if each is not None]
    if not some:
        return result
    status, (count, real) = list(result.status), (batch.state["count"], batch.state["real"])
    # of a run that was resumed, also those that ended before their time in its part before
    early = np.flatnonzero((count[:, at.STATUS] == at.OK) & (real[:, at.TIME] < batch.system[:, at.T_END])).tolist()
    for b in (*early, *(b for each in some for b in each.stopped)):
        status[b] = EVENT if status[b] == OK else status[b]
    return dataclasses.replace(result, status=tuple(status), events=tuple(found_by(watches, batch)))


def found_by(watches: Sequence[EventWatch | DecidedWatch | None], batch: Batch) -> list[Occurrence]:
    """Return the events of a run until now, system by system, each in its order of time."""
    log = [one for each in watches if each is not None for one in each.log]
    return sorted(log, key=lambda one: (one.system, batch.direction[one.system] * one.time, one.number))


def _extend(batch: Batch, t_end: float, asked: dict[str, Any]) -> None:
    """Set another end time; systems that had reached the old one continue."""
    sign, time = float(batch.direction[0]), batch.time
    beyond, words = (time.max(), "after") if sign > 0 else (time.min(), "before")
    if isinstance(t_end, str) or not (math.isfinite(t_end) and sign * (t_end - beyond) > 0 and (batch.direction == sign).all()):
        raise ConfigError(f"t_end = {t_end!r} must be a finite number {words} t = {beyond:g}, the time of the run.")
    batch.system[:, at.T_END] = batch.system[:, at.STOP] = sign * t_end
    status = batch.state["count"][:, at.STATUS]
    status[status == at.OK] = at.RUNNING
    asked["t_end"] = t_end


@contextlib.contextmanager
def watching(progress: bool | Watch) -> Iterator[Watch | None]:
    """Yield the function to call with the `Status`, if there is one; for True a bar on the terminal."""
    if progress is True:
        from .bar import Bar

        with Bar() as bar:
            yield bar
    else:
        yield progress or None
