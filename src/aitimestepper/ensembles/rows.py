"""The rows of the table of an ensemble: one a system, from the result of the batch that it ran in."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError, UserError, shown
from ..simulate.engine import simulate
from ..simulate.length import are_encounters, are_long
from ..simulate.result import SimulationResult
from .chunks import Chunk, Group
from .outcomes import outcomes_of
from .settings import Settings

Columns = dict[str, np.ndarray]
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # what mallopt(3) calls them
LARGEST = 2**25  # bytes of an array that is kept


def run_chunk(chunk: Chunk, settings: Settings, threads: int | None = None) -> Columns:
    """Run all systems of a chunk, and return their columns, (systems,) each: what they were, and what became of them."""
    _keep_freed_memory()
    found: Columns = {"number": np.arange(chunk.first, chunk.first + chunk.systems), **chunk.columns}
    made: Columns = {}
    for group in chunk.groups:
        for part in _parts(group, settings):
            for name, values in _run(part, chunk.first, settings, threads).items():
                whole = made.setdefault(name, np.empty(chunk.systems, values.dtype))
                whole[part.rows] = values
    double = next((name for name in made if name in found), None)
    if double is not None:
        raise ConfigError(f"the outcomes have a column {shown(double)}, as the systems have already: call it otherwise.")
    return found | made


@functools.cache
def _keep_freed_memory() -> None:
    """Let the next chunk have the memory of this one, once for the process.

    The C library of Linux gives large arrays back to the system one by one, and getting their pages again took a quarter of the
    time of the rows; in workers of Dask, which ask it to give everything back at once, 7 % of the whole.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(MMAP_THRESHOLD, LARGEST)
            library.mallopt(TRIM_THRESHOLD, 2 * LARGEST)


def _parts(group: Group, settings: Settings) -> list[Group]:
    """Return the batches in which a group runs: those that get the same integrator together, so that no chunk matters."""
    ends, names = _ends(group, settings), settings.integrators()
    own = names[:1, :1]
    if (names != own).any():
        own = names[are_long(group.bodies, ends).astype(int), are_encounters(group.bodies).astype(int)]
    if (own == own[0]).all():
        return [group._replace(ends=ends)]
    together = [np.flatnonzero(own == name) for name in np.unique(own)]
    return [Group(group.rows[k], group.bodies.select(k), ends[k]) for k in together]


def _ends(group: Group, settings: Settings) -> np.ndarray:
    """Return the end time of each system, (n,): the one of the settings, or else its own."""
    if settings.t_end is None and group.ends is None:
        raise ConfigError("t_end is missing: give one number for all systems, or a source that has one for each.")
    if settings.t_end is None:
        assert group.ends is not None
        return group.ends
    return np.full(len(group.bodies), float(settings.t_end))


def _run(group: Group, first: int, settings: Settings, threads: int | None) -> Columns:
    """Run one batch, and return the columns of its systems."""
    try:
        result = simulate(group.bodies, t_end=group.ends, threads=threads, warn=False, **settings.arguments())
    except UserError as error:
        last = first + int(group.rows.max())
        raise type(error)(f"systems {first + int(group.rows.min())} to {last}: {error}") from None
    return columns_of(group.bodies, result) | _outcomes(group.bodies, result, settings)


def columns_of(start: Bodies, result: SimulationResult) -> Columns:
    """Return what a result says of every system of a batch, (B,) each."""
    near = result.closest_approach
    assert near is not None  # the compiled engine always knows it
    found: Columns = {
        "status": np.array(result.status, dtype=object),
        "time": result.final.time,
        "steps": result.steps,
        "force_evaluations": result.force_evaluations,
        "rejected_steps": result.rejected_steps,
        "max_energy_error": result.max_energy_error,
        "final_energy_error": result.final_energy_error,
    }
    within = result.within_tolerance
    if within is not None:
        found["within_tolerance"] = within
    found |= {
        "closest_distance": near.distance,
        "closest_time": near.time,
        "closest_one": near.pair[:, 0],
        "closest_other": near.pair[:, 1],
        "events": np.bincount([one.system for one in result.events], minlength=len(start)),
        "integrator": np.full(len(start), result.integrator, dtype=object),
    }
    return found


def _outcomes(start: Bodies, result: SimulationResult, settings: Settings) -> Columns:
    """Return the columns of outcomes: those of the user's function, or of the package."""
    made: Any = (settings.outcomes or outcomes_of)(start, result)
    if not isinstance(made, dict) or not all(isinstance(name, str) for name in made):
        raise ConfigError(f"outcomes returned {type(made).__name__}: it must return columns by name, a dict of arrays.")
    return {name: _column(name, values, len(start)) for name, values in made.items()}


def _column(name: str, values: Any, systems: int) -> np.ndarray:
    column = np.asarray(values)
    if column.shape != (systems,) or column.dtype.kind not in "biufUO":
        raise ConfigError(
            f"outcomes: column {shown(name)} has the shape {column.shape} and the type {column.dtype}; give one number or one "
            f"text for each of {systems} systems."
        )
    return column.astype(object) if column.dtype.kind == "U" else column
