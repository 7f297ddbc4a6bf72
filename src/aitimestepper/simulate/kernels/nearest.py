"""Closest approaches, located between steps. Only the nearest pair of a system can come closer than any pair before."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import layout as at
from .jit import inlined, strict
from .layout import POSITION, U0, U1, U2, U3, VELOCITY


@inlined
def store_pair(w: Any, block: Any, r: Any, c: Any, i: Any, j: Any) -> None:
    """Store separation and relative velocity of the bodies i and j, and their numbers."""
    n, s = w.n, w.s
    x, v = block + POSITION * U3 * n, block + VELOCITY * U3 * n
    for k in range(U0, U3):
        r[at.PAIR_X + k] = s[x + k * n + j] - s[x + k * n + i]
        r[at.PAIR_X + U3 + k] = s[v + k * n + j] - s[v + k * n + i]
    c[at.PAIR_I], c[at.PAIR_J] = np.int64(i), np.int64(j)


@inlined
def nearest_partner(w: Any, block: Any, i: Any) -> Any:
    """Return the body nearest to body i among those with higher numbers."""
    n, s = w.n, w.s
    x = block + POSITION * U3 * n
    nearest, least = i + U1, np.inf
    if n == U2:
        return nearest
    for j in range(i + U1, n):
        dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
        d2 = dx * dx + dy * dy + dz * dz
        if d2 < least:
            nearest, least = j, d2
    return nearest


@strict
def _between(r0: Any, v0: Any, r1: Any, v1: Any, h: Any, q: Any) -> Any:
    """Return the value, and the derivative with respect to q, of the cubic through both ends of a step at the fraction q."""
    d = r1 - r0
    a, b = h * v0 - d, d - h * v1
    p = 1.0 - q
    value = p * r0 + q * r1 + q * p * (p * a + q * b)
    slope = d + (1.0 - 2.0 * q) * (p * a + q * b) + q * p * (b - a)
    return value, slope


@strict
def _closest_between(r: Any, before: Any, h: Any) -> Any:
    """Return (fraction of the step, distance) at the closest approach of the nearest pair, by bisection of r . dr/dq."""
    low, high = 0.0, 1.0
    best = 0.0
    for _ in range(40):
        q = 0.5 * (low + high)
        best, rv = 0.0, 0.0
        for k in range(3):
            x, slope = _between(before[k], before[3 + k], r[at.PAIR_X + k], r[at.PAIR_X + 3 + k], h, q)
            best += x * x
            rv += x * slope
        if rv < 0.0:
            low = q
        else:
            high = q
    return 0.5 * (low + high), np.sqrt(best)


@strict
def follow_nearest(w: Any, block: Any, r: Any, c: Any, nearest2: Any, nearest_row: Any, dt: Any, t_before: Any) -> None:
    """Store the nearest pair, and the closest approach so far if this step has it, at its end or inside it."""
    d2 = nearest2 - w.s[at.SOFTENING2]
    i = np.uint64(nearest_row)
    j = nearest_partner(w, block, i)
    same = c[at.PAIR_I] == np.int64(i) and c[at.PAIR_J] == np.int64(j)
    x0, y0, z0, vx0, vy0, vz0 = (
        r[at.PAIR_X],
        r[at.PAIR_X + 1],
        r[at.PAIR_X + 2],
        r[at.PAIR_X + 3],
        r[at.PAIR_X + 4],
        r[at.PAIR_X + 5],
    )
    store_pair(w, block, r, c, i, j)
    distance, when = np.sqrt(max(d2, 0.0)), r[at.TIME]
    if same and x0 * vx0 + y0 * vy0 + z0 * vz0 < 0.0:
        p = at.PAIR_X
        if r[p] * r[p + 3] + r[p + 1] * r[p + 4] + r[p + 2] * r[p + 5] > 0.0:
            q, between = _closest_between(r, (x0, y0, z0, vx0, vy0, vz0), dt)
            if between < distance:
                distance, when = between, t_before + q * dt
    if distance < r[at.CLOSEST]:
        r[at.CLOSEST], r[at.CLOSEST_TIME] = distance, when
        c[at.CLOSEST_I], c[at.CLOSEST_J] = np.int64(i), np.int64(j)
