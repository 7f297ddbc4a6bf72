"""The sum over pairs: accelerations, potential, and on request the sums that criteria and features need.

Every pair is visited once. The sums are part of this pass, since a second one would cost as much as the first: divisions and
square roots are the limit, not additions. From `CHUNKED` bodies on, the rows are divided among a fixed number of chunks with
separate sums, so that any number of threads gives the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from .jit import parallel, reassociated, strict
from .layout import ACCELERATION, GM, HEAD, MASS, PARTIAL, POSITION, SOFTENING2, U0, U1, U2, U3

CHUNKED = 192  # number of bodies; with fewer, starting threads costs more than it saves
CHUNKS = 16
HEAD_U = np.uint64(HEAD)
# positive floats are ordered like their bits; a minimum of floats would prevent vectorization of the loop (5 times slower)
INFINITE_BITS = np.float64(np.inf).view(np.int64)


class ForceSums(NamedTuple):
    """Results of one pass over the pairs, besides the accelerations.

    `rate2_sum`, `rate4_sum` and `rate8_sum` are sums over pairs of rate^2, rate^4 and rate^8, where rate^2 = G (m_i + m_j) /
    r^3 is the squared free-fall rate. `binding_sum` is the sum of rate^4 times the binding energy G m_i m_j / r.
    """

    potential: float
    nearest2: float  # squared distance of the nearest pair, with softening
    nearest_row: int  # first body of the nearest pair
    rate2_sum: float
    rate4_sum: float
    rate8_sum: float
    binding_sum: float


def _make_rows(with_sums: bool) -> Any:
    def rows(first: Any, last: Any, n: Any, s: Any, x: Any, a: Any, row_sum: Any) -> Any:
        """Sum over the pairs (i, j) with first <= i < last and i < j, and add the accelerations to s[a:]."""
        mass, gm, soft2 = HEAD_U + MASS * n, HEAD_U + GM * n, s[SOFTENING2]
        y, z, ay_, az_ = x + n, x + n + n, a + n, a + n + n
        potential, nearest2, nearest_row = 0.0, np.inf, first
        rate2_sum, rate4_sum, rate8_sum, binding = 0.0, 0.0, 0.0, 0.0
        for i in range(first, last):
            xi, yi, zi, mi, gi = s[x + i], s[y + i], s[z + i], s[mass + i], s[gm + i]
            ax, ay, az, p, least_bits = 0.0, 0.0, 0.0, 0.0, INFINITE_BITS
            s2, s4, s8, sb = 0.0, 0.0, 0.0, 0.0
            for j in range(i + U1, n):
                dx, dy, dz = s[x + j] - xi, s[y + j] - yi, s[z + j] - zi
                r2 = dx * dx + dy * dy + dz * dz + soft2
                inverse = 1.0 / np.sqrt(r2)
                cube = inverse * inverse * inverse
                p += s[gm + j] * inverse
                rate2_i, rate2_j = s[gm + j] * cube, gi * cube
                ax += rate2_i * dx
                ay += rate2_i * dy
                az += rate2_i * dz
                s[a + j] -= rate2_j * dx
                s[ay_ + j] -= rate2_j * dy
                s[az_ + j] -= rate2_j * dz
                least_bits = min(least_bits, np.float64(r2).view(np.int64))
                if with_sums:
                    freefall_rate2 = rate2_i + rate2_j
                    rate4 = freefall_rate2 * freefall_rate2
                    s2 += freefall_rate2
                    s4 += rate4
                    s8 += rate4 * rate4
                    sb += rate4 * s[gm + j] * inverse
            s[a + i] += ax
            s[ay_ + i] += ay
            s[az_ + i] += az
            potential -= mi * p
            row_nearest2 = np.int64(least_bits).view(np.float64)
            if row_nearest2 < nearest2:
                nearest2, nearest_row = row_nearest2, i
            if with_sums:
                s[row_sum + i] = s4
                rate2_sum += s2
                rate4_sum += s4
                rate8_sum += s8
                binding += sb * mi
        return ForceSums(potential, nearest2, nearest_row, rate2_sum, rate4_sum, rate8_sum, binding)

    return reassociated(rows)


_rows_plain, _rows_with_sums = _make_rows(False), _make_rows(True)


@strict
def _chunk_start(chunk: Any, n: Any) -> Any:
    """Return the first row of a chunk; row i has n - 1 - i pairs, and all chunks have about the same number of pairs."""
    if chunk >= CHUNKS:
        return n
    rows = np.float64(n) * (1.0 - np.sqrt(1.0 - np.float64(chunk) / CHUNKS))
    return np.uint64(rows)


@strict
def _sum_chunk(chunk: Any, n: Any, s: Any, x: Any, row_sum: Any) -> None:
    """Sum over the pairs of one chunk into its own 3 n + 8 numbers of the space for partial sums."""
    first, last = _chunk_start(chunk, n), _chunk_start(chunk + 1, n)
    part = HEAD_U + PARTIAL * n + np.uint64(chunk) * (U3 * n + np.uint64(8))
    end = part + U3 * n
    for k in range(part, end):
        s[k] = 0.0
    if row_sum > U0:
        r = _rows_with_sums(first, last, n, s, x, part, row_sum)
    else:
        r = _rows_plain(first, last, n, s, x, part, row_sum)
    s[end], s[end + U1], s[end + U2], s[end + U3] = r.potential, r.nearest2, np.float64(r.nearest_row), r.rate2_sum
    s[end + np.uint64(4)], s[end + np.uint64(5)], s[end + np.uint64(6)] = r.rate4_sum, r.rate8_sum, r.binding_sum


@parallel
def _sum_chunks_on_threads(n: Any, s: Any, x: Any, row_sum: Any) -> None:
    for chunk in numba.prange(CHUNKS):
        _sum_chunk(chunk, n, s, x, row_sum)


@strict
def _self_gravity_in_chunks(n: Any, s: Any, block: Any, row_sum: Any, threads: Any) -> Any:
    x, a, d = block + POSITION * U3 * n, block + ACCELERATION * U3 * n, U3 * n
    if threads > 1:
        _sum_chunks_on_threads(n, s, x, row_sum)
    else:
        for chunk in range(CHUNKS):
            _sum_chunk(chunk, n, s, x, row_sum)
    potential, nearest2, nearest_row = 0.0, np.inf, U0
    rate2_sum, rate4_sum, rate8_sum, binding = 0.0, 0.0, 0.0, 0.0
    for k in range(U0, d):
        s[a + k] = 0.0
    for chunk in range(CHUNKS):  # always in this order, so that the bits do not depend on the threads
        part = HEAD_U + PARTIAL * n + np.uint64(chunk) * (d + np.uint64(8))
        for k in range(U0, d):
            s[a + k] += s[part + k]
        end = part + d
        potential += s[end]
        if s[end + U1] < nearest2:
            nearest2, nearest_row = s[end + U1], np.uint64(s[end + U2])
        rate2_sum += s[end + U3]
        rate4_sum += s[end + np.uint64(4)]
        rate8_sum += s[end + np.uint64(5)]
        binding += s[end + np.uint64(6)]
    return ForceSums(potential, nearest2, nearest_row, rate2_sum, rate4_sum, rate8_sum, binding)


@reassociated
def _self_gravity_of_two(s: Any, x: Any, a: Any, row_sum: Any) -> Any:
    """Compute the forces of two bodies without loops, in half the time."""
    n = U2
    mass, gm = HEAD_U + MASS * n, HEAD_U + GM * n
    dx, dy, dz = s[x + U1] - s[x], s[x + U3] - s[x + U2], s[x + np.uint64(5)] - s[x + np.uint64(4)]
    r2 = dx * dx + dy * dy + dz * dz + s[SOFTENING2]
    inverse = 1.0 / np.sqrt(r2)
    cube = inverse * inverse * inverse
    rate2_i, rate2_j = s[gm + U1] * cube, s[gm] * cube
    s[a], s[a + U1] = rate2_i * dx, -rate2_j * dx
    s[a + U2], s[a + U3] = rate2_i * dy, -rate2_j * dy
    s[a + np.uint64(4)], s[a + np.uint64(5)] = rate2_i * dz, -rate2_j * dz
    binding, freefall_rate2 = s[mass] * s[gm + U1] * inverse, rate2_i + rate2_j
    rate4 = freefall_rate2 * freefall_rate2
    if row_sum > U0:
        s[row_sum] = rate4
    return ForceSums(-binding, r2, U0, freefall_rate2, rate4, rate4 * rate4, rate4 * binding)


@strict
def self_gravity(n: Any, s: Any, block: Any, row_sum: Any, threads: Any) -> Any:
    """Write the self-gravity of the state in `block` into its accelerations; return `ForceSums`, all of them if row_sum > 0."""
    if n >= CHUNKED:
        return _self_gravity_in_chunks(n, s, block, row_sum, threads)
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    if n == U2:
        return _self_gravity_of_two(s, x, a, row_sum)
    for k in range(U0, U3 * n):
        s[a + k] = 0.0
    if row_sum > U0:
        return _rows_with_sums(U0, n - U1, n, s, x, a, row_sum)
    return _rows_plain(U0, n - U1, n, s, x, a, row_sum)
