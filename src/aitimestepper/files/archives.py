"""Archives of arrays (.npz) with a checksum, and the seal at the end of other files, which shows any damage to them."""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from .reading import parse_json, path_shown, read_bytes

MARK = b"\naitimestepper-sha256:"
SEAL = len(MARK) + 64  # bytes at the end of a sealed file: the mark and a SHA-256 checksum of all bytes before it, in hex


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a .npz archive of `arrays` and a JSON `header`, with a SHA-256 checksum over both."""
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    sealed = json.dumps({"header": text, "sha256": _digest(text, arrays)}).encode()
    buffer = io.BytesIO()
    if any(np.asarray(values).dtype.hasobject for values in arrays.values()):
        raise ValueError("objects cannot be stored, only numbers and text")
    # NumPy before 2.1 would take allow_pickle=False for one more array, and nothing could read the file
    members: dict[str, Any] = {"header": np.frombuffer(sealed, dtype=np.uint8), **arrays}
    np.savez(buffer, **members)
    return buffer.getvalue()


def unpack_arrays(path: Path, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a file that `pack_arrays` made, or raise one sentence that says what is wrong with it.

    Loading runs no code, since pickled objects are refused. A damaged file fails the test of its checksum.
    """
    return unpack_content(read_bytes(path, what, CheckpointError), path, what)


def unpack_content(raw: bytes, path: Path, what: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays in the content of a file: see `unpack_arrays`."""
    try:
        arrays = _members(raw)
        sealed = parse_json(arrays.pop("header").tobytes())
        text, seal = sealed["header"], sealed["sha256"]
        header = parse_json(text)
        whole = isinstance(header, dict) and seal == _digest(text, arrays)
    except Exception:  # whatever a parser raises; the reasons of NumPy, for text, advise to load the file unsafely
        raise CheckpointError(
            f"{path_shown(path)} is not a {what} of aitimestepper, or is damaged; give a .npz file that a training wrote."
        ) from None
    if not whole:
        raise CheckpointError(
            f"{path_shown(path)} is damaged: its contents do not fit the checksum they were written with; get it again."
        )
    return header, arrays


def _members(raw: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz archive. A header that states more numbers than its file has is refused, not allocated."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(raw):
                raise ValueError("its arrays are not stored as a training stores them")
            arrays[info.filename.removesuffix(".npy")] = parse_array(archive.read(info))
    return arrays


def grouped(arrays: Mapping[str, np.ndarray], *groups: str) -> dict[str, dict[str, np.ndarray]]:
    """Return arrays with names such as `initial/mass` by group and name, or raise KeyError for one of another group."""
    found: dict[str, dict[str, np.ndarray]] = {group: {} for group in groups}
    for name, values in arrays.items():
        group, _, rest = name.partition("/")
        found[group][rest] = values
    return found


def parse_array(content: bytes, columns: bool = False) -> np.ndarray:
    """Return the array in the content of a .npy file of numbers, or raise an error; it has no more numbers than the content.

    columns: whether it may be a structured array, of columns of numbers and of text.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(stream)
    except Exception:  # whatever the parser of Python raises
        raise ValueError("its header is not that of an array") from None
    count = math.prod(shape)
    kinds, allowed = {dtype.kind}, "biufc"
    if columns and dtype.names:
        kinds, allowed = {dtype[name].base.kind for name in dtype.names}, "biufSU"
    if dtype.hasobject or not kinds <= set(allowed):
        raise TypeError(f"it holds {dtype} instead of numbers")
    if any(n < 0 for n in shape) or count * dtype.itemsize > len(content) - stream.tell():
        raise ValueError(f"it says that it holds {shape} numbers, but is shorter")
    values = np.frombuffer(content, dtype, count, stream.tell())
    return values.reshape(shape, order="F" if fortran_order else "C").copy()


def seal(content: bytes) -> bytes:
    """Return the content of a file with a seal at its end, which programs that know the format ignore.

    In a zip archive the seal is its comment.
    """
    if content[-22:-18] == b"PK\5\6":  # the end of an archive without a comment; its last two bytes are the length of that
        content = content[:-2] + SEAL.to_bytes(2, "little")
    return content + MARK + hashlib.sha256(content).hexdigest().encode()


def is_sealed(raw: bytes | memoryview) -> bool:
    """Return whether the content of a file ends in a seal that fits all bytes before it."""
    body, end = raw[:-SEAL], bytes(raw[-SEAL:])
    return end == MARK + hashlib.sha256(body).hexdigest().encode()


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 over the header and over name, type, shape and bytes of every array."""
    found = hashlib.sha256(text.encode())
    for name, values in sorted(arrays.items()):
        found.update(f"{name} {values.dtype.str} {values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
