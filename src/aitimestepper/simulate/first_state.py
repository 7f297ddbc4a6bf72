"""The arrays of a run before its first step."""

from __future__ import annotations

import numpy as np

from ..bodies import Bodies
from ..integrators import RADAU
from .kernels import layout as at
from .kernels import plan as kernel
from .program import Program


def first_state(start: Bodies, program: Program) -> dict[str, np.ndarray]:
    """Return the arrays that change during a run, before its first step, in the shapes that the kernels expect."""
    from .kernels.radau import radau_memory

    B, N = start.present.shape
    real = np.zeros((B, at.REALS))
    real[:, at.TIME], real[:, at.EXPECTED] = start.time, -np.inf
    return {
        "states": _pack(start, program),
        "real": real,
        "count": np.zeros((B, at.COUNTS), dtype=np.int64),
        "memory": np.zeros((B, kernel.WRAP_MEMORY * max(1, len(program.arrays["wraps"])))),
        "window": np.zeros((B, program.numbers["window"])),
        "radau": radau_memory(B, N) if program.numbers["method"] == RADAU else np.zeros((B, 1)),
    }


def _pack(start: Bodies, program: Program) -> np.ndarray:
    """Return (B, ...), all numbers of each system in one row, without absent bodies; see kernels.layout."""
    from .kernels.pair_sums import CHUNKED, CHUNKS

    B, N, D = start.position.shape
    length = at.HEAD + int(at.PARTIAL) * N + (CHUNKS * (3 * N + 8) if N >= CHUNKED else 0)
    states = np.zeros((B, length))
    states[:, at.SOFTENING2] = start.softening * start.softening
    states[:, at.FIELD_KIND : at.FIELD_KIND + 8] = program.arrays["field"]
    for b, present in enumerate(start.present):
        n = int(present.sum())
        x, v = np.zeros((3, n)), np.zeros((3, n))
        x[:D], v[:D] = start.position[b, present].T, start.velocity[b, present].T
        mass = start.mass[b, present]
        states[b, at.HEAD : at.HEAD + 3 * n], states[b, at.HEAD + 3 * n : at.HEAD + 6 * n] = x.ravel(), v.ravel()
        first = at.HEAD + int(at.MASS) * n
        states[b, first : first + n], states[b, first + n : first + 2 * n] = mass, start.G * mass
    return states
