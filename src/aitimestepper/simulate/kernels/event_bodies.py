"""A quick look at whether a body may have begun to escape, or crossed a plane, in a step.

`aitimestepper.events` adds in another order; so what is computed here has margins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .event_step import JUST, Step
from .jit import inlined, strict
from .kinds import Flag, Number, Place
from .lanes import absolute, any_of, flag_like, like, no, sqrt
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .system import SystemView, gm_at, mass_at

ROUNDING = 1e-13  # of a sum over bodies, relative to that of the absolute values


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
def may_leave(step: Step) -> Flag:
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
def may_cross(step: Step) -> Flag:
    """Return where a body may have crossed a plane; see `events.Crossing`."""
    found, both = flag_like(False, step.dt), step.floats[step.numbers + np.uint64(4)] != 0.0
    for i in range(U0, step.w.n):
        (h0, error0), (h1, error1) = _height(step, step.old, i), _height(step, step.new, i)
        crosses = (h0 - error0 < 0.0) & (h1 + error1 >= 0.0)
        if both:
            crosses = crosses | ((h0 + error0 > 0.0) & (h1 - error1 <= 0.0))
        found = found | (crosses & (step.each[step.of_bodies + i] > 0.0))
    return found
