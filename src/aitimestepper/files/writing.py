"""Writing files so that a crash, a full disk or Ctrl-C never destroys the previous content.

A new content is first written to a file beside the target, `.NAME.<random>.partial`, which is created exclusively, so that no
link that lies in wait is followed. It then replaces the target. Its lock tells whether its process still lives; what killed
ones left behind is removed by the next write to that name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .locks import NO_LINK, lock
from .reading import path_shown, reason

UNTOUCHED = "what was there before is untouched"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by one with that content, whole or not at all."""
    with replacement(path) as partial, open(partial, "r+b") as f:
        f.write(content)


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file beside `path`, which replaces it at the end of the block.

    The block writes to the file. If it raises, or the disk is full, `path` stays as it was. A link at `path` is replaced, and
    what it points to stays as it is; the permissions of a file that is replaced are kept. Errors of the operating system become
    a `UserError` of one sentence.
    """
    with _in_words(path):
        mode = _mode_of(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        partial, descriptor = _created_beside(path)
    try:
        with _in_words(path):
            if mode is not None:
                os.fchmod(descriptor, mode)
            yield partial
            os.fsync(descriptor)
            os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):  # gone after the replacement
            partial.unlink()
        os.close(descriptor)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn errors of the operating system, and of names with a NUL, into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (OSError, MemoryError) as error:
        raise UserError(f"cannot write {path_shown(path)}: {reason(error)}; {UNTOUCHED}.") from None
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise UserError(f"cannot write {path_shown(path)}: {error}.") from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot make the folder {path_shown(path)}: {reason(error)}.") from None


def refuse_irregular(path: Path) -> None:
    """Raise a `UserError` if something is at `path` that is neither a file nor a link, such as a device or a folder."""
    with _in_words(path):
        _mode_of(path)


def _mode_of(path: Path) -> int | None:
    """Return the permissions of the file at `path`, or None if there is none or a link; other things are refused."""
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(found):
        return stat.S_IMODE(found)
    if stat.S_ISLNK(found):
        return None
    kind = "a folder" if stat.S_ISDIR(found) else "a device, a pipe or a socket"
    raise UserError(f"cannot write {path_shown(path)}: it is {kind}, and only files are replaced; choose another name.")


def _created_beside(path: Path) -> tuple[Path, int]:
    """Create an empty file beside `path` under a name that nobody can foresee; return its path and a locked descriptor."""
    while True:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):  # another writer took it for a leftover before the lock
            lock(descriptor, exclusive=True)
            if os.lstat(partial).st_ino == os.fstat(descriptor).st_ino:
                return partial, descriptor
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove the partial files of `path` whose processes were killed."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.partial")
    for entry in [entry for entry in os.scandir(path.parent) if pattern.fullmatch(entry.name)]:
        with contextlib.suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | NO_LINK)
            try:
                lock(descriptor, exclusive=True)  # raises if it is being written
                os.unlink(entry.path)
            finally:
                os.close(descriptor)


class LinesFile:
    """A text file of one JSON record a line, to which records are appended; each is on disk when `append` returns."""

    def __init__(self, path: Path, earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        """Write the file anew with the records `earlier`, and keep it open."""
        self.path = path
        write_atomically(path, b"".join(map(_line, earlier)))
        with _in_words(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | NO_LINK)

    def append(self, record: Mapping[str, Any]) -> None:
        """Append a record; if that fails, the file is as it was before."""
        self.refuse_lost()
        line, size = _line(record), os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):  # the disk filled up on the way; the next write says so
                os.write(self._descriptor, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise UserError(
                f"cannot write {path_shown(self.path)}: {reason(error)}; earlier records are still there."
            ) from None

    def refuse_lost(self) -> None:
        """Raise an error if the file was removed or replaced: without its name what is written to it goes nowhere."""
        if os.fstat(self._descriptor).st_nlink == 0:
            raise UserError(f"cannot write {path_shown(self.path)}: it was removed, or replaced, while it was written.")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(record)).encode() + b"\n"
