"""What a snapshot file may hold: every data set has the type and shape of a run of its systems, or the file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import SnapshotError
from ...files import grouped, path_shown
from ...files.hdf5 import all_stored, attributes_of, datasets_in
from .hdf5 import FORMAT, VERSION, read_known, unpack_run
from .records import FIELDS, chunk_shape, newest_rows, record_type, rows_per_chunk
from .slots import STAMP, Arrays, Layout, Slot, array_of, read_slots, result_capacity

# arrays of the start, by number of axes: systems, bodies, space
INITIAL = {"mass": 2, "present": 2, "position": 3, "velocity": 3, "time": 1, "softening": 1}
OLDER = (1, 2)  # versions of the format


class Run(NamedTuple):
    """What stays as it is during a run."""

    metadata: dict[str, Any]
    initial: Arrays
    constants: Arrays
    layout: Layout  # of its states
    datasets: dict[str, Any]  # all data sets of the file, open
    path: Path


class Contents(NamedTuple):
    """The rows and the state that a file has now."""

    rows: int
    newest: np.ndarray  # records of the newest rows; older ones are in the columns
    slot: Slot | None  # None: both are damaged
    is_newest: bool  # False: a newer state may have been written, and is damaged
    writable: bool  # whether both slots can be written again


def run_of(file: Any, path: Path) -> Run:
    """Return the run in an open file, or raise a `SnapshotError` if the file is none of this program, or was tampered with."""
    _check_format(file, path)
    datasets = datasets_in(file, path)
    try:
        metadata, arrays, layout = unpack_run(array_of(datasets, "run", np.dtype(np.uint8)))
        parts = grouped(arrays, "initial", "constants")
        systems, bodies, axes = _check_initial(parts["initial"])
        _check_datasets(datasets, systems, bodies, axes, layout)
    except SnapshotError as error:
        raise SnapshotError(f"{path_shown(path)} is refused: {error}.") from None
    return Run(metadata, parts["initial"], parts["constants"], layout, datasets, path)


def _check_format(file: Any, path: Path) -> None:
    about = attributes_of(file, ("format", "version"))
    version = about.get("version")
    older = version in OLDER and "tail" in file and "state" in file  # they say their format in text without a checksum
    if about.get("format") != FORMAT and not older:
        raise SnapshotError(f"{path} is HDF5, but not a simulation of aitimestepper: it does not say {FORMAT!r}.")
    if version != VERSION:
        raise SnapshotError(
            f"{path} has format version {version}, this program reads {VERSION}: use the version that wrote it, or run anew."
        )


def _check_initial(arrays: Arrays) -> tuple[int, int, int]:
    """Return the numbers of systems, bodies and axes, or raise an error for arrays that are not those of a start."""
    if set(arrays) != set(INITIAL) or np.ndim(arrays["position"]) != 3:
        raise SnapshotError(f"its start has the arrays {', '.join(sorted(arrays))}")
    shape = arrays["position"].shape
    for name, axes in INITIAL.items():
        if arrays[name].shape != shape[:axes] or arrays[name].dtype != (bool if name == "present" else np.float64):
            raise SnapshotError(f"initial/{name} has the type {arrays[name].dtype} and the shape {arrays[name].shape}")
    systems, bodies, axes = shape
    if not (systems and bodies and axes in (2, 3)):
        raise SnapshotError(f"its positions have the shape {shape}")
    return systems, bodies, axes


def _check_datasets(datasets: dict[str, Any], systems: int, bodies: int, axes: int, layout: Layout) -> None:
    """Raise an error unless columns, newest rows and states have the types and shapes of a run of these systems."""
    rows, record = rows_per_chunk(systems, bodies, axes), record_type(systems, bodies, axes)
    wanted: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
        "tail": (record, (2 * rows,), None),
        "known": (np.dtype("<i8"), (3,), None),
    }
    for name in FIELDS:
        kind, shape = record[name].subdtype or (record[name], ())
        wanted[name] = (kind, (None, *shape), chunk_shape(rows, shape))
    for number in ("0", "1"):
        wanted[f"state/{number}/state"] = (np.dtype(np.uint8), (STAMP + layout.size,), None)
        wanted[f"state/{number}/result"] = (np.dtype(np.uint8), (None,), (result_capacity(systems),))
    for name, (kind, shape, chunks) in wanted.items():
        if name not in datasets:
            raise SnapshotError(f"there is no {name} in it")
        found = datasets[name]
        whole = found.shape if shape[0] is not None else (None, *found.shape[1:])
        if found.dtype != kind or whole != shape or found.chunks != chunks or found.maxshape != shape:
            raise SnapshotError(f"{name} has the type {found.dtype} and the shape {found.shape}")


def contents_of(run: Run, unclosed: bool) -> Contents:
    """Return rows and state of a file, or raise a `SnapshotError` if rows that were written are missing.

    In a file that was closed, the columns hold all rows. In one that was not, the newest rows are in `tail`; what is known to
    have been written is read first, so that rows and states which a writer adds meanwhile are never missing.
    """
    datasets, path = run.datasets, run.path
    known = read_known(datasets["known"][...])
    slots = read_slots(datasets, run.layout)
    slot, certain = slots.newest, known is not None or slots.complete
    counted, sequence = known or (0, 0)
    rows, newest = newest_rows(datasets["tail"][...])
    lengths = [len(datasets[name]) for name in FIELDS]
    if unclosed:
        wanted = max(counted, 0 if slot is None else slot.rows)
        if not all(all_stored(datasets[name], rows - len(newest)) for name in FIELDS):  # a writer may be at work: read again
            raise OSError("(rows are missing)")
    else:
        newest = newest[: len(newest) if rows == lengths[0] else 0]  # otherwise they are damaged, and the columns are not
        rows = lengths[0]
        wanted = max(*lengths, counted, 0 if slot is None else slot.rows)
    if rows < wanted:
        raise SnapshotError(
            f"{path_shown(path)} is damaged: {wanted} rows were written, and row {rows} is not what it was; get it again."
        )
    return Contents(rows, newest, slot, certain and (slot is None or slot.sequence >= sequence), slots.readable)
