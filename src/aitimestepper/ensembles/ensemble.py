"""ensemble(): many small systems, run chunk by chunk, as a table with a row a system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..criteria.base import Criterion
from ..errors import ConfigError, UserError, shown
from ..files import path_shown
from ..measured import in_time_unit
from ..units import UnitSystem
from .folder import Folder, Manifest
from .parts import Label, arrow, part_path, read_part, table_of
from .progress import Counting, Watch
from .result import Ensemble
from .settings import Outcomes, Settings, as_json
from .sources import Arrays, Source, source_of
from .streams import Stream, ends_of
from .work import Done, Task, done, tasks_of


def ensemble(
    source: Any,
    *,
    t_end: Any = None,
    tol: float | None = None,
    events: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    criterion: Criterion | str | Path | None = None,
    integrator: str = "auto",
    max_steps: int | None = None,
    dt_min: float | None = None,
    dt_max: float | None = None,
    guard: bool = False,
    G: float | None = None,
    softening: float | None = None,
    external_field: Any = None,
    units: str | UnitSystem | None = None,
    dim: int = 3,
    outcomes: Outcomes | None = None,
    chunk: int | None = None,
    threads: int | None = None,
    progress: bool | Watch = False,
    client: Any = None,
) -> Ensemble:
    """Run every system of `source` to its end, and return a table with a row for each: how it ended, errors, costs, outcomes.

    source: a batch in any form that `simulate` takes; a generator, or a list, of systems or batches, or of pairs of either with
    an end time; problems of a family by their seeds, `("triple", range(100_000))` or `"triple:0-100000"`; or a suite, or its
    file. Memory does not grow with their number. t_end: one number, or for a batch one for each system; families and suites
    have end times, which one number replaces. dim: axes of the problems of a family.

    out: a folder for the table, in Parquet files. Each chunk of systems is written when it is done, whole or not at all. After
    Ctrl-C, an error or a power cut the same call with resume=True goes on, and does nothing twice. Without a folder the table
    stays in memory. chunk: systems in a chunk, 4096 unless they have more than four bodies; the rows do not depend on it.

    outcomes: a function (bodies before the run, `SimulationResult`) -> dict of further columns, one value for each system of
    the batch, instead of the classification of the package. client: a client of Dask, or the address of its scheduler: every
    chunk is a task then, with `threads` threads (one), and the table is the same to the last bit. progress: True for a bar, or
    a function that takes the `EnsembleStatus`. All other arguments are those of `simulate`. A system that breaks off is a row
    with that status.

    Examples:
        >>> from aitimestepper import ensemble
        >>> found = ensemble("triple:0-20", tol=1e-4)
        >>> len(found), found["max_energy_error"].shape  # a row and a number for each system
        (20, (20,))
    """
    arrow()
    physics = {"G": G, "softening": softening, "external_field": external_field, "units": units}
    found, end = _with_ends(source_of(source, dim, **physics), t_end)
    settings = Settings.of(
        events,
        t_end=end,
        tol=tol,
        criterion=criterion,
        integrator=integrator,
        max_steps=max_steps,
        dt_min=dt_min,
        dt_max=dt_max,
        guard=guard,
        outcomes=outcomes,
    )
    if not isinstance(progress, bool) and not callable(progress):
        raise ConfigError(f"progress = {shown(progress)} must be True, False or a function that takes the EnsembleStatus.")
    spec = as_json({"source": found.plain(), "settings": settings.plain()})
    manifest = Manifest(spec, None if isinstance(found, Stream) else found.count, _checked_size(chunk))
    if out is None and resume:
        raise ConfigError("resume = True needs the folder to go on in: give out.")
    if out is None:
        return _in_memory(found, settings, manifest, threads, progress, client)
    folder = Folder(Path(out), manifest, resume)
    try:
        return _into(folder, found, settings, threads, progress, client)
    finally:
        folder.close()


def _with_ends(source: Source | Stream, t_end: Any) -> tuple[Source | Stream, Any]:
    """Return the source, with end times of its own where `t_end` has one for each system, and the end time of all others."""
    if not isinstance(source, Arrays):
        return source, t_end
    end = in_time_unit("t_end", t_end, source.bodies.units)
    if end is None:
        raise ConfigError("t_end is missing: give one number for all systems, or one for each.")
    if np.ndim(end) == 0:
        return source, end
    return Arrays(source.bodies, ends_of(end, len(source.bodies))), None


def _checked_size(chunk: int | None) -> int | None:
    if chunk is None or (isinstance(chunk, int) and not isinstance(chunk, bool) and chunk >= 1):
        return chunk
    raise ConfigError(f"chunk = {shown(chunk)} must be a whole number of systems, 1 or more.")


def _in_memory(
    source: Source | Stream, settings: Settings, manifest: Manifest, threads: int | None, progress: bool | Watch, client: Any
) -> Ensemble:
    """Run all chunks, and keep their tables."""
    tables: dict[int, Any] = {}
    with _watching(progress, manifest.systems) as watch:
        counting = Counting(manifest.systems, watch)
        for made in _all_done(tasks_of(source, manifest.chunk, {}), settings, threads, client):
            tables[made.part] = table_of(made.columns)
            counting.add(tables[made.part])
    whole = Manifest(**vars(manifest) | {"systems": counting.done, "finished": True})
    return Ensemble(None, whole, [tables[part] for part in sorted(tables)])


def _into(
    folder: Folder, source: Source | Stream, settings: Settings, threads: int | None, progress: bool | Watch, client: Any
) -> Ensemble:
    """Run the chunks that are not in the folder yet, and write each when it is done."""
    finished = folder.finished_parts()
    systems, size = folder.manifest.systems, folder.manifest.chunk
    counting = Counting(systems, None)
    try:
        with _watching(progress, systems) as watch:
            counting = _counted(folder, finished, Counting(systems, watch))
            for made in _all_done(_noted(folder, tasks_of(source, size, finished)), settings, threads, client):
                table = table_of(made.columns)
                folder.write(table, made.part, made.start)
                counting.add(table)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted: {_how_to_go_on(folder, counting.done)}") from None
    except UserError as error:
        raise type(error)(f"{str(error).rstrip('.')}; {_how_to_go_on(folder, counting.done)}") from error.__cause__
    folder.note(systems=counting.done, finished=True)
    return Ensemble.load(folder.path)


def _counted(folder: Folder, finished: dict[int, Label], counting: Counting) -> Counting:
    """Count the rows that are there already."""
    for part in sorted(finished):
        counting.add(read_part(part_path(folder.path, part)), new=False)
    return counting


def _noted(folder: Folder, tasks: Iterator[Task]) -> Iterator[Task]:
    """Yield the tasks, and write the size of the chunks into the manifest when the first one tells it."""
    for task in tasks:
        if folder.manifest.chunk is None:
            folder.note(chunk=task.systems)
        yield task


def _how_to_go_on(folder: Folder, systems: int) -> str:
    of = "" if folder.manifest.systems is None else f" of {folder.manifest.systems}"
    return f"{systems}{of} systems are in {path_shown(folder.path)}, and the same call with resume=True (--resume) goes on."


def _all_done(tasks: Iterator[Task], settings: Settings, threads: int | None, client: Any) -> Iterator[Done]:
    """Yield the rows of every chunk, run here one after the other, or by the workers of a cluster in any order."""
    if client is None:
        for task in tasks:
            yield done(task, settings, threads)
        return
    from .cluster import all_done

    yield from all_done(tasks, settings, threads, client)


@contextlib.contextmanager
def _watching(progress: bool | Watch, systems: int | None) -> Iterator[Watch | None]:
    """Yield the function that takes the status, if there is one; for True a bar on the terminal."""
    if progress is True:
        from .bar import Bar

        with Bar(systems) as bar:
            yield bar
    else:
        yield progress or None
