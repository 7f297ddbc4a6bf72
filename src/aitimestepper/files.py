"""Writing files so that a crash, a full disk or a Ctrl-C never costs what was there before."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: the old file stays whole until the new one is complete."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; what was there before is untouched.") from None
    finally:
        with contextlib.suppress(OSError):  # gone after the rename; or its folder is none: that error is said already
            partial.unlink()


class WriterLock:
    """Held while a file is being written: a second writer is refused. The lock of a process that was killed is free again.

    A file of its own, because readers of an HDF5 file are refused when it is locked itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = _lock_path(path)
        try:
            self._descriptor = self._locked()
        except BlockingIOError:
            raise UserError(f"{path} is being written already; wait until that ends, or choose another name.") from None
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror} ({self._path}).") from None

    def _locked(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(descriptor, exclusive=True)
                with contextlib.suppress(FileNotFoundError):  # a writer that ended in between took the file away
                    if os.stat(self._path).st_ino == os.fstat(descriptor).st_ino:
                        return descriptor
            except BlockingIOError:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        """Let others write."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def is_being_written(path: Path) -> bool:
    """True while some process holds the lock of `path`."""
    try:
        descriptor = os.open(_lock_path(path), os.O_RDONLY)
    except OSError:
        return False
    try:
        _lock(descriptor, exclusive=False)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def unlock(descriptor: int) -> None:
    """Give up the lock that a library took on a file."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock_path(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    return path.with_name(path.name + ".lock")


def _lock(descriptor: int, exclusive: bool) -> None:
    """Lock or raise BlockingIOError; file systems (and Windows) that have no such locks do without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
