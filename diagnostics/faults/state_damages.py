"""Damage to the run in a snapshot file, with right seals: settings, constants, states of the engine, and counts of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from archive_damages import change_arrays
from cases import Damage, Parts
from seals import constants_of, entries_of, opened, put_constants, put_state, reseal_snapshot, state_arrays
from trees import changed_tree

FLOATS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 2.0, 1e-300, 1e308, -1e308, 5e-324, 2.0**62, 1e6, 0.5)
INTEGERS = (0, 1, -1, 2, 3, 7, 100, 10**6, 2**31, 2**40, -(2**40), 2**52, 2**62, -(2**62), 2**63 - 1, -(2**63))
# those that places in memory, ends of loops, or the choice of a branch may depend on are changed more often
OFTEN = ("count", "real", "stamp", "memory", "radau", "window")


def _constants(file: Any, rng: np.random.Generator) -> str:
    """Change settings, the network, the start or the systems of a run, or the layout of its states."""
    header, arrays = constants_of(file)
    way = rng.random()
    if way < 0.5:
        header["metadata"], words = changed_tree(header["metadata"], rng)
    elif way < 0.6:
        header["state"], words = changed_tree(header["state"], rng)
    elif way < 0.65:
        header, words = changed_tree(header, rng)
    else:
        words = change_arrays(arrays, rng)
        header["arrays"] = entries_of(arrays)
    put_constants(file, header, arrays)
    return words


def _state(file: Any, rng: np.random.Generator) -> str:
    """Change some numbers in one of the saved states, or the same in both."""
    numbers = (("0",), ("1",), ("0", "1"))[rng.integers(3)]
    words = []
    for _ in range((1, 1, 1, 4, 20)[rng.integers(5)]):
        states = {number: state_arrays(file, number) for number in numbers}
        first = states[numbers[0]]
        names = [name for name, x in first.items() if x.size and name != "content"]
        some = [name for name in names if name in OFTEN] if rng.random() < 0.7 else names
        name = some[rng.integers(len(some))]
        at = np.unravel_index(rng.integers(first[name].size), first[name].shape)
        new = FLOATS[rng.integers(len(FLOATS))] if first[name].dtype.kind == "f" else INTEGERS[rng.integers(len(INTEGERS))]
        for number, arrays in states.items():
            arrays[name][at] = new
            put_state(file, number, arrays)
        words.append(f"{name}{[int(i) for i in at]} = {new}")
    return f"state {' and '.join(numbers)}: {'; '.join(words)}"


def _rows(file: Any, rng: np.random.Generator) -> str:
    """Change how many rows and states there are said to be, or cut or lengthen columns."""
    if rng.random() < 0.5:
        known = file["known"][...]
        at, new = int(rng.integers(2)), INTEGERS[rng.integers(len(INTEGERS))]
        known[at] = new
        file["known"][...] = known
        return f"known[{at}] = {new}"
    columns = [name for name, item in file.items() if getattr(item, "maxshape", (0,))[:1] == (None,)]
    some = columns if rng.random() < 0.5 else [columns[rng.integers(len(columns))]]
    length = max(0, len(file[some[0]]) + (-1, 1, -len(file[some[0]]), 1000, 2**33)[rng.integers(5)])
    for name in some:
        file[name].resize(length, axis=0)
    return f"{', '.join(some)} have {length} rows"


def _sealed(name: str, change: Any) -> Damage:
    def apply(path: Path, rng: np.random.Generator, parts: Parts) -> str:
        with opened(path) as file:
            words = str(change(file, rng))
            reseal_snapshot(file)
        return words

    return Damage(f"{name}, sealed", apply, sealed=True)


OF_RUNS = (
    _sealed("run", _constants),
    _sealed("run", _constants),
    _sealed("state", _state),
    _sealed("state", _state),
    _sealed("rows", _rows),
)
