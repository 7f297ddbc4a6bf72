"""HDF5 access to a snapshot file. It alone imports h5py in `simulate`, when it is first needed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SnapshotError, UserError
from ...files import unlock
from .records import FIELDS, chunk_shape, record_type, rows_per_chunk
from .slots import Arrays, make_slots, to_json

FORMAT, VERSION = "aitimestepper-snapshots", 2
LIBVER = ("v110", "v110")  # HDF5 1.10 (2016) and later read it; "latest" would need a version as new as that of the writer
TRIES, PAUSE = 25, 0.02  # attempts, seconds: a writer that opens or closes the file blocks it for milliseconds
MARGIN = 1 << 20  # bytes for the index of the chunks, which takes 0.5 MB for a million of them
SIGNATURE, WRITE_FLAG = b"\x89HDF\r\n\x1a\n", 1


def file_image(metadata: dict[str, Any], initial: Arrays, constants: Arrays, state: Arrays, axes: int) -> bytes:
    """Return the content of a file without rows, made in memory so that it can be written at once."""
    import h5py

    systems, bodies = initial["mass"].shape
    rows, record = rows_per_chunk(systems, bodies, axes), record_type(systems, bodies, axes)
    image = io.BytesIO()
    # pages of the size of the operating system's: a kill between two pages of a write to the index would leave it unreadable
    with h5py.File(image, "w", libver=LIBVER, fs_strategy="page", fs_page_size=4096) as f:
        f.attrs.update({"format": FORMAT, "version": VERSION, "metadata": to_json(metadata)})
        for group, arrays in (("initial", initial), ("constants", constants)):
            f.create_group(group)
            for name, values in arrays.items():
                f[group][name] = values
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
                fillvalue=np.nan if kind.kind == "f" else -1,
            )
        f["tail"] = np.zeros(2 * rows, record)
        make_slots(f.create_group("state"), state, systems)
    content = image.getvalue()
    return content.ljust(_end(content), b"\0")


def _end(head: bytes) -> int:
    """Return the length of the file that its first bytes state (superblock version 3)."""
    return int.from_bytes(head[28:36], "little")


def open_to_append(path: Path) -> Any:
    """Open the file in SWMR mode (single writer, multiple readers) from the first moment; h5py alone switches to it later."""
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
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


def open_to_read(path: Path) -> tuple[Any, bool]:
    """Return (file, whether it is being written or was never closed), or raise one sentence that says what is wrong with it."""
    for attempt in range(TRIES):
        try:
            return _open_once(path)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise SnapshotError(f"cannot read the simulation {path}: {error.strerror}.") from None
        except (OSError, RuntimeError, KeyError) as error:
            if attempt == TRIES - 1 or "truncated" in str(error):
                raise SnapshotError(f"{path} is damaged, or was cut short while copying ({words(error)}).") from None
            time.sleep(PAUSE)
    raise AssertionError


def _open_once(path: Path) -> tuple[Any, bool]:
    import h5py

    with open(path, "rb") as f:
        head = f.read(48)
        size = os.fstat(f.fileno()).st_size
    if head[:8] != SIGNATURE:
        raise SnapshotError(f"{path} does not hold a simulation: it is not an HDF5 file.")
    unclosed = len(head) == 48 and head[8] >= 3 and bool(head[11] & WRITE_FLAG)
    if unclosed and size < (end := _end(head)):
        raise OSError(f"truncated: it ends after {size} of {end} bytes")  # HDF5 (2.0) would search for the rest forever
    if not unclosed:  # only a plain open detects a missing end
        with h5py.File(path, "r") as f:
            _check_format(f, path)
    file = h5py.File(path, "r", swmr=True)  # because a run may be resumed while its file is being read
    unlock(file.id.get_vfd_handle())  # so that this reader does not block the writer
    try:
        _check_format(file, path)
    except BaseException:
        file.close()
        raise
    return file, unclosed


def _check_format(file: Any, path: Path) -> None:
    if file.attrs.get("format") != FORMAT:
        raise SnapshotError(f"{path} is HDF5, but not a simulation of aitimestepper: it does not say {FORMAT!r}.")
    if file.attrs.get("version") != VERSION:
        raise SnapshotError(
            f"{path} has format version {file.attrs.get('version')}, this program reads {VERSION}: "
            "use the version that wrote it, or run anew."
        )


def words(error: Exception) -> str:
    """Return the reason from an error of the operating system, or from HDF5's `Unable to open file (the reason, ...)`."""
    text = getattr(error, "strerror", None) or str(error)
    found = re.search(r"error message = '([^']*)'", text) or re.search(r"\((.*)\)", text)
    return found[1] if found else text.partition("\n")[0]
