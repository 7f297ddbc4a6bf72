"""The two slots of a snapshot file with the data to resume a run, written alternately so that one is always complete.

A slot is `state`, a stamp of three integers (number of the state, rows before it, checksum) and the bytes of all arrays, and
`result`, JSON. Names, types and shapes of the arrays are stored once for both, with the constants of the run.
"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ...errors import SnapshotError
from ...files import parse_json
from ...files.hdf5 import all_stored

Arrays = dict[str, np.ndarray]
TRIES, PAUSE = 10, 0.01  # attempts, seconds: a slot that is being written is complete soon
STAMP = 24  # bytes of the stamp
MOST = 1 << 52  # states and rows
KINDS = ("<f8", "<i8", "|b1")  # types of arrays


class Layout(NamedTuple):
    """Names, types and shapes of arrays, in the order in which their bytes are stored."""

    entries: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray]) -> Layout:
        """Return the layout of arrays of numbers."""
        for name, x in state.items():
            if np.asarray(x).dtype.str not in KINDS:
                raise TypeError(f"a run holds floats and integers, not {name} of type {np.asarray(x).dtype}.")
        return cls(tuple((name, np.asarray(x).dtype, np.shape(x)) for name, x in sorted(state.items())))

    @classmethod
    def from_plain(cls, plain: Any) -> Layout:
        """Return the layout that plain values describe, or raise an error; its size is checked where bytes are read."""
        entries = []
        for name, kind, shape in plain:
            if kind not in KINDS or not all(isinstance(n, int) and n >= 0 for n in shape):
                raise SnapshotError(f"no run holds {str(name)[:60]} of type {str(kind)[:20]} and shape {str(shape)[:60]}")
            entries.append((str(name), np.dtype(kind), tuple(shape)))
        return cls(tuple(entries))

    def plain(self) -> list[Any]:
        """Return the layout as lists for JSON."""
        return [[name, kind.str, list(shape)] for name, kind, shape in self.entries]

    @property
    def size(self) -> int:
        """Number of bytes of all arrays."""
        return sum(kind.itemsize * math.prod(shape) for _, kind, shape in self.entries)

    def pack(self, state: Mapping[str, np.ndarray]) -> bytes:
        """Return the bytes of all arrays; a state of another layout is an error."""
        mine, given = ({name: rest for name, *rest in layout.entries} for layout in (self, Layout.of(state)))
        for name in sorted({*mine, *given}):
            if mine.get(name) != given.get(name):
                raise ValueError(f"the state has another {name!r} than the file was created with.")
        return b"".join(np.ascontiguousarray(state[name]).tobytes() for name, _, _ in self.entries)

    def unpack(self, content: np.ndarray) -> Arrays:
        """Return the arrays in `size` bytes."""
        found, at = {}, 0
        for name, kind, shape in self.entries:
            end = at + kind.itemsize * math.prod(shape)
            part = content[at:end]
            found[name] = (part != 0 if kind.kind == "b" else part.view(kind)).reshape(shape)  # a byte of 2 would count as two
            at = end
        return found


class Slot(NamedTuple):
    """A state of the engine, with the number of rows and the outcome up to it."""

    sequence: int  # higher numbers are newer
    rows: int  # number of rows before this state
    state: Arrays
    result: dict[str, Any]


def make_slots(group: Any, state: Arrays, systems: int) -> None:
    """Create both slots at their full size, since a file in SWMR mode takes no new datasets, and a full disk no longer ones."""
    layout = Layout.of(state)
    for number in ("0", "1"):
        slot = group.create_group(number)
        slot.create_dataset("state", data=np.full(STAMP + layout.size, 255, np.uint8))
        capacity = result_capacity(systems)
        slot.create_dataset("result", data=np.zeros(capacity, np.uint8), maxshape=(None,), chunks=(capacity,))
    write_slot(group, layout, Slot(0, 0, state, {}))


def result_capacity(systems: int) -> int:
    """Return the number of bytes that are set aside for an outcome; longer ones find room, too."""
    return 4096 + 1024 * systems


def write_slot(group: Any, layout: Layout, new: Slot) -> None:
    """Write a state to the older slot. The order of writes does not matter: until all are done, its checksum is wrong."""
    slot, content, text = group[str(new.sequence % 2)], layout.pack(new.state), to_json(new.result).encode()
    if len(text) > len(slot["result"]):
        slot["result"].resize(2 * len(text), axis=0)
    slot["result"][:] = np.frombuffer(text.ljust(len(slot["result"])), np.uint8)
    stamp = np.array([new.sequence, new.rows, _seal(new.sequence, new.rows, content, text)], "<i8")
    slot["state"][:] = np.frombuffer(stamp.tobytes() + content, np.uint8)


class Slots(NamedTuple):
    """What the two slots of a file hold."""

    newest: Slot | None  # the newest complete state; None: both are damaged
    complete: bool  # whether both states are complete, so that there was no newer one
    readable: bool  # whether HDF5 can read both; a writer would wait for one that it cannot


def read_slots(datasets: Mapping[str, Any], layout: Layout, tries: int = TRIES) -> Slots:
    """Read both slots, again where a writer has just changed them."""
    for attempt in range(tries):
        found, readable = [], True
        for number in ("0", "1"):
            try:
                found.append(_read_slot(datasets, number, layout))
            except (OSError, RuntimeError):
                readable = False
        whole = [slot for slot in found if slot is not None]
        if whole or attempt == tries - 1:
            return Slots(max(whole, key=lambda slot: slot.sequence, default=None), len(whole) == 2, readable)
        time.sleep(PAUSE)
    return Slots(None, False, False)


def _read_slot(datasets: Mapping[str, Any], number: str, layout: Layout) -> Slot | None:
    """Return the state in a slot, or None if it is not complete."""
    content = array_of(datasets, f"state/{number}/state", np.dtype(np.uint8), (STAMP + layout.size,))
    text = array_of(datasets, f"state/{number}/result", np.dtype(np.uint8)).tobytes().rstrip()
    sequence, rows, seal = content[:STAMP].view("<i8").tolist()
    if seal != _seal(sequence, rows, content[STAMP:].tobytes(), text) or not (0 <= sequence < MOST and 0 <= rows < MOST):
        return None
    try:
        result = parse_json(text)
    except ValueError:
        return None
    return Slot(sequence, rows, layout.unpack(content[STAMP:]), result) if isinstance(result, dict) else None


def _seal(sequence: int, rows: int, content: bytes, text: bytes) -> int:
    """Return the CRC-32 over everything in a slot."""
    return zlib.crc32(content, zlib.crc32(f"{sequence} {rows} ".encode() + text))


def array_of(datasets: Mapping[str, Any], name: str, kind: np.dtype[Any], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return a dataset as an array, or raise an error if it is missing or has another type or shape; None: any one axis."""
    if name not in datasets:
        raise SnapshotError(f"there is no {name} in it")
    dataset = datasets[name]
    if dataset.dtype != kind or (len(dataset.shape) != 1 if shape is None else dataset.shape != shape):
        raise SnapshotError(f"{name} has the type {dataset.dtype} and the shape {dataset.shape}")
    if dataset.chunks is not None and not all_stored(dataset, len(dataset)):
        raise SnapshotError(f"{name} states more numbers than it holds")
    return np.asarray(dataset[...])


def to_json(content: dict[str, Any]) -> str:
    """Return JSON, with NumPy's numbers and arrays as numbers and lists, and anything else as its text."""
    return json.dumps(content, default=lambda x: x.tolist() if hasattr(x, "tolist") else str(x))
