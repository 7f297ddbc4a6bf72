"""A quick look at steps that were made: whether an event of the run may have happened in them.

Whether it has, and when, is found by `event_search` alone. It looks only into the steps around which states are noted here. So
a look may be wrong only in one way: it may see an event where none is.
"""

from __future__ import annotations

import numpy as np

from . import layout as at
from .event_bodies import may_cross, may_leave
from .event_pairs import may_meet, may_touch
from .event_step import Step
from .jit import strict
from .kinds import Flag, Kind, Place
from .lanes import any_of, flag_like, lane_of, scalars, where, width_of
from .output import Output, row_at, write_row
from .plan import (
    CROSS,
    EVENT_BODIES,
    EVENT_COUNT,
    EVENT_KINDS,
    EVENT_NUMBERS,
    EVENT_SIZE,
    EVENTS,
    LEAVE,
    MEET,
    ROW_STEPS,
    TOUCH,
)
from .workplace import Workplace


@strict
def _may_happen(kind: Kind, step: Step) -> Flag:
    if kind == MEET:
        return may_meet(step)
    if kind == TOUCH:
        return may_touch(step)
    if kind == LEAVE:
        return may_leave(step)
    if kind == CROSS:
        return may_cross(step)
    return flag_like(True, step.dt)


@strict
def _note(here: Workplace, old: Place, new: Place, lane: Place) -> None:
    """Note the states before and after the step of a lane; the first of them only if it is not there yet."""
    r, c, rows = here.row.real, here.row.count, here.noted.numbers
    noted, steps = lane_of(c[at.NOTED], lane), lane_of(c[at.STEPS], lane)
    if noted == 0 or rows[row_at(here.noted, lane, noted - 1) + np.uint64(ROW_STEPS)] != np.float64(steps - 1):
        before = Output(r[at.TIME_BEFORE], r[at.ENERGY], r[at.ERROR])
        write_row(here.w, old, lane, before, here.row, here.noted, noted)
        rows[row_at(here.noted, lane, noted) + np.uint64(ROW_STEPS)] = np.float64(steps - 1)
        noted += 1
    write_row(here.w, new, lane, Output(r[at.TIME], r[at.ENERGY], r[at.ERROR]), here.row, here.noted, noted)
    scalars(c)[np.uint64(at.NOTED) * width_of(here.w.s) + np.uint64(lane)] = noted + 1


@strict
def look_for_events(here: Workplace, old: Place, new: Place, made: Flag) -> None:
    """Note the states around the steps that were made where an event may have happened in them.

    Systems pause there if their run may end, and where there is no space for another two states; but not where it ends anyway.
    """
    w, row, plan, c = here.w, here.row, here.plan, here.row.count
    first = plan.ints[EVENTS]
    found = flag_like(False, row.real[at.TIME])
    pauses, dt = found, row.real[at.TIME] - row.real[at.TIME_BEFORE]
    for k in range(plan.ints[first + EVENT_COUNT]):
        kind, stops = plan.ints[first + EVENT_KINDS + 2 * k], plan.ints[first + EVENT_KINDS + 2 * k + 1]
        numbers = np.uint64(plan.ints[first + EVENT_NUMBERS] + EVENT_SIZE * k)
        of_bodies = np.uint64(plan.ints[first + EVENT_BODIES] * k)
        may = made & _may_happen(kind, Step(w, old, new, dt, numbers, plan.floats, of_bodies, row.events))
        found = found | may
        if stops != 0:
            pauses = pauses | may
    if not any_of(found):
        return
    for lane in range(width_of(w.s)):
        if lane_of(found, lane):
            _note(here, old, new, np.uint64(lane))
    pauses = pauses | (found & (c[at.NOTED] + 2 > here.noted.capacity))
    c[at.STATUS] = where(pauses & (row.real[at.TIME] < row.system[at.STOP]), at.PAUSED, c[at.STATUS])
