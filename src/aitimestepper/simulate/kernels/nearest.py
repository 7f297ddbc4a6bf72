"""Closest approaches, located between steps. Only the nearest pair of a system can come closer than any pair before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .jit import by_width, inlined, strict
from .kinds import Count, Counts, Flag, Number, Numbers, Place
from .lanes import any_of, fma, larger, smaller, sqrt, where
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .pair_sums import ForceSums, first_of_pair, pair_code, second_of_pair
from .system import SystemView, mass_at

# an approach is found to rounding in 3 to 5 iterations; where Newton's would leave the interval, it is halved
ITERATIONS = 10


class Motion(NamedTuple):
    """Separation and relative velocity of a pair."""

    x: Number
    y: Number
    z: Number
    vx: Number
    vy: Number
    vz: Number


@strict
def _nearest_partner(w: SystemView, block: Place, i: Place) -> Place:
    """Return the body nearest to body i among those whose pairs count for it, see `pair_sums`."""
    n, s = w.n, w.s
    x, mass = block + POSITION * U3 * n, mass_at(w)
    nearest, least = i + U1 if i + U1 < n else U0, np.inf
    for j in range(U0, n):
        if j == i or (j < i and s[mass + j] > 0.0):
            continue
        dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
        d2 = dx * dx + dy * dy + dz * dz
        if d2 < least:
            nearest, least = j, d2
    return nearest


@inlined
def _pair_of_one(w: SystemView, block: Place, code: Count) -> Count:
    i = np.uint64(first_of_pair(code))
    j = _nearest_partner(w, block, i)
    return pair_code(min(i, j), max(i, j))


@inlined
def _pair_of_few(w: SystemView, block: Place, code: Count) -> Count:
    return code


# the nearest pair, from the code in `ForceSums`, which of many bodies has the first alone
nearest_pair = by_width(_pair_of_one, _pair_of_few)


@inlined
def _motion_of_one(w: SystemView, block: Place, i: Count, j: Count) -> Motion:
    n, s, one, other = w.n, w.s, np.uint64(i), np.uint64(j)
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    y, z, vy, vz = x + n, x + U2 * n, v + n, v + U2 * n
    return Motion(
        s[x + other] - s[x + one],
        s[y + other] - s[y + one],
        s[z + other] - s[z + one],
        s[v + other] - s[v + one],
        s[vy + other] - s[vy + one],
        s[vz + other] - s[vz + one],
    )


@inlined
def _motion_of_lanes(w: SystemView, block: Place, i: Count, j: Count) -> Motion:
    """Select the bodies, others in every lane, one after the other: gathering their numbers would take twice as long."""
    n, s = w.n, w.s
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    y, z, vy, vz = x + n, x + U2 * n, v + n, v + U2 * n
    first = Motion(s[x], s[y], s[z], s[v], s[vy], s[vz])
    second = Motion(s[x + U1], s[y + U1], s[z + U1], s[v + U1], s[vy + U1], s[vz + U1])  # a second body is never number 0
    for k in range(U1, n):
        here = Motion(s[x + k], s[y + k], s[z + k], s[v + k], s[vy + k], s[vz + k])
        first, second = _either(i == np.int64(k), here, first), _either(j == np.int64(k), here, second)
    return Motion(
        second.x - first.x,
        second.y - first.y,
        second.z - first.z,
        second.vx - first.vx,
        second.vy - first.vy,
        second.vz - first.vz,
    )


@inlined
def _either(flag: Flag, a: Motion, b: Motion) -> Motion:
    return Motion(
        where(flag, a.x, b.x),
        where(flag, a.y, b.y),
        where(flag, a.z, b.z),
        where(flag, a.vx, b.vx),
        where(flag, a.vy, b.vy),
        where(flag, a.vz, b.vz),
    )


# separation and relative velocity of bodies i and j
_motion_of_pair = by_width(_motion_of_one, _motion_of_lanes, _motion_of_one)


@inlined
def store_pair(w: SystemView, block: Place, r: Numbers, c: Counts, i: Count, j: Count) -> Motion:
    """Store separation and relative velocity of the bodies i and j, and their numbers."""
    motion = _motion_of_pair(w, block, i, j)
    r[at.PAIR_X], r[at.PAIR_X + 1], r[at.PAIR_X + 2] = motion.x, motion.y, motion.z
    r[at.PAIR_X + 3], r[at.PAIR_X + 4], r[at.PAIR_X + 5] = motion.vx, motion.vy, motion.vz
    c[at.PAIR_I], c[at.PAIR_J] = i, j
    return motion


@inlined
def _between(r0: Number, v0: Number, r1: Number, v1: Number, h: Number, q: Number) -> tuple[Number, Number, Number]:
    """Return the value and two derivatives, with respect to q, of the cubic through both ends of a step at the fraction q."""
    d = r1 - r0
    a, b = h * v0 - d, d - h * v1
    p = 1.0 - q
    m = fma(p, a, q * b)
    value = fma(q * p, m, fma(p, r0, q * r1))
    slope = d + fma(1.0 - 2.0 * q, m, q * p * (b - a))
    bend = 2.0 * fma(1.0 - 2.0 * q, b - a, -m)
    return value, slope, bend


@inlined
def _approach(before: Motion, after: Motion, h: Number, q: Number) -> tuple[Number, Number, Number]:
    """Return r^2, r . dr/dq and its derivative at the fraction q of a step of length h."""
    x, vx, ax = _between(before.x, before.vx, after.x, after.vx, h, q)
    y, vy, ay = _between(before.y, before.vy, after.y, after.vy, h, q)
    z, vz, az = _between(before.z, before.vz, after.z, after.vz, h, q)
    r2 = fma(x, x, fma(y, y, z * z))
    rv = fma(x, vx, fma(y, vy, z * vz))
    return r2, rv, fma(x, ax, fma(y, ay, fma(z, az, fma(vx, vx, fma(vy, vy, vz * vz)))))


@strict
def _closest_between(before: Motion, after: Motion, h: Number, q: Number, wanted: Flag) -> tuple[Number, Number]:
    """Return (fraction of the step, distance) at the closest approach of a pair, where it is wanted.

    q: a first guess of the fraction.
    """
    low, high = 0.0 * q, 0.0 * q + 1.0
    for _ in range(ITERATIONS):
        _, rv, rate = _approach(before, after, h, q)
        approaching = rv < 0.0
        low, high = where(approaching, q, low), where(approaching, high, q)
        ahead, last = q - rv / rate, q
        q = where((ahead >= low) & (ahead <= high), ahead, 0.5 * (low + high))
        if not any_of(wanted & (q != last)):  # nothing changes from here on
            break
    r2, _, _ = _approach(before, after, h, q)
    return q, sqrt(r2)


@inlined
def _radial(m: Motion) -> Number:
    """Return r . v."""
    return fma(m.x, m.vx, fma(m.y, m.vy, m.z * m.vz))


@inlined
def follow_nearest(
    w: SystemView, block: Place, r: Numbers, c: Counts, sums: ForceSums, dt: Number, t_before: Number, running: Flag
) -> None:
    """Store the nearest pair, and the closest approach so far if this step has it, at its end or inside it."""
    code = nearest_pair(w, block, sums.nearest)
    i, j = first_of_pair(code), second_of_pair(code)
    same = (c[at.PAIR_I] == i) & (c[at.PAIR_J] == j)
    before = Motion(r[at.PAIR_X], r[at.PAIR_X + 1], r[at.PAIR_X + 2], r[at.PAIR_X + 3], r[at.PAIR_X + 4], r[at.PAIR_X + 5])
    after = store_pair(w, block, r, c, i, j)
    distance, when = sqrt(larger(sums.nearest2 - w.s[at.SOFTENING2], 0.0)), r[at.TIME]
    radial_before, radial = _radial(before), _radial(after)
    inside = running & same & (radial_before < 0.0) & (radial > 0.0)
    if any_of(inside):
        q, between = _closest_between(before, after, dt, radial_before / (radial_before - radial), inside)
        nearer = inside & (between < distance)
        distance, when = where(nearer, between, distance), where(nearer, fma(q, dt, t_before), when)
    record = distance < r[at.CLOSEST]
    if any_of(record):
        r[at.CLOSEST], r[at.CLOSEST_TIME] = smaller(distance, r[at.CLOSEST]), where(record, when, r[at.CLOSEST_TIME])
        c[at.CLOSEST_I], c[at.CLOSEST_J] = where(record, i, c[at.CLOSEST_I]), where(record, j, c[at.CLOSEST_J])
