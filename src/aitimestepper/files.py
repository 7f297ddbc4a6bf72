"""Writing files so that a crash, a full disk or Ctrl-C never destroys the previous content."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError, UserError


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
        with contextlib.suppress(OSError):  # gone after the rename; if its folder is missing, the error was raised already
            partial.unlink()


class WriterLock:
    """A lock held while a file is being written, which refuses a second writer. A kill of its process releases it.

    The lock is on a separate file, because HDF5 refuses readers of a file that is locked itself.
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
                with contextlib.suppress(FileNotFoundError):  # another writer ended meanwhile and removed the file
                    if os.stat(self._path).st_ino == os.fstat(descriptor).st_ino:
                        return descriptor
            except BlockingIOError:
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
    """Return whether some process holds the lock of `path`."""
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
    """Release the lock that a library took on a file."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock_path(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    return path.with_name(path.name + ".lock")


def _lock(descriptor: int, exclusive: bool) -> None:
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


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a .npz archive of `arrays` and a JSON `header`, with a SHA-256 checksum over both."""
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    sealed = json.dumps({"header": text, "sha256": _digest(text, arrays)}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(sealed, dtype=np.uint8), **arrays)
    return buffer.getvalue()


def unpack_arrays(path: Path, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `pack_arrays` made, or raise one sentence that says what is wrong with it.

    Loading runs no code, since pickled objects are refused. A damaged file fails the test of its checksum.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read the {what} {path}: {error.strerror}.") from None
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        sealed = json.loads(arrays.pop("header").tobytes())
        text, seal = sealed["header"], sealed["sha256"]
        header = json.loads(text)
    except (OSError, ValueError, LookupError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        # the reasons of NumPy are not passed on: for text it advises to load the file unsafely
        raise CheckpointError(
            f"{path} is not a {what} of aitimestepper, or is damaged; give a .npz file that a training wrote."
        ) from None
    if not isinstance(header, dict) or seal != _digest(text, arrays):
        raise CheckpointError(f"{path} is damaged: its contents do not fit the checksum they were written with; get it again.")
    return header, arrays


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 over the header and over name, type, shape and bytes of every array."""
    found = hashlib.sha256(text.encode())
    for name, values in sorted(arrays.items()):
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
