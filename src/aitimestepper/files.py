"""Writing files so that a crash, a full disk or a Ctrl-C never costs what was there before."""

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


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a .npz archive of `arrays` and a JSON `header`, sealed with a SHA-256 over both."""
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    sealed = json.dumps({"header": text, "sha256": _digest(text, arrays)}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, header=np.frombuffer(sealed, dtype=np.uint8), **arrays)
    return buffer.getvalue()


def unpack_arrays(path: Path, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `pack_arrays` made, or say in one sentence what is wrong with it.

    No code can run: objects are refused, and what was damaged on the way does not fit its seal.
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
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is not a {what} of aitimestepper, or is damaged ({reason}).") from None
    if not isinstance(header, dict) or seal != _digest(text, arrays):
        raise CheckpointError(f"{path} is damaged: its contents do not fit the seal they were written with; get it anew.")
    return header, arrays


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the header and over name, type, shape and bytes of every array."""
    found = hashlib.sha256(text.encode())
    for name, values in sorted(arrays.items()):
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
