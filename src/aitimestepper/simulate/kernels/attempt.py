"""One attempt at a step: choose it, make it, check it, and accept or reject it; for one system or for systems side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .choose import choose, method_chooses_step, plain_choice
from .event_look import look_for_events
from .fields import field_moves
from .jit import by_width, inlined, strict
from .kinds import Flag, Number, Place
from .lane_rows import hold, keep_state, release
from .lanes import absolute, any_of, count_of, flag_like, is_finite, larger, like, no, number_of, smaller, where
from .nearest import follow_nearest
from .network import StepChoice
from .observe import append_to_window
from .output import relative, write_rows
from .plan import (
    AGENT,
    BASE,
    CONSTANT,
    EPSILON,
    EVENTS,
    GUARD,
    KIND,
    LAST_TERM,
    LEARNED,
    LOGH,
    METHOD,
    NO_OUTPUT,
    OUTPUT,
    PLAIN,
    RADAU,
    SYMMETRIZED,
    WITH_SUMS,
    WRAP_COUNT,
    WRAP_MEMORY,
    WRAPS,
    Plan,
    SystemRow,
)
from .radau import keep_polynomial, radau_accept
from .radau_dt import GLOBAL_RULE, PRS23_RULE, not_converged, radau_next_dt
from .radau_layout import LAST_DT
from .stepping import step
from .system import Advanced, SystemView, kinetic_energy
from .workplace import Workplace, store_sums

MAX_TRIES = 60
# a Gauss-Radau step is repeated if its rule asks for less than this fraction of it; steps grow by at most the inverse of this
TOO_LONG = 0.25


class Attempt(NamedTuple):
    """A step that was made."""

    done: Advanced
    kinetic: Number
    energy: Number
    last: Flag  # whether it ended at the end time


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
def _too_long(w: SystemView, row: SystemRow, plan: Plan, dt: Number, energy: Number) -> Number:
    """Return a shorter dt to repeat the step with, by the guard or by Gauss-Radau, or 0; store the next step of the latter."""
    r, shorter = row.real, _too_long_for_guard(w, row, plan, dt, energy)
    if method_chooses_step(plan):
        rule = GLOBAL_RULE if plan.ints[KIND] == LAST_TERM else PRS23_RULE
        wanted = radau_next_dt(w, row.radau, dt, row.rule[EPSILON], rule)
        stays = (shorter > 0.0) | (wanted < TOO_LONG * dt) | no(dt > 0.0)
        r[at.RADAU_DT] = where(stays, r[at.RADAU_DT], smaller(wanted, dt / TOO_LONG))
        shorter = where(no(shorter > 0.0) & (wanted < TOO_LONG * dt), wanted, shorter)
    elif plan.ints[METHOD] == RADAU:
        shorter = where(no(shorter > 0.0) & not_converged(row.radau), 0.125 * dt, shorter)
    return shorter


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
    if plan.ints[METHOD] == RADAU:
        radau_accept(w, row.radau, where(running, dt, row.radau[LAST_DT]))
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
        store_sums(r, made.done.sums)
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
    known = plan.ints[KIND] == CONSTANT or plan.ints[KIND] == AGENT
    if known and plan.ints[WRAP_COUNT] == 0 and plan.ints[BASE] == PLAIN:
        return plain_choice(here.row.rule[0])
    return choose(here.w, here.trial, old, new, here.scratch_block, here.row, plan, here.net, fresh)


@strict
def attempt_step(here: Workplace, old: Place, new: Place, running: Flag) -> bool:
    """Attempt a step of every running system; return whether their states are in block `new` now."""
    accepted = _accepted(here, old, new, running)
    if not any_of(accepted):
        return False
    if here.plan.ints[EVENTS] != 0:
        look_for_events(here, old, new, accepted)
    return True


@inlined
def _accepted(here: Workplace, old: Place, new: Place, running: Flag) -> Flag:
    """Attempt a step of every running system; return where it was accepted. Then the states of all are in block `new`."""
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
            return going
    made = _attempt(here, old, new, where(going, dt, 0.0), going)
    shorter = like(0.0, dt)
    if plan.floats[GUARD] > 0.0 or plan.ints[METHOD] == RADAU:
        shorter = _too_long(w, row, plan, made.done.dt, made.energy)
    again = going & (shorter > 0.0)
    broken = going & no(again) & no(is_finite(made.energy))
    stays = stays | again | broken
    if plan.ints[METHOD] == LOGH:  # far from each other, bodies that are not bound have K - E of any sign: time would go back
        stuck = going & no(stays) & no(made.done.dt > 0.0)
        c[at.STATUS] = where(stuck, at.STUCK, c[at.STATUS])
        stays = stays | stuck
    if not any_of(stays):
        _accept(here, new, made, choice, running)
        return running
    c[at.STATUS] = where(broken, at.NON_FINITE, c[at.STATUS])
    _reject(row, again, shorter)
    accepted = running & no(stays)
    if not any_of(accepted):
        return accepted
    hold(w, here.held)
    _accept(here, new, made, choice, accepted)
    release(w, here.held, stays)
    keep_state(w, old, new, stays)
    if plan.ints[METHOD] == RADAU:
        keep_polynomial(w, row.radau, stays)
    return accepted


@inlined
def rows_are_full(here: Workplace, old: Place, new: Place, running: Flag) -> Flag:
    """Write the rows of output that are due; return where there is no space for more. `old` is the present state."""
    if here.plan.ints[OUTPUT] == NO_OUTPUT:
        return flag_like(False, here.row.real[at.TIME])
    return write_rows(here.trial, new, old, here.scratch_block, here.row, here.plan, here.rows, running)


@inlined
def end_finished(row: SystemRow, running: Flag) -> Flag:
    """Set the status of systems that are at their end; return which are still running."""
    r, c, system = row.real, row.count, row.system
    ended = running & (r[at.TIME] >= system[at.STOP])
    limited = running & (number_of(c[at.STEPS]) >= system[at.STEP_LIMIT])
    if any_of(ended | limited):
        c[at.STATUS] = where(ended, at.OK, where(limited, at.MAX_STEPS, c[at.STATUS]))
    return running & no(ended | limited)
