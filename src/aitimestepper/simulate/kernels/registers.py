"""The memory of systems side by side, and how many of them a register of this processor holds."""

from __future__ import annotations

import functools
import math

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from . import layout as at
from . import plan as kernel

CACHE_LINE = 64  # bytes; registers are loaded from addresses that are multiples of their size


@functools.cache
def lane_width() -> int:
    """Return the number of float64 in a vector register of this processor, 1 if it has none."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 8
    if features.get("avx"):
        return 4
    return 2 if features.get("sse2") or features.get("neon") else 1


def aligned(shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """Return zeros that begin at a cache line."""
    count = math.prod(shape)
    space = np.zeros(count + CACHE_LINE // 8, dtype=dtype)
    first = -space.ctypes.data % CACHE_LINE // 8
    return space[first : first + count].reshape(shape)


def registers_for(store: kernel.Store, width: int) -> kernel.Registers:
    """Return the memory of `width` systems of a run side by side."""
    numbers = at.REALS + store.memory.shape[1] + store.window.shape[1]
    return kernel.Registers(
        states=aligned((store.states.shape[1], width)),
        numbers=aligned((numbers, width)),
        counts=aligned((at.COUNTS, width), np.int64),
        constants=aligned((at.SYSTEMS + kernel.RULE_NUMBERS, width)),
        radau=aligned((store.radau.shape[1], width)),
        events=aligned((max(1, store.events.shape[1]), width)),
        copies=aligned((numbers, width)),
        count_copies=aligned((at.COUNTS, width), np.int64),
        lanes=aligned((2, width), np.int64),
    )
