"""The inputs of a network, compiled: statistics of a state, the window of past states, and the invariant features."""

from __future__ import annotations

import numpy as np

from ...constants import NEAREST, NEGLIGIBLE
from .elementary import log
from .jit import inlined, over_pairs, strict
from .kinds import Number, Numbers, Place
from .lanes import copysign, fma, larger, like, smaller, sqrt, where
from .layout import ACCELERATION, POSITION, SOFTENING2, U0, U1, U2, U3, VELOCITY
from .plan import (
    AXES,
    BUDGET_C,
    CEILING,
    FEATURES,
    HISTORY,
    LOG_VALUE,
    ORDER,
    RICH,
    SCALES,
    SLOT,
    TRANSITION,
    VALUE,
    Net,
)
from .system import StateEnergies, SystemView, budget_time, mass_at, weighted_mean
from .tight_pairs import largest_share, longest_step, tight_pairs, total_share

LOGS = np.uint64(8)  # the first eight of the invariant features are logarithms: whole vector registers


@strict
def _vector_statistics(
    w: SystemView, start: Place, minus: Place, cx: Number, cy: Number, cz: Number
) -> tuple[Number, Number, Number, Number]:
    """Return (mean, max, min, rms) over bodies of |s[start] - s[minus] - c|; with minus = start, of |s[start] - c|."""
    n, s = w.n, w.s
    zero = like(0.0, s[SOFTENING2])
    total, largest, smallest, squares = zero, zero, zero + np.inf, zero
    for i in range(U0, n):
        x, y, z = s[start + i] - cx, s[start + n + i] - cy, s[start + U2 * n + i] - cz
        if minus != start:
            x, y, z = x - s[minus + i], y - s[minus + n + i], z - s[minus + U2 * n + i]
        d2 = fma(x, x, fma(y, y, z * z))
        d = sqrt(d2)
        total += d
        squares += d2
        largest = larger(d, largest)
        smallest = smaller(d, smallest)
    bodies = np.float64(n)
    return total / bodies, largest, smallest, sqrt(squares / bodies)


@over_pairs
def _distances(w: SystemView, block: Place) -> tuple[Number, Number, Number]:
    """Return (min, mean, max) of the distances between bodies, in units of length, without softening."""
    n, s = w.n, w.s
    x = block + POSITION * U3 * n
    zero = like(0.0, s[SOFTENING2])
    smallest, total, largest = zero + np.inf, zero, zero
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            d = sqrt(fma(dx, dx, fma(dy, dy, dz * dz)))
            total += d
            smallest = smaller(d, smallest)
            largest = larger(d, largest)
    return smallest, total / (0.5 * np.float64(n) * np.float64(n - U1)), largest


@strict
def describe(w: SystemView, block: Place, net: Net, out: Numbers, at: Place) -> None:
    """Write the 11 (basic) or 23 (rich) features of the state in `block` to out[at:], unscaled."""
    n = w.n
    d = U3 * n
    cx, cy, cz, mass = weighted_mean(w, block + POSITION * d)
    radius = _vector_statistics(w, block + POSITION * d, block + POSITION * d, cx, cy, cz)
    vx, vy, vz, _ = weighted_mean(w, block + VELOCITY * d)
    speed = _vector_statistics(w, block + VELOCITY * d, block + VELOCITY * d, vx, vy, vz)
    zero = like(0.0, mass)
    acceleration = _vector_statistics(w, block + ACCELERATION * d, block + ACCELERATION * d, zero, zero, zero)
    nearest, mean, farthest = _distances(w, block)
    bodies = np.float64(n)
    out[at], out[at + U1], out[at + U2] = bodies, np.float64(net.shape[AXES]), mass
    at += U3
    for value in (radius[0], radius[1], speed[0], speed[1], acceleration[0], acceleration[1], nearest, mean):
        out[at] = value
        at += U1
    if net.shape[FEATURES] != RICH:
        return
    mean_mass, squares = mass / bodies, zero
    least, most = zero + np.inf, zero
    for i in range(U0, n):
        m = w.s[mass_at(w) + i]
        squares = fma(m - mean_mass, m - mean_mass, squares)
        least, most = smaller(m, least), larger(m, most)
    deviation = sqrt(squares / bodies)
    for value in (
        mean_mass,
        least,
        most,
        deviation,
        radius[2],
        radius[3],
        speed[2],
        speed[3],
        acceleration[2],
        acceleration[3],
    ):
        out[at] = value
        at += U1
    out[at], out[at + U1] = farthest, sqrt(w.s[SOFTENING2])


@strict
def observe_window(w: SystemView, block: Place, net: Net, memory: Numbers, last: Place) -> None:
    """Write features with history to net.scratch, and the newest slot to memory, from where `append_to_window` takes it.

    `memory` holds K slots, the newest slot, the number of states appended so far, and (for transitions) dt. `last` is the block
    of the state appended last.
    """
    K, F = np.uint64(net.shape[HISTORY]), np.uint64(net.shape[SLOT])
    newest = K * F
    pushed = memory[newest + F]
    if net.shape[FEATURES] == TRANSITION:
        d, at, begun, zero = U3 * w.n, newest, pushed > 0.0, like(0.0, pushed)
        for vector in (POSITION, VELOCITY, ACCELERATION):
            mean, largest, _, rms = _vector_statistics(w, block + vector * d, last + vector * d, zero, zero, zero)
            memory[at], memory[at + U1] = where(begun, mean, 0.0), where(begun, largest, 0.0)
            memory[at + U2] = where(begun, rms, 0.0)
            at += U3
        memory[at] = where(begun, memory[newest + F + U1], 0.0)
    else:
        describe(w, block, net, memory, newest)
    skipped = U1 if net.shape[FEATURES] == TRANSITION else U0  # K past states have K transitions, so the first slot is left out
    at = U0
    for slot in range(skipped, K + U1):
        for f in range(U0, F):
            net.scratch[at] = memory[slot * F + f] / net.numbers[np.uint64(SCALES) + f]
            at += U1


@strict
def append_to_window(net: Net, memory: Numbers, dt: Number) -> None:
    """Append the newest slot to the window of past states, after a step of `dt`."""
    K, F = np.uint64(net.shape[HISTORY]), np.uint64(net.shape[SLOT])
    if K == U0:
        return
    newest = K * F
    for k in range(U0, newest):
        memory[k] = memory[k + F]
    memory[newest + F] += 1.0
    memory[newest + F + U1] = dt


@strict
def _weighted_acceleration2(w: SystemView, block: Place) -> Number:
    """Return the sum over bodies of m |a|^2."""
    n, s = w.n, w.s
    a, m, total = block + ACCELERATION * U3 * n, mass_at(w), like(0.0, s[SOFTENING2])
    for i in range(U0, n):
        ax, ay, az = s[a + i], s[a + n + i], s[a + U2 * n + i]
        total = fma(s[m + i], fma(ax, ax, fma(ay, ay, az * az)), total)
    return total


@inlined
def observe_invariants(
    w: SystemView, block: Place, net: Net, rule: Numbers, energies: StateEnergies, energy_change: Number, scale: Number
) -> tuple[Number, Number]:
    """Write the invariant features to net.scratch; return (unit of the step, ceiling of the step), both in units of time.

    energy_change: that since the start of the run. scale: S at the start.
    """
    rate4_sum = energies.rate4_sum
    F = sqrt(sqrt(energies.rate8_sum))
    pairs = tight_pairs(w, block, F)
    W = pairs.weight
    tol = rule[VALUE]
    x, radial_share = sqrt(pairs.flyby / W) / F, pairs.radial / W  # r v^2 / G M, and the share of v^2 along r
    parameter = x * (1.0 - radial_share)
    e2 = larger(fma(x - 2.0, parameter, 1.0), 0.0)
    error_fraction = 10.0 * energy_change / (scale * tol)
    own = pairs.own / W
    total = total_share(energies, scale, own)
    chi = largest_share(total, own)
    scratch = net.scratch
    scratch[0] = larger(chi, NEGLIGIBLE)
    scratch[1] = 1.0 + x
    scratch[2] = energies.rate2_sum * energies.rate2_sum / rate4_sum
    scratch[3] = parameter / (1.0 + sqrt(e2)) + NEAREST
    scratch[4] = 1.0 + e2
    pulling = larger(_weighted_acceleration2(w, block) / (sqrt(rate4_sum) * scale), NEGLIGIBLE)
    scratch[5] = where(energies.binding_sum > 0.0, pulling, 1.0)
    scratch[6] = where(chi > 0.0, total / chi, 1.0) + NEAREST
    scratch[7] = fma(error_fraction, error_fraction, 1.0)
    for k in range(U0, LOGS):
        scratch[k] = log(scratch[k])
    scratch[2] *= -0.25
    scratch[7] *= copysign(0.5, energy_change)
    scratch[8] = rule[LOG_VALUE]
    unit = budget_time(rate4_sum, chi, tol, rule[ORDER], rule[BUDGET_C])
    return unit, longest_step(pairs, rate4_sum, like(net.numbers[CEILING], unit))
