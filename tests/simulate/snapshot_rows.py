"""Rows that can be told from their number alone, and a process that writes them until it is killed.

As a script: reads a line with a path for each writer to start, and answers with its process id. The import (0.3 s) is
paid once: writers are forks. They go on with a file that exists, and note in PATH.said what had returned before.
"""

from __future__ import annotations

import os
import random
import sys

import numpy as np

from aitimestepper.simulate.snapshots import Snapshots, SnapshotWriter
from aitimestepper.simulate.snapshots.records import FIELDS, VECTORS

SHAPE = (2, 50, 3)


def rows_between(first: int, end: int, shape: tuple[int, int, int] = SHAPE) -> dict[str, np.ndarray]:
    """Rows first ... end - 1."""
    number = np.arange(first, end)
    rows = {}
    for k, name in enumerate(FIELDS):
        one = shape if name in VECTORS else shape[:1]
        x = np.add.outer(number, 0.37 * np.arange(np.prod(one)).reshape(one) + k)
        rows[name] = x if name == "time" else np.sin(x)
    return {**rows, "steps": 10 * np.add.outer(number, np.arange(shape[0]))}


def start_of(shape: tuple[int, int, int] = SHAPE) -> dict[str, np.ndarray]:
    """The arrays of the start."""
    systems, bodies, _ = shape
    rng = np.random.default_rng(0)
    return {
        "mass": np.ones((systems, bodies)),
        "present": np.ones((systems, bodies), bool),
        "position": rng.normal(size=shape),
        "velocity": rng.normal(size=shape),
        "time": np.zeros(systems),
        "softening": np.zeros(systems),
    }


def state_after(rows: int) -> dict[str, np.ndarray]:
    """A state that knows how many rows belong to it; one of its arrays is empty, as that of a criterion without memory."""
    return {"x": np.full((2, 300), float(rows)), "count": np.array(rows), "memory": np.zeros((2, 0))}


def new_file(path: object, shape: tuple[int, int, int] = SHAPE, rows: int = 0, **more: object) -> SnapshotWriter:
    """A file with so many rows."""
    given = {"metadata": {"G": 1.0}, "arrays": {}, "state": state_after(0), **more}
    writer = SnapshotWriter.create(path, initial=start_of(shape), axes=shape[2], **given)
    writer.append(rows_between(0, rows, shape))
    return writer


def same_rows(s: Snapshots, shape: tuple[int, int, int] = SHAPE) -> bool:
    """Whether all rows are what they must be."""
    truth = rows_between(0, len(s), shape)
    return all(np.array_equal(s.column(name)[:], truth[name]) for name in FIELDS)


def write_forever(path: str) -> None:
    """Append rows and save states, in irregular portions."""
    portions = random.Random(os.getpid())
    said = os.open(path + ".said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = SnapshotWriter.reopen(path) if os.path.exists(path) else new_file(path)
    saved = writer.rows
    while True:
        end = writer.rows + portions.choice((1, 2, 7, 80, 250))
        writer.append(rows_between(writer.rows, end))
        os.write(said, f"{end} {saved}\n".encode())
        if portions.random() < 0.5:
            saved = end
            writer.save_state(
                state_after(end), {"rows": end, "status": ["running"] * 2, "words": "x" * portions.randint(0, 20_000)}
            )
            os.write(said, f"{end} {saved}\n".encode())


if __name__ == "__main__":
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            write_forever(line.strip())
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
