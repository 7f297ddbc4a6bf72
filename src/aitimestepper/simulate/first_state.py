"""The arrays of a run before its first step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..bodies import Bodies
from ..errors import SnapshotError
from ..integrators import RADAU
from .kernels import layout as at
from .kernels import plan as kernel
from .program import Program

ROW_MEMORY = 2**22  # bytes of output held in memory
NOTE_MEMORY = 2**25  # bytes of states around the steps in which events may be
MOST_STEPS = 2**52  # steps, forces and rows that floats can count
RADAU_SIDE = 1  # `radau_layout.SIDE`, the one number of that memory that places depend on


def first_state(start: Bodies, program: Program, direction: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the arrays that change during a run, before its first step, in the shapes that the kernels expect.

    direction: (B,) 1, or -1 for systems that go backward in time; see `layout.TIME_SIGN`.
    """
    from .kernels.radau import radau_memory

    B, N = start.present.shape
    sign = np.ones(B) if direction is None else direction
    real, count = np.zeros((B, at.REALS)), np.zeros((B, at.COUNTS), dtype=np.int64)
    real[:, at.TIME], real[:, at.DUE], real[:, at.EXPECTED] = sign * start.time, np.inf, -np.inf
    return {
        "states": _pack(start, program, sign),
        "real": real,
        "count": count,
        "memory": np.zeros((B, kernel.WRAP_MEMORY * max(1, len(program.arrays["wraps"])))),
        "window": np.zeros((B, program.numbers["window"])),
        "radau": radau_memory(B, N) if program.numbers["method"] == RADAU else np.zeros((B, 1)),
    }


def row_capacity(systems: int, bodies: int) -> int:
    """Return the number of rows of output of every system that are held in memory."""
    return max(4, min(1024, ROW_MEMORY // (8 * systems * row_width(bodies))))


def note_capacity(systems: int, bodies: int) -> int:
    """Return the number of states of every system that are noted for its events in one turn."""
    return max(8, min(2**14, NOTE_MEMORY // (8 * systems * row_width(bodies))))


def row_width(bodies: int) -> int:
    """Return the number of floats in a row of one system."""
    return kernel.ROW_BODIES + 6 * bodies


def restored_state(start: Bodies, program: Program, saved: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the state of a run and its rows in memory, from arrays in a file; a `SnapshotError` refuses those of no run.

    Kernels check nothing: types, shapes, and every number that places depend on are checked here. Masses, softening and field
    are those of the start.
    """
    state, (B, N) = first_state(start, program, _direction(saved, len(start))), start.present.shape
    rows = np.zeros((B, row_capacity(B, N), row_width(N)))
    wanted = {**state, "rows": rows}
    for name in sorted({*wanted, *saved}):
        if name not in wanted or name not in saved:
            raise SnapshotError(f"its state has the arrays {', '.join(sorted(saved))}")
        if saved[name].shape != wanted[name].shape or saved[name].dtype != wanted[name].dtype:
            raise SnapshotError(f"{name} of its state has the type {saved[name].dtype} and the shape {saved[name].shape}")
    _check_counts(saved["count"], start.body_count, rows.shape[1])
    if program.numbers["method"] == RADAU and not np.isin(saved["radau"][:, RADAU_SIDE], (0.0, 1.0)).all():
        raise SnapshotError("the memory of Gauss-Radau in its state is none")
    constants = _constants(state["states"], start)
    for name, values in wanted.items():
        values[:] = saved[name]
    state["count"][:, at.NOTED] = 0
    for b, (head, masses, first) in enumerate(constants):
        state["states"][b, : at.HEAD], state["states"][b, first : first + len(masses)] = head, masses
    return state, rows


def _direction(saved: dict[str, np.ndarray], systems: int) -> np.ndarray:
    """Return the direction of time of each system of a saved state, (B,)."""
    states = saved.get("states")
    if states is None or states.ndim != 2 or len(states) != systems or states.shape[1] < at.HEAD or states.dtype != np.float64:
        raise SnapshotError("its state holds no systems")
    direction = states[:, at.TIME_SIGN].copy()
    if not np.isin(direction, (1.0, -1.0)).all():
        raise SnapshotError("the direction of time in its state is none")
    return direction


def _constants(states: np.ndarray, start: Bodies) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return of each system the head, and masses with their place: what no step changes."""
    found = []
    for b, n in enumerate(start.body_count.tolist()):
        first = at.HEAD + int(at.MASS) * n
        found.append((states[b, : at.HEAD].copy(), states[b, first : first + 2 * n].copy(), first))
    return found


def _check_counts(count: np.ndarray, bodies: np.ndarray, capacity: int) -> None:
    """Raise an error for counts (B, COUNTS) of no run: statuses, pairs and places, or numbers too large to count on from."""
    highest = np.full(count.shape, MOST_STEPS)
    highest[:, at.STATUS], highest[:, at.CURRENT], highest[:, at.PENDING] = at.STUCK, 1, capacity
    for name in (at.CLOSEST_I, at.CLOSEST_J, at.PAIR_I, at.PAIR_J):
        highest[:, name] = bodies - 1
    lowest = np.zeros(count.shape, dtype=np.int64)
    begun = count[:, at.FORCES] > 0
    if ((count < lowest) | (count > highest)).any() or begun.any() != begun.all():
        raise SnapshotError("the counts of its state are those of no run")


def _pack(start: Bodies, program: Program, direction: np.ndarray) -> np.ndarray:
    """Return (B, ...), all numbers of each system in one row, without absent bodies; see kernels.layout."""
    from .kernels.pair_sums import CHUNKED, CHUNKS

    B, N, D = start.position.shape
    length = at.HEAD + int(at.PARTIAL) * N + (CHUNKS * (3 * N + 8) if N >= CHUNKED else 0)
    states = np.zeros((B, length))
    states[:, at.SOFTENING2], states[:, at.TIME_SIGN] = start.softening * start.softening, direction
    states[:, at.FIELD_TERMS : at.HEAD] = program.arrays["field"]
    for n, some in systems_by_size(start.present):
        x, v = (bodies_of(values, start.present, some, n) for values in (start.position, start.velocity))
        first, mass = at.HEAD + int(at.MASS) * n, bodies_of(start.mass[..., None], start.present, some, n)[..., 0]
        block = np.zeros((len(some), 2, 3, n))
        block[:, 0, :D], block[:, 1, :D] = np.moveaxis(x, 1, 2), direction[some, None, None] * np.moveaxis(v, 1, 2)
        states[some, at.HEAD : at.HEAD + 6 * n] = block.reshape(len(some), -1)
        states[some, first : first + n], states[some, first + n : first + 2 * n] = mass, start.G * mass
    return states


def systems_by_size(present: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield numbers of bodies, and the systems that have so many; present: (B, N)."""
    sizes = present.sum(1)
    for n in np.unique(sizes).tolist():
        yield n, np.flatnonzero(sizes == n)


def bodies_of(values: np.ndarray, present: np.ndarray, systems: np.ndarray, n: int) -> np.ndarray:
    """Return the values (len(systems), n, D) of the bodies that are present, of systems with n of them; values: (B, N, D)."""
    return np.asarray(values[systems][present[systems]].reshape(len(systems), n, values.shape[2]))
