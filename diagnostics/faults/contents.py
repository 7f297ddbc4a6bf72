"""What a reader got out of a file, as a hash of every number and word, in which no bytes of other files may be."""

from __future__ import annotations

import ctypes
import hashlib
import math
from typing import Any, NamedTuple

import numpy as np

PATTERN = b"CANARY!\x41"  # as a float64 it is 2.4e6: the bytes of files that no reader of another file may return


class Contents(NamedTuple):
    """A hash of all that was read, and for runs that were never closed one of each row, whose newest may be missing."""

    digest: str
    rows: tuple[str, ...] = ()
    least: int = 0  # number of rows that must be there

    def continues_to(self, later: Contents) -> bool:
        """Return whether the rows are the first of those of a later state of the same run."""
        return self.least <= len(self.rows) and self.rows == later.rows[: len(self.rows)]


class LeakError(Exception):
    """A reader returned bytes of another file."""


def digest_of(*values: Any) -> str:
    """Return a hash of values of any type: arrays, tensors, mappings, sequences, numbers and words."""
    found = hashlib.sha256()
    for value in values:
        _add(found, value)
    return found.hexdigest()[:32]


def _add(found: Any, value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OV":
        _add_bytes(found, f"{value.dtype.str} {value.shape}", np.ascontiguousarray(value).tobytes())
    elif hasattr(value, "untyped_storage"):
        _add_tensor(found, value)
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            _add(found, (repr(key), value[key]))
    elif isinstance(value, (list, tuple)):
        found.update(f"{len(value)} values".encode())
        for item in value:
            _add(found, item)
    else:
        content = value if isinstance(value, bytes) else repr(value).encode(errors="replace")
        _add_bytes(found, type(value).__name__, content)


def _add_tensor(found: Any, tensor: Any) -> None:
    """Add a tensor by its storage: one whose strides are 0 may be far larger than the file that it comes from."""
    try:
        storage = tensor.untyped_storage()
        content = ctypes.string_at(storage.data_ptr(), storage.nbytes()) if storage.nbytes() else b""
        about = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.stride()} {tensor.storage_offset()}"
    except (RuntimeError, NotImplementedError):  # sparse tensors, and those without data
        content, about = repr(tensor).encode(), str(tensor.dtype)
    _add_bytes(found, about, content)


def _add_bytes(found: Any, about: str, content: bytes) -> None:
    if PATTERN in content:
        raise LeakError(f"the bytes of another file were returned as {about}")
    found.update(f"{about} {len(content)} ".encode() + content)


def number_of_pattern() -> float:
    """Return the number whose bytes are the pattern."""
    number = float(np.frombuffer(PATTERN, dtype="<f8")[0])
    assert math.isfinite(number)
    return number
