"""A run made again, from the file of an earlier one: with its bodies, its settings and its network, from its start."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

from ..criteria.base import Criterion
from ..errors import ConfigError
from ..files import path_shown
from .advice import warn_of
from .batch import Batch
from .event_looks import between_steps, looks_of
from .progress import Watch
from .restart import batch_from, events_from
from .result import SimulationResult
from .schedule import end_times, step_limit
from .session import run_batch
from .snapshots import read_state


def repeat(
    path: str | Path,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    criterion: Criterion | None = None,
    external_field: Any = None,
    events: Any = None,
    progress: bool | Watch = False,
    threads: int | None = None,
    warn: bool = True,
) -> SimulationResult:
    """Make the run in a file of snapshots again, to the same bits where program and machine are the same.

    output: a file for the rows of the new run; the old file is only read. criterion, external_field, events: those of the run
    if they are functions that the user wrote; everything else is in the file. A run that was made longer by `resume` is
    repeated to its later end in one piece; its steps differ from the first end on.
    """
    began = clock.perf_counter()
    saved = read_state(path)
    found = events_from(saved.metadata, events)
    old = batch_from(saved, threads, criterion, external_field)
    asked = saved.metadata["asked"]
    if "simulation" in saved.metadata:
        raise ConfigError(f"{path_shown(path)} holds a Simulation, not a run of `simulate`: use Simulation.load.")
    if asked["error_before"] is not None:
        raise ConfigError(
            f"{path_shown(path)} holds a run that went on from an earlier one, which is not in the file: repeat the earlier "
            "one, or go on from its end with simulate."
        )
    new = Batch.begin(
        old.start,
        old.program,
        old.own,
        end_times(old.start, asked["t_end"], asked["steps"]),
        float(step_limit(asked["steps"], asked["max_steps"])),
        old.output,
        old.guard,
        threads,
        old.criterion,
        looks_of(between_steps(found), old.start),
    )
    result = run_batch(new, asked, began, None if output is None else Path(output), overwrite, progress, (), found)
    if warn:
        warn_of(result, stacklevel=2)
    return result
