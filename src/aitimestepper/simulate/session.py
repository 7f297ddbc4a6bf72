"""A compiled run with everything around it: the bar, the file of snapshots, going on where a run stopped."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import math
import platform
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .._version import __version__
from ..differentiable.loop import MAX_STEPS, NON_FINITE, OK, STUCK
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError, SnapshotError
from ..fields import Circle, PointMassTidalField
from .batch import Batch, Output, Sink, Watch, first_state
from .kernels import layout as at
from .kernels.plan import LEARNED
from .program import Program
from .result import ClosestApproach, SimulationResult, momentum_errors
from .snapshots import SnapshotWriter, read_state
from .threads import available_cores

STATUS_WORDS = ("running", OK, MAX_STEPS, NON_FINITE, STUCK)
SAVE_EVERY = 2.0  # seconds between states that a killed run can go on from


def run_batch(
    batch: Batch,
    asked: dict[str, Any],
    began: float,
    path: Path | None = None,
    overwrite: bool = False,
    progress: bool | Watch = False,
    sinks: tuple[Sink, ...] = (),
) -> SimulationResult:
    """Run to the end, with a bar and into a file if wanted."""
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(_watching(progress))
        if path is None:
            batch.run(list(sinks), watch)
            return _result(batch, asked, began, None)
        writer = stack.enter_context(_new_file(batch, asked, path, overwrite))
        return _run_into(writer, batch, asked, began, watch, sinks)


def resume(
    path: str | Path, *, t_end: float | None = None, progress: bool | Watch = False, threads: int | None = None
) -> SimulationResult:
    """Go on with the run in a file of snapshots, to the same bits as if it had not stopped.

    `t_end`: a later end than the one it was started with.
    """
    began = clock.perf_counter()
    saved = read_state(path)
    batch = _batch_from(saved, threads)
    asked = saved.metadata["asked"]
    if t_end is not None:
        _extend(batch, t_end, asked)
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(_watching(progress))
        writer = stack.enter_context(
            SnapshotWriter.reopen(path, None if t_end is None else {**saved.metadata, "asked": asked, "t_end": t_end})
        )
        return _run_into(writer, batch, asked, began, watch, ())


def _run_into(
    writer: SnapshotWriter, batch: Batch, asked: dict[str, Any], began: float, watch: Watch | None, sinks: tuple[Sink, ...]
) -> SimulationResult:
    """Run with rows and states going to `writer`."""
    last = clock.perf_counter()

    def write(_: Batch, rows: dict[str, np.ndarray]) -> None:
        writer.append(rows)

    def save(now: bool = False) -> None:
        nonlocal last
        if now or clock.perf_counter() - last > SAVE_EVERY:
            summary = _result(batch, asked, began, writer.path)
            writer.save_state({**batch.state, "rows": batch.rows}, _plain(summary))
            last = clock.perf_counter()

    try:
        batch.run([write, *sinks], watch, save)
    finally:
        save(now=True)
    return _result(batch, asked, began, writer.path)


def _result(batch: Batch, asked: dict[str, Any], began: float, path: Path | None) -> SimulationResult:
    """Everything about every system, as it stands."""
    real, count = batch.state["real"], batch.state["count"]
    final = batch.final()
    words = [STATUS_WORDS[code] for code in count[:, at.STATUS].tolist()]

    def reals(which: int) -> torch.Tensor:
        return torch.from_numpy(real[:, which].copy())

    def counts(which: int) -> torch.Tensor:
        return torch.from_numpy(count[:, which].copy())

    p, L = momentum_errors(batch.start, final)
    # the engine numbers the bodies that are present
    order = torch.argsort(batch.start.mask.int(), dim=1, descending=True, stable=True)
    pair = order.gather(1, torch.stack([counts(at.CLOSEST_I), counts(at.CLOSEST_J)], dim=1))
    reports = {}
    if batch.program.numbers["kind"] == LEARNED:
        reports = {
            "expected_step_error": 10.0 ** reals(at.EXPECTED),
            "steps_at_ceiling": counts(at.AT_CEILING),
            "steps_outside_training": counts(at.OUTSIDE),
        }
    return SimulationResult(
        final=final,
        status=tuple(asked["status_at_limit"] if word == MAX_STEPS else word for word in words),
        steps=counts(at.STEPS),
        force_evaluations=counts(at.FORCES),
        rejected_steps=counts(at.REJECTED),
        max_energy_error=reals(at.MAX_ERROR),
        final_energy_error=reals(at.ERROR),
        momentum_error=p,
        angular_momentum_error=L,
        dt_min=reals(at.DT_MIN),
        dt_max=reals(at.DT_MAX),
        closest_approach=ClosestApproach(pair, reals(at.CLOSEST), reals(at.CLOSEST_TIME)),
        wall_time=clock.perf_counter() - began,
        tol=None if asked.get("run_tolerance") is None else torch.tensor(asked["run_tolerance"], dtype=torch.float64),
        criterion=asked["criterion"],
        integrator=asked["integrator"],
        engine="compiled",
        reports=reports,
        output=path,
    )


def _plain(result: SimulationResult) -> dict[str, Any]:
    """The outcome so far as JSON, every value a list over systems."""
    near = result.closest_approach
    assert near is not None

    def numbers(values: torch.Tensor | None) -> list[Any] | None:
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
    """A file that says everything that it takes to run the same again, and to go on."""
    output, start = batch.output, batch.start
    assert output is not None
    field = None if start.external_field is None else _field_text(batch.program.arrays["field"], start.G)
    metadata = {
        "program": "aitimestepper",
        "version": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": importlib.metadata.version("numba"),
            "torch": torch.__version__,
        },
        **{k: asked[k] for k in ("criterion", "integrator", "tol", "t_end", "steps", "dt_min", "dt_max", "guard")},
        "output_every": output.every,
        "output_by_steps": output.by_steps,
        "G": start.G,
        "external_field": field,
        "units": f"G = {start.G:g}; any units that it is right in",
        "lowered": batch.program.numbers,
        "guard_share": batch.guard,
        "asked": asked,
    }
    initial = {name: x.numpy() for name, x in start.tensors().items()}
    arrays = {**batch.program.arrays, "system": batch.system, "output_start": output.start}
    state = {**batch.state, "rows": batch.rows}
    return SnapshotWriter.create(
        path, metadata=metadata, initial=initial, arrays=arrays, state=state, axes=start.position.shape[-1], overwrite=overwrite
    )


def _field_text(field: np.ndarray, G: float) -> str:
    """The field as `--external-field` takes it."""
    kind, gm, x, y, z, radius, rate, phase = field.tolist()
    if kind == at.CIRCULAR:
        return f"tidal:M={gm / G!r},R0={radius!r},period={2 * math.pi / rate!r},phase={phase!r}"
    return f"tidal:M={gm / G!r},R0={x!r},y={y!r},z={z!r}"


def _batch_from(saved: Any, threads: int | None) -> Batch:
    """The run as the newest whole state has it."""
    try:
        metadata, arrays = saved.metadata, dict(saved.constants)
        system, output_start, field = arrays.pop("system"), arrays.pop("output_start"), arrays["field"]
        G = float(metadata["G"])
        outer = None
        if field[0] == at.FIXED:
            outer = PointMassTidalField(field[1] / G, R0=field[2:5][: saved.initial["position"].shape[-1]], G=G)
        elif field[0] == at.CIRCULAR:
            outer = PointMassTidalField(field[1] / G, R_of_t=Circle(*field[5:8].tolist()), G=G)
        start = ParticleTorch.from_tensors(**saved.initial, G=G, external_field=outer)
        output = Output(metadata["output_every"], metadata["output_by_steps"], output_start)
        program = Program(metadata["lowered"], arrays)
        state = first_state(start, program)
        for name, room in state.items():
            if saved.state[name].shape != room.shape:
                raise ValueError("it was written by another version")
            room[:] = saved.state[name]
        cores = available_cores() if threads is None else threads
        return Batch(program, start, system.copy(), state, saved.state["rows"].copy(), output, metadata["guard_share"], cores)
    except (KeyError, ValueError, TypeError) as error:
        raise SnapshotError(f"the file does not hold what it takes to go on ({error}); start the run anew.") from None


def _extend(batch: Batch, t_end: float, asked: dict[str, Any]) -> None:
    """Another end of the run; systems that had reached theirs go on."""
    time = float(batch.state["real"][:, at.TIME].max())
    if not (math.isfinite(t_end) and t_end > time):
        raise ConfigError(f"t_end = {t_end} must be finite and after t = {time:g}, where the run stands.")
    batch.system[:, at.T_END] = t_end
    status = batch.state["count"][:, at.STATUS]
    status[status == at.OK] = at.RUNNING
    asked["t_end"] = t_end


@contextlib.contextmanager
def _watching(progress: bool | Watch) -> Iterator[Watch | None]:
    """The function that looks on, if there is one; True is a bar on the terminal."""
    if progress is True:
        from .bar import Bar

        with Bar() as bar:
            yield bar
    else:
        yield progress or None
