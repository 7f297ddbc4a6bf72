"""A simulation in a file: the state of its newest step, from which it goes on with the same bits, and where its present is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..criteria.base import Criterion
from ..errors import SnapshotError
from .batch import Batch, Output
from .branch import Earlier
from .first_state import MOST_STEPS, row_capacity, row_width
from .kernels import layout as at
from .restart import ASKED, batch_from, contents_of
from .snapshots import SnapshotWriter, read_state

NO_ROWS = float(2**40)  # steps between rows of output


class About(NamedTuple):
    """What a file says of a simulation besides the state of its newest step."""

    time: float  # of the present
    earlier: Earlier
    t_end: float | None
    asked: dict[str, Any] | None  # what the package chose criterion and integrator for: see `asked_again`


class Loaded(NamedTuple):
    """What a file holds of a simulation."""

    batch: Batch
    words: dict[str, Any]  # criterion, integrator and tolerance
    about: About


def asked_again(steered_by: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is asked again when bodies change, as plain values; None if a criterion was given, which stays."""
    if steered_by["criterion"] is not None:
        return None
    numbers = {name: None if steered_by[name] is None else float(steered_by[name]) for name in ("tol", "dt_min", "dt_max")}
    return {**numbers, "integrator": str(steered_by["integrator"]), "guard": bool(steered_by["guard"])}


def _asked_from(plain: Any) -> dict[str, Any] | None:
    """Return what `asked_again` wrote, or raise a `ValueError`."""
    if plain is None:
        return None
    asked = {name: plain[name] for name in ("tol", "dt_min", "dt_max", "integrator", "guard")}
    numbers = [asked[name] for name in ("tol", "dt_min", "dt_max") if asked[name] is not None]
    if not all(isinstance(x, float) and x > 0.0 for x in numbers):
        raise ValueError("no tolerance or step")
    if not isinstance(asked["integrator"], str) or not isinstance(asked["guard"], bool):
        raise ValueError("no integrator or guard")
    return asked


def save(
    path: str | Path,
    batch: Batch,
    words: dict[str, Any],
    about: About,
    overwrite: bool,
) -> None:
    """Write a simulation to a file; one that is replaced stays whole until the new one is complete."""
    start = batch.start
    N = start.position.shape[1]
    kept = Batch(
        batch.program,
        start,
        batch.system.copy(),
        {name: values.copy() for name, values in batch.state.items()},
        np.zeros((1, row_capacity(1, N), row_width(N))),
        Output(NO_ROWS, True, start.time.copy()),
        batch.guard,
        batch.threads,
        batch.own,
        batch.criterion,
    )
    kept.system[0, [at.STOP, at.T_END, at.STEP_LIMIT]] = np.inf, np.inf, float(MOST_STEPS - 1)
    kept.state["real"][0, at.DUE] = np.inf
    kept.state["count"][0, [at.ROWS, at.PENDING]] = 0
    asked = {**dict.fromkeys(ASKED), **words, "guard": batch.guard > 0.0, "status_at_limit": "ok"}
    metadata, arrays = contents_of(kept, asked)
    metadata["simulation"] = {**about._asdict(), "earlier": list(about.earlier)}
    writer = SnapshotWriter.create(
        path,
        metadata=metadata,
        initial=start.arrays(),
        arrays=arrays,
        state={**kept.state, "rows": kept.rows},
        axes=start.position.shape[-1],
        overwrite=overwrite,
    )
    writer.close()


def load(path: str | Path, threads: int | None, criterion: Criterion | None, external_field: Any) -> Loaded:
    """Return the simulation in a file, or raise a `SnapshotError` for a file of something else, or one that was changed."""
    saved = read_state(path)
    about = saved.metadata.get("simulation")
    if about is None:
        raise SnapshotError(
            f"{path} holds the run of `simulate`, not a Simulation: continue it with resume, or read it with Snapshots."
        )
    batch = batch_from(saved, threads, criterion, external_field)
    try:
        time, t_end = float(about["time"]), about["t_end"]
        steps, forces, error, change = about["earlier"]
        earlier = Earlier(int(steps), int(forces), float(error), float(change))
        asked = {
            name: saved.metadata["asked"][name] for name in ("criterion", "integrator", "run_tolerance", "covers", "finest")
        }
        chosen_for = _asked_from(about.get("asked"))
        sign = float(batch.direction[0])
        known = sign * float(batch.start.time[0]) <= sign * time <= batch.state["real"][0, at.TIME]
        if not known or (t_end is not None and not math.isfinite(t_end)) or len(batch.start) != 1:
            raise ValueError("the present is not on its branch")
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        raise SnapshotError(f"{path} does not say where the present of its simulation is: it was changed or damaged.") from None
    return Loaded(batch, asked, About(time, earlier, t_end, chosen_for))
