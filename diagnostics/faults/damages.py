"""Damage that knows nothing of what a file means: bits, bytes, blocks, lengths; and the parts of a file to aim at."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cases import Damage, Parts
from seals import reseal_end

NUMBERS = (0, 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)


def parts_of(path: Path) -> Parts:
    """Return the parts of a file that are worth an aim of their own, because they are small among the others."""
    head = path.read_bytes()[:8]
    if head == b"\x89HDF\r\n\x1a\n":
        return _hdf5_parts(path)
    if head[:2] == b"PK":
        return _zip_parts(path)
    return {"all": [(0, path.stat().st_size)]}


def _hdf5_parts(path: Path) -> Parts:
    """Return the bytes of each dataset, and all other bytes that are not 0: headers, indices, heaps."""
    import h5py

    parts: Parts = {}

    def visit(name: str, found: object) -> None:
        if isinstance(found, h5py.Dataset):
            parts[name] = _stored(found)

    with h5py.File(path, "r", swmr=True) as file:
        file.visititems(visit)
    parts = {name: pieces for name, pieces in parts.items() if pieces}
    free = np.frombuffer(path.read_bytes(), np.uint8) != 0
    for pieces in parts.values():
        for begin, end in pieces:
            free[begin:end] = False
    edges = np.flatnonzero(np.diff(np.pad(free, 1).astype(np.int8)))
    between = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    return {**parts, "headers": between, "more headers": between, "superblock": [(0, 48)]}


def _stored(dataset: object) -> list[tuple[int, int]]:
    begin, size = dataset.id.get_offset(), dataset.id.get_storage_size()  # type: ignore[attr-defined]
    if begin is not None and size:
        return [(begin, begin + size)]
    if dataset.chunks is None:  # type: ignore[attr-defined]
        return []
    chunks = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]  # type: ignore[attr-defined]
    return [(c.byte_offset, c.byte_offset + c.size) for c in chunks]


def _zip_parts(path: Path) -> Parts:
    """Return each member with its header, and the directory at the end."""
    with zipfile.ZipFile(path) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        begins = [info.header_offset for info in infos]
        directory = archive.start_dir
    ends = [*begins[1:], directory]
    parts: Parts = {info.filename: [span] for info, span in zip(infos, zip(begins, ends, strict=True), strict=True)}
    headers = [(begin, begin + 30 + len(info.filename)) for info, begin in zip(infos, begins, strict=True)]
    return {**parts, "headers": headers, "directory": [(directory, path.stat().st_size)]}


def place(raw: bytearray, rng: np.random.Generator, parts: Parts) -> tuple[int, str]:
    """Return a random byte: half of them anywhere in the file, half of them in one of its parts."""
    if rng.random() < 0.5:
        return int(rng.integers(len(raw))), "file"
    names = list(parts)
    name = names[rng.integers(len(names))]
    begin, end = parts[name][rng.integers(len(parts[name]))]
    return min(int(rng.integers(begin, end)), len(raw) - 1), name


Change = Callable[[bytearray, np.random.Generator, Parts], str]


def on_bytes(name: str, change: Change, sealed: bool = False) -> Damage:
    """Return the damage that a change of the bytes of a file is; sealed: with a right seal at its end."""

    def apply(path: Path, rng: np.random.Generator, parts: Parts) -> str:
        before = path.read_bytes()
        raw = bytearray(before)
        words = change(raw, rng, parts)
        path.write_bytes(raw)
        if sealed:
            reseal_end(path, before)
        return words

    return Damage(f"{name}, sealed" if sealed else name, apply, sealed)


def _flip(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    bit = int(rng.integers(8))
    raw[at] ^= 1 << bit
    return f"bit {bit} of byte {at} in {part}"


def _flips(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    return "; ".join(_flip(raw, rng, parts) for _ in range(rng.integers(2, 20)))


def _byte(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    raw[at] = (0, 255, 127, 128, int(rng.integers(256)))[rng.integers(5)]
    return f"byte {at} in {part} = {raw[at]}"


def _zeros(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    end = min(len(raw), at + int(2 ** rng.uniform(1, 16)))
    raw[at:end] = bytes(end - at)
    return f"zeros in bytes {at} to {end} in {part}"


def _noise(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    end = min(len(raw), at + int(2 ** rng.uniform(1, 12)))
    raw[at:end] = rng.bytes(end - at)
    return f"noise in bytes {at} to {end} in {part}"


def _number(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    """Write an extreme whole number, where the size or the address of something may be."""
    at, part = place(raw, rng, parts)
    at, size = at - at % 4, (4, 8)[rng.integers(2)]
    number = NUMBERS[rng.integers(len(NUMBERS))]
    content = (number % 2 ** (8 * size)).to_bytes(size, "little")[: len(raw) - at]
    raw[at : at + len(content)] = content
    return f"{number} in {size} bytes from {at} in {part}"


def _cut(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    end = place(raw, rng, parts)[0] if rng.random() < 0.8 else max(0, len(raw) - int(rng.integers(1, 200)))
    del raw[end:]
    return f"cut at byte {end}"


def _insert(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    more = rng.bytes(int(2 ** rng.uniform(0, 10)))
    raw[at:at] = more
    return f"{len(more)} bytes inserted at {at} in {part}"


def _remove(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    at, part = place(raw, rng, parts)
    size = int(2 ** rng.uniform(0, 10))
    del raw[at : at + size]
    return f"{size} bytes removed at {at} in {part}"


def _swap(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    (a, one), (b, other) = sorted(place(raw, rng, parts) for _ in range(2))
    size = min(int(2 ** rng.uniform(0, 12)), b - a, len(raw) - b)
    raw[a : a + size], raw[b : b + size] = raw[b : b + size], raw[a : a + size]
    return f"{size} bytes at {a} in {one} exchanged with those at {b} in {other}"


def _append(raw: bytearray, rng: np.random.Generator, parts: Parts) -> str:
    more = bytes(raw) if rng.random() < 0.2 else rng.bytes(int(rng.integers(1, 5000)))
    raw += more
    return f"{len(more)} bytes appended"


_CHANGES: dict[str, Change] = {
    "several bits": _flips,
    "a byte": _byte,
    "a number": _number,
    "zeros": _zeros,
    "noise": _noise,
    "bytes inserted": _insert,
    "bytes removed": _remove,
    "blocks exchanged": _swap,
    "bytes appended": _append,
}
FLIPS = (on_bytes("a bit", _flip),)
BYTES = (*(on_bytes(name, change) for name, change in _CHANGES.items()), *[on_bytes("cut short", _cut)] * 3)
SEALED_BYTES = tuple(on_bytes(name, change, True) for name, change in {"a bit": _flip, "cut short": _cut, **_CHANGES}.items())
