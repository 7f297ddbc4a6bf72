"""The classical criteria, compiled: one switch over the kinds, since a function as an argument would never hit the cache."""

from __future__ import annotations

import numpy as np

from ...constants import BUDGET_CEILING
from .elementary import exp, log
from .jit import add_product, inlined, over_pairs, strict
from .kinds import Kind, Number, Numbers, Place
from .lanes import fma, larger, larger_or_nan, like, no, smaller, sqrt, where
from .layout import POSITION, SOFTENING2, U0, U1, U2, U3, VELOCITY
from .plan import AARSETH, AGENT, BOEKHOLT, BUDGET_C, CONSTANT, FREEFALL, HUTMAKINO, LAST_TERM, ORDER, PRS23, TIDAL, VALUE
from .system import StateEnergies, SystemView, budget_time, gm_at, scratch_at
from .tight_pairs import largest_share, limited, longest_step, tight_pairs, total_share


@inlined
def dot(x: Number, y: Number, z: Number, u: Number, v: Number, w: Number) -> Number:
    """Return x u + y v + z w."""
    return fma(x, u, fma(y, v, z * w))


@over_pairs
def _fastest_rate2(w: SystemView, block: Place) -> Number:
    """Return the largest of G M / r^3 and v^2 / r^2 over pairs, in 1 / time^2."""
    n, s = w.n, w.s
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    fastest = like(0.0, s[SOFTENING2])
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
            inverse2 = 1.0 / fma(dx, dx, fma(dy, dy, fma(dz, dz, s[SOFTENING2])))
            freefall_rate2 = (s[g + i] + s[g + j]) * inverse2 * sqrt(inverse2)
            flyby_rate2 = fma(vx, vx, fma(vy, vy, vz * vz)) * inverse2
            fastest = larger_or_nan(fastest, larger_or_nan(freefall_rate2, flyby_rate2))
    return fastest


@over_pairs
def freefall_and_flyby_sums(w: SystemView, block: Place) -> tuple[Number, Number, Number]:
    """Return sums over pairs of (f + g)^2, Q^2 and Q^(5/2), where Q = f^2 + g^2, f = G M / r^3 and g = v^2 / r^2 (flyby)."""
    n, s = w.n, w.s
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    zero = like(0.0, s[SOFTENING2])
    both, second, half_fifth = zero, zero, zero
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
            inverse2 = 1.0 / fma(dx, dx, fma(dy, dy, fma(dz, dz, s[SOFTENING2])))
            freefall_rate2 = (s[g + i] + s[g + j]) * inverse2 * sqrt(inverse2)
            flyby_rate2 = fma(vx, vx, fma(vy, vy, vz * vz)) * inverse2
            both = add_product(w, both, freefall_rate2 + flyby_rate2, freefall_rate2 + flyby_rate2)
            Q = fma(freefall_rate2, freefall_rate2, flyby_rate2 * flyby_rate2)
            second = add_product(w, second, Q, Q)
            half_fifth = add_product(w, half_fifth, Q * Q, sqrt(Q))
    return both, second, half_fifth


@over_pairs
def _largest_tide2(w: SystemView, block: Place) -> Number:
    """Return the largest over bodies of the squared Frobenius norm of the tidal tensor."""
    n, s = w.n, w.s
    x, g, T = block + POSITION * U3 * n, gm_at(w), scratch_at(w)
    zero = like(0.0, s[SOFTENING2])
    for k in range(T, T + np.uint64(6) * n):
        s[k] = 0.0
    for i in range(U0, n - U1):
        xx, yy, zz, xy, xz, yz = zero, zero, zero, zero, zero, zero
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            inverse2 = 1.0 / fma(dx, dx, fma(dy, dy, fma(dz, dz, s[SOFTENING2])))
            cube = inverse2 * sqrt(inverse2)
            gm_j_r3, gm_i_r3 = s[g + j] * cube, s[g + i] * cube
            a, b, c = 3.0 * dx * dx * inverse2 - 1.0, 3.0 * dy * dy * inverse2 - 1.0, 3.0 * dz * dz * inverse2 - 1.0
            d, e, f = 3.0 * dx * dy * inverse2, 3.0 * dx * dz * inverse2, 3.0 * dy * dz * inverse2
            xx = add_product(w, xx, gm_j_r3, a)
            yy = add_product(w, yy, gm_j_r3, b)
            zz = add_product(w, zz, gm_j_r3, c)
            xy = add_product(w, xy, gm_j_r3, d)
            xz = add_product(w, xz, gm_j_r3, e)
            yz = add_product(w, yz, gm_j_r3, f)
            s[T + j] = fma(gm_i_r3, a, s[T + j])
            s[T + n + j] = fma(gm_i_r3, b, s[T + n + j])
            s[T + U2 * n + j] = fma(gm_i_r3, c, s[T + U2 * n + j])
            s[T + U3 * n + j] = fma(gm_i_r3, d, s[T + U3 * n + j])
            s[T + np.uint64(4) * n + j] = fma(gm_i_r3, e, s[T + np.uint64(4) * n + j])
            s[T + np.uint64(5) * n + j] = fma(gm_i_r3, f, s[T + np.uint64(5) * n + j])
        s[T + i] += xx
        s[T + n + i] += yy
        s[T + U2 * n + i] += zz
        s[T + U3 * n + i] += xy
        s[T + np.uint64(4) * n + i] += xz
        s[T + np.uint64(5) * n + i] += yz
    largest = like(0.0, s[SOFTENING2])
    for i in range(U0, n):
        a, b, c = s[T + i], s[T + n + i], s[T + U2 * n + i]
        d, e, f = s[T + U3 * n + i], s[T + np.uint64(4) * n + i], s[T + np.uint64(5) * n + i]
        largest = larger(largest, a * a + b * b + c * c + 2.0 * (d * d + e * e + f * f))
    return largest


@over_pairs
def taylor_pass(w: SystemView, block: Place, k: int) -> None:
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
            r2 = fma(dx, dx, fma(dy, dy, fma(dz, dz, s[SOFTENING2])))
            u0 = 1.0 / (r2 * sqrt(r2))
            tx, ty, tz = dx * u0, dy * u0, dz * u0
            if k > 0:
                vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + n2 + j] - s[v + n2 + i]
                s1 = 2.0 * dot(dx, dy, dz, vx, vy, vz)
                u1 = -1.5 * s1 * u0 / r2
                tx, ty, tz = fma(dx, u1, vx * u0), fma(dy, u1, vy * u0), fma(dz, u1, vz * u0)
            if k > 1:
                ax, ay, az = (
                    0.5 * (s[D + j] - s[D + i]),
                    0.5 * (s[D + n + j] - s[D + n + i]),
                    0.5 * (s[D + n2 + j] - s[D + n2 + i]),
                )
                s2 = fma(2.0, dot(dx, dy, dz, ax, ay, az), dot(vx, vy, vz, vx, vy, vz))
                u2 = fma(-2.5 * s1, u1, -3.0 * s2 * u0) / (2.0 * r2)
                tx, ty, tz = dot(dx, vx, ax, u2, u1, u0), dot(dy, vy, ay, u2, u1, u0), dot(dz, vz, az, u2, u1, u0)
            if k > 2:
                jx = (s[D + n3 + j] - s[D + n3 + i]) / 6.0
                jy = (s[D + n3 + n + j] - s[D + n3 + n + i]) / 6.0
                jz = (s[D + n3 + n2 + j] - s[D + n3 + n2 + i]) / 6.0
                s3 = 2.0 * (dot(dx, dy, dz, jx, jy, jz) + dot(vx, vy, vz, ax, ay, az))
                u3 = dot(-3.5 * s1, -4.0 * s2, -4.5 * s3, u2, u1, u0) / (3.0 * r2)
                tx = fma(dx, u3, dot(vx, ax, jx, u2, u1, u0))
                ty = fma(dy, u3, dot(vy, ay, jy, u2, u1, u0))
                tz = fma(dz, u3, dot(vz, az, jz, u2, u1, u0))
            s[out + i] = fma(gj, tx, s[out + i])
            s[out + n + i] = fma(gj, ty, s[out + n + i])
            s[out + n2 + i] = fma(gj, tz, s[out + n2 + i])
            s[out + j] = fma(-gi, tx, s[out + j])
            s[out + n + j] = fma(-gi, ty, s[out + n + j])
            s[out + n2 + j] = fma(-gi, tz, s[out + n2 + j])


@strict
def _square(w: SystemView, row: int, i: Place) -> Number:
    """Return the squared norm of body i in a row of derivatives in the scratch space."""
    n, s = w.n, w.s
    d = scratch_at(w) + np.uint64(row) * U3 * n + i
    return fma(s[d], s[d], fma(s[d + n], s[d + n], s[d + U2 * n] * s[d + U2 * n]))


@strict
def _derivative_time(w: SystemView, block: Place, kind: Kind) -> Number:
    """Return the smallest of Aarseth's or PRS23's times over bodies, at eta = 1; NaN if one of them is no number."""
    passes = 4 if kind == AARSETH else 3
    for k in range(passes):
        taylor_pass(w, block, k)
    smallest, broken = like(np.inf, w.s[SOFTENING2]), w.s[SOFTENING2] != w.s[SOFTENING2]
    for i in range(U0, w.n):
        a, j, s = _square(w, 0, i), _square(w, 1, i), _square(w, 2, i)
        if kind == AARSETH:
            c = _square(w, 3, i)
            top, bottom = sqrt(a * s) + j, sqrt(j * c) + s
        else:
            top, bottom = 2.0 * a, j + sqrt(a * s)
        felt = (top > 0.0) & (bottom > 0.0)  # a body without any force sets no limit
        smallest = where(felt, smaller(top / bottom, smallest), smallest)
        broken = broken | no(top + bottom >= 0.0)
    return where(broken, np.nan, sqrt(smallest))


@strict
def classical_step(w: SystemView, block: Place, kind: Kind, rule: Numbers, energies: StateEnergies, scale: Number) -> Number:
    """Return the step of the classical criterion `kind` at the state in `block`; scale: S at the start of the run."""
    value = rule[VALUE]
    if kind in (CONSTANT, AGENT):
        return value
    if kind == FREEFALL:
        return value / sqrt(sqrt(energies.rate4_sum))
    if kind == HUTMAKINO:
        return value / sqrt(_fastest_rate2(w, block))
    if kind == BOEKHOLT:
        _, second, half_fifth = freefall_and_flyby_sums(w, block)
        return value * sqrt(second / half_fifth)
    if kind == TIDAL:
        return sqrt(value * sqrt(6.0)) / sqrt(sqrt(_largest_tide2(w, block)))
    if kind == AARSETH:
        return sqrt(value) * _derivative_time(w, block, kind)
    if kind == LAST_TERM:
        return last_term_factor(value) * _derivative_time(w, block, PRS23)
    if kind == PRS23:
        return value * _derivative_time(w, block, kind)
    pairs = tight_pairs(w, block, sqrt(sqrt(energies.rate8_sum)))
    own = pairs.own / pairs.weight
    chi = largest_share(total_share(energies, scale, own), own)
    dt = budget_time(energies.rate4_sum, chi, value, rule[ORDER], rule[BUDGET_C])
    return limited(dt, longest_step(pairs, energies.rate4_sum, like(BUDGET_CEILING, dt)))


@strict
def last_term_factor(epsilon: Number) -> Number:
    """Return the factor of PRS23's time, (7! epsilon)^(1/7), since b6 = a^(7) dt^7 / 7!."""
    return exp(log(5040.0 * epsilon) / 7.0)
