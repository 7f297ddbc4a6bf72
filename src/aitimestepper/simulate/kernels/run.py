"""The one loop of the compiled engine: choose, step, check, note, for every system of a batch on its own.

Everything that a run knows lies in the arrays of `Store`; a call continues where the last one stopped, to the same bits
however the steps are divided among calls and systems among threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import layout as at
from .choose import choose, own_rule
from .jit import entry, inlined, pointer, strict
from .layout import HEAD, ROW_SUM, TRIAL_ROW_SUM, U0, U2, U3, VECTORS
from .methods import jerk_and_pull
from .nearest import follow_nearest, note_pair, partner
from .network import StepChoice
from .observe import remember
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
MOST_TRIES = 60
TOO_LONG = 0.25  # a Gauss-Radau step is made again if its own rule wants less than this part of it, and grows no faster


class Attempt(NamedTuple):
    """A step that was made, or why there is none."""

    status: int  # RUNNING: it was made
    done: Any
    kinetic: float
    energy: float
    last: bool  # it landed on the end time


@inlined
def _world(b: Any, store: Any, plan: Any, row_sum: Any) -> SystemView:
    n = np.uint64(store.bodies[b])
    sums = np.uint64(HEAD) + row_sum * n if plan.ints[WITH_SUMS] != 0 else U0
    return SystemView(n, pointer(store.states, b), sums, plan.ints[THREADS])


@inlined
def _own(b: Any, store: Any) -> SystemRow:
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
def _see(r: Any, potential: Any, kinetic: Any, sums: Any) -> None:
    """Store what the forces of a state found, for the criterion."""
    r[at.POTENTIAL], r[at.KINETIC] = potential, kinetic
    r[at.RATE2_SUM], r[at.RATE4_SUM], r[at.RATE8_SUM], r[at.BINDING_SUM] = (
        sums.rate2_sum,
        sums.rate4_sum,
        sums.rate8_sum,
        sums.binding_sum,
    )


@strict
def _begin(b: Any, store: Any, plan: Any) -> None:
    """Compute forces, energies and the nearest pair of the start."""
    w, own = _world(b, store, plan, ROW_SUM), _own(b, store)
    r, c = own.real, own.count
    potential, sums = forces(w, FIRST_BLOCK, r[at.TIME])
    if plan.ints[METHOD] == HERMITE:
        jerk_and_pull(w, FIRST_BLOCK)
    kinetic = kinetic_energy(w, FIRST_BLOCK)
    _see(r, potential, kinetic, sums)
    r[at.ENERGY_START] = r[at.ENERGY] = potential + kinetic
    inner = inner_kinetic_energy(w, FIRST_BLOCK, kinetic)
    r[at.ENERGY_SCALE] = energy_scale(inner, potential)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = r[at.TIME], potential
    r[at.DT_MIN] = np.inf
    i = np.uint64(sums.nearest_row)
    j = partner(w, FIRST_BLOCK, i)
    note_pair(w, FIRST_BLOCK, r, c, i, j)
    r[at.CLOSEST], r[at.CLOSEST_TIME] = np.sqrt(max(sums.nearest2 - w.s[at.SOFTENING2], 0.0)), r[at.TIME]
    c[at.CLOSEST_I], c[at.CLOSEST_J], c[at.FORCES] = np.int64(i), np.int64(j), 1


@inlined
def _try(w: Any, old: Any, new: Any, scratch_block: Any, own: Any, plan: Any, dt: Any) -> Attempt:
    """Make one step of `dt`, or of what is left to the end time."""
    r, t_end = own.real, own.system[at.T_END]
    left = t_end - r[at.TIME]
    # a constant step of logh is one in its own variable: how long it is in time shows afterwards
    last = dt >= left and not (plan.ints[METHOD] == LOGH and plan.ints[KIND] == CONSTANT)
    if last:
        dt = left
    done = step(w, old, new, scratch_block, own, plan, dt, last)
    if plan.ints[METHOD] == LOGH and not last and r[at.TIME] + done.dt >= t_end:
        last = True
        done = step(w, old, new, scratch_block, own, plan, left, True)
    own.count[at.FORCES] += done.evaluations
    kinetic = kinetic_energy(w, new)
    return Attempt(at.RUNNING, done, kinetic, done.potential + kinetic - (r[at.WORK] + done.work), last)


@inlined
def _unusable(own: Any, dt: Any) -> Any:
    """Return the status of a system whose criterion wants `dt`: RUNNING if it can be taken."""
    t = own.real[at.TIME]
    left = own.system[at.T_END] - t
    if not (np.isfinite(dt) or dt >= left) or not dt >= 0.0:
        return at.NON_FINITE
    # 1e20 steps to the end: that is none, also where the time is 0 and any step changes it
    if dt < left and (t + dt == t or (dt < 1e-20 * left and np.isfinite(left))):
        return at.STUCK
    return at.RUNNING


@strict
def _too_long(w: Any, own: Any, plan: Any, dt: Any, energy: Any) -> Any:
    """Return a shorter dt to make the step again with, or 0: it is short enough."""
    r = own.real
    if plan.floats[GUARD] > 0.0 and not abs(energy - r[at.ENERGY]) <= plan.floats[GUARD] * r[at.ENERGY_SCALE]:
        return 0.5 * dt
    if own_rule(plan):
        which = GLOBAL_RULE if plan.ints[KIND] == LAST_TERM else PRS23_RULE
        wanted = radau_next_dt(w, own.radau, dt, own.rule[EPSILON], which)
        if wanted < TOO_LONG * dt:
            return wanted
        r[at.RADAU_DT] = min(wanted, dt / TOO_LONG)
    elif plan.ints[METHOD] == RADAU and own.radau[NOT_CONVERGED] > LARGEST_NOT_CONVERGED:
        return 0.125 * dt
    return 0.0


@inlined
def _attempt(w: Any, old: Any, new: Any, scratch_block: Any, own: Any, plan: Any, dt: Any) -> Attempt:
    """Make a step from `old` to `new`, and again, shorter, while it is too long for the guard or for the method's own rule."""
    tries = 0
    while True:
        made = _try(w, old, new, scratch_block, own, plan, dt)
        if plan.floats[GUARD] == 0.0 and plan.ints[METHOD] != RADAU:
            return made
        dt = _too_long(w, own, plan, made.done.dt, made.energy)
        if dt == 0.0:
            return made
        status = _unusable(own, dt)
        tries += 1
        if status != at.RUNNING or tries > MOST_TRIES:
            return Attempt(status if tries <= MOST_TRIES else at.STUCK, made.done, made.kinetic, made.energy, False)
        own.count[at.REJECTED] += 1


@inlined
def _accept(w: Any, new: Any, own: Any, plan: Any, net: Any, made: Attempt, choice: Any) -> None:
    """Accept the step in `new`: time, energies, extremes, and what criterion and method remember."""
    r, c, t, dt = own.real, own.count, own.real[at.TIME], made.done.dt
    for k in range(plan.ints[WRAP_COUNT]):
        if plan.ints[WRAPS + k] == SYMMETRIZED:
            own.memory[WRAP_MEMORY * k] = dt
    if plan.ints[KIND] == LEARNED:
        remember(net, own.window, dt)
    if plan.ints[METHOD] == RADAU:
        radau_accept(w, own.radau, dt)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE], r[at.WORK_BEFORE] = t, r[at.POTENTIAL], r[at.WORK]
    if made.last:
        r[at.TIME], r[at.TIME_COMPENSATION] = own.system[at.T_END], 0.0
    else:
        term = dt - r[at.TIME_COMPENSATION]
        r[at.TIME] = t + term
        r[at.TIME_COMPENSATION] = (r[at.TIME] - t) - term
    r[at.WORK] += made.done.work
    r[at.ENERGY], r[at.ERROR] = made.energy, relative(r, made.energy)
    _see(r, made.done.potential, made.kinetic, made.done.sums)
    c[at.STEPS] += 1
    r[at.MAX_ERROR] = max(r[at.MAX_ERROR], r[at.ERROR])
    r[at.DT_LAST] = dt
    # the step that lands on the end time is as short as it must be: it says nothing about the criterion
    if not made.last or c[at.STEPS] == 1:
        r[at.DT_MIN], r[at.DT_MAX] = min(r[at.DT_MIN], dt), max(r[at.DT_MAX], dt)
    r[at.EXPECTED] = max(r[at.EXPECTED], choice.log10_error)
    c[at.AT_CEILING] += choice.at_ceiling
    c[at.OUT_OF_RANGE] += choice.out_of_range
    follow_nearest(w, new, r, c, made.done.sums.nearest2, made.done.sums.nearest_row, dt, t)


@strict
def _run_system(b: Any, budget: Any, store: Any, plan: Any, net: Any) -> None:
    """Advance system b by at most `budget` steps."""
    w, trial, own = _world(b, store, plan, ROW_SUM), _world(b, store, plan, TRIAL_ROW_SUM), _own(b, store)
    r, c = own.real, own.count
    rows, most, N = pointer(store.rows, b), store.rows.shape[1], np.uint64((store.rows.shape[2] - ROW_BODIES) // 6)
    size = np.uint64(VECTORS) * U3 * w.n
    scratch_block = FIRST_BLOCK + U2 * size
    old, new = FIRST_BLOCK + np.uint64(c[at.CURRENT]) * size, FIRST_BLOCK + np.uint64(1 - c[at.CURRENT]) * size
    stop_at = c[at.STEPS] + budget
    fixed = plan.ints[KIND] == CONSTANT and plan.ints[WRAP_COUNT] == 0
    while True:
        if plan.ints[OUTPUT] != NO_OUTPUT and not write_rows(trial, new, old, scratch_block, own, plan, rows, most, N):
            return
        if r[at.TIME] >= own.system[at.T_END]:
            c[at.STATUS] = at.OK
        elif np.float64(c[at.STEPS]) >= own.system[at.STEP_LIMIT]:
            c[at.STATUS] = at.MAX_STEPS
        if c[at.STATUS] != at.RUNNING or c[at.STEPS] >= stop_at:
            return
        choice = (
            StepChoice(own.rule[0], -np.inf, False, False)
            if fixed
            else choose(w, trial, old, new, scratch_block, own, plan, net)
        )
        c[at.STATUS] = _unusable(own, choice.dt)
        if c[at.STATUS] != at.RUNNING:
            return
        if plan.ints[METHOD] == LOGH and c[at.STEPS] == 0:
            r[at.LOGH_STEP] = -choice.dt * r[at.POTENTIAL]
        made = _attempt(w, old, new, scratch_block, own, plan, choice.dt)
        c[at.STATUS] = made.status if np.isfinite(made.energy) else at.NON_FINITE
        if c[at.STATUS] != at.RUNNING:
            return
        _accept(w, new, own, plan, net, made, choice)
        old, new = new, old
        c[at.CURRENT] = 1 - c[at.CURRENT]


@entry
def advance(first: Any, last: Any, budget: Any, begin: Any, store: Any, plan: Any, net: Any) -> None:
    """Advance each of the systems first ... last-1 by at most `budget` steps; `begin`: they have not started yet.

    The scratch of `net` belongs to the thread that calls; `plan` and `net` come with arrays and go on with pointers.
    """
    way = Plan(pointer(plan.ints, 0), pointer(plan.floats, 0))
    own_net = Net(pointer(net.shape, 0), pointer(net.numbers, 0), pointer(net.scratch, 0))
    for b in range(first, last):
        if begin:
            _begin(b, store, way)
        if store.count[b, at.STATUS] == at.RUNNING:
            _run_system(b, budget, store, way, own_net)
