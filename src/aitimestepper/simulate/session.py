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
from .advice import rounding_error, warn_of
from .batch import Batch, Output, first_state
from .callbacks import OwnFunctions
from .continuation import Continuation
from .kernels import layout as at
from .kernels.plan import LEARNED, OWN_CRITERION
from .program import Program, field_numbers, field_text, knows_range
from .progress import Sink, Watch
from .result import MAX_STEPS, NON_FINITE, OK, STUCK, ClosestApproach, SimulationResult, momentum_errors
from .snapshots import SnapshotWriter, read_state
from .threads import chosen_threads

STATUS_WORDS = ("running", OK, MAX_STEPS, NON_FINITE, STUCK)
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
            writer.save_state({**batch.state, "rows": batch.rows}, _summary(summary))
            last = clock.perf_counter()

    try:
        batch.run([write, *sinks], watch, save)
    finally:
        save(now=True)
    return result_of(batch, asked, began, writer.path)


def result_of(batch: Batch, asked: dict[str, Any], began: float, path: Path | None) -> SimulationResult:
    """Return the result of every system, as of now."""
    real, count, final = batch.state["real"], batch.state["count"], batch.final()
    words = [STATUS_WORDS[code] for code in count[:, at.STATUS].tolist()]
    p, L = momentum_errors(batch.start, final)
    of_run = {name: asked.get(name) for name in ("criterion", "integrator", "run_tolerance")}
    return SimulationResult(
        final=final.left_by(Continuation(batch.start, batch.program, batch.state, of_run, batch.own)),
        status=tuple(asked["status_at_limit"] if word == MAX_STEPS else word for word in words),
        steps=count[:, at.STEPS].copy(),
        force_evaluations=count[:, at.FORCES].copy(),
        rejected_steps=count[:, at.REJECTED].copy(),
        max_energy_error=real[:, at.MAX_ERROR].copy(),
        final_energy_error=real[:, at.ERROR].copy(),
        momentum_error=p,
        angular_momentum_error=L,
        dt_min=real[:, at.DT_MIN].copy(),
        dt_max=real[:, at.DT_MAX].copy(),
        closest_approach=_closest(batch),
        wall_time=clock.perf_counter() - began,
        tol=None if asked.get("run_tolerance") is None else np.array(asked["run_tolerance"], dtype=np.float64),
        criterion=asked["criterion"],
        integrator=asked["integrator"],
        reports=_reports(batch),
        output=path,
        rounding_error=_rounding_error(batch, final),
    )


def _rounding_error(batch: Batch, final: Bodies) -> np.ndarray:
    """Return about the relative energy error that rounding alone causes in each system, (B,)."""
    start, near = batch.start, _closest(batch)
    kinetic, potential = start.kinetic_energy(), start.potential_energy()
    masses = np.take_along_axis(start.mass, near.pair, axis=1).prod(1)
    distance = np.sqrt(near.distance**2 + start.softening**2)
    extent = np.maximum(np.abs(start.position).max((1, 2)), np.abs(final.position).max((1, 2)))
    with np.errstate(divide="ignore"):  # two bodies at the same place
        return rounding_error(
            batch.state["real"][:, at.ENERGY_SCALE], kinetic + np.abs(potential), start.G * masses / distance, distance, extent
        )


def _closest(batch: Batch) -> ClosestApproach:
    """Return the closest approaches, with bodies numbered as in the start; the engine numbers only those present."""
    real, count = batch.state["real"], batch.state["count"]
    order = np.argsort(~batch.start.present, axis=1, kind="stable")
    pair = np.take_along_axis(order, count[:, [at.CLOSEST_I, at.CLOSEST_J]], axis=1)
    return ClosestApproach(pair, real[:, at.CLOSEST].copy(), real[:, at.CLOSEST_TIME].copy())


def _reports(batch: Batch) -> dict[str, np.ndarray | None]:
    """Return the reports of a learned step about its run, each (B,).

    They are the largest relative energy error that the network expected of a step, the number of steps that the ceiling
    limited, and the number of steps for which some input was out of the range of the training and was clamped to it; None for
    a network that knows no range.
    """
    if batch.program.numbers["kind"] != LEARNED:
        return {}
    real, count = batch.state["real"], batch.state["count"]
    return {
        "expected_step_error": 10.0 ** real[:, at.EXPECTED],
        "steps_at_ceiling": count[:, at.AT_CEILING].copy(),
        "steps_outside_training": count[:, at.OUT_OF_RANGE].copy() if knows_range(batch.program) else None,
    }


def _summary(result: SimulationResult) -> dict[str, Any]:
    """Return the outcome so far as values for JSON, each a list over systems."""
    near = result.closest_approach
    assert near is not None

    def numbers(values: np.ndarray | None) -> list[Any] | None:
        return None if values is None else [v if math.isfinite(v) else None for v in values.tolist()]

    return {
        "status": list(result.status),
        "time": result.final.time.tolist(),
        "steps": result.steps.tolist(),
        "force_evaluations": result.force_evaluations.tolist(),
        "rejected_steps": result.rejected_steps.tolist(),
        "max_energy_error": numbers(result.max_energy_error),
        "final_energy_error": numbers(result.final_energy_error),
        "momentum_error": numbers(result.momentum_error),
        "angular_momentum_error": numbers(result.angular_momentum_error),
        "closest_approach": {"pair": near.pair.tolist(), "distance": near.distance.tolist(), "time": near.time.tolist()},
    }


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
