"""A run with progress bar, file of snapshots and result, and the continuation of a run that stopped."""

from __future__ import annotations

import contextlib
import math
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.own import OwnCriterion
from ..criteria.wrappers import innermost
from ..errors import ConfigError, SnapshotError
from ..fields import field_named
from .advice import warn_of
from .batch import Batch, Output
from .callbacks import OwnFunctions
from .first_state import first_state
from .kernels import layout as at
from .kernels.plan import OWN_CRITERION
from .outcome import result_of, summary_so_far
from .program import Program, field_numbers, field_text
from .progress import Sink, Watch
from .result import SimulationResult
from .snapshots import SnapshotWriter, read_state
from .threads import chosen_threads

SAVE_EVERY = 2.0  # seconds between saved states, from which a killed run can be resumed


def run_batch(
    batch: Batch,
    asked: dict[str, Any],
    began: float,
    path: Path | None = None,
    overwrite: bool = False,
    progress: bool | Watch = False,
    sinks: tuple[Sink, ...] = (),
) -> SimulationResult:
    """Run a batch to the end, with progress and an output file if asked for, and return its result."""
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(_watching(progress))
        if path is None:
            batch.run(list(sinks), watch)
            return result_of(batch, asked, began, None)
        writer = stack.enter_context(_new_file(batch, asked, path, overwrite))
        return _run_into(writer, batch, asked, began, watch, sinks)


def resume(
    path: str | Path,
    *,
    t_end: float | None = None,
    criterion: Criterion | None = None,
    external_field: Any = None,
    progress: bool | Watch = False,
    threads: int | None = None,
    warn: bool = True,
) -> SimulationResult:
    """Continue the run in a file of snapshots, with the same bits as if it had not stopped.

    t_end: a later end time than the one of the file, in its unit of time. criterion, external_field: those of the run if they
    are functions that the user wrote; everything else is in the file. warn: as in `simulate`.
    """
    began = clock.perf_counter()
    saved = read_state(path)
    batch = _batch_from(saved, threads, criterion, external_field)
    asked = saved.metadata["asked"]
    if t_end is not None:
        _extend(batch, t_end, asked)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(_watching(progress))
        writer = stack.enter_context(
            SnapshotWriter.reopen(path, None if t_end is None else {**saved.metadata, "asked": asked, "t_end": t_end})
        )
        result = _run_into(writer, batch, asked, began, watch, ())
    if warn:
        warn_of(result, stacklevel=2)
    return result


def _run_into(
    writer: SnapshotWriter, batch: Batch, asked: dict[str, Any], began: float, watch: Watch | None, sinks: tuple[Sink, ...]
) -> SimulationResult:
    """Run to the end, and write rows and states with `writer`."""
    last = clock.perf_counter()

    def write(_: Bodies, rows: dict[str, np.ndarray]) -> None:
        writer.append(rows)

    def save(now: bool = False) -> None:
        nonlocal last
        if now or clock.perf_counter() - last > SAVE_EVERY:
            summary = result_of(batch, asked, began, writer.path)
            writer.save_state({**batch.state, "rows": batch.rows}, summary_so_far(summary))
            last = clock.perf_counter()

    try:
        batch.run([write, *sinks], watch, save)
    finally:
        save(now=True)
    return result_of(batch, asked, began, writer.path)


def _new_file(batch: Batch, asked: dict[str, Any], path: Path, overwrite: bool) -> SnapshotWriter:
    """Create a file with everything that is needed to repeat the run, and to resume it."""
    import datetime  # imported here: together they take half as long as this package
    import importlib.metadata
    import platform

    output, start = batch.output, batch.start
    assert output is not None
    metadata = {
        "program": "aitimestepper",
        "version": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": importlib.metadata.version("numba"),
        },
        **{k: asked[k] for k in ("criterion", "integrator", "tol", "t_end", "steps", "dt_min", "dt_max", "guard")},
        "output_every": output.every,
        "output_by_steps": output.by_steps,
        "G": start.G,
        "names": start.names,
        "external_field": field_text(batch.program.arrays["field"], start.G),
        "units": f"G = {start.G:g}; any units that it is right in",
        "program_numbers": {**batch.program.numbers, "address": 0},
        "guard_share": batch.guard,
        "asked": asked,
    }
    arrays = {**batch.program.arrays, "system": batch.system, "output_start": output.start}
    state = {**batch.state, "rows": batch.rows}
    return SnapshotWriter.create(
        path,
        metadata=metadata,
        initial=start.arrays(),
        arrays=arrays,
        state=state,
        axes=start.position.shape[-1],
        overwrite=overwrite,
    )


def _batch_from(saved: Any, threads: int | None, criterion: Criterion | None, external_field: Any) -> Batch:
    """Return the run in its newest complete state."""
    try:
        metadata, arrays = saved.metadata, dict(saved.constants)
        system, output_start = arrays.pop("system"), arrays.pop("output_start")
        G, names, numbers, own = float(metadata["G"]), metadata["names"], dict(metadata["program_numbers"]), OwnFunctions()
        _check_own(numbers, arrays, criterion, external_field)
        outer = field_named(metadata["external_field"], G) if external_field is None else external_field
        start = Bodies(**saved.initial, G=G, names=names, external_field=outer)
        _restore_own(start, numbers, arrays, own, criterion, external_field)
        output = Output(metadata["output_every"], metadata["output_by_steps"], output_start)
        program = Program(numbers, arrays)
        state = first_state(start, program)
        for name, expected in state.items():
            if saved.state[name].shape != expected.shape:
                raise ValueError("it was written by another version")
            expected[:] = saved.state[name]
        state["states"][:, at.FIELD_KIND : at.FIELD_KIND + 8] = arrays["field"]
        rows, cores = saved.state["rows"].copy(), chosen_threads(threads)
        return Batch(program, start, system.copy(), state, rows, output, metadata["guard_share"], cores, own)
    except ConfigError:
        raise
    except (KeyError, ValueError, TypeError) as error:
        raise SnapshotError(f"the file does not hold what is needed to resume ({error}); start the run anew.") from None


def _check_own(
    numbers: dict[str, Any], arrays: dict[str, np.ndarray], criterion: Criterion | None, external_field: Any
) -> None:
    """Raise an error if a user's function that the run had is missing, or if one is given that it did not have."""
    for given, needed, word in (
        (criterion, numbers["kind"] == OWN_CRITERION, "criterion"),
        (external_field, arrays["field"][0] == at.OWN_FIELD, "external_field"),
    ):
        if needed and given is None:
            raise ConfigError(f"the {word} of this run is a function of your own: give it again, as resume(path, {word}=...).")
        if given is not None and not needed:
            raise ConfigError(f"the {word} of this run is in the file: leave {word} out.")
    if criterion is not None and not isinstance(innermost(criterion), OwnCriterion):
        raise ConfigError(f"the criterion of this run is a function of your own, not {criterion}: give that one again.")


def _restore_own(
    start: Bodies,
    numbers: dict[str, Any],
    arrays: dict[str, np.ndarray],
    own: OwnFunctions,
    criterion: Criterion | None,
    external_field: Any,
) -> None:
    """Put the addresses of users' functions, which no file can hold, into the program of a resumed run."""
    if criterion is not None:
        inner = innermost(criterion)
        assert isinstance(inner, OwnCriterion)  # see `_check_own`
        numbers["address"] = own.criterion(inner, start.position.shape[-1])
    if external_field is not None:
        arrays["field"] = field_numbers(start, own)


def _extend(batch: Batch, t_end: float, asked: dict[str, Any]) -> None:
    """Set another end time; systems that had reached the old one continue."""
    time = float(batch.state["real"][:, at.TIME].max())
    if isinstance(t_end, str) or not (math.isfinite(t_end) and t_end > time):
        raise ConfigError(f"t_end = {t_end!r} must be a finite number after t = {time:g}, the time of the run.")
    batch.system[:, at.T_END] = t_end
    status = batch.state["count"][:, at.STATUS]
    status[status == at.OK] = at.RUNNING
    asked["t_end"] = t_end


@contextlib.contextmanager
def _watching(progress: bool | Watch) -> Iterator[Watch | None]:
    """Yield the function to call with the `Status`, if there is one; for True a bar on the terminal."""
    if progress is True:
        from .bar import Bar

        with Bar() as bar:
            yield bar
    else:
        yield progress or None
