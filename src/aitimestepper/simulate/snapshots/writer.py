"""The writer of snapshot files; it is given NumPy arrays only."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import WriterLock, write_atomically
from .hdf5 import abandon, file_image, open_to_append, reserve, words
from .reader import Saved, Snapshots, read_state
from .records import FIELDS, newest_rows, seals
from .slots import Arrays, Slot, newest_slot, write_slot


class SnapshotWriter:
    """Writes the file of one run; `create` and `reopen` make one. After a failed write it only repeats what went wrong."""

    def __init__(self, path: Path, lock: WriterLock | None = None) -> None:
        self.path, self._lock, self._failure = path, lock, ""
        self._file = open_to_append(path)
        self._columns = {name: self._file[name] for name in FIELDS}
        self._tail_on_disk, self._tail = self._file["tail"], self._file["tail"][:]
        self._chunk = len(self._tail) // 2
        self._stored = min(len(column) for column in self._columns.values())
        self.rows, _ = newest_rows(self._tail)
        saved = newest_slot(self._file["state"])
        assert saved is not None  # as of a file just made, or just read
        self._sequence, self._saved_rows = saved.sequence, saved.rows

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
        """A new file, with no rows yet. One that it replaces stays whole until the new one is complete.

        metadata: what a reader wants to know of the run. initial: mass, mask (B, N), position, velocity (B, N, D), time,
        softening (B,). arrays: constants needed to go on. state: the first one to go on from; those saved later have the
        same names and shapes.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {path.parent}; make it first.")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists; pass overwrite=True (--overwrite on the command line) or another name.")
        image = file_image(metadata, initial, arrays, state, axes)
        lock = WriterLock(path)
        try:
            write_atomically(path, image)
            return cls(path, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def reopen(cls, path: str | Path, metadata: dict[str, Any] | None = None) -> SnapshotWriter:
        """Go on from the newest whole state, after an end, an interrupt or a kill; rows beyond it are dropped.

        A file that was closed properly is continued as it is. One that was not, or that gets other `metadata`, is first
        written anew beside itself, which takes as much space again.
        """
        path = Path(os.path.realpath(path))  # behind a link: the link would be replaced, and the file left as it was
        with Snapshots(path):  # refuse what is no snapshot file before a lock is put beside it
            pass
        lock = WriterLock(path)
        try:
            saved = read_state(path)
            with Snapshots(path) as old:
                if metadata is not None or old.unclosed or len(old) != saved.rows:
                    _write_anew(path, saved if metadata is None else saved._replace(metadata=metadata), old)
            return cls(path, lock)
        except BaseException:
            lock.release()
            raise

    def append(self, rows: Arrays) -> None:
        """S more rows: time, dt, energy, energy_error, steps (S, B), position, velocity (S, B, N, D).

        NaN in the rows of systems that have ended. When this returns, readers see the rows, and a kill does not lose them.
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

    def save_state(self, state: Arrays, result: dict[str, Any]) -> None:
        """Make the end of the rows so far the point to go on from. `result`: the outcome so far."""
        with self._writing():
            write_slot(self._file["state"], Slot(self._sequence + 1, self.rows, state, result))
            self._file.flush()
            self._sequence, self._saved_rows = self._sequence + 1, self.rows

    def take_over(self, old: Snapshots, rows: int) -> None:
        """The first `rows` of another file into this empty one; whole chunks as they are, compressed."""
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
        """Put the newest rows into their columns, so that every HDF5 program finds them there, and let go of the file."""
        if self._file:
            with self._writing():
                if self._stored < self.rows:
                    self._store()
                self._file.close()
            self._let_go()

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
        """The newest chunk into the columns, before its place in the tail is needed for others."""
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
        """Everything that may meet a full disk goes on in here."""
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
            self._let_go()
            raise UserError(self._failure) from None

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _write_anew(path: Path, saved: Saved, old: Snapshots) -> None:
    """The same file with no more rows than belong to its state, closed properly; put in its place when it is complete."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    axes = saved.initial["position"].shape[-1]
    try:
        write_atomically(partial, file_image(saved.metadata, saved.initial, saved.constants, saved.state, axes))
        with SnapshotWriter(partial) as new:
            new.take_over(old, saved.rows)
            new.save_state(saved.state, saved.result)
        with open(partial, "rb") as f:
            os.fsync(f.fileno())  # before the old file goes
        os.replace(partial, path)
    except (OSError, UserError) as error:
        reason = str(error).partition(";")[0]
        raise UserError(f"cannot go on with {path}, which must be written anew first: {reason}; it is untouched.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
