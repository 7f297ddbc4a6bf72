"""The classical criteria, compiled: one switch over the kinds, since a function as an argument would never hit the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import reassociated, strict
from .layout import POSITION, SOFTENING2, U0, U1, U2, U3, VELOCITY
from .plan import AARSETH, BOEKHOLT, BUDGET_C, CONSTANT, FREEFALL, HUTMAKINO, LAST_TERM, ORDER, PRS23, TIDAL, VALUE
from .system import budget_time, energy_scale, gm_at, inner_kinetic_energy, scratch_at


@reassociated
def _fastest_rate2(w: Any, block: Any) -> Any:
    """Return the largest of G M / r^3 and v^2 / r^2 over pairs, in 1 / time^2."""
    n, s = w.n, w.s
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    fastest = 0.0
    for i in range(U0, n - U1):
        largest = np.int64(0)  # as bits, see pair_sums.INFINITE_BITS
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
            r2 = dx * dx + dy * dy + dz * dz + s[SOFTENING2]
            inverse2 = 1.0 / r2
            freefall_rate2 = (s[g + i] + s[g + j]) * inverse2 * np.sqrt(inverse2)
            flyby_rate2 = (vx * vx + vy * vy + vz * vz) * inverse2
            largest = max(largest, max(np.float64(freefall_rate2).view(np.int64), np.float64(flyby_rate2).view(np.int64)))
        fastest = max(fastest, np.int64(largest).view(np.float64))
    return fastest


@reassociated
def freefall_and_flyby_sums(w: Any, block: Any) -> Any:
    """Return sums over pairs of (f + g)^2, Q^2 and Q^(5/2), where Q = f^2 + g^2, f = G M / r^3 and g = v^2 / r^2 (flyby)."""
    n, s = w.n, w.s
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    both, second, half_fifth = 0.0, 0.0, 0.0
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
            inverse2 = 1.0 / (dx * dx + dy * dy + dz * dz + s[SOFTENING2])
            freefall_rate2 = (s[g + i] + s[g + j]) * inverse2 * np.sqrt(inverse2)
            flyby_rate2 = (vx * vx + vy * vy + vz * vz) * inverse2
            both += (freefall_rate2 + flyby_rate2) * (freefall_rate2 + flyby_rate2)
            Q = freefall_rate2 * freefall_rate2 + flyby_rate2 * flyby_rate2
            second += Q * Q
            half_fifth += Q * Q * np.sqrt(Q)
    return both, second, half_fifth


@reassociated
def _largest_tide2(w: Any, block: Any) -> Any:
    """Return the largest over bodies of the squared Frobenius norm of the tidal tensor."""
    n, s = w.n, w.s
    x, g, T = block + POSITION * U3 * n, gm_at(w), scratch_at(w)
    for k in range(T, T + np.uint64(6) * n):
        s[k] = 0.0
    for i in range(U0, n - U1):
        xx, yy, zz, xy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            inverse2 = 1.0 / (dx * dx + dy * dy + dz * dz + s[SOFTENING2])
            cube = inverse2 * np.sqrt(inverse2)
            gm_j_r3, gm_i_r3 = s[g + j] * cube, s[g + i] * cube
            a, b, c = 3.0 * dx * dx * inverse2 - 1.0, 3.0 * dy * dy * inverse2 - 1.0, 3.0 * dz * dz * inverse2 - 1.0
            d, e, f = 3.0 * dx * dy * inverse2, 3.0 * dx * dz * inverse2, 3.0 * dy * dz * inverse2
            xx += gm_j_r3 * a
            yy += gm_j_r3 * b
            zz += gm_j_r3 * c
            xy += gm_j_r3 * d
            xz += gm_j_r3 * e
            yz += gm_j_r3 * f
            s[T + j] += gm_i_r3 * a
            s[T + n + j] += gm_i_r3 * b
            s[T + U2 * n + j] += gm_i_r3 * c
            s[T + U3 * n + j] += gm_i_r3 * d
            s[T + np.uint64(4) * n + j] += gm_i_r3 * e
            s[T + np.uint64(5) * n + j] += gm_i_r3 * f
        s[T + i] += xx
        s[T + n + i] += yy
        s[T + U2 * n + i] += zz
        s[T + U3 * n + i] += xy
        s[T + np.uint64(4) * n + i] += xz
        s[T + np.uint64(5) * n + i] += yz
    largest = 0.0
    for i in range(U0, n):
        a, b, c = s[T + i], s[T + n + i], s[T + U2 * n + i]
        d, e, f = s[T + U3 * n + i], s[T + np.uint64(4) * n + i], s[T + np.uint64(5) * n + i]
        largest = max(largest, a * a + b * b + c * c + 2.0 * (d * d + e * e + f * f))
    return largest


@reassociated
def taylor_pass(w: Any, block: Any, k: Any) -> None:
    """Write derivative k of the self-gravity (0: acceleration, 1: jerk, ...) to row k of the scratch space.

    It is computed from the rows below k by Taylor arithmetic of u = r^-3 along the motion. `gravity.taylor_accelerations` has
    the same recursion in torch.
    """
    n, s, D = w.n, w.s, scratch_at(w)
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    n2, n3 = U2 * n, U3 * n
    out = D + np.uint64(k) * n3
    factorial = 1.0 if k < 2 else (2.0 if k == 2 else 6.0)
    for q in range(out, out + n3):
        s[q] = 0.0
    for i in range(U0, n - U1):
        gi = s[g + i] * factorial
        for j in range(i + U1, n):
            gj = s[g + j] * factorial
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + n2 + j] - s[x + n2 + i]
            r2 = dx * dx + dy * dy + dz * dz + s[SOFTENING2]
            u0 = 1.0 / (r2 * np.sqrt(r2))
            tx, ty, tz = dx * u0, dy * u0, dz * u0
            if k > 0:
                vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + n2 + j] - s[v + n2 + i]
                s1 = 2.0 * (dx * vx + dy * vy + dz * vz)
                u1 = -1.5 * s1 * u0 / r2
                tx, ty, tz = dx * u1 + vx * u0, dy * u1 + vy * u0, dz * u1 + vz * u0
            if k > 1:
                ax, ay, az = (
                    0.5 * (s[D + j] - s[D + i]),
                    0.5 * (s[D + n + j] - s[D + n + i]),
                    0.5 * (s[D + n2 + j] - s[D + n2 + i]),
                )
                s2 = 2.0 * (dx * ax + dy * ay + dz * az) + vx * vx + vy * vy + vz * vz
                u2 = (-2.5 * s1 * u1 - 3.0 * s2 * u0) / (2.0 * r2)
                tx, ty, tz = dx * u2 + vx * u1 + ax * u0, dy * u2 + vy * u1 + ay * u0, dz * u2 + vz * u1 + az * u0
            if k > 2:
                jx = (s[D + n3 + j] - s[D + n3 + i]) / 6.0
                jy = (s[D + n3 + n + j] - s[D + n3 + n + i]) / 6.0
                jz = (s[D + n3 + n2 + j] - s[D + n3 + n2 + i]) / 6.0
                s3 = 2.0 * (dx * jx + dy * jy + dz * jz) + 2.0 * (vx * ax + vy * ay + vz * az)
                u3 = (-3.5 * s1 * u2 - 4.0 * s2 * u1 - 4.5 * s3 * u0) / (3.0 * r2)
                tx = dx * u3 + vx * u2 + ax * u1 + jx * u0
                ty = dy * u3 + vy * u2 + ay * u1 + jy * u0
                tz = dz * u3 + vz * u2 + az * u1 + jz * u0
            s[out + i] += gj * tx
            s[out + n + i] += gj * ty
            s[out + n2 + i] += gj * tz
            s[out + j] -= gi * tx
            s[out + n + j] -= gi * ty
            s[out + n2 + j] -= gi * tz


@strict
def _square(w: Any, row: Any, i: Any) -> Any:
    """Return the squared norm of body i in a row of derivatives in the scratch space."""
    n, s = w.n, w.s
    d = scratch_at(w) + np.uint64(row) * U3 * n + i
    return s[d] * s[d] + s[d + n] * s[d + n] + s[d + U2 * n] * s[d + U2 * n]


@strict
def _derivative_time(w: Any, block: Any, kind: Any) -> Any:
    """Return the smallest of Aarseth's or PRS23's times over bodies, at eta = 1."""
    passes = 4 if kind == AARSETH else 3
    for k in range(passes):
        taylor_pass(w, block, k)
    smallest = np.inf
    for i in range(U0, w.n):
        a, j, s = _square(w, 0, i), _square(w, 1, i), _square(w, 2, i)
        if kind == AARSETH:
            c = _square(w, 3, i)
            top, bottom = np.sqrt(a * s) + j, np.sqrt(j * c) + s
        else:
            top, bottom = 2.0 * a, j + np.sqrt(a * s)
        if top > 0.0 and bottom > 0.0:  # a body without any force sets no limit
            smallest = min(smallest, top / bottom)
        elif not top + bottom >= 0.0:
            return np.nan
    return np.sqrt(smallest)


@strict
def classical_step(w: Any, block: Any, kind: Any, rule: Any, energies: Any) -> Any:
    """Return the step that the classical criterion `kind` chooses at the state in `block`."""
    value = rule[VALUE]
    if kind == CONSTANT:
        return value
    if kind == FREEFALL:
        return value / np.sqrt(np.sqrt(energies.rate4_sum))
    if kind == HUTMAKINO:
        return value / np.sqrt(_fastest_rate2(w, block))
    if kind == BOEKHOLT:
        _, second, half_fifth = freefall_and_flyby_sums(w, block)
        return value * np.sqrt(second / half_fifth)
    if kind == TIDAL:
        return np.sqrt(value * np.sqrt(6.0)) / np.sqrt(np.sqrt(_largest_tide2(w, block)))
    if kind == AARSETH:
        return np.sqrt(value) * _derivative_time(w, block, kind)
    if kind == LAST_TERM:
        return (5040.0 * value) ** (1.0 / 7.0) * _derivative_time(w, block, PRS23)
    if kind == PRS23:
        return value * _derivative_time(w, block, kind)
    scale = energy_scale(inner_kinetic_energy(w, block, energies.kinetic), energies.potential)
    return budget_time(energies, scale, value, rule[ORDER], rule[BUDGET_C], 0.5)
