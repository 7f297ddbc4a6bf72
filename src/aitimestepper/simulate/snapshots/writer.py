"""The writer of snapshot files, from NumPy arrays only."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ...errors import UserError
from ...files import WriterLock, place_of, refuse_irregular, replacement, write_atomically
from .hdf5 import abandon, file_image, known_to_be_written, open_to_append, reserve, words
from .reader import Saved, Snapshots
from .records import FIELDS, rows_per_chunk, seals
from .slots import Arrays, Layout, Slot, write_slot


class Start(NamedTuple):
    """Where a writer begins: in a file without rows, or after those of an earlier one."""

    layout: Layout  # of the states
    rows: int = 0  # all of them in the columns
    sequence: int = 0  # number of the newest state
    saved_rows: int = 0  # rows before that state
    newest: Arrays | None = None  # the newest rows, at least those of the newest chunk


class SnapshotWriter:
    """Writer of the file of one run, made by `create` or `reopen`. After a failed write, every call raises that error again."""

    def __init__(self, path: Path, start: Start, lock: WriterLock | None = None) -> None:
        self.path, self._lock, self._failure = path, lock, ""
        self._file, self._place = open_to_append(path, locking=lock is not None), place_of(path)
        self._columns = {name: self._file[name] for name in FIELDS}
        self._tail_on_disk, self._tail = self._file["tail"], self._file["tail"][:]
        self._chunk = len(self._tail) // 2
        self._layout, self.rows, self._sequence, self._saved_rows = start[:4]
        self._stored = start.rows
        if start.newest:  # read from the columns where `tail` was damaged
            first = max(self.rows - 1, 0) // self._chunk * self._chunk
            part = self._tail[first % len(self._tail) :][: self.rows - first]
            part["row"] = np.arange(first, self.rows)
            for name, values in start.newest.items():
                part[name] = values[-len(part) :]
            part["seal"] = seals(part)

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        metadata: dict[str, Any],
        initial: Arrays,
        arrays: Arrays,
        state: Arrays,
        axes: int,
        overwrite: bool = False,
    ) -> SnapshotWriter:
        """Create a file without rows. A file that it replaces stays whole until the new one is complete.

        metadata: description of the run, for readers. initial: mass, present (B, N), position, velocity (B, N, D), time,
        softening (B,). arrays: constants that are needed to resume the run. state: the first state to resume from; those saved
        later have the same names and shapes.
        """
        path = Path(path)
        if not os.path.isdir(path.parent):
            raise UserError(f"cannot write {path}: there is no folder {path.parent}; make it first.")
        refuse_irregular(path)
        if os.path.lexists(path) and not overwrite:
            raise UserError(f"{path} exists; pass overwrite=True (--overwrite on the command line) or another name.")
        image = file_image(metadata, initial, arrays, state, axes)
        lock = WriterLock(path)
        try:
            write_atomically(path, image)
            return cls(path, Start(Layout.of(state)), lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def reopen(cls, path: str | Path, changes: tuple[dict[str, Any], np.ndarray] | None = None) -> SnapshotWriter:
        """Open a file to continue from its newest complete state, after an end, an interrupt or a kill; later rows are dropped.

        A file that was closed properly is continued as it is. One that was not, or that gets `changes`, other metadata and
        other numbers of its systems, is first rewritten beside itself, which takes the same space again.
        """
        path = Path(os.path.realpath(path))  # otherwise a link would be replaced, and the file that it points to left as it was
        with Snapshots(path) as old:  # raises an error for other files, before a lock file is made beside them
            lock = WriterLock(path)
            try:
                saved = old.refresh().saved()
                if changes is not None or not old.can_grow:
                    if changes is not None:
                        saved = saved._replace(metadata=changes[0], constants={**saved.constants, "system": changes[1]})
                    _write_anew(path, saved, old)
                    old.refresh()
                start = _start_of(old)
                old.close()  # HDF5 does not open a file twice in one process
                return cls(path, start, lock)
            except BaseException:
                lock.release()
                raise

    def append(self, rows: Arrays) -> None:
        """Append S rows: time, dt, energy, energy_error, steps (S, B), position, velocity (S, B, N, D).

        Rows of systems that have ended are NaN. When this returns, readers see the rows, and a kill does not lose them.
        """
        count = self._count(rows)
        with self._writing():
            done = 0
            while done < count:
                slot = self.rows % len(self._tail)
                if slot % self._chunk == 0 and self._stored < self.rows:
                    self._store()
                part = self._tail[slot : slot + min(self._chunk - slot % self._chunk, count - done)]
                part["row"] = self.rows + np.arange(len(part))
                for name in FIELDS:
                    part[name] = rows[name][done : done + len(part)]
                part["seal"] = seals(part)
                self._tail_on_disk[slot : slot + len(part)] = part
                self.rows += len(part)
                done += len(part)
            self._file.flush()
            self._write_known()

    def _write_known(self) -> None:
        """Write how many rows and states there are, after they are on disk: where fewer are found, the file was damaged."""
        self._file["known"][:] = known_to_be_written(self.rows, self._sequence)
        self._file.flush()

    def save_state(self, state: Arrays, result: dict[str, Any]) -> None:
        """Save the state after the rows so far, from which the run can be resumed. `result`: the outcome so far."""
        with self._writing():
            write_slot(self._file["state"], self._layout, Slot(self._sequence + 1, self.rows, state, result))
            self._file.flush()
            self._sequence, self._saved_rows = self._sequence + 1, self.rows
            self._write_known()
        self._refuse_lost()

    def copy_rows(self, old: Snapshots, rows: int) -> None:
        """Copy the first `rows` rows of another file into this empty one; whole chunks are copied compressed."""
        with self._writing():
            whole = max(rows - 1, 0) // self._chunk * self._chunk
            reserve(self._file, old.path.stat().st_size)
            for name, column in self._columns.items():
                column.resize(whole, axis=0)
                for at in itertools.product(*map(range, itertools.repeat(0), column.shape, column.chunks)):
                    mask, content = old.dataset(name).id.read_direct_chunk(at)
                    column.id.write_direct_chunk(at, content, mask)
            self._file.flush()
            self.rows = self._stored = whole
        self.append({name: old.column(name)[whole:rows] for name in FIELDS})

    def close(self) -> None:
        """Write the newest rows into their columns, so that every HDF5 program finds them there, and close the file."""
        if self._file:
            with self._writing():
                if self._stored < self.rows:
                    self._store()
                self._refuse_lost()
                self._file.close()
            self._release_lock()

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _count(self, rows: Arrays) -> int:
        count = len(rows["time"])
        for name in FIELDS:
            shape = (count, *self._tail.dtype[name].shape)
            if np.shape(rows[name]) != shape:
                raise ValueError(f"rows of {name} have shape {np.shape(rows[name])}, not {shape}.")
        return count

    def _store(self) -> None:
        """Write the newest chunk into the columns, before its space in the tail is needed again."""
        start = (self.rows - 1) // self._chunk * self._chunk
        records = self._tail[start % len(self._tail) :][: self.rows - start]
        reserve(self._file, self._chunk * records.itemsize)
        for name, column in self._columns.items():
            column.resize(self.rows, axis=0)
            column[start:] = records[name]
        self._file.flush()
        self._stored = self.rows

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn the errors of a write, such as a full disk, into a `UserError`, and release file and lock."""
        if self._failure:
            raise UserError(self._failure)
        try:
            yield
        except (OSError, RuntimeError) as error:
            self._failure = (
                f"cannot write {self.path}: {words(error)}; the first {self._saved_rows} rows are safe, and "
                f"`aitimestepper simulate --resume {self.path}` goes on from there."
            )
            abandon(self._file)
            self._release_lock()
            raise UserError(self._failure) from None

    def _refuse_lost(self) -> None:
        """Raise an error if the file is gone: without its name what is written to it goes nowhere."""
        if place_of(self.path) != self._place:
            self._failure = f"cannot write {self.path}: it was removed, or replaced, while it was written."
            abandon(self._file)
            self._release_lock()
            raise UserError(self._failure)

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _start_of(old: Snapshots) -> Start:
    """Return where to go on in a file that was closed, with no rows after its newest state."""
    saved = old.saved()
    old.look_at_columns()  # a writer would wait for an index that is damaged
    chunk = rows_per_chunk(*old.position.shape[1:])
    newest = {name: old.column(name)[-chunk:] for name in FIELDS} if len(old) else None
    return Start(Layout.of(saved.state), len(old), old.sequence, saved.rows, newest)


def _write_anew(path: Path, saved: Saved, old: Snapshots) -> None:
    """Rewrite a file with only the rows up to its saved state, closed properly; it replaces the old one when it is complete."""
    axes = saved.initial["position"].shape[-1]
    try:
        with replacement(path) as partial:
            partial.write_bytes(file_image(saved.metadata, saved.initial, saved.constants, saved.state, axes))
            with SnapshotWriter(partial, Start(Layout.of(saved.state))) as new:
                new.copy_rows(old, saved.rows)
                new.save_state(saved.state, saved.result)
    except (OSError, UserError) as error:
        reason = str(error).partition(";")[0]
        raise UserError(f"cannot go on with {path}, which must be written anew first: {reason}; it is untouched.") from None
