"""The loop of the compiled engine: choose a step, make it, check it and store it, for every system of a batch separately.

The loop is written once. `advance_lanes` compiles it for as many systems of equally many bodies, up to `FEW`, as a register
holds; where one of them ends, the next takes its lane. `advance` compiles it for one system at a time, of more bodies or by
other methods than splittings. The whole state of a run is in the arrays of `Store`. A call continues where the last one
stopped. The bits depend neither on how the steps are divided among calls, nor on the systems side by side, nor on threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import layout as at
from .choose import choose, method_chooses_step, plain_choice
from .fields import field_moves
from .jit import by_width, entry, inlined, strict
from .kinds import Counts, Flag, Number, Numbers, Place
from .lane_rows import Held, hold, keep_state, load_lane, release, save_lane
from .lanes import (
    absolute,
    all_of,
    any_of,
    count_of,
    flag_like,
    is_finite,
    lane_of,
    larger,
    like,
    no,
    number_of,
    pointer,
    scalars,
    smaller,
    sqrt,
    where,
    width_of,
)
from .layout import ACCELERATION, HEAD, ROW_SUM, TRIAL_ROW_SUM, U0, U1, U2, U3, VECTORS
from .methods import accelerations_and_jerks
from .nearest import follow_nearest, nearest_pair, store_pair
from .network import StepChoice
from .observe import append_to_window
from .output import Rows, relative, write_rows
from .pair_sums import ForceSums, first_of_pair, second_of_pair
from .plan import (
    BASE,
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
    PLAIN,
    RADAU,
    ROW_BODIES,
    SYMMETRIZED,
    THREADS,
    WITH_SUMS,
    WRAP_COUNT,
    WRAP_MEMORY,
    WRAPS,
    Integers,
    Net,
    Plan,
    Store,
    SystemRow,
)
from .radau import radau_accept
from .radau_dt import GLOBAL_RULE, LARGEST_NOT_CONVERGED, PRS23_RULE, radau_next_dt
from .radau_layout import NOT_CONVERGED
from .stepping import step
from .system import Advanced, SystemView, energy_scale, forces, inner_kinetic_energy, kinetic_energy

FIRST_BLOCK, BLOCK = np.uint64(HEAD), np.uint64(VECTORS) * U3
MAX_TRIES = 60
# a Gauss-Radau step is repeated if its rule asks for less than this fraction of it; steps grow by at most the inverse of this
TOO_LONG = 0.25
NEVER = np.int64(2**62)  # steps


class Attempt(NamedTuple):
    """A step that was made."""

    done: Advanced
    kinetic: Number
    energy: Number
    last: Flag  # whether it ended at the end time


class Workplace(NamedTuple):
    """Everything that a step needs: of one system, or of systems side by side."""

    w: SystemView
    trial: SystemView  # the same, with another place for row sums over pairs, so that those of the state stay
    row: SystemRow
    plan: Plan
    net: Net
    rows: Rows
    held: Held
    scratch_block: Place


# ---- the start ----------------------------------------------------------------------------------------------------------
@inlined
def _jerks_of_one(w: SystemView, block: Place, plan: Plan) -> None:
    if plan.ints[METHOD] == HERMITE:
        accelerations_and_jerks(w, block)


@inlined
def _no_jerks(w: SystemView, block: Place, plan: Plan) -> None:
    pass


_first_jerks = by_width(_jerks_of_one, _no_jerks)


@inlined
def _store_sums(r: Numbers, sums: ForceSums) -> None:
    """Store the sums over pairs of the current state, for the criterion."""
    r[at.RATE2_SUM], r[at.RATE4_SUM] = sums.rate2_sum, sums.rate4_sum
    r[at.RATE8_SUM], r[at.BINDING_SUM] = sums.rate8_sum, sums.binding_sum


@strict
def _begin(here: Workplace, block: Place, fresh: Flag) -> None:
    """Compute forces, energies and the nearest pair of the initial state of the systems that are `fresh`."""
    w, r, c = here.w, here.row.real, here.row.count
    s, a, kept = w.s, block + ACCELERATION * U3 * w.n, here.scratch_block + ACCELERATION * U3 * w.n
    for k in range(U0, U3 * w.n):
        s[kept + k] = s[a + k]
    hold(w, here.held)
    potential, sums = forces(w, block, r[at.TIME])
    _first_jerks(w, block, here.plan)
    kinetic = kinetic_energy(w, block)
    r[at.POTENTIAL], r[at.KINETIC] = potential, kinetic
    _store_sums(r, sums)
    r[at.ENERGY_START] = r[at.ENERGY] = potential + kinetic
    r[at.ENERGY_SCALE] = energy_scale(inner_kinetic_energy(w, block, kinetic), potential)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = r[at.TIME], potential
    r[at.DT_MIN] = like(np.inf, potential)
    code = nearest_pair(w, block, sums.nearest)
    i, j = first_of_pair(code), second_of_pair(code)
    store_pair(w, block, r, c, i, j)
    r[at.CLOSEST], r[at.CLOSEST_TIME] = sqrt(larger(sums.nearest2 - s[at.SOFTENING2], 0.0)), r[at.TIME]
    c[at.CLOSEST_I], c[at.CLOSEST_J], c[at.FORCES] = i, j, 1
    release(w, here.held, no(fresh))
    for k in range(U0, U3 * w.n):
        s[a + k] = where(fresh, s[a + k], s[kept + k])


# ---- a step -------------------------------------------------------------------------------------------------------------
@inlined
def _step_to_end_of_lanes(
    w: SystemView, old: Place, new: Place, scratch_block: Place, row: SystemRow, plan: Plan, dt: Number, last: Flag
) -> tuple[Advanced, Flag]:
    remaining = row.system[at.T_END] - row.real[at.TIME]
    return step(w, old, new, scratch_block, row, plan, where(last, remaining, dt), False), last


@inlined
def _step_to_end_of_one(
    w: SystemView, old: Place, new: Place, scratch_block: Place, row: SystemRow, plan: Plan, dt: float, last: bool
) -> tuple[Advanced, bool]:
    r, remaining = row.real, row.system[at.T_END] - row.real[at.TIME]
    if plan.ints[METHOD] != LOGH:
        return step(w, old, new, scratch_block, row, plan, remaining if last else dt, last), last
    # a constant step of logh is constant in its own variable; its length in time is known afterwards
    if r[at.LOGH_STEP] == 0.0:
        r[at.LOGH_STEP] = -dt * r[at.POTENTIAL]
    ends = last and plan.ints[KIND] != CONSTANT
    done = step(w, old, new, scratch_block, row, plan, remaining if ends else dt, ends)
    if not ends and r[at.TIME] + done.dt >= row.system[at.T_END]:
        first = done.evaluations
        done = step(w, old, new, scratch_block, row, plan, remaining, True)
        return Advanced(done.potential, done.sums, done.work, done.evaluations + first, done.dt), True
    return done, ends


# make a step to block `new`, the last one so that it ends at the end time; return it, and whether it is the last
_step_to_end = by_width(_step_to_end_of_one, _step_to_end_of_lanes)


@inlined
def _attempt(here: Workplace, old: Place, new: Place, dt: Number, going: Flag) -> Attempt:
    """Make one step of `dt`, or of the time that remains until the end time if that is shorter."""
    w, row = here.w, here.row
    r = row.real
    remaining = row.system[at.T_END] - r[at.TIME]
    last = dt >= remaining
    done, last = _step_to_end(w, old, new, here.scratch_block, row, here.plan, dt, last)
    row.count[at.FORCES] += where(going, done.evaluations, 0)
    kinetic = kinetic_energy(w, new)
    return Attempt(done, kinetic, done.potential + kinetic - (r[at.WORK] + done.work), last)


@inlined
def _refuses(row: SystemRow, dt: Number) -> tuple[Flag, Flag]:
    """Return where a step of `dt` cannot be made, since it is no number, and since it is no progress."""
    t = row.real[at.TIME]
    remaining = row.system[at.T_END] - t
    broken = no(is_finite(dt) | (dt >= remaining)) | no(dt >= 0.0)
    # 1e20 steps to the end are no progress; this also catches t = 0, where any step changes the time
    stuck = (dt < remaining) & ((t + dt == t) | ((dt < 1e-20 * remaining) & is_finite(remaining)))
    return broken, stuck & no(broken)


@inlined
def _too_long_for_guard(w: SystemView, row: SystemRow, plan: Plan, dt: Number, energy: Number) -> Number:
    """Return a shorter dt to repeat the step with, or 0 where the step is short enough."""
    r, guard = row.real, plan.floats[GUARD]
    if guard == 0.0:
        return like(0.0, dt)
    return where(absolute(energy - r[at.ENERGY]) <= guard * r[at.ENERGY_SCALE], 0.0, 0.5 * dt)


@strict
def _too_long_of_one(w: SystemView, row: SystemRow, plan: Plan, dt: float, energy: float) -> float:
    shorter = _too_long_for_guard(w, row, plan, dt, energy)
    if shorter > 0.0:
        return shorter
    r = row.real
    if method_chooses_step(plan):
        rule = GLOBAL_RULE if plan.ints[KIND] == LAST_TERM else PRS23_RULE
        wanted = radau_next_dt(w, row.radau, dt, row.rule[EPSILON], rule)
        if wanted < TOO_LONG * dt:
            return wanted
        r[at.RADAU_DT] = min(wanted, dt / TOO_LONG)
    elif plan.ints[METHOD] == RADAU and row.radau[NOT_CONVERGED] > LARGEST_NOT_CONVERGED:
        return 0.125 * dt
    return 0.0


_too_long = by_width(_too_long_of_one, _too_long_for_guard)


@inlined
def _radau_of_one(w: SystemView, row: SystemRow, plan: Plan, dt: float) -> None:
    if plan.ints[METHOD] == RADAU:
        radau_accept(w, row.radau, dt)


@inlined
def _no_radau(w: SystemView, row: SystemRow, plan: Plan, dt: Number) -> None:
    pass


_accept_method = by_width(_radau_of_one, _no_radau)


@inlined
def _accept(here: Workplace, new: Place, made: Attempt, choice: StepChoice, running: Flag) -> None:
    """Accept the step in `new`: update time, energies, extremes, and the memory of criterion and method."""
    w, row, plan = here.w, here.row, here.plan
    r, c, t, dt = row.real, row.count, row.real[at.TIME], made.done.dt
    for k in range(plan.ints[WRAP_COUNT]):
        if plan.ints[WRAPS + k] == SYMMETRIZED:
            row.memory[WRAP_MEMORY * k] = dt
    if plan.ints[KIND] == LEARNED:
        append_to_window(here.net, row.window, dt)
    _accept_method(w, row, plan, dt)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = t, r[at.POTENTIAL]
    if field_moves(w):
        r[at.WORK_BEFORE] = r[at.WORK]
        r[at.WORK] += made.done.work
    term = dt - r[at.TIME_COMPENSATION]
    after = t + term
    r[at.TIME] = where(made.last, row.system[at.T_END], after)
    r[at.TIME_COMPENSATION] = where(made.last, 0.0, (after - t) - term)
    r[at.ENERGY], r[at.ERROR] = made.energy, relative(r, made.energy)
    r[at.POTENTIAL], r[at.KINETIC] = made.done.potential, made.kinetic
    if plan.ints[WITH_SUMS] != 0:
        _store_sums(r, made.done.sums)
    c[at.STEPS] += 1
    r[at.MAX_ERROR] = larger(r[at.ERROR], r[at.MAX_ERROR])
    r[at.DT_LAST] = dt
    if plan.floats[GUARD] > 0.0 or plan.ints[METHOD] == RADAU:
        r[at.RETRY_DT], c[at.TRIES] = like(0.0, dt), count_of(flag_like(False, dt))
    # the step that ends at the end time was cut short, so it does not count for the extremes
    counts = no(made.last) | (c[at.STEPS] == 1)
    r[at.DT_MIN], r[at.DT_MAX] = smaller(where(counts, dt, np.inf), r[at.DT_MIN]), larger(where(counts, dt, 0.0), r[at.DT_MAX])
    if plan.ints[KIND] == LEARNED:
        r[at.EXPECTED] = larger(choice.log10_error, r[at.EXPECTED])
        c[at.AT_CEILING] += count_of(choice.at_ceiling)
        c[at.OUT_OF_RANGE] += count_of(choice.out_of_range)
    follow_nearest(w, new, r, c, made.done.sums, dt, t, running)


@inlined
def _reject(row: SystemRow, again: Flag, shorter: Number) -> None:
    """Let the systems that attempt a step `again` do so with a shorter one; those that tried too often are stuck."""
    r, c = row.real, row.count
    r[at.RETRY_DT] = where(again, shorter, r[at.RETRY_DT])
    c[at.TRIES] += count_of(again)
    hopeless = again & (c[at.TRIES] > MAX_TRIES)
    c[at.STATUS] = where(hopeless, at.STUCK, c[at.STATUS])
    c[at.REJECTED] += count_of(again & no(hopeless))


@inlined
def _choice(here: Workplace, old: Place, new: Place, fresh: Flag) -> StepChoice:
    plan = here.plan
    if plan.ints[KIND] == CONSTANT and plan.ints[WRAP_COUNT] == 0 and plan.ints[BASE] == PLAIN:
        return plain_choice(here.row.rule[0])
    return choose(here.w, here.trial, old, new, here.scratch_block, here.row, plan, here.net, fresh)


@strict
def _attempt_step(here: Workplace, old: Place, new: Place, running: Flag) -> bool:
    """Attempt a step of every running system; return whether their states are in block `new` now."""
    w, row, plan = here.w, here.row, here.plan
    r, c = row.real, row.count
    fresh = r[at.RETRY_DT] == 0.0
    choice = _choice(here, old, new, fresh)
    dt = where(fresh, choice.dt, r[at.RETRY_DT])
    broken, stuck = _refuses(row, dt)
    stays = running & (broken | stuck)
    going = running & no(stays)
    if any_of(stays):
        c[at.STATUS] = where(stays, where(broken, at.NON_FINITE, at.STUCK), c[at.STATUS])
        if not any_of(going):
            return False
    made = _attempt(here, old, new, where(going, dt, 0.0), going)
    shorter = like(0.0, dt)
    if plan.floats[GUARD] > 0.0 or plan.ints[METHOD] == RADAU:
        shorter = _too_long(w, row, plan, made.done.dt, made.energy)
    again = going & (shorter > 0.0)
    broken = going & no(again) & no(is_finite(made.energy))
    stays = stays | again | broken
    if not any_of(stays):
        _accept(here, new, made, choice, running)
        return True
    c[at.STATUS] = where(broken, at.NON_FINITE, c[at.STATUS])
    _reject(row, again, shorter)
    if all_of(stays | no(running)):
        return False
    hold(w, here.held)
    _accept(here, new, made, choice, running & no(stays))
    release(w, here.held, stays)
    keep_state(w, old, new, stays)
    return True


@inlined
def _rows_are_full(here: Workplace, old: Place, new: Place, running: Flag) -> Flag:
    """Write the rows of output that are due; return where there is no space for more. `old` is the present state."""
    if here.plan.ints[OUTPUT] == NO_OUTPUT:
        return flag_like(False, here.row.real[at.TIME])
    return write_rows(here.trial, new, old, here.scratch_block, here.row, here.plan, here.rows, running)


@inlined
def _end_finished(row: SystemRow, running: Flag) -> Flag:
    """Set the status of systems that are at their end; return which are still running."""
    r, c, system = row.real, row.count, row.system
    ended = running & (r[at.TIME] >= system[at.T_END])
    limited = running & (number_of(c[at.STEPS]) >= system[at.STEP_LIMIT])
    if any_of(ended | limited):
        c[at.STATUS] = where(ended, at.OK, where(limited, at.MAX_STEPS, c[at.STATUS]))
    return running & no(ended | limited)


# ---- one system at a time -----------------------------------------------------------------------------------------------
@strict
def _run_system(here: Workplace, budget: int, block: Place) -> None:
    """Advance a system by at most `budget` attempts at a step."""
    c = here.row.count
    current = np.uint64(c[at.CURRENT])
    old, new = FIRST_BLOCK + current * block, FIRST_BLOCK + (U1 - current) * block
    if c[at.FORCES] == 0:
        _begin(here, old, True)
    for attempts in range(budget + 1):
        running = c[at.STATUS] == at.RUNNING
        if not running or _rows_are_full(here, old, new, running):
            return
        if not _end_finished(here.row, running) or attempts == budget:
            return
        if _attempt_step(here, old, new, True):
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
        )
        rows = Rows(pointer(store.rows, 0, one), store.rows.shape[1], _row_bodies(store), pointer(order, k, one))
        held = Held(row.real, row.real, U0, row.count, row.count)
        _run_system(Workplace(w, trial, row, plan_at, net_at, rows, held, FIRST_BLOCK + U2 * BLOCK * n), budget, BLOCK * n)


@inlined
def _row_bodies(store: Any) -> Place:
    """Return the number of bodies that a row of output has space for."""
    return np.uint64((store.rows.shape[2] - ROW_BODIES) // 6)


# ---- systems side by side -----------------------------------------------------------------------------------------------
class Queue(NamedTuple):
    """The systems that wait for a lane: order[first:last]."""

    order: Integers
    first: int
    last: int


@strict
def _fill_lane(here: Workplace, old: Place, new: Place, lane: int, b: int, budget: int, store: Store, lanes: Integers) -> None:
    """Put system b into a lane, for `budget` steps."""
    load_lane(here.w, here.row, old, new, np.uint64(lane), b, store)
    lanes[0, lane], lanes[1, lane] = b, store.count[b, at.STEPS] + budget


@strict
def _change_lanes(
    here: Workplace, old: Place, new: Place, leaves: Flag, full: Flag, budget: int, store: Store, queue: Queue, lanes: Integers
) -> tuple[int, int]:
    """Let systems leave their lanes and others take them; return the first that still waits, and how many used their budget."""
    c, first, used = here.row.count, queue.first, 0
    for lane in range(width_of(here.w.s)):
        if not lane_of(leaves, lane):
            continue
        goes_on = lane_of(c[at.STATUS], lane) == at.RUNNING and not lane_of(full, lane)
        used += np.int64(lanes[1, lane] != NEVER)
        lanes[1, lane] = NEVER
        if goes_on and first == queue.last:
            continue  # nobody waits for its lane
        save_lane(here.w, here.row, old, new, np.uint64(lane), lanes[0, lane], store)
        if first < queue.last:
            _fill_lane(here, old, new, lane, queue.order[first], budget, store, lanes)
            first, used = first + 1, used - 1
        else:
            lanes[0, lane] = -1
            scalars(c)[np.uint64(at.STATUS) * width_of(here.w.s) + np.uint64(lane)] = at.IDLE
    return first, used


@strict
def _fill_lanes(here: Workplace, old: Place, new: Place, budget: int, store: Store, queue: Queue, lanes: Integers) -> int:
    """Put the first systems into the lanes; lanes without one get a copy of the first, which nobody looks at."""
    first = queue.first
    for lane in range(width_of(here.w.s)):
        if first < queue.last:
            _fill_lane(here, old, new, lane, queue.order[first], budget, store, lanes)
            first += 1
        else:
            _fill_lane(here, old, new, lane, queue.order[queue.first], budget, store, lanes)
            lanes[0, lane], lanes[1, lane] = -1, NEVER
            scalars(here.row.count)[np.uint64(at.STATUS) * width_of(here.w.s) + np.uint64(lane)] = at.IDLE
    return first


@strict
def _run_lanes(
    here: Workplace, block: Place, budget: int, store: Store, queue: Queue, lanes: Integers, leave_at: Counts
) -> None:
    """Advance the systems of a queue until each has made `budget` steps; those whose budget is used go on while others run."""
    c = here.row.count
    old, new = FIRST_BLOCK, FIRST_BLOCK + block
    first = _fill_lanes(here, old, new, budget, store, queue, lanes)
    waiting = first - queue.first
    while True:
        fresh = (c[at.FORCES] == 0) & (c[at.STATUS] == at.RUNNING)
        if any_of(fresh):
            _begin(here, old, fresh)
        running = c[at.STATUS] == at.RUNNING
        full = _rows_are_full(here, old, new, running)
        going = _end_finished(here.row, running & no(full))
        leaves = (c[at.STATUS] != at.IDLE) & (no(going) | full | (c[at.STEPS] >= leave_at[0]))
        if any_of(leaves):
            first, used = _change_lanes(
                here, old, new, leaves, full, budget, store, Queue(queue.order, first, queue.last), lanes
            )
            waiting -= used
            if waiting == 0:
                break
            continue
        if _attempt_step(here, old, new, going):
            old, new = new, old
    for lane in range(width_of(here.w.s)):
        if lanes[0, lane] >= 0:
            save_lane(here.w, here.row, old, new, np.uint64(lane), lanes[0, lane], store)


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
        pointer(store.radau, 0, one),
    )
    rows = Rows(pointer(store.rows, 0, one), store.rows.shape[1], _row_bodies(store), pointer(registers.lanes, 0, one))
    copies, count_copies = pointer(registers.copies, 0, lanes), pointer(registers.count_copies, 0, lanes)
    held = Held(numbers, copies, np.uint64(registers.numbers.shape[0]), counts, count_copies)
    here = Workplace(view, view, row, plan_at, net_at, rows, held, FIRST_BLOCK + U2 * BLOCK * n)
    queue, leave_at = Queue(order, first, last), pointer(registers.lanes, 1, lanes)
    _run_lanes(here, BLOCK * n, budget, store, queue, registers.lanes, leave_at)
