"""HDF5 files that are not trusted: opened without waiting, and refused unless all data are stored in the file itself.

HDF5 follows links and storage in other files wherever they point to, so that a file from a stranger could make a program read
or overwrite any file of its user. It also reads damaged metadata again and again if a writer might still be busy with them
(SWMR, single writer and multiple readers), for a minute. Files are therefore opened as if they had been closed: damage is an
error at once.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SnapshotError
from .locks import unlock
from .reading import open_regular, path_shown

SIGNATURE, WRITE_FLAG = b"\x89HDF\r\n\x1a\n", 1
HEAD = 48  # bytes of the superblock, version 3: byte 11 holds the flags, bytes 28-35 the end of the file, 44-47 the checksum
DEEPEST, MOST_OBJECTS = 4, 500  # groups inside groups and objects that a file may have
LARGEST_CHUNK = 1 << 26  # bytes
UNITS = ("units", "unit")  # attributes that name the unit of a data set
MASK, ENDLESS = 0xFFFFFFFF, 1 << 60


class Opened:
    """An HDF5 file that is open to be read. `unclosed`: its writer still has it open, or was killed."""

    def __init__(self, path: Path, what: str) -> None:
        import h5py

        self._raw = open_regular(path, what, SnapshotError)
        self.file: Any = None
        try:
            head = self._raw.read(HEAD)
            if head[:8] != SIGNATURE:
                raise SnapshotError(f"{path_shown(path)} does not hold a {what}: it is not an HDF5 file.")
            self.unclosed = len(head) == HEAD and head[8] >= 3 and bool(head[11] & WRITE_FLAG)
            if self.unclosed:
                size = os.fstat(self._raw.fileno()).st_size
                if checksum(head[:44]) != struct.unpack("<I", head[44:])[0]:
                    raise OSError("(its first bytes do not fit their checksum)")
                if size < (end := stated_end(head)):
                    raise OSError(f"(truncated: it ends after {size} of {end} bytes)")
                self.file = h5py.File(_AsClosed(self._raw.fileno(), head), "r")
            else:
                self._raw.close()
                self.file = h5py.File(path, "r")
                unlock(self.file.id.get_vfd_handle())  # so that this reader is not in the way of a writer
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError, RuntimeError):
            if self.file is not None:
                self.file.close()
        self._raw.close()

    def __del__(self) -> None:
        """Close a file that nobody closed."""
        if "file" in self.__dict__:
            self.close()


def stated_end(head: bytes) -> int:
    """Return the length of the file that its first bytes state."""
    return int.from_bytes(head[28:36], "little")


class _AsClosed(io.RawIOBase):
    """The bytes of a file that was not closed, with a superblock that says that it was, and that has no end.

    HDF5 opens such a file only for SWMR reading, where damage means waiting. The true end moves while a writer appends.
    """

    def __init__(self, descriptor: int, head: bytes) -> None:
        flags, end = bytes([head[11] & ~5]), ENDLESS.to_bytes(8, "little")  # 1: open to be written, 4: by SWMR
        closed = head[:11] + flags + head[12:28] + end + head[36:44]
        self._head, self._descriptor, self._at = closed + struct.pack("<I", checksum(closed)), descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (ENDLESS if start is None else start)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._descriptor, [buffer], self._at)
        if count < len(buffer):
            raise OSError(f"(truncated: it ends before byte {self._at + len(buffer)})")
        if self._at < HEAD:
            own = self._head[self._at :][:count]
            buffer[: len(own)] = own
        self._at += count
        return count


def checksum(content: bytes) -> int:
    """Return the checksum of HDF5's metadata: lookup3 of Bob Jenkins (2006, public domain), for at least one byte.

    The three words change places after each operation, so that the same line serves for all of them.
    """
    a = b = c = (0xDEADBEEF + len(content)) & MASK
    last = (len(content) - 1) // 12 * 3
    words = struct.unpack(f"<{last + 3}I", content.ljust(4 * last + 12, b"\0"))
    for k in range(0, last, 3):
        a, b, c = (a + words[k]) & MASK, (b + words[k + 1]) & MASK, (c + words[k + 2]) & MASK
        for by in (4, 6, 8, 16, 19, 4):
            a, b, c = b, (c + b) & MASK, ((a - c) & MASK) ^ _turned(c, by)
    a, b, c = (a + words[-3]) & MASK, (b + words[-2]) & MASK, (c + words[-1]) & MASK
    for by in (14, 11, 25, 16, 4, 14, 24):
        a, b, c = b, ((c ^ b) - _turned(b, by)) & MASK, a
    return b


def _turned(x: int, by: int) -> int:
    return (x << by | x >> (32 - by)) & MASK


def datasets_in(file: Any, path: Path) -> dict[str, Any]:
    """Return all data sets of a file by their paths, such as `state/0/stamp`.

    A `SnapshotError` refuses a file with links, with data that are not stored inside it, or with more numbers than it has bytes
    for.
    """
    found: dict[str, Any] = {}
    try:
        _collect(file, "", found, [0])
    except _RefusedError as why:
        raise SnapshotError(f"{path_shown(path)} is refused: {why}.") from None
    return found


class _RefusedError(Exception):
    """What is wrong with the contents of a file."""


def _collect(group: Any, prefix: str, found: dict[str, Any], count: list[int]) -> None:
    import h5py

    for name in list(group.id):
        where = prefix + name.decode(errors="replace")
        count[0] += 1
        if count[0] > MOST_OBJECTS or where.count("/") > DEEPEST:
            raise _RefusedError("it holds more groups and arrays than a file of this program")
        if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise _RefusedError(f"{where} is a link to somewhere else")
        opened = h5py.h5o.open(group.id, name)
        if h5py.h5o.get_info(opened).rc != 1:
            raise _RefusedError(f"{where} has another name, too")
        if isinstance(opened, h5py.h5g.GroupID):
            _collect(h5py.Group(opened), f"{where}/", found, count)
        elif isinstance(opened, h5py.h5d.DatasetID):
            _refuse_stored_elsewhere(opened, where)
            found[where] = h5py.Dataset(opened)
        else:
            raise _RefusedError(f"{where} is no array")


def _refuse_stored_elsewhere(dataset: Any, where: str) -> None:
    """Refuse a data set in other files, behind unknown filters, or with more numbers than are stored."""
    import h5py

    plist = dataset.get_create_plist()
    layout = plist.get_layout()
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or plist.get_external_count():
        raise _RefusedError(f"{where} is stored in another file")
    known = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
    if any(plist.get_filter(k)[0] not in known for k in range(plist.get_nfilters())):
        raise _RefusedError(f"{where} needs a filter that no file of this program has")
    size = dataset.get_type().get_size()
    if layout == h5py.h5d.CHUNKED:
        if math.prod(plist.get_chunk()) * size > LARGEST_CHUNK:
            raise _RefusedError(f"{where} has larger chunks than a file of this program")
    elif math.prod(dataset.shape) * size > dataset.get_storage_size():
        raise _RefusedError(f"{where} states more numbers than it holds")


def attributes_of(file: Any, names: Sequence[str]) -> dict[str, str | int]:
    """Return those of the attributes that are there as text of fixed length, or as an integer.

    Others are left out: text of any length lies where HDF5 has no checksum, and looks for it without end in a damaged file.
    """
    import h5py

    found: dict[str, str | int] = {}
    for name in names:
        if not h5py.h5a.exists(file.id, name.encode()):
            continue
        kind = h5py.h5a.open(file.id, name.encode()).get_type()
        if isinstance(kind, h5py.h5t.TypeIntegerID) or (isinstance(kind, h5py.h5t.TypeStringID) and not kind.is_variable_str()):
            value = file.attrs[name]
            if isinstance(value, (bytes, str)):
                found[name] = value.decode(errors="replace") if isinstance(value, bytes) else value
            elif np.ndim(value) == 0 and not isinstance(value, h5py.Empty):
                found[name] = int(value)
    return found


def all_stored(dataset: Any, rows: int) -> bool:
    """Return whether all chunks of the first `rows` rows of a chunked data set are in its file."""
    chunks = dataset.chunks
    needed = -(-rows // chunks[0]) * math.prod(-(-n // c) for n, c in zip(dataset.shape[1:], chunks[1:], strict=True))
    return len(dataset) >= rows and bool(dataset.id.get_num_chunks() >= needed)


class Stored(NamedTuple):
    """A data set of a file of another program."""

    values: np.ndarray
    unit: str | None  # the text of its attribute `units` or `unit`


def stored_arrays(content: bytes, path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], dict[str, Stored]]:
    """Return the attribute `format`, if there is one, and those data sets of numbers or text whose last name is wanted.

    content: of the whole file at `path`. What HDF5 raises for a damaged one becomes a `SnapshotError`.
    """
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            about = attributes_of(file, ("format",))
            datasets = {name: d for name, d in datasets_in(file, path).items() if wanted(name.rpartition("/")[2])}
            return about, {name: _stored(d, name) for name, d in datasets.items() if d.dtype.kind in "biufS"}
    except _RefusedError as why:
        raise SnapshotError(f"{path_shown(path)} is refused: {why}.") from None
    except SnapshotError:
        raise
    except Exception as error:  # whatever HDF5 raises
        words = str(error).partition("\n")[0]
        raise SnapshotError(f"{path_shown(path)} is damaged, or no HDF5 file: {words}.") from None


def _stored(dataset: Any, name: str) -> Stored:
    import h5py

    if dataset.chunks is not None and dataset.ndim and not all_stored(dataset, len(dataset)):
        raise _RefusedError(f"{name} states more numbers than it holds")
    found = attributes_of(dataset, UNITS)
    for word in UNITS:
        if word not in found and h5py.h5a.exists(dataset.id, word.encode()):
            raise _RefusedError(
                f"the attribute {word} of {name} is text of variable length, which is not read: write numpy.bytes_('au')"
            )
    unit = next(iter(found.values()), None)
    return Stored(np.asarray(dataset[()]), None if unit is None else str(unit))
