"""The loop of the compiled engine: choose a step, make it, check it and store it, for every system of a batch separately.

The whole state of a run is in the arrays of `Store`. A call continues where the last one stopped. The bits do not depend on
how the steps are divided among calls, and the systems among threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import layout as at
from .choose import choose, method_chooses_step
from .jit import entry, inlined, pointer, strict
from .layout import HEAD, ROW_SUM, TRIAL_ROW_SUM, U0, U2, U3, VECTORS
from .methods import accelerations_and_jerks
from .nearest import follow_nearest, nearest_partner, store_pair
from .network import StepChoice
from .observe import append_to_window
from .output import relative, write_rows
from .plan import (
    CONSTANT,
    EPSILON,
    GUARD,
    HERMITE,
    KIND,
    LAST_TERM,
    LEARNED,
    LOGH,
    METHOD,
    NO_OUTPUT,
    OUTPUT,
    RADAU,
    ROW_BODIES,
    SYMMETRIZED,
    THREADS,
    WITH_SUMS,
    WRAP_COUNT,
    WRAP_MEMORY,
    WRAPS,
    Net,
    Plan,
    SystemRow,
)
from .radau import radau_accept
from .radau_dt import GLOBAL_RULE, LARGEST_NOT_CONVERGED, PRS23_RULE, radau_next_dt
from .radau_layout import NOT_CONVERGED
from .stepping import step
from .system import SystemView, energy_scale, forces, inner_kinetic_energy, kinetic_energy

FIRST_BLOCK = np.uint64(HEAD)
MAX_TRIES = 60
# a Gauss-Radau step is repeated if its rule asks for less than this fraction of it; steps grow by at most the inverse of this
TOO_LONG = 0.25


class Attempt(NamedTuple):
    """A step that was made, or the status that says why there is none."""

    status: int  # RUNNING: the step was made
    done: Any
    kinetic: float
    energy: float
    last: bool  # whether it ended at the end time


@inlined
def _view(b: Any, store: Any, plan: Any, row_sum: Any) -> SystemView:
    n = np.uint64(store.bodies[b])
    sums = np.uint64(HEAD) + row_sum * n if plan.ints[WITH_SUMS] != 0 else U0
    return SystemView(n, pointer(store.states, b), sums, plan.ints[THREADS])


@inlined
def _row(b: Any, store: Any) -> SystemRow:
    return SystemRow(
        pointer(store.real, b),
        pointer(store.count, b),
        pointer(store.system, b),
        pointer(store.rule, b),
        pointer(store.memory, b),
        pointer(store.window, b),
        pointer(store.radau, b),
    )


@inlined
def _store_sums(r: Any, potential: Any, kinetic: Any, sums: Any) -> None:
    """Store energies and sums over pairs of the current state, for the criterion."""
    r[at.POTENTIAL], r[at.KINETIC] = potential, kinetic
    r[at.RATE2_SUM], r[at.RATE4_SUM], r[at.RATE8_SUM], r[at.BINDING_SUM] = (
        sums.rate2_sum,
        sums.rate4_sum,
        sums.rate8_sum,
        sums.binding_sum,
    )


@strict
def _begin(b: Any, store: Any, plan: Any) -> None:
    """Compute forces, energies and the nearest pair of the initial state."""
    w, row = _view(b, store, plan, ROW_SUM), _row(b, store)
    r, c = row.real, row.count
    potential, sums = forces(w, FIRST_BLOCK, r[at.TIME])
    if plan.ints[METHOD] == HERMITE:
        accelerations_and_jerks(w, FIRST_BLOCK)
    kinetic = kinetic_energy(w, FIRST_BLOCK)
    _store_sums(r, potential, kinetic, sums)
    r[at.ENERGY_START] = r[at.ENERGY] = potential + kinetic
    inner = inner_kinetic_energy(w, FIRST_BLOCK, kinetic)
    r[at.ENERGY_SCALE] = energy_scale(inner, potential)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = r[at.TIME], potential
    r[at.DT_MIN] = np.inf
    i = np.uint64(sums.nearest_row)
    j = nearest_partner(w, FIRST_BLOCK, i)
    store_pair(w, FIRST_BLOCK, r, c, i, j)
    r[at.CLOSEST], r[at.CLOSEST_TIME] = np.sqrt(max(sums.nearest2 - w.s[at.SOFTENING2], 0.0)), r[at.TIME]
    c[at.CLOSEST_I], c[at.CLOSEST_J], c[at.FORCES] = np.int64(i), np.int64(j), 1


@inlined
def _try(w: Any, old: Any, new: Any, scratch_block: Any, row: Any, plan: Any, dt: Any) -> Attempt:
    """Make one step of `dt`, or of the time that remains until the end time if that is shorter."""
    r, t_end = row.real, row.system[at.T_END]
    remaining = t_end - r[at.TIME]
    # a constant step of logh is constant in its own variable; its length in time is known afterwards
    last = dt >= remaining and not (plan.ints[METHOD] == LOGH and plan.ints[KIND] == CONSTANT)
    if last:
        dt = remaining
    done = step(w, old, new, scratch_block, row, plan, dt, last)
    row.count[at.FORCES] += done.evaluations
    if plan.ints[METHOD] == LOGH and not last and r[at.TIME] + done.dt >= t_end:
        last = True
        done = step(w, old, new, scratch_block, row, plan, remaining, True)
        row.count[at.FORCES] += done.evaluations
    kinetic = kinetic_energy(w, new)
    return Attempt(at.RUNNING, done, kinetic, done.potential + kinetic - (r[at.WORK] + done.work), last)


@inlined
def _status_of_step(row: Any, dt: Any) -> Any:
    """Return the status of a system whose criterion asks for `dt`: RUNNING if the step can be made."""
    t = row.real[at.TIME]
    remaining = row.system[at.T_END] - t
    if not (np.isfinite(dt) or dt >= remaining) or not dt >= 0.0:
        return at.NON_FINITE
    # 1e20 steps to the end are no progress; this also catches t = 0, where any step changes the time
    if dt < remaining and (t + dt == t or (dt < 1e-20 * remaining and np.isfinite(remaining))):
        return at.STUCK
    return at.RUNNING


@strict
def _too_long(w: Any, row: Any, plan: Any, dt: Any, energy: Any) -> Any:
    """Return a shorter dt to repeat the step with, or 0 if the step is short enough."""
    r = row.real
    if plan.floats[GUARD] > 0.0 and not abs(energy - r[at.ENERGY]) <= plan.floats[GUARD] * r[at.ENERGY_SCALE]:
        return 0.5 * dt
    if method_chooses_step(plan):
        rule = GLOBAL_RULE if plan.ints[KIND] == LAST_TERM else PRS23_RULE
        wanted = radau_next_dt(w, row.radau, dt, row.rule[EPSILON], rule)
        if wanted < TOO_LONG * dt:
            return wanted
        r[at.RADAU_DT] = min(wanted, dt / TOO_LONG)
    elif plan.ints[METHOD] == RADAU and row.radau[NOT_CONVERGED] > LARGEST_NOT_CONVERGED:
        return 0.125 * dt
    return 0.0


@inlined
def _attempt(w: Any, old: Any, new: Any, scratch_block: Any, row: Any, plan: Any, dt: Any) -> Attempt:
    """Make a step from `old` to `new`; repeat it with a shorter dt while the guard or the method's rule finds it too long."""
    tries = 0
    while True:
        made = _try(w, old, new, scratch_block, row, plan, dt)
        if plan.floats[GUARD] == 0.0 and plan.ints[METHOD] != RADAU:
            return made
        dt = _too_long(w, row, plan, made.done.dt, made.energy)
        if dt == 0.0:
            return made
        status = _status_of_step(row, dt)
        tries += 1
        if status != at.RUNNING or tries > MAX_TRIES:
            return Attempt(status if tries <= MAX_TRIES else at.STUCK, made.done, made.kinetic, made.energy, False)
        row.count[at.REJECTED] += 1


@inlined
def _accept(w: Any, new: Any, row: Any, plan: Any, net: Any, made: Attempt, choice: Any) -> None:
    """Accept the step in `new`: update time, energies, extremes, and the memory of criterion and method."""
    r, c, t, dt = row.real, row.count, row.real[at.TIME], made.done.dt
    for k in range(plan.ints[WRAP_COUNT]):
        if plan.ints[WRAPS + k] == SYMMETRIZED:
            row.memory[WRAP_MEMORY * k] = dt
    if plan.ints[KIND] == LEARNED:
        append_to_window(net, row.window, dt)
    if plan.ints[METHOD] == RADAU:
        radau_accept(w, row.radau, dt)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE], r[at.WORK_BEFORE] = t, r[at.POTENTIAL], r[at.WORK]
    if made.last:
        r[at.TIME], r[at.TIME_COMPENSATION] = row.system[at.T_END], 0.0
    else:
        term = dt - r[at.TIME_COMPENSATION]
        r[at.TIME] = t + term
        r[at.TIME_COMPENSATION] = (r[at.TIME] - t) - term
    r[at.WORK] += made.done.work
    r[at.ENERGY], r[at.ERROR] = made.energy, relative(r, made.energy)
    _store_sums(r, made.done.potential, made.kinetic, made.done.sums)
    c[at.STEPS] += 1
    r[at.MAX_ERROR] = max(r[at.MAX_ERROR], r[at.ERROR])
    r[at.DT_LAST] = dt
    # the step that ends at the end time was cut short, so it does not count for the extremes
    if not made.last or c[at.STEPS] == 1:
        r[at.DT_MIN], r[at.DT_MAX] = min(r[at.DT_MIN], dt), max(r[at.DT_MAX], dt)
    r[at.EXPECTED] = max(r[at.EXPECTED], choice.log10_error)
    c[at.AT_CEILING] += choice.at_ceiling
    c[at.OUT_OF_RANGE] += choice.out_of_range
    follow_nearest(w, new, r, c, made.done.sums.nearest2, made.done.sums.nearest_row, dt, t)


@strict
def _run_system(b: Any, budget: Any, store: Any, plan: Any, net: Any) -> None:
    """Advance system b by at most `budget` steps."""
    w, trial, row = _view(b, store, plan, ROW_SUM), _view(b, store, plan, TRIAL_ROW_SUM), _row(b, store)
    r, c = row.real, row.count
    rows, capacity, N = pointer(store.rows, b), store.rows.shape[1], np.uint64((store.rows.shape[2] - ROW_BODIES) // 6)
    size = np.uint64(VECTORS) * U3 * w.n
    scratch_block = FIRST_BLOCK + U2 * size
    old, new = FIRST_BLOCK + np.uint64(c[at.CURRENT]) * size, FIRST_BLOCK + np.uint64(1 - c[at.CURRENT]) * size
    stop_at = c[at.STEPS] + budget
    fixed = plan.ints[KIND] == CONSTANT and plan.ints[WRAP_COUNT] == 0
    while True:
        if plan.ints[OUTPUT] != NO_OUTPUT and not write_rows(trial, new, old, scratch_block, row, plan, rows, capacity, N):
            return
        if r[at.TIME] >= row.system[at.T_END]:
            c[at.STATUS] = at.OK
        elif np.float64(c[at.STEPS]) >= row.system[at.STEP_LIMIT]:
            c[at.STATUS] = at.MAX_STEPS
        if c[at.STATUS] != at.RUNNING or c[at.STEPS] >= stop_at:
            return
        choice = (
            StepChoice(row.rule[0], -np.inf, False, False)
            if fixed
            else choose(w, trial, old, new, scratch_block, row, plan, net)
        )
        c[at.STATUS] = _status_of_step(row, choice.dt)
        if c[at.STATUS] != at.RUNNING:
            return
        if plan.ints[METHOD] == LOGH and r[at.LOGH_STEP] == 0.0:
            r[at.LOGH_STEP] = -choice.dt * r[at.POTENTIAL]
        made = _attempt(w, old, new, scratch_block, row, plan, choice.dt)
        c[at.STATUS] = made.status if np.isfinite(made.energy) else at.NON_FINITE
        if c[at.STATUS] != at.RUNNING:
            return
        _accept(w, new, row, plan, net, made, choice)
        old, new = new, old
        c[at.CURRENT] = 1 - c[at.CURRENT]


@entry
def advance(first: Any, last: Any, budget: Any, begin: Any, store: Any, plan: Any, net: Any) -> None:
    """Advance each of the systems first ... last-1 by at most `budget` steps; `begin`: they have not started yet.

    `net.scratch` belongs to the calling thread. The arrays of `plan` and `net` are passed on as pointers.
    """
    plan_pointers = Plan(pointer(plan.ints, 0), pointer(plan.floats, 0))
    net_pointers = Net(pointer(net.shape, 0), pointer(net.numbers, 0), pointer(net.scratch, 0))
    for b in range(first, last):
        if begin:
            _begin(b, store, plan_pointers)
        if store.count[b, at.STATUS] == at.RUNNING:
            _run_system(b, budget, store, plan_pointers, net_pointers)
