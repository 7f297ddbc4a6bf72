"""The one loop of the compiled engine: choose, step, check, note, for every system of a batch on its own.

Everything that a run knows lies in the arrays of `Store`; a call continues where the last one stopped, to the same bits
however the steps are divided among calls and systems among threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import layout as at
from .choose import choose, own_rule, step
from .jit import entry, inlined, pointer, strict
from .layout import HEAD, ROW_SUM, TRIAL_ROW_SUM, U0, U2, U3, VECTORS
from .methods import jerk_and_pull
from .nearest import follow_nearest, note_pair, partner
from .network import Said
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
    Own,
    Plan,
)
from .radau import UNSETTLED, radau_accept
from .radau_dt import GLOBAL_RULE, MOST_UNSETTLED, PRS23_RULE, radau_next_dt
from .world import World, forces, kinetic_energy

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
def _world(b: Any, store: Any, plan: Any, row_sum: Any) -> World:
    n = np.uint64(store.bodies[b])
    sums = np.uint64(HEAD) + row_sum * n if plan.which[WITH_SUMS] != 0 else U0
    return World(n, pointer(store.states, b), sums, plan.which[THREADS])


@inlined
def _own(b: Any, store: Any) -> Own:
    return Own(
        pointer(store.real, b),
        pointer(store.count, b),
        pointer(store.system, b),
        pointer(store.rule, b),
        pointer(store.memory, b),
        pointer(store.window, b),
        pointer(store.radau, b),
    )


@inlined
def _see(r: Any, potential: Any, kinetic: Any, pulled: Any) -> None:
    """What the forces of a state said, kept for the criterion."""
    r[at.POTENTIAL], r[at.KINETIC] = potential, kinetic
    r[at.SUM2], r[at.SUM4], r[at.SUM8], r[at.SUM_BOND] = pulled.sum2, pulled.sum4, pulled.sum8, pulled.bond


@strict
def _begin(b: Any, store: Any, plan: Any) -> None:
    """Forces, energies and the nearest pair of the start."""
    w, own = _world(b, store, plan, ROW_SUM), _own(b, store)
    r, c = own.real, own.count
    potential, pulled = forces(w, FIRST_BLOCK, r[at.TIME])
    if plan.which[METHOD] == HERMITE:
        jerk_and_pull(w, FIRST_BLOCK)
    kinetic = kinetic_energy(w, FIRST_BLOCK)
    _see(r, potential, kinetic, pulled)
    r[at.ENERGY_START] = r[at.ENERGY] = potential + kinetic
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = r[at.TIME], potential
    r[at.DT_MIN] = np.inf
    i = np.uint64(pulled.nearest_row)
    j = partner(w, FIRST_BLOCK, i)
    note_pair(w, FIRST_BLOCK, r, c, i, j)
    r[at.CLOSEST], r[at.CLOSEST_TIME] = np.sqrt(max(pulled.nearest2 - w.s[at.SOFTENING2], 0.0)), r[at.TIME]
    c[at.CLOSEST_I], c[at.CLOSEST_J], c[at.FORCES] = np.int64(i), np.int64(j), 1


@inlined
def _try(w: Any, old: Any, new: Any, third: Any, own: Any, plan: Any, dt: Any) -> Attempt:
    """One step of `dt`, or of what is left to the end time."""
    r, t_end = own.real, own.system[at.T_END]
    left = t_end - r[at.TIME]
    # a constant step of logh is one in its own variable: how long it is in time shows afterwards
    last = dt >= left and not (plan.which[METHOD] == LOGH and plan.which[KIND] == CONSTANT)
    if last:
        dt = left
    done = step(w, old, new, third, own, plan, dt, last)
    if plan.which[METHOD] == LOGH and not last and r[at.TIME] + done.dt >= t_end:
        last = True
        done = step(w, old, new, third, own, plan, left, True)
    own.count[at.FORCES] += done.evaluations
    kinetic = kinetic_energy(w, new)
    return Attempt(at.RUNNING, done, kinetic, done.potential + kinetic - (r[at.WORK] + done.work), last)


@inlined
def _unusable(own: Any, dt: Any) -> Any:
    """The status of a system whose criterion wants `dt`: RUNNING if it can be taken."""
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
    """A shorter dt to make the step again with, or 0: it is short enough."""
    r = own.real
    if plan.how[GUARD] > 0.0 and not abs(energy - r[at.ENERGY]) <= plan.how[GUARD] * abs(r[at.ENERGY_START]):
        return 0.5 * dt
    if own_rule(plan):
        which = GLOBAL_RULE if plan.which[KIND] == LAST_TERM else PRS23_RULE
        wanted = radau_next_dt(w, own.radau, dt, own.rule[EPSILON], which)
        if wanted < TOO_LONG * dt:
            return wanted
        r[at.OWN_DT] = min(wanted, dt / TOO_LONG)
    elif plan.which[METHOD] == RADAU and own.radau[UNSETTLED] > MOST_UNSETTLED:
        return 0.125 * dt
    return 0.0


@inlined
def _attempt(w: Any, old: Any, new: Any, third: Any, own: Any, plan: Any, dt: Any) -> Attempt:
    """A step from `old` to `new`; made again, shorter, while it is too long for the guard or for the method's own rule."""
    tries = 0
    while True:
        made = _try(w, old, new, third, own, plan, dt)
        if plan.how[GUARD] == 0.0 and plan.which[METHOD] != RADAU:
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
def _accept(w: Any, new: Any, own: Any, plan: Any, net: Any, made: Attempt, said: Any) -> None:
    """The step in `new` counts: time, energies, extremes, and what criterion and method remember."""
    r, c, t, dt = own.real, own.count, own.real[at.TIME], made.done.dt
    for k in range(plan.which[WRAP_COUNT]):
        if plan.which[WRAPS + k] == SYMMETRIZED:
            own.memory[WRAP_MEMORY * k] = dt
    if plan.which[KIND] == LEARNED:
        remember(net, own.window, dt)
    if plan.which[METHOD] == RADAU:
        radau_accept(w, own.radau, dt)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE], r[at.WORK_BEFORE] = t, r[at.POTENTIAL], r[at.WORK]
    if made.last:
        r[at.TIME], r[at.TIME_REST] = own.system[at.T_END], 0.0
    else:
        term = dt - r[at.TIME_REST]
        r[at.TIME] = t + term
        r[at.TIME_REST] = (r[at.TIME] - t) - term
    r[at.WORK] += made.done.work
    r[at.ENERGY], r[at.ERROR] = made.energy, relative(r, made.energy)
    _see(r, made.done.potential, made.kinetic, made.done.pulled)
    c[at.STEPS] += 1
    r[at.MAX_ERROR] = max(r[at.MAX_ERROR], r[at.ERROR])
    r[at.DT_LAST] = dt
    # the step that lands on the end time is as short as it must be: it says nothing about the criterion
    if not made.last or c[at.STEPS] == 1:
        r[at.DT_MIN], r[at.DT_MAX] = min(r[at.DT_MIN], dt), max(r[at.DT_MAX], dt)
    r[at.EXPECTED] = max(r[at.EXPECTED], said.log10_error)
    c[at.AT_CEILING] += said.at_ceiling
    c[at.OUTSIDE] += said.outside
    follow_nearest(w, new, r, c, made.done.pulled.nearest2, made.done.pulled.nearest_row, dt, t)


@strict
def _run_system(b: Any, budget: Any, store: Any, plan: Any, net: Any) -> None:
    """At most `budget` steps of system b."""
    w, trial, own = _world(b, store, plan, ROW_SUM), _world(b, store, plan, TRIAL_ROW_SUM), _own(b, store)
    r, c = own.real, own.count
    rows, most, N = pointer(store.rows, b), store.rows.shape[1], np.uint64((store.rows.shape[2] - ROW_BODIES) // 6)
    size = np.uint64(VECTORS) * U3 * w.n
    third = FIRST_BLOCK + U2 * size
    old, new = FIRST_BLOCK + np.uint64(c[at.CURRENT]) * size, FIRST_BLOCK + np.uint64(1 - c[at.CURRENT]) * size
    stop_at = c[at.STEPS] + budget
    fixed = plan.which[KIND] == CONSTANT and plan.which[WRAP_COUNT] == 0
    while True:
        if plan.which[OUTPUT] != NO_OUTPUT and not write_rows(trial, new, old, third, own, plan, rows, most, N):
            return
        if r[at.TIME] >= own.system[at.T_END]:
            c[at.STATUS] = at.OK
        elif np.float64(c[at.STEPS]) >= own.system[at.STEP_LIMIT]:
            c[at.STATUS] = at.MAX_STEPS
        if c[at.STATUS] != at.RUNNING or c[at.STEPS] >= stop_at:
            return
        said = Said(own.rule[0], -np.inf, False, False) if fixed else choose(w, trial, old, new, third, own, plan, net)
        c[at.STATUS] = _unusable(own, said.dt)
        if c[at.STATUS] != at.RUNNING:
            return
        if plan.which[METHOD] == LOGH and c[at.STEPS] == 0:
            r[at.LOGH_STEP] = -said.dt * r[at.POTENTIAL]
        made = _attempt(w, old, new, third, own, plan, said.dt)
        c[at.STATUS] = made.status if np.isfinite(made.energy) else at.NON_FINITE
        if c[at.STATUS] != at.RUNNING:
            return
        _accept(w, new, own, plan, net, made, said)
        old, new = new, old
        c[at.CURRENT] = 1 - c[at.CURRENT]


@entry
def advance(first: Any, last: Any, budget: Any, begin: Any, store: Any, plan: Any, net: Any) -> None:
    """At most `budget` steps of each of the systems first ... last-1; `begin`: they have not started yet.

    The room of `net` belongs to the thread that calls; `plan` and `net` come with arrays and go on with pointers.
    """
    way = Plan(pointer(plan.which, 0), pointer(plan.how, 0))
    own_net = Net(pointer(net.shape, 0), pointer(net.numbers, 0), pointer(net.room, 0))
    for b in range(first, last):
        if begin:
            _begin(b, store, way)
        if store.count[b, at.STATUS] == at.RUNNING:
            _run_system(b, budget, store, way, own_net)
