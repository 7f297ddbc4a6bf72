"""Right seals over wrong contents: the one place of the campaign that knows how the package seals its files.

Everything here uses the package's own functions, or repeats what they do where they would refuse the contents.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper import files
from aitimestepper.files import archives
from aitimestepper.files.hdf5 import checksum
from aitimestepper.simulate.snapshots import hdf5, records, slots

SUPERBLOCK = 44  # bytes before the checksum of a superblock of version 3
STATUS = 11  # where its flags are: a file that a writer has open, or that was never closed


def reseal_snapshot(file: Any) -> None:
    """Make all seals in an open snapshot file right for what it holds now; what is too broken to have one keeps none."""
    for number in ("0", "1"):
        with contextlib.suppress(Exception):
            slot = file["state"][number]
            content, text = slot["state"][...], slot["result"][...].tobytes().rstrip()
            sequence, rows, _ = content[: slots.STAMP].view("<i8").tolist()
            stamp = np.array([sequence, rows, slots._seal(sequence, rows, content[slots.STAMP :].tobytes(), text)], "<i8")
            slot["state"][: slots.STAMP] = np.frombuffer(stamp.tobytes(), np.uint8)
    with contextlib.suppress(Exception):
        tail = file["tail"][...]
        tail["seal"] = records.seals(tail)
        file["tail"][...] = tail
    with contextlib.suppress(Exception):
        file["known"][...] = hdf5.known_to_be_written(*file["known"][:2].tolist())


def reseal_end(path: Path, before: bytes) -> None:
    """Give a file a right seal at its end if it had one before."""
    if files.is_sealed(before):
        content = path.read_bytes()
        content = content[: -archives.SEAL] if archives.MARK in content[-archives.SEAL :] else content
        path.write_bytes(files.seal(content))


def constants_of(file: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of what stays as it is during a run, from an open snapshot file."""
    raw = file["run"][...].tobytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    layout = slots.Layout.from_plain(header["arrays"])
    return header, dict(layout.unpack(np.frombuffer(raw[start : -archives.SEAL], np.uint8)))


def entries_of(arrays: dict[str, np.ndarray]) -> list[Any]:
    """Return what a header says about arrays."""
    return [[name, x.dtype.str, list(x.shape)] for name, x in sorted(arrays.items())]


def put_constants(file: Any, header: Any, arrays: dict[str, np.ndarray]) -> None:
    """Put others in their place, with a right seal."""
    text = json.dumps(header).encode()
    numbers = b"".join(np.ascontiguousarray(x).tobytes() for _, x in sorted(arrays.items()))
    del file["run"]
    file["run"] = np.frombuffer(files.seal(len(text).to_bytes(8, "little") + text + numbers), np.uint8)


def state_arrays(file: Any, number: str) -> dict[str, np.ndarray]:
    """Return the arrays of a saved state, by name, with `stamp`; changes of them are those of the bytes in `put_state`."""
    layout = slots.Layout.from_plain(constants_of(file)[0]["state"])
    content = file["state"][number]["state"][...]
    found = layout.unpack(content[slots.STAMP :])
    return {**found, "stamp": content[: slots.STAMP].view("<i8"), "content": content}


def put_state(file: Any, number: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the bytes that the arrays of a saved state are views of."""
    file["state"][number]["state"][...] = arrays["content"]


def pack_model(path: Path, header: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write a model file with a right seal."""
    path.write_bytes(_archive(header, arrays))


def _archive(header: Any, arrays: dict[str, np.ndarray]) -> bytes:
    """Return an archive with a right seal, also over what JSON should not hold, such as NaN."""
    text = json.dumps(header, sort_keys=True)
    sealed = json.dumps({"header": text, "sha256": archives._digest(text, arrays)}).encode()
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(sealed, dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_model(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a model file."""
    return files.unpack_arrays(path, "model")


def pack_checkpoint(path: Path, content: Any) -> None:
    """Write a checkpoint as the package does."""
    from aitimestepper.training.checkpoints import save_plain

    save_plain(path, content)


def unpack_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint."""
    import torch

    content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    assert isinstance(content, dict)
    return content


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for changes; one that was never closed says so again afterwards."""
    import h5py

    flags = _superblock_flags(path)
    if flags:
        _set_superblock_flags(path, 0)
    with h5py.File(path, "r+") as file:
        yield file
    if flags:
        _set_superblock_flags(path, flags)


def _superblock_flags(path: Path) -> int:
    head = path.read_bytes()[:SUPERBLOCK]
    return head[STATUS] if head[8] >= 3 else 0


def _set_superblock_flags(path: Path, flags: int) -> None:
    """Change the flags of a superblock, and its checksum."""
    with open(path, "r+b") as f:
        head = bytearray(f.read(SUPERBLOCK))
        head[STATUS] = flags
        f.seek(0)
        f.write(head + checksum(bytes(head)).to_bytes(4, "little"))
