"""The two slots of a snapshot file with the data to resume a run, written alternately so that one is always complete."""

from __future__ import annotations

import json
import time
import zlib
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]
TRIES, PAUSE = 10, 0.01  # attempts, seconds: a slot that is being written is complete soon


class Slot(NamedTuple):
    """A state of the engine, with the number of rows and the outcome up to it."""

    sequence: int  # higher numbers are newer
    rows: int  # number of rows before this state
    state: Arrays
    result: dict[str, Any]


def make_slots(group: Any, state: Arrays, systems: int) -> None:
    """Create both slots at their full size, since a file in SWMR mode takes no new datasets, and a full disk no longer ones."""
    for number in ("0", "1"):
        slot = group.create_group(number)
        _ = slot.create_group("arrays")
        for name, values in state.items():
            slot["arrays"][name] = values
        capacity = 4096 + 1024 * systems
        slot.create_dataset("result", data=np.zeros(capacity, np.uint8), maxshape=(None,), chunks=(capacity,))
        slot["stamp"] = np.full(3, -1)
    write_slot(group, Slot(0, 0, state, {}))


def write_slot(group: Any, new: Slot) -> None:
    """Write a state to the older slot. The order of writes does not matter: until all are done, its checksum is wrong."""
    slot = group[str(new.sequence % 2)]
    stored = arrays_in(slot["arrays"])
    for name in sorted({*stored, *new.state}):
        if name not in stored or name not in new.state or stored[name].shape != np.shape(new.state[name]):
            raise ValueError(f"the state has another {name!r} than the file was created with.")
        slot["arrays"][name][...] = new.state[name]
    text = to_json(new.result).encode()
    if len(text) > len(slot["result"]):
        slot["result"].resize(2 * len(text), axis=0)
    slot["result"][:] = np.frombuffer(text.ljust(len(slot["result"])), np.uint8)
    slot["stamp"][:] = new.sequence, new.rows, _seal(new.sequence, new.rows, arrays_in(slot["arrays"]), text)


def newest_slot(group: Any) -> Slot | None:
    """Return the newest complete state, or None if both slots are damaged."""
    for _ in range(TRIES):
        whole = [slot for number in ("0", "1") if (slot := _read_slot(group, number)) is not None]
        if whole:
            return max(whole, key=lambda slot: slot.sequence)
        time.sleep(PAUSE)
    return None


def _read_slot(group: Any, number: str) -> Slot | None:
    try:
        slot = group[number]
        sequence, rows, seal = slot["stamp"][:].tolist()
        state, text = arrays_in(slot["arrays"]), slot["result"][:].tobytes().rstrip()
        whole = seal == _seal(sequence, rows, state, text)
        return Slot(sequence, rows, state, json.loads(text)) if whole else None
    except (OSError, RuntimeError, KeyError, ValueError):
        return None


def _seal(sequence: int, rows: int, state: Arrays, text: bytes) -> int:
    """Return the CRC-32 over everything in a slot."""
    seal = zlib.crc32(f"{sequence} {rows} ".encode() + text)
    for name in sorted(state):
        seal = zlib.crc32(state[name].tobytes(), zlib.crc32(name.encode(), seal))
    return seal


def arrays_in(group: Any) -> Arrays:
    """Return all datasets of a group as arrays."""
    return {name: dataset[...] for name, dataset in group.items()}


def to_json(content: dict[str, Any]) -> str:
    """Return JSON, with NumPy's numbers and arrays as numbers and lists, and anything else as its text."""
    return json.dumps(content, default=lambda x: x.tolist() if hasattr(x, "tolist") else str(x))
