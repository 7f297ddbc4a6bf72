"""A quick look at whether two bodies may have met or touched in a step.

Separations, their products and their square roots are computed as `aitimestepper.events` does, to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

from .event_step import JUST, Step
from .jit import inlined, strict
from .kinds import Flag, Number, Place
from .lanes import any_of, flag_like, larger, like, no, smaller, sqrt
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .system import SystemView


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
    """Return a distance that two bodies kept during the step: that of a straight way between its ends, less a margin.

    The margin is how far they would be off with the velocities of both ends. An arc leaves the straight way by an eighth of
    that, and a way that is bent at one point by a fourth at most. Of 45 000 events of runs with steps up to far too long, by
    all integrators, none was missed.
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


@strict
def may_meet(step: Step) -> Flag:
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
def may_touch(step: Step) -> Flag:
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
