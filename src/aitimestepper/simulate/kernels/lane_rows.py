"""Systems that enter a lane and leave it, and lanes whose step was rejected while those beside them accept theirs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .jit import by_width, inlined, nothing, strict
from .kinds import Counts, Flag, Numbers, Place
from .lanes import pointer, scalars, where, width_of
from .layout import HEAD, JERK, MASS, U0, U1, U2, U3, VECTORS
from .plan import Store, SystemRow
from .radau_layout import NEXT, SET, SIDE, U4, U7, memory_end, offset_of
from .system import SystemView

FIRST_BLOCK = np.uint64(HEAD)
SIZE = np.uint64(VECTORS)
COPIED = JERK  # vectors of a block that a splitting has: all before the jerk


@inlined
def _copy_in(source: Numbers, target: Numbers, count: int, width: Place, lane: Place) -> None:
    for k in range(U0, np.uint64(count)):
        target[k * width + lane] = source[k]


@inlined
def _copy_out(source: Numbers, target: Numbers, count: int, width: Place, lane: Place) -> None:
    for k in range(U0, np.uint64(count)):
        target[k] = source[k * width + lane]


@strict
def _load_polynomials(w: SystemView, memory: Numbers, lane: Place, b: int, store: Store) -> None:
    """Copy the memory of Gauss-Radau of system b into a lane, so that its two sets of polynomials are on the lanes' sides."""
    if store.radau.shape[1] == 1:
        return
    source, target, width = pointer(store.radau, b, (0,)), scalars(memory), width_of(memory)
    side = target[SIDE * width + lane]
    _copy_in(source, target, int(memory_end(w.n)), width, lane)
    if side == source[SIDE]:
        return
    target[SIDE * width + lane] = side
    for c in range(U0, U3 * w.n):
        first = offset_of(c) + NEXT
        for k in range(U0, U2 * U7):
            target[(first + U4 * k) * width + lane] = source[first + SET + U4 * k]
            target[(first + SET + U4 * k) * width + lane] = source[first + U4 * k]


@strict
def load_lane(w: SystemView, row: SystemRow, old: Place, new: Place, lane: Place, b: int, store: Store) -> None:
    """Copy system b into a lane: its numbers, its present state to block `old`, and the one before it to block `new`."""
    width, n = width_of(w.s), w.n
    _copy_in(pointer(store.system, b, (0,)), scalars(row.system), store.system.shape[1], width, lane)
    _copy_in(pointer(store.rule, b, (0,)), scalars(row.rule), store.rule.shape[1], width, lane)
    _copy_in(pointer(store.real, b, (0,)), scalars(row.real), store.real.shape[1], width, lane)
    _copy_in(pointer(store.count, b, (0,)), scalars(row.count), store.count.shape[1], width, lane)
    _copy_in(pointer(store.memory, b, (0,)), scalars(row.memory), store.memory.shape[1], width, lane)
    _copy_in(pointer(store.window, b, (0,)), scalars(row.window), store.window.shape[1], width, lane)
    _copy_in(pointer(store.events, b, (0,)), scalars(row.events), store.events.shape[1], width, lane)
    source, target = pointer(store.states, b, (0,)), scalars(w.s)
    _copy_in(source, target, HEAD, width, lane)
    block, current = SIZE * U3 * n, np.uint64(store.count[b, at.CURRENT])
    here, before = FIRST_BLOCK + current * block, FIRST_BLOCK + (U1 - current) * block
    for k in range(U0, COPIED * U3 * n):
        target[(old + k) * width + lane] = source[here + k]
        target[(new + k) * width + lane] = source[before + k]
    _load_polynomials(w, row.radau, lane, b, store)
    masses = FIRST_BLOCK + MASS * n
    for k in range(masses, masses + U2 * n):
        target[k * width + lane] = source[k]


@strict
def save_lane(w: SystemView, row: SystemRow, old: Place, new: Place, lane: Place, b: int, store: Store) -> None:
    """Copy what a run changes from a lane back to system b."""
    width, n = width_of(w.s), w.n
    _copy_out(scalars(row.real), pointer(store.real, b, (0,)), store.real.shape[1], width, lane)
    _copy_out(scalars(row.count), pointer(store.count, b, (0,)), store.count.shape[1], width, lane)
    _copy_out(scalars(row.memory), pointer(store.memory, b, (0,)), store.memory.shape[1], width, lane)
    _copy_out(scalars(row.window), pointer(store.window, b, (0,)), store.window.shape[1], width, lane)
    source, target = scalars(w.s), pointer(store.states, b, (0,))
    for k in range(U0, COPIED * U3 * n):
        target[FIRST_BLOCK + k] = source[(old + k) * width + lane]
        target[FIRST_BLOCK + SIZE * U3 * n + k] = source[(new + k) * width + lane]
    store.count[b, at.CURRENT] = 0
    if store.radau.shape[1] > 1:
        _copy_out(scalars(row.radau), pointer(store.radau, b, (0,)), int(memory_end(n)), width, lane)


# ---- steps that some lanes reject ---------------------------------------------------------------------------------------
class Held(NamedTuple):
    """Where the numbers of all lanes are kept while some of them accept a step and others do not."""

    numbers: Numbers  # of the systems: real, memory and window
    copies: Numbers
    size: Place
    counts: Counts
    count_copies: Counts


@strict
def _hold(w: SystemView, held: Held) -> None:
    for k in range(U0, held.size):
        held.copies[k] = held.numbers[k]
    for k in range(U0, np.uint64(at.COUNTS)):
        held.count_copies[k] = held.counts[k]


@strict
def _release(w: SystemView, held: Held, stays: Flag) -> None:
    for k in range(U0, held.size):
        held.numbers[k] = where(stays, held.copies[k], held.numbers[k])
    for k in range(U0, np.uint64(at.COUNTS)):
        held.counts[k] = where(stays, held.count_copies[k], held.counts[k])


@strict
def _keep_state(w: SystemView, old: Place, new: Place, stays: Flag) -> None:
    s, d = w.s, U3 * w.n
    for k in range(U0, COPIED * d):
        s[new + k] = where(stays, s[old + k], s[new + k])


# A step that one system alone rejects is not accepted at all. Of systems side by side, those that reject it are held: their
# numbers are copied before the others accept, and put back; their state is copied to where that of the others is.
hold = by_width(nothing, _hold)
release = by_width(nothing, _release)
keep_state = by_width(nothing, _keep_state)
