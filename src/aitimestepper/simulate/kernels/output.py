"""Rows of output between the steps of a run. Output does not change the steps: they do not end at output times."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import layout as at
from .jit import inlined, strict
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .plan import EVERY_STEPS, METHOD, OUTPUT, OUTPUT_EVERY, RADAU, ROW_BODIES, ROW_STEPS
from .radau import radau_interpolate
from .stepping import step
from .system import forces, kinetic_energy


@inlined
def relative(r: Any, energy: Any) -> Any:
    """Return the relative energy error |E - E(0)| / S; the energy scale S is fixed at the start of the run."""
    return abs(energy - r[at.ENERGY_START]) / r[at.ENERGY_SCALE]


@strict
def _write_row(w: Any, block: Any, rows: Any, start: Any, N: Any, t: Any, energy: Any, error: Any, row: Any) -> None:
    """Write the state in `block` at time t as one row of output, from rows[start] on."""
    n, s = w.n, w.s
    rows[start], rows[start + U1], rows[start + U2], rows[start + U3] = t, row.real[at.DT_LAST], energy, error
    rows[start + np.uint64(ROW_STEPS)] = np.float64(row.count[at.STEPS])
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    first = start + np.uint64(ROW_BODIES)
    for k in range(U0, U3):
        for i in range(U0, n):
            rows[first + k * N + i] = s[x + k * n + i]
            rows[first + (U3 + k) * N + i] = s[v + k * n + i]


@strict
def _row_between(
    trial: Any, old: Any, scratch_block: Any, row: Any, plan: Any, rows: Any, start: Any, N: Any, due: Any
) -> None:
    """Write the state at a time `due` inside the last step, by a shorter step from its start: as accurate as the run.

    The Gauss-Radau method evaluates its polynomial instead.
    """
    r = row.real
    elapsed = due - r[at.TIME_BEFORE]
    if plan.ints[METHOD] == RADAU:
        radau_interpolate(trial, row.radau, r[at.DT_LAST], elapsed / r[at.DT_LAST], scratch_block)
        potential, _ = forces(trial, scratch_block, due)
        energy = potential + kinetic_energy(trial, scratch_block) - r[at.WORK_BEFORE]
    else:
        now, here = r[at.TIME], r[at.POTENTIAL]
        r[at.TIME], r[at.POTENTIAL] = r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE]
        done = step(trial, old, scratch_block, scratch_block, row, plan, elapsed, True)
        r[at.TIME], r[at.POTENTIAL] = now, here
        energy = done.potential + kinetic_energy(trial, scratch_block) - (r[at.WORK_BEFORE] + done.work)
    _write_row(trial, scratch_block, rows, start, N, due, energy, relative(r, energy), row)


@strict
def write_rows(
    trial: Any, old: Any, new: Any, scratch_block: Any, row: Any, plan: Any, rows: Any, capacity: Any, N: Any
) -> bool:
    """Write the rows that became due in the step from `old` to `new`; return False if `rows` has no space for another one."""
    r, c, every = row.real, row.count, plan.floats[OUTPUT_EVERY]
    while True:
        due, at_end = r[at.TIME], True
        if plan.ints[OUTPUT] == EVERY_STEPS:
            if np.float64(c[at.ROWS]) * every > np.float64(c[at.STEPS]):
                return True
        else:
            due = row.system[at.OUTPUT_START] + np.float64(c[at.ROWS]) * every
            if abs(due - r[at.TIME]) <= 1e-9 * every:  # the end time, apart from rounding
                due = r[at.TIME]
            at_end = due == r[at.TIME]
            if not due <= r[at.TIME]:
                return True
        if c[at.PENDING] >= capacity:
            return False
        start = np.uint64(c[at.PENDING]) * (np.uint64(ROW_BODIES) + np.uint64(6) * N)
        if at_end:
            _write_row(trial, new, rows, start, N, due, r[at.ENERGY], r[at.ERROR], row)
        else:
            _row_between(trial, old, scratch_block, row, plan, rows, start, N, due)
        c[at.ROWS] += 1
        c[at.PENDING] += 1
