"""The loop of the compiled engine: choose a step, make it, check it and store it, for every system of a batch separately.

The loop is written once. `advance_lanes` compiles it for as many systems of equally many bodies, up to `FEW`, as a register
holds; where one of them ends, the next takes its lane. `advance` compiles it for one system at a time, of more bodies or by
other methods than splittings and Gauss-Radau. The whole state of a run is in the arrays of `Store`. A call continues where the
last one stopped. The bits depend neither on how the steps are divided among calls, nor on the systems side by side, nor on
threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import layout as at
from .attempt import attempt_step, end_finished, rows_are_full
from .jit import entry, inlined, strict
from .kinds import Place
from .lane_rows import Held
from .lanes import pointer
from .layout import HEAD, ROW_SUM, TRIAL_ROW_SUM, U0, U1, U2, U3, VECTORS
from .output import Rows
from .plan import ROW_BODIES, THREADS, WITH_SUMS, Net, Plan, SystemRow
from .side_by_side import Queue, run_lanes
from .system import SystemView
from .workplace import Workplace, begin

FIRST_BLOCK, BLOCK = np.uint64(HEAD), np.uint64(VECTORS) * U3


# ---- one system at a time -----------------------------------------------------------------------------------------------
@strict
def _run_system(here: Workplace, budget: int, block: Place) -> None:
    """Advance a system by at most `budget` attempts at a step."""
    c = here.row.count
    current = np.uint64(c[at.CURRENT])
    old, new = FIRST_BLOCK + current * block, FIRST_BLOCK + (U1 - current) * block
    if c[at.FORCES] == 0:
        begin(here, old, True)
    for attempts in range(budget + 1):
        running = c[at.STATUS] == at.RUNNING
        if not running or rows_are_full(here, old, new, running):
            return
        if not end_finished(here.row, running) or attempts == budget:
            return
        if attempt_step(here, old, new, True):
            old, new = new, old
            c[at.CURRENT] = 1 - c[at.CURRENT]


@entry
def advance(order: Any, first: Any, last: Any, budget: Any, store: Any, plan: Any, net: Any) -> None:
    """Advance the systems order[first:last], one at a time, by at most `budget` attempts at a step.

    `net.scratch` belongs to the calling thread. Arrays are passed on as pointers.
    """
    one = (0,)
    plan_at = Plan(pointer(plan.ints, 0, one), pointer(plan.floats, 0, one))
    net_at = Net(pointer(net.shape, 0, one), pointer(net.numbers, 0, one), pointer(net.scratch, 0, one))
    for k in range(first, last):
        b = order[k]
        n = np.uint64(store.bodies[b])
        s, with_sums, threads = pointer(store.states, b, one), plan.ints[WITH_SUMS] != 0, plan.ints[THREADS]
        w = SystemView(n, s, np.uint64(HEAD) + ROW_SUM * n if with_sums else U0, threads)
        trial = SystemView(n, s, np.uint64(HEAD) + TRIAL_ROW_SUM * n if with_sums else U0, threads)
        row = SystemRow(
            pointer(store.real, b, one),
            pointer(store.count, b, one),
            pointer(store.system, b, one),
            pointer(store.rule, b, one),
            pointer(store.memory, b, one),
            pointer(store.window, b, one),
            pointer(store.radau, b, one),
            pointer(store.events, b, one),
        )
        rows, noted = _rows_at(store.rows, pointer(order, k, one)), _rows_at(store.noted, pointer(order, k, one))
        held = Held(row.real, row.real, U0, row.count, row.count)
        here = Workplace(w, trial, row, plan_at, net_at, rows, noted, held, FIRST_BLOCK + U2 * BLOCK * n)
        _run_system(here, budget, BLOCK * n)


@inlined
def _rows_at(rows: Any, systems: Any) -> Rows:
    """Return where the rows of the systems in all lanes go; `systems` points to their numbers."""
    return Rows(pointer(rows, 0, (0,)), rows.shape[1], np.uint64((rows.shape[2] - ROW_BODIES) // 6), systems)


@entry
def advance_lanes(
    order: Any, first: Any, last: Any, budget: Any, store: Any, plan: Any, net: Any, registers: Any, lanes: Any
) -> None:
    """Advance the systems order[first:last], all of equally many bodies, side by side, by about `budget` steps each.

    `lanes` is a tuple of as many floats as there are lanes. `net.scratch` and `registers` belong to the calling thread.
    """
    one, n = (0,), np.uint64(store.bodies[order[first]])
    plan_at = Plan(pointer(plan.ints, 0, one), pointer(plan.floats, 0, one))
    net_at = Net(pointer(net.shape, 0, one), pointer(net.numbers, 0, one), pointer(net.scratch, 0, lanes))
    s, memory = pointer(registers.states, 0, lanes), at.REALS + store.memory.shape[1]
    view = SystemView(n, s, np.uint64(HEAD) + ROW_SUM * n if plan.ints[WITH_SUMS] != 0 else U0, lanes)
    numbers, counts = pointer(registers.numbers, 0, lanes), pointer(registers.counts, 0, lanes)
    row = SystemRow(
        numbers,
        counts,
        pointer(registers.constants, 0, lanes),
        pointer(registers.constants, at.SYSTEMS, lanes),
        pointer(registers.numbers, at.REALS, lanes),
        pointer(registers.numbers, memory, lanes),
        pointer(registers.radau, 0, lanes),
        pointer(registers.events, 0, lanes),
    )
    systems = pointer(registers.lanes, 0, one)
    rows, noted = _rows_at(store.rows, systems), _rows_at(store.noted, systems)
    copies, count_copies = pointer(registers.copies, 0, lanes), pointer(registers.count_copies, 0, lanes)
    held = Held(numbers, copies, np.uint64(registers.numbers.shape[0]), counts, count_copies)
    here = Workplace(view, view, row, plan_at, net_at, rows, noted, held, FIRST_BLOCK + U2 * BLOCK * n)
    queue, leave_at = Queue(order, first, last), pointer(registers.lanes, 1, lanes)
    run_lanes(here, BLOCK * n, budget, store, queue, registers.lanes, leave_at)
