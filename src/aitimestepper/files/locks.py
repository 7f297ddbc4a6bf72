"""Locks on files: one writer at a time, and whether a file is being written. The kill of a process releases its locks."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ..errors import UserError
from .reading import path_shown, reason

NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class WriterLock:
    """A lock held while a file is being written, which refuses a second writer. A kill of its process releases it.

    The lock is on a separate file, because HDF5 refuses readers of a file that is locked itself. `path` is the file itself, not
    a link to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = _lock_path(path)
        try:
            self._descriptor = self._locked()
        except BlockingIOError:
            raise UserError(
                f"{path_shown(path)} is being written already; wait until that ends, or choose another name."
            ) from None
        except (OSError, ValueError) as error:
            words = f"{reason(error)} ({path_shown(self._path)})"
            raise UserError(f"cannot write {path_shown(path)}: {words}.") from None

    def _locked(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError("the file of its lock is no file")
                lock(descriptor, exclusive=True)
                with contextlib.suppress(FileNotFoundError):  # another writer ended meanwhile and removed the file
                    if os.lstat(self._path).st_ino == os.fstat(descriptor).st_ino:
                        return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def is_being_written(path: Path) -> bool:
    """Return whether some process holds the lock of `path`, or of the file that it links to."""
    try:
        descriptor = os.open(_lock_path(Path(os.path.realpath(path))), os.O_RDONLY | NO_LINK)
    except (OSError, ValueError):
        return False
    try:
        lock(descriptor, exclusive=False)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _lock_path(path: Path) -> Path:
    return Path(os.path.realpath(path.parent), path.name + ".lock")


def lock(descriptor: int, exclusive: bool) -> None:
    """Lock a file, or raise BlockingIOError. On Windows, and on file systems without such locks, nothing happens."""
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


def unlock(descriptor: int) -> None:
    """Release the lock that a library took on a file."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
