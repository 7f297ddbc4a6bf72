"""Rows of output between the steps of a run. Output does not change the steps: they do not end at output times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .jit import inlined, strict
from .kinds import Flag, Number, Numbers, Place
from .lanes import absolute, any_of, count_of, lane_of, like, no, number_of, scalars, where, width_of
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .plan import (
    AT_TIMES,
    EVERY_STEPS,
    METHOD,
    NO_OUTPUT,
    OUTPUT,
    OUTPUT_EVERY,
    RADAU,
    ROW_BODIES,
    ROW_STEPS,
    TIME_COUNT,
    TIMES,
    Floats,
    Integers,
    Plan,
    SystemRow,
)
from .radau import radau_interpolate
from .radau_fields import radau_work
from .stepping import step
from .system import SystemView, forces, kinetic_energy


class Rows(NamedTuple):
    """Where the rows of output of all systems go."""

    numbers: Floats  # pointer to (B, R, ROW_BODIES + 6 N)
    capacity: int  # R, the number of rows of a system
    bodies: Place  # N, the number of bodies that a row has space for
    systems: Integers  # pointer to the number of the system in each lane


class Output(NamedTuple):
    """A state as a row of output: its time, its energy, and its relative energy error."""

    time: Number
    energy: Number
    error: Number


@inlined
def relative(r: Numbers, energy: Number) -> Number:
    """Return the relative energy error |E - E(0)| / S; the energy scale S is fixed at the start of the run."""
    return absolute(energy - r[at.ENERGY_START]) / r[at.ENERGY_SCALE]


@inlined
def row_at(target: Rows, lane: Place, k: int) -> Place:
    """Return where row k of the system in a lane begins."""
    return np.uint64(target.systems[lane] * target.capacity + k) * (np.uint64(ROW_BODIES) + np.uint64(6) * target.bodies)


@strict
def write_row(w: SystemView, block: Place, lane: Place, state: Output, row: SystemRow, target: Rows, k: int) -> None:
    """Write the state of one lane in `block` as row k of its system."""
    n, N, width, s, rows = w.n, target.bodies, width_of(w.s), scalars(w.s), target.numbers
    start = row_at(target, lane, k)
    rows[start], rows[start + U1] = lane_of(state.time, lane), lane_of(row.real[at.DT_LAST], lane)
    rows[start + U2], rows[start + U3] = lane_of(state.energy, lane), lane_of(state.error, lane)
    rows[start + np.uint64(ROW_STEPS)] = np.float64(lane_of(row.count[at.STEPS], lane))
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    first = start + np.uint64(ROW_BODIES)
    for k in range(U0, U3):
        for i in range(U0, n):
            rows[first + k * N + i] = s[(x + k * n + i) * width + lane]
            rows[first + (U3 + k) * N + i] = s[(v + k * n + i) * width + lane]


@strict
def _state_between(trial: SystemView, old: Place, scratch_block: Place, row: SystemRow, plan: Plan, due: Number) -> Output:
    """Compute the state at a time `due` inside the last step in `scratch_block`.

    It is a shorter step from the start of the last one, as accurate as the run; Gauss-Radau evaluates its polynomial instead.
    """
    r = row.real
    if plan.ints[METHOD] == RADAU:
        share = (due - r[at.TIME_BEFORE]) / r[at.DT_LAST]
        radau_interpolate(trial, row.radau, r[at.DT_LAST], share, scratch_block)
        potential, _ = forces(trial, scratch_block, due)
        work = r[at.WORK_BEFORE] + radau_work(trial, row.radau, r[at.DT_LAST], share)
        energy = potential + kinetic_energy(trial, scratch_block) - work
        return Output(due, energy, relative(r, energy))
    now, here = r[at.TIME], r[at.POTENTIAL]
    r[at.TIME], r[at.POTENTIAL] = r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE]
    done = step(trial, old, scratch_block, scratch_block, row, plan, due - r[at.TIME_BEFORE], True)
    r[at.TIME], r[at.POTENTIAL] = now, here
    energy = done.potential + kinetic_energy(trial, scratch_block) - (r[at.WORK_BEFORE] + done.work)
    return Output(due, energy, relative(r, energy))


@inlined
def _next_due(row: SystemRow, plan: Plan) -> Number:
    """Return the time of the next row: that of the state itself, if one is due at it; infinity if none is."""
    r, c, every = row.real, row.count, plan.floats[OUTPUT_EVERY]
    if plan.ints[OUTPUT] == AT_TIMES:
        return r[at.DUE]
    if plan.ints[OUTPUT] == NO_OUTPUT:
        return like(np.inf, r[at.TIME])
    rows = number_of(c[at.ROWS])
    if plan.ints[OUTPUT] == EVERY_STEPS:
        return where(rows * every > number_of(c[at.STEPS]), np.inf, r[at.TIME])
    due = row.system[at.OUTPUT_START] + rows * every
    return where(absolute(due - r[at.TIME]) <= 1e-9 * every, r[at.TIME], due)  # the end time, apart from rounding


@inlined
def _set_next_due(row: SystemRow, plan: Plan, lane: Place) -> None:
    """Set the next of the output times of a lane, whose row for the last one was written and counted."""
    k = lane_of(row.count[at.ROWS], lane)
    due = plan.floats[plan.ints[TIMES] + k] if k < plan.ints[TIME_COUNT] else np.inf
    scalars(row.real)[np.uint64(at.DUE) * width_of(row.real) + lane] = due


@strict
def write_rows(
    trial: SystemView,
    old: Place,
    new: Place,
    scratch_block: Place,
    row: SystemRow,
    plan: Plan,
    target: Rows,
    running: Flag,
) -> Flag:
    """Write the rows that became due in the step from `old` to `new`; return where there is no space for another one."""
    r, c = row.real, row.count
    full = no(running)
    while True:
        due = _next_due(row, plan)
        waiting = no(full) & (due <= r[at.TIME])
        full = full | (waiting & (c[at.PENDING] >= target.capacity))
        waiting = waiting & no(full)
        if not any_of(waiting):
            return full & running
        now, between = Output(r[at.TIME], r[at.ENERGY], r[at.ERROR]), waiting & (due < r[at.TIME])
        inside = now
        if any_of(between):
            inside = _state_between(trial, old, scratch_block, row, plan, where(between, due, r[at.TIME_BEFORE]))
        for lane in range(width_of(trial.s)):
            pending = lane_of(c[at.PENDING], lane)
            if lane_of(between, lane):
                write_row(trial, scratch_block, lane, inside, row, target, pending)
            elif lane_of(waiting, lane):
                write_row(trial, new, lane, now, row, target, pending)
        c[at.ROWS] += count_of(waiting)
        c[at.PENDING] += count_of(waiting)
        if plan.ints[OUTPUT] == AT_TIMES:
            for lane in range(width_of(trial.s)):
                if lane_of(waiting, lane):
                    _set_next_due(row, plan, lane)
