"""The sum over pairs: accelerations, potential, and on request the sums that criteria and features need.

Every pair is visited once. The sums are part of this pass, since a second one would cost as much as the first: divisions and
square roots are the limit, not additions. Up to `FEW` bodies the sums keep the order of the source, so that systems side by
side get the bits of single runs. From `CHUNKED` bodies on, the rows are divided among a fixed number of chunks with separate
sums, so that any number of threads gives the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from .jit import by_width, inlined, parallel, reassociated_apart, strict
from .kinds import Count, Number, Numbers, Place
from .lanes import count_of, fma, like, load, sqrt, store, where
from .layout import ACCELERATION, GM, HEAD, MASS, PARTIAL, POSITION, SCRATCH, SOFTENING2, TRIAL_ROW_SUM, U0, U1, U2, U3

if TYPE_CHECKING:
    from .system import SystemView

CHUNKED = 192  # number of bodies; with fewer, starting threads costs more than it saves
CHUNKS = 16
HEAD_U, U4 = np.uint64(HEAD), np.uint64(4)
# positive floats are ordered like their bits; a minimum of floats would prevent vectorization of the loop (5 times slower)
INFINITE_BITS = np.float64(np.inf).view(np.int64)
_SECOND = np.int64(20)  # bits for the number of the second body of a pair


class ForceSums(NamedTuple):
    """Results of one pass over the pairs, besides the accelerations.

    `rate2_sum`, `rate4_sum` and `rate8_sum` are sums over pairs of rate^2, rate^4 and rate^8, where rate^2 = G (m_i + m_j) /
    r^3 is the squared free-fall rate. `binding_sum` is the sum of rate^4 times the binding energy G m_i m_j / r.
    """

    potential: Number
    nearest2: Number  # squared distance of the nearest pair, with softening
    nearest: Count  # the nearest pair, see `pair_code`; of many bodies with 0 for the second
    rate2_sum: Number
    rate4_sum: Number
    rate8_sum: Number
    binding_sum: Number


@inlined
def pair_code(i: Place, j: Place) -> Count:
    """Return the two bodies of a pair as one number."""
    return (np.int64(i) << _SECOND) | np.int64(j)


@inlined
def first_of_pair(code: Count) -> Count:
    """Return the first body of a pair."""
    return code >> _SECOND


@inlined
def second_of_pair(code: Count) -> Count:
    """Return the second body of a pair."""
    return code & ((np.int64(1) << _SECOND) - np.int64(1))


# ---- few bodies ---------------------------------------------------------------------------------------------------------
@inlined
def _inverse_distances(n: Place, s: Numbers, x: Place, i: Place) -> None:
    """Write 1/r of the pairs of body i to the scratch space, four at a time: roots and divisions are half of a lone pass.

    What lies beyond the last body is written too, and not used.
    """
    y, z, soft2, inverses = x + n, x + n + n, s[SOFTENING2], HEAD_U + SCRATCH * n
    for j in range(i + U1, n, U4):
        dx, dy, dz = load(s, x + j) - s[x + i], load(s, y + j) - s[y + i], load(s, z + j) - s[z + i]
        store(s, inverses + j, 1.0 / sqrt(fma(dx, dx, fma(dy, dy, fma(dz, dz, soft2)))))


def _make_few(with_sums: bool, with_potential: bool, alone: bool = False) -> Any:
    def few(n: Place, s: Numbers, x: Place, a: Place, row_sum: Place) -> ForceSums:
        """Write the accelerations to s[a:]; return the sums that are asked for, zeros for others."""
        mass, gm, soft2 = HEAD_U + MASS * n, HEAD_U + GM * n, s[SOFTENING2]
        y, z, ay_, az_ = x + n, x + n + n, a + n, a + n + n
        # the pair (0, 1), until one is found to be nearer
        potential, nearest2, nearest = like(0.0, soft2), like(np.inf, soft2), count_of(soft2 >= 0.0)
        s2, s4, s8, sb = like(0.0, soft2), like(0.0, soft2), like(0.0, soft2), like(0.0, soft2)
        for k in range(a, a + U3 * n):
            s[k] = 0.0
        for i in range(U0, n - U1):
            xi, yi, zi, gi = s[x + i], s[y + i], s[z + i], s[gm + i]
            ax, ay, az, p, b, row = s[a + i], s[ay_ + i], s[az_ + i], like(0.0, soft2), like(0.0, soft2), like(0.0, soft2)
            if alone:
                _inverse_distances(n, s, x, i)
            for j in range(i + U1, n):
                dx, dy, dz, gj = s[x + j] - xi, s[y + j] - yi, s[z + j] - zi, s[gm + j]
                r2 = fma(dx, dx, fma(dy, dy, fma(dz, dz, soft2)))
                inverse = s[HEAD_U + SCRATCH * n + j] if alone else 1.0 / sqrt(r2)
                cube = inverse * inverse * inverse
                rate2_i, rate2_j = gj * cube, gi * cube
                ax, ay, az = fma(rate2_i, dx, ax), fma(rate2_i, dy, ay), fma(rate2_i, dz, az)
                s[a + j] = fma(-rate2_j, dx, s[a + j])
                s[ay_ + j] = fma(-rate2_j, dy, s[ay_ + j])
                s[az_ + j] = fma(-rate2_j, dz, s[az_ + j])
                if with_potential:
                    bond = gj * inverse
                    p += bond
                    closer = r2 < nearest2
                    nearest2, nearest = where(closer, r2, nearest2), where(closer, pair_code(i, j), nearest)
                    if with_sums:
                        rate2 = rate2_i + rate2_j
                        rate4 = rate2 * rate2
                        s2 += rate2
                        row += rate4
                        s8 = fma(rate4, rate4, s8)
                        b = fma(rate4, bond, b)
            s[a + i], s[ay_ + i], s[az_ + i] = ax, ay, az
            if with_potential:
                potential = fma(-s[mass + i], p, potential)
                if with_sums:
                    s4 += row
                    s[row_sum + i] = row
                    sb = fma(s[mass + i], b, sb)
        return ForceSums(potential, nearest2, nearest, s2, s4, s8, sb)

    return inlined(few)


_with_sums, _plain, _forces = _make_few(True, True), _make_few(False, True), _make_few(False, False)
_lone_with_sums, _lone_plain, _lone_forces = (
    _make_few(True, True, True),
    _make_few(False, True, True),
    _make_few(False, False, True),
)


@inlined
def _gravity_of_few(w: SystemView, block: Place) -> ForceSums:
    n, s, x, a = w.n, w.s, block + POSITION * U3 * w.n, block + ACCELERATION * U3 * w.n
    if w.row_sum > U0:
        return _with_sums(n, s, x, a, w.row_sum)
    return _plain(n, s, x, a, w.row_sum)


@inlined
def _gravity_of_few_alone(w: SystemView, block: Place) -> ForceSums:
    if w.n <= U4:
        return _gravity_of_few(w, block)
    n, s, x, a = w.n, w.s, block + POSITION * U3 * w.n, block + ACCELERATION * U3 * w.n
    if w.row_sum > U0:
        return _lone_with_sums(n, s, x, a, w.row_sum)
    return _lone_plain(n, s, x, a, w.row_sum)


@inlined
def _forces_of_few(w: SystemView, block: Place) -> None:
    n, s = w.n, w.s
    _forces(n, s, block + POSITION * U3 * n, block + ACCELERATION * U3 * n, w.row_sum)


@inlined
def _forces_of_few_alone(w: SystemView, block: Place) -> None:
    n, s = w.n, w.s
    if n <= U4:
        _forces_of_few(w, block)
    else:
        _lone_forces(n, s, block + POSITION * U3 * n, block + ACCELERATION * U3 * n, w.row_sum)


# ---- many bodies of one system ------------------------------------------------------------------------------------------
@inlined
def massless_run(s: Numbers, mass: Place, j: Place, last: Place) -> tuple[Place, Place]:
    """Return the first run of bodies without mass from body j on, as far as body `last`; (last, last) if there is none."""
    while j < last and s[mass + j] > 0.0:
        j += U1
    end = j
    while end < last and not s[mass + end] > 0.0:
        end += U1
    return j, end


def _make_rows(with_sums: bool) -> Any:
    def rows(first: Place, last: Place, n: Place, s: Numbers, x: Place, a: Place, row_sum: Place) -> ForceSums:
        """Sum over the pairs of the bodies first <= i < last, and add the accelerations to s[a:].

        A pair counts for its first body, if that has mass, else for the other: the row of a body without mass is empty, so
        that the sum takes no longer than bodies with mass times all bodies.
        """
        mass, gm, soft2 = HEAD_U + MASS * n, HEAD_U + GM * n, s[SOFTENING2]
        y, z, ay_, az_ = x + n, x + n + n, a + n, a + n + n
        massless, _ = massless_run(s, mass, U0, last)  # the first of them
        potential, nearest2, nearest_row = 0.0, np.inf, first
        rate2_sum, rate4_sum, rate8_sum, binding = 0.0, 0.0, 0.0, 0.0
        for i in range(first, last):
            xi, yi, zi, mi, gi = s[x + i], s[y + i], s[z + i], s[mass + i], s[gm + i]
            ax, ay, az, p, least_bits = 0.0, 0.0, 0.0, 0.0, INFINITE_BITS
            s2, s4, s8, sb = 0.0, 0.0, 0.0, 0.0
            if not mi > 0.0:
                if with_sums:
                    s[row_sum + i] = 0.0
                continue
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
            # Those before it that have no mass only feel it. The others are computed too, times zero: a loop over short runs
            # of massless bodies is not vectorized, and took 3 times as long as all pairs where every second body has mass.
            for j in range(massless, i):
                dx, dy, dz = s[x + j] - xi, s[y + j] - yi, s[z + j] - zi
                r2 = dx * dx + dy * dy + dz * dz + soft2
                inverse = 1.0 / np.sqrt(r2)
                other = s[mass + j] > 0.0
                rate2 = (0.0 if other else gi) * (inverse * inverse * inverse)
                s[a + j] -= rate2 * dx
                s[ay_ + j] -= rate2 * dy
                s[az_ + j] -= rate2 * dz
                least_bits = min(least_bits, INFINITE_BITS if other else np.float64(r2).view(np.int64))
                if with_sums:
                    rate4 = rate2 * rate2
                    s2 += rate2
                    s4 += rate4
                    s8 += rate4 * rate4
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
        return ForceSums(potential, nearest2, pair_code(nearest_row, U0), rate2_sum, rate4_sum, rate8_sum, binding)

    return reassociated_apart(rows)  # the same bits with one thread and with several


_rows_plain, _rows_with_sums = _make_rows(False), _make_rows(True)


@strict
def _chunk_start(chunk: int, n: Place) -> Place:
    """Return the first row of a chunk; row i has n - 1 - i pairs, and all chunks have about the same number of pairs."""
    if chunk >= CHUNKS:
        return n
    rows = np.float64(n) * (1.0 - np.sqrt(1.0 - np.float64(chunk) / CHUNKS))
    return np.uint64(rows)


@strict
def _sum_chunk(chunk: int, n: Place, s: Numbers, x: Place, row_sum: Place) -> None:
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
    s[end], s[end + U1], s[end + U2], s[end + U3] = r.potential, r.nearest2, np.float64(first_of_pair(r.nearest)), r.rate2_sum
    s[end + np.uint64(4)], s[end + np.uint64(5)], s[end + np.uint64(6)] = r.rate4_sum, r.rate8_sum, r.binding_sum


@parallel
def _sum_chunks_on_threads(n: Place, s: Numbers, x: Place, row_sum: Place) -> None:
    for chunk in numba.prange(CHUNKS):
        _sum_chunk(chunk, n, s, x, row_sum)


@strict
def _self_gravity_in_chunks(n: Place, s: Numbers, block: Place, row_sum: Place, threads: int) -> ForceSums:
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
    return ForceSums(potential, nearest2, pair_code(nearest_row, U0), rate2_sum, rate4_sum, rate8_sum, binding)


@strict
def _gravity_of_a_system(n: Place, s: Numbers, block: Place, row_sum: Place, threads: int) -> ForceSums:
    if n >= CHUNKED:
        return _self_gravity_in_chunks(n, s, block, row_sum, threads)
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    if n == U2:  # without loops it takes half the time
        return _with_sums(U2, s, x, a, row_sum if row_sum > U0 else HEAD_U + TRIAL_ROW_SUM * n)
    for k in range(U0, U3 * n):
        s[a + k] = 0.0
    if row_sum > U0:
        return _rows_with_sums(U0, n, n, s, x, a, row_sum)
    return _rows_plain(U0, n, n, s, x, a, row_sum)


@inlined
def _gravity_of_one(w: SystemView, block: Place) -> ForceSums:
    return _gravity_of_a_system(w.n, w.s, block, w.row_sum, w.lanes)


@inlined
def _accelerations_of_one(w: SystemView, block: Place) -> None:
    _gravity_of_a_system(w.n, w.s, block, U0, w.lanes)


# write the self-gravity of the state in a block into its accelerations; `self_gravity` returns `ForceSums`, all of them if
# w.row_sum > 0
self_gravity = by_width(_gravity_of_one, _gravity_of_few, _gravity_of_few_alone)
accelerations_by_gravity = by_width(_accelerations_of_one, _forces_of_few, _forces_of_few_alone)
