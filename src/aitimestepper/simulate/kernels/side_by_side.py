"""Systems side by side: each in a lane of its own, which the next one takes where a run ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .attempt import attempt_step, end_finished, rows_are_full
from .decision import goes_on as goes_on_after_look
from .jit import strict
from .kinds import Counts, Flag, Place
from .lane_rows import load_lane, save_lane
from .lanes import any_of, lane_of, no, scalars, width_of
from .layout import HEAD, U3, VECTORS
from .plan import Integers, Store
from .workplace import Workplace, begin

FIRST_BLOCK, BLOCK = np.uint64(HEAD), np.uint64(VECTORS) * U3
NEVER = np.int64(2**62)  # steps


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
        if lane_of(c[at.STATUS], lane) == at.MAX_STEPS and goes_on_after_look(
            here, old, np.uint64(lane), store.look_until[lanes[0, lane]]
        ):
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
def run_lanes(
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
            begin(here, old, fresh)
        running = c[at.STATUS] == at.RUNNING
        full = rows_are_full(here, old, new, running)
        going = end_finished(here.row, running & no(full))
        leaves = (c[at.STATUS] != at.IDLE) & (no(going) | full | (c[at.STEPS] >= leave_at[0]))
        if any_of(leaves):
            first, used = _change_lanes(
                here, old, new, leaves, full, budget, store, Queue(queue.order, first, queue.last), lanes
            )
            waiting -= used
            if waiting == 0:
                break
            continue
        if attempt_step(here, old, new, going):
            old, new = new, old
    for lane in range(width_of(here.w.s)):
        if lanes[0, lane] >= 0:
            save_lane(here.w, here.row, old, new, np.uint64(lane), lanes[0, lane], store)
