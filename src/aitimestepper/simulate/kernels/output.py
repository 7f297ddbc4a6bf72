"""Rows of output, from the steps of a run that knows nothing of them: it never lands on an output time."""

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
    """Return |E - E(0)| over the energy scale S, fixed at the start of the run."""
    return abs(energy - r[at.ENERGY_START]) / r[at.ENERGY_SCALE]


@strict
def _write_row(w: Any, block: Any, rows: Any, row: Any, N: Any, t: Any, energy: Any, error: Any, own: Any) -> None:
    n, s = w.n, w.s
    rows[row], rows[row + U1], rows[row + U2], rows[row + U3] = t, own.real[at.DT_LAST], energy, error
    rows[row + np.uint64(ROW_STEPS)] = np.float64(own.count[at.STEPS])
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    first = row + np.uint64(ROW_BODIES)
    for k in range(U0, U3):
        for i in range(U0, n):
            rows[first + k * N + i] = s[x + k * n + i]
            rows[first + (U3 + k) * N + i] = s[v + k * n + i]


@strict
def _row_between(trial: Any, old: Any, scratch_block: Any, own: Any, plan: Any, rows: Any, row: Any, N: Any, due: Any) -> None:
    """Write the state at a time inside the last step, as accurate as the run: by a shorter step from where that one began.

    The Gauss-Radau method has a polynomial for it.
    """
    r = own.real
    passed = due - r[at.TIME_BEFORE]
    if plan.ints[METHOD] == RADAU:
        radau_interpolate(trial, own.radau, r[at.DT_LAST], passed / r[at.DT_LAST], scratch_block)
        potential, _ = forces(trial, scratch_block, due)
        energy = potential + kinetic_energy(trial, scratch_block) - r[at.WORK_BEFORE]
    else:
        now, here = r[at.TIME], r[at.POTENTIAL]
        r[at.TIME], r[at.POTENTIAL] = r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE]
        done = step(trial, old, scratch_block, scratch_block, own, plan, passed, True)
        r[at.TIME], r[at.POTENTIAL] = now, here
        energy = done.potential + kinetic_energy(trial, scratch_block) - (r[at.WORK_BEFORE] + done.work)
    _write_row(trial, scratch_block, rows, row, N, due, energy, relative(r, energy), own)


@strict
def write_rows(trial: Any, old: Any, new: Any, scratch_block: Any, own: Any, plan: Any, rows: Any, most: Any, N: Any) -> bool:
    """Write the rows that became due in the step from `old` to `new`, at its end or inside it; False: no room is left."""
    r, c, every = own.real, own.count, plan.floats[OUTPUT_EVERY]
    while True:
        due, at_end = r[at.TIME], True
        if plan.ints[OUTPUT] == EVERY_STEPS:
            if np.float64(c[at.ROWS]) * every > np.float64(c[at.STEPS]):
                return True
        else:
            due = own.system[at.OUTPUT_START] + np.float64(c[at.ROWS]) * every
            if abs(due - r[at.TIME]) <= 1e-9 * every:  # the end time, but for rounding
                due = r[at.TIME]
            at_end = due == r[at.TIME]
            if not due <= r[at.TIME]:
                return True
        if c[at.PENDING] >= most:
            return False
        row = np.uint64(c[at.PENDING]) * (np.uint64(ROW_BODIES) + np.uint64(6) * N)
        if at_end:
            _write_row(trial, new, rows, row, N, due, r[at.ENERGY], r[at.ERROR], own)
        else:
            _row_between(trial, old, scratch_block, own, plan, rows, row, N, due)
        c[at.ROWS] += 1
        c[at.PENDING] += 1
