"""HDF5 access of the writer of a snapshot file. It imports h5py when it is first needed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SnapshotError, UserError
from ...files import is_sealed, parse_json, seal
from ...files.archives import SEAL
from ...files.hdf5 import stated_end
from .records import FIELDS, chunk_shape, record_type, rows_per_chunk
from .slots import MOST, Arrays, Layout, make_slots, to_json

FORMAT, VERSION = "aitimestepper-snapshots", 8
LIBVER = ("v110", "v110")  # HDF5 1.10 (2016) and later read it; "latest" would need a version as new as that of the writer
TRIES, PAUSE = 25, 0.02  # attempts, seconds: a reader or writer that opens or closes the file blocks it for milliseconds
MARGIN = 1 << 20  # bytes for the index of the chunks, which takes 0.5 MB for a million of them


def file_image(metadata: dict[str, Any], initial: Arrays, constants: Arrays, state: Arrays, axes: int) -> bytes:
    """Return the content of a file without rows, made in memory so that it can be written at once.

    All that stays as it is during the run is in `/run`, which has a seal. `/initial` is a copy of the start in it, for other
    programs.
    """
    import h5py

    systems, bodies = initial["mass"].shape
    rows, record = rows_per_chunk(systems, bodies, axes), record_type(systems, bodies, axes)
    image = io.BytesIO()
    # pages of the size of the operating system's: a kill between two pages of a write to the index would leave it unreadable
    with h5py.File(image, "w", libver=LIBVER, fs_strategy="page", fs_page_size=4096) as f:
        f.attrs.update({"format": np.bytes_(FORMAT), "version": VERSION})
        f["run"] = np.frombuffer(pack_run(metadata, initial, constants, Layout.of(state)), np.uint8)
        for name, values in initial.items():
            f[f"initial/{name}"] = values
        for name in FIELDS:
            kind, shape = record[name].subdtype or (record[name], ())
            f.create_dataset(
                name,
                (0, *shape),
                kind,
                maxshape=(None, *shape),
                chunks=chunk_shape(rows, shape),
                shuffle=True,
                compression="gzip",
                compression_opts=1,
                fletcher32=True,  # numbers that do not compress are stored as they are, without a checksum of gzip's
                fillvalue=np.nan if kind.kind == "f" else -1,
            )
        f["tail"] = np.zeros(2 * rows, record)
        f["known"] = known_to_be_written(0, 0)
        make_slots(f.create_group("state"), state, systems)
    content = image.getvalue()
    return content.ljust(stated_end(content), b"\0")


def pack_run(metadata: dict[str, Any], initial: Arrays, constants: Arrays, states: Layout) -> bytes:
    """Return what stays as it is during a run as bytes: the length of a JSON text, this text, arrays, and a seal."""
    arrays = {
        f"{group}/{name}": x for group, part in (("initial", initial), ("constants", constants)) for name, x in part.items()
    }
    layout = Layout.of(arrays)
    text = to_json({"metadata": metadata, "arrays": layout.plain(), "state": states.plain()}).encode()
    return seal(len(text).to_bytes(8, "little") + text + layout.pack(arrays))


def unpack_run(content: np.ndarray) -> tuple[dict[str, Any], Arrays, Layout]:
    """Return metadata, arrays and the layout of states of `pack_run`, or raise an error."""
    raw = content.tobytes()
    if not is_sealed(raw):
        raise SnapshotError("what stays as it is during a run does not fit its checksum")
    start = 8 + int.from_bytes(raw[:8], "little")
    header = parse_json(raw[8:start])
    layout, metadata = Layout.from_plain(header["arrays"]), header["metadata"]
    if layout.size != len(raw) - SEAL - start or not isinstance(metadata, dict):
        raise SnapshotError("its arrays do not have the sizes that it states")
    return metadata, layout.unpack(content[start:]), Layout.from_plain(header["state"])


def known_to_be_written(rows: int, sequence: int) -> np.ndarray:
    """Return numbers of rows and of the newest state with a checksum, (3,): written after these, they show what is missing."""
    return np.array([rows, sequence, zlib.crc32(f"{rows} {sequence}".encode())], "<i8")


def read_known(values: np.ndarray) -> tuple[int, int] | None:
    """Return (rows, sequence) that `known_to_be_written` holds; None if it was not written completely."""
    rows, sequence, _ = values.tolist()
    whole = (
        np.array_equal(values, known_to_be_written(rows, sequence)) and 0 <= min(rows, sequence) <= max(rows, sequence) < MOST
    )
    return (rows, sequence) if whole else None


def open_to_append(path: Path, locking: bool = True) -> Any:
    """Open the file in SWMR mode (single writer, multiple readers) from the first moment; h5py alone switches to it later.

    locking: whether HDF5 locks the file against programs that do not expect a writer.
    """
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(locking, True)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    for attempt in range(TRIES):
        try:
            return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE, access))
        except OSError as error:
            if attempt == TRIES - 1:
                raise UserError(f"cannot write {path}: {words(error)}; is it still open, here or in another program?") from None
            time.sleep(PAUSE)
    raise AssertionError


def reserve(file: Any, size: int) -> None:
    """Reserve `size` more bytes on disk, or raise OSError, because HDF5 (2.0) does not survive a write that fails.

    The file is that much longer until HDF5 truncates it. It therefore never ends before the length that it states, even after a
    kill.
    """
    descriptor, end = file.id.get_vfd_handle(), file.id.get_filesize()
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, end, size + MARGIN)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    os.truncate(descriptor, end + size + MARGIN)  # this sets the length, but reserves no space


def abandon(file: Any) -> None:
    """Close a file that cannot be written, as a kill would. The data that HDF5 still holds are discarded, or it would crash."""
    descriptor, end = file.id.get_vfd_handle(), file.id.get_filesize()
    with contextlib.suppress(OSError):
        os.truncate(descriptor, max(end, os.fstat(descriptor).st_size))  # `end` includes the bytes that were to be written
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    for _ in range(5):  # the first call still raises the error of the failed write
        with contextlib.suppress(OSError, RuntimeError):
            file.close()
            return


def words(error: Exception) -> str:
    """Return the reason from an error of the operating system, or from HDF5's `Unable to open file (the reason, ...)`."""
    text = getattr(error, "strerror", None) or str(error)
    found = re.search(r"error message = '([^']*)'", text) or re.search(r"\((.*)\)", text)
    return found[1] if found else text.partition("\n")[0]
