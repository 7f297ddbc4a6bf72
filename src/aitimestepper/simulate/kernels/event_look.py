"""A quick look at steps that were made: whether an event of the run may have happened in them.

Whether it has, and when, is found by `event_search` alone. It looks only into the steps around which states are noted here. So
a look may be wrong only in one way: it may see an event where none is. Separations, their products and their square roots are
computed as `aitimestepper.events` does, to the bit; what it does by other sums has margins here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .jit import inlined, strict
from .kinds import Flag, Kind, Number, Numbers, Place
from .lanes import absolute, any_of, flag_like, lane_of, larger, like, no, scalars, smaller, sqrt, where, width_of
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
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
from .system import SystemView, gm_at, mass_at
from .workplace import Workplace

JUST = 1.0 + 1e-9  # so that rounding hides no event
ROUNDING = 1e-13  # of a sum over bodies, relative to that of the absolute values


class Step(NamedTuple):
    """A step that was made, as an event sees it."""

    w: SystemView
    old: Place  # block of the state before it
    new: Place
    dt: Number  # from time to time, as they are rounded
    numbers: Place  # of the event, in `floats`
    floats: Numbers
    of_bodies: Place  # in the numbers of the event for every body
    each: Numbers


class Pair(NamedTuple):
    """Products of the separation x and the relative velocity v of two bodies, as `sums.dot` adds them."""

    xx: Number
    xv: Number
    vv: Number


class Vector(NamedTuple):
    """A vector from one body to another."""

    x: Number
    y: Number
    z: Number


@inlined
def _dot(a: Vector, b: Vector) -> Number:
    return (a.x * b.x + a.y * b.y) + a.z * b.z


@inlined
def _between(w: SystemView, vectors: Place, i: Place, j: Place) -> Vector:
    n, s = w.n, w.s
    i, j = vectors + i, vectors + j
    return Vector(s[j] - s[i], s[n + j] - s[n + i], s[U2 * n + j] - s[U2 * n + i])


@inlined
def _pair(w: SystemView, block: Place, i: Place, j: Place) -> Pair:
    x, v = _between(w, block + POSITION * U3 * w.n, i, j), _between(w, block + VELOCITY * U3 * w.n, i, j)
    return Pair(_dot(x, x), _dot(x, v), _dot(v, v))


@inlined
def _bend(v: Vector, dt: Number, way: Vector) -> Number:
    """Return how far a body that kept its velocity would be from where it is."""
    off = Vector(v.x * dt - way.x, v.y * dt - way.y, v.z * dt - way.z)
    return sqrt(_dot(off, off))


@strict
def _least_distance(step: Step, i: Place, j: Place) -> Number:
    """Return a distance that two bodies certainly kept during the step.

    Their path is bent: it leaves the straight line between its ends by an eighth of `bend` on an arc, and by a fourth where all
    of the bend is at one point.
    """
    d = U3 * step.w.n
    x, v = _between(step.w, step.old + POSITION * d, i, j), _between(step.w, step.old + VELOCITY * d, i, j)
    end, u = _between(step.w, step.new + POSITION * d, i, j), _between(step.w, step.new + VELOCITY * d, i, j)
    way = Vector(end.x - x.x, end.y - x.y, end.z - x.z)
    bend = _bend(v, step.dt, way) + _bend(u, step.dt, way)
    share = smaller(larger(-_dot(x, way) / _dot(way, way), 0.0), 1.0)
    near = Vector(x.x + share * way.x, x.y + share * way.y, x.z + share * way.z)
    return sqrt(_dot(near, near)) - JUST * bend


@strict
def _fastest(w: SystemView, block: Place) -> Number:
    """Return the largest speed of a body."""
    n, s = w.n, w.s
    v, most = block + VELOCITY * U3 * n, like(0.0, s[block])
    for i in range(U0, n):
        x, y, z = s[v + i], s[v + n + i], s[v + U2 * n + i]
        most = larger((x * x + y * y) + z * z, most)
    return sqrt(most)


# ---- pairs ---------------------------------------------------------------------------------------------------------------
@strict
def _may_meet(step: Step) -> Flag:
    """Return where two bodies may have been at their closest; see `events.Encounter`."""
    w, below = step.w, step.floats[step.numbers]
    found = flag_like(False, step.dt)
    for i in range(U0, w.n - U1):
        for j in range(i + U1, w.n):
            before, after = _pair(w, step.old, i, j), _pair(w, step.new, i, j)
            approached = (before.xv < 0.0) & (after.xv >= 0.0)
            if any_of(approached):
                path = 2.0 * larger(sqrt(before.vv), sqrt(after.vv)) * step.dt
                near = approached & (smaller(sqrt(before.xx), sqrt(after.xx)) - path < below)
                if any_of(near):
                    found = found | (near & no(_least_distance(step, i, j) > JUST * below))
    return found


@strict
def _may_touch(step: Step) -> Flag:
    """Return where two bodies may have touched, also if they parted again in the same step; see `events.Collision`."""
    w = step.w
    found = flag_like(False, step.dt)
    reach = JUST * 4.0 * larger(_fastest(w, step.old), _fastest(w, step.new)) * step.dt  # as in `event_search`
    for i in range(U0, w.n - U1):
        for j in range(i + U1, w.n):
            before, after = _pair(w, step.old, i, j), _pair(w, step.new, i, j)
            touch = step.each[step.of_bodies + i] + step.each[step.of_bodies + j]
            near = touch + reach
            if any_of(smaller(before.xx, after.xx) <= JUST * near * near):
                nearest = smaller(sqrt(before.xx), sqrt(after.xx)) - touch
                grazed = (before.xv < 0.0) & (after.xv >= 0.0) & (nearest > 0.0) & (nearest <= reach)
                if any_of(grazed):
                    grazed = grazed & no(_least_distance(step, i, j) > JUST * touch)
                found = found | grazed | ((touch - sqrt(before.xx) < 0.0) & (touch - sqrt(after.xx) >= 0.0))
    return found


# ---- bodies --------------------------------------------------------------------------------------------------------------
class Sums(NamedTuple):
    """Mass-weighted sums over all bodies of a vector, and of its absolute values."""

    x: Number
    y: Number
    z: Number
    size: Number


@strict
def _sums(w: SystemView, vectors: Place) -> Sums:
    n, s, masses = w.n, w.s, mass_at(w)
    zero = like(0.0, s[vectors])
    x, y, z, size = zero, zero, zero, zero
    for i in range(U0, n):
        m, a, b, c = s[masses + i], s[vectors + i], s[vectors + n + i], s[vectors + U2 * n + i]
        x, y, z = x + m * a, y + m * b, z + m * c
        size += m * (absolute(a) + absolute(b) + absolute(c))
    return Sums(x, y, z, size)


class About(NamedTuple):
    """A vector of a body about the mean of all others, and by how much it may be wrong."""

    x: Number
    y: Number
    z: Number
    error: Number


@inlined
def _about(w: SystemView, vectors: Place, sums: Sums, i: Place, others: Number) -> About:
    """others: the mass of all other bodies."""
    n, s, m = w.n, w.s, w.s[mass_at(w) + i]
    a, b, c = s[vectors + i], s[vectors + n + i], s[vectors + U2 * n + i]
    error = ROUNDING * np.float64(n) * (sums.size / others + absolute(a) + absolute(b) + absolute(c))
    return About(a - (sums.x - m * a) / others, b - (sums.y - m * b) / others, c - (sums.z - m * c) / others, error)


@inlined
def _size(a: About) -> Number:
    return sqrt(a.x * a.x + a.y * a.y + a.z * a.z)


class Way(NamedTuple):
    """Where a body is, and how it moves: from the centre of mass of the others, the least and the most that it may be."""

    near: Number
    far: Number
    slow: Number
    fast: Number
    least_outward: Number  # x . v
    most_outward: Number


@strict
def _way(w: SystemView, block: Place, i: Place, others: Number) -> Way:
    d = U3 * w.n
    x = _about(w, block + POSITION * d, _sums(w, block + POSITION * d), i, others)
    v = _about(w, block + VELOCITY * d, _sums(w, block + VELOCITY * d), i, others)
    r, speed = _size(x), _size(v)
    outward, error = (
        x.x * v.x + x.y * v.y + x.z * v.z,
        JUST * (r * v.error + (speed + v.error) * x.error) + ROUNDING * r * speed,
    )
    return Way(r - x.error, r + x.error, speed - v.error, speed + v.error, outward - error, outward + error)


@strict
def _may_have_left(step: Step, i: Place, others: Number, gm: Number, beyond: float) -> Flag:
    """Return where a body is perhaps escaping after the step and perhaps not before it; `no`, since NaN is neither."""
    after, before = _way(step.w, step.new, i, others), _way(step.w, step.old, i, others)
    bound = JUST * 0.5 * after.fast * after.fast * after.far < gm
    stays = (JUST * after.far < beyond) | bound | (after.most_outward < 0.0)
    unbound = (before.slow > 0.0) & (0.5 * before.slow * before.slow * before.near > JUST * gm)
    had_left = (before.near > JUST * beyond) & unbound & (before.least_outward > 0.0)
    return no(stays) & no(had_left)


@strict
def _may_leave(step: Step) -> Flag:
    """Return where a body may have begun to escape; see `events.Escape`."""
    w, beyond = step.w, step.floats[step.numbers]
    found, x = flag_like(False, step.dt), step.new + POSITION * U3 * w.n
    sums, gm = _sums(w, x), like(0.0, step.dt)
    for i in range(U0, w.n):
        gm += w.s[gm_at(w) + i]
    for i in range(U0, w.n):
        others = step.each[step.of_bodies + i]
        about = _about(w, x, sums, i, others)
        may = no(JUST * (_size(about) + about.error) < beyond) & (others > 0.0)  # about no mass the measure is never negative
        if any_of(may):
            found = found | (may & _may_have_left(step, i, others, gm, beyond))
    return found


@inlined
def _height(step: Step, block: Place, i: Place) -> tuple[Number, Number]:
    """Return the height of a body above a plane, and its rounding error at most."""
    n, s, f, k = step.w.n, step.w.s, step.floats, step.numbers
    p = block + POSITION * U3 * n + i
    x, y, z, offset = f[k] * s[p], f[k + U1] * s[p + n], f[k + U2] * s[p + U2 * n], f[k + U3]
    return x + y + z - offset, ROUNDING * (absolute(x) + absolute(y) + absolute(z) + absolute(offset))


@strict
def _may_cross(step: Step) -> Flag:
    """Return where a body may have crossed a plane; see `events.Crossing`."""
    found, both = flag_like(False, step.dt), step.floats[step.numbers + np.uint64(4)] != 0.0
    for i in range(U0, step.w.n):
        (h0, error0), (h1, error1) = _height(step, step.old, i), _height(step, step.new, i)
        crosses = (h0 - error0 < 0.0) & (h1 + error1 >= 0.0)
        if both:
            crosses = crosses | ((h0 + error0 > 0.0) & (h1 - error1 <= 0.0))
        found = found | (crosses & (step.each[step.of_bodies + i] > 0.0))
    return found


# ---- all events ----------------------------------------------------------------------------------------------------------
@strict
def _may_happen(kind: Kind, step: Step) -> Flag:
    if kind == MEET:
        return _may_meet(step)
    if kind == TOUCH:
        return _may_touch(step)
    if kind == LEAVE:
        return _may_leave(step)
    if kind == CROSS:
        return _may_cross(step)
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

    Systems pause there if their run may end, and where the space for another two states is used up.
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
    c[at.STATUS] = where(pauses, at.PAUSED, c[at.STATUS])
