"""The inputs of a network, compiled: statistics of a state, the window of past states, and the invariant features."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...constants import MAX_CHANGE, NEAREST, NEGLIGIBLE, TIGHT, UNLIMITED
from .elementary import log
from .jit import inlined, reassociated, strict
from .layout import ACCELERATION, POSITION, SOFTENING2, U0, U1, U2, U3, VELOCITY
from .plan import AXES, BUDGET_C, CEILING, FEATURES, HISTORY, LOG_ORDER, LOG_VALUE, ORDER, RICH, SCALES, SLOT, TRANSITION, VALUE
from .system import budget_time, energy_scale, gm_at, inner_kinetic_energy, mass_at, weighted_mean

# eight of the invariant features are logarithms, next to each other: whole vector registers
FIRST_LOG, AFTER_LOGS = np.uint64(1), np.uint64(9)


@reassociated
def _vector_statistics(w: Any, start: Any, minus: Any, cx: Any, cy: Any, cz: Any) -> Any:
    """Return (mean, max, min, rms) over bodies of |s[start] - s[minus] - c|; with minus = start, of |s[start] - c|."""
    n, s = w.n, w.s
    total, largest, smallest, squares = 0.0, 0.0, np.inf, 0.0
    for i in range(U0, n):
        x, y, z = s[start + i] - cx, s[start + n + i] - cy, s[start + U2 * n + i] - cz
        if minus != start:
            x, y, z = x - s[minus + i], y - s[minus + n + i], z - s[minus + U2 * n + i]
        d2 = x * x + y * y + z * z
        d = np.sqrt(d2)
        total += d
        squares += d2
        largest = max(largest, d)
        smallest = min(smallest, d)
    return total / n, largest, smallest, np.sqrt(squares / n)


@reassociated
def _distances(w: Any, block: Any) -> Any:
    """Return (min, mean, max) of the distances between bodies, in units of length, without softening."""
    n, s = w.n, w.s
    x = block + POSITION * U3 * n
    smallest, total, largest = np.inf, 0.0, 0.0
    for i in range(U0, n - U1):
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            d = np.sqrt(dx * dx + dy * dy + dz * dz)
            total += d
            smallest = min(smallest, d)
            largest = max(largest, d)
    return smallest, total / (0.5 * n * (n - U1)), largest


@strict
def describe(w: Any, block: Any, net: Any, out: Any, at: Any) -> None:
    """Write the 11 (basic) or 23 (rich) features of the state in `block` to out[at:], unscaled."""
    n = w.n
    d = U3 * n
    cx, cy, cz, mass = weighted_mean(w, block + POSITION * d)
    radius = _vector_statistics(w, block + POSITION * d, block + POSITION * d, cx, cy, cz)
    vx, vy, vz, _ = weighted_mean(w, block + VELOCITY * d)
    speed = _vector_statistics(w, block + VELOCITY * d, block + VELOCITY * d, vx, vy, vz)
    acceleration = _vector_statistics(w, block + ACCELERATION * d, block + ACCELERATION * d, 0.0, 0.0, 0.0)
    nearest, mean, farthest = _distances(w, block)
    bodies = np.float64(n)
    out[at], out[at + U1], out[at + U2] = bodies, np.float64(net.shape[AXES]), mass
    at += U3
    for value in (radius[0], radius[1], speed[0], speed[1], acceleration[0], acceleration[1], nearest, mean):
        out[at] = value
        at += U1
    if net.shape[FEATURES] != RICH:
        return
    mean_mass, squares = mass / bodies, 0.0
    least, most = np.inf, 0.0
    for i in range(U0, n):
        m = w.s[mass_at(w) + i]
        squares += (m - mean_mass) ** 2
        least, most = min(least, m), max(most, m)
    deviation = np.sqrt(squares / bodies)
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
    out[at], out[at + U1] = farthest, np.sqrt(w.s[SOFTENING2])


@strict
def observe_window(w: Any, block: Any, net: Any, memory: Any, last: Any) -> None:
    """Write features with history to net.scratch, and the newest slot to memory, from where `append_to_window` takes it.

    `memory` holds K slots, the newest slot, the number of states appended so far, and (for transitions) dt. `last` is the block
    of the state appended last.
    """
    K, F = np.uint64(net.shape[HISTORY]), np.uint64(net.shape[SLOT])
    newest = K * F
    pushed = memory[newest + F]
    if net.shape[FEATURES] == TRANSITION:
        for f in range(U0, F):
            memory[newest + f] = 0.0
        if pushed > 0.0:
            d, at = U3 * w.n, newest
            for vector in (POSITION, VELOCITY, ACCELERATION):
                mean, largest, _, rms = _vector_statistics(w, block + vector * d, last + vector * d, 0.0, 0.0, 0.0)
                memory[at], memory[at + U1], memory[at + U2] = mean, largest, rms
                at += U3
            memory[at] = memory[newest + F + U1]
    else:
        describe(w, block, net, memory, newest)
    skipped = U1 if net.shape[FEATURES] == TRANSITION else U0  # K past states have K transitions, so the first slot is left out
    at = U0
    for slot in range(skipped, K + U1):
        for f in range(U0, F):
            net.scratch[at] = memory[slot * F + f] / net.numbers[np.uint64(SCALES) + f]
            at += U1


@strict
def append_to_window(net: Any, memory: Any, dt: Any) -> None:
    """Append the newest slot to the window of past states, after a step of `dt`."""
    K, F = np.uint64(net.shape[HISTORY]), np.uint64(net.shape[SLOT])
    if K == U0:
        return
    newest = K * F
    for k in range(U0, newest):
        memory[k] = memory[k + F]
    memory[newest + F] += 1.0
    memory[newest + F + U1] = dt


@reassociated
def _tight_pairs(w: Any, block: Any, F: Any) -> Any:
    """Return sums over the tightest pairs of 1, (r.v)^2/(r^2 v^2), g^2 and (r.v)/r^2, weighted with (f/F - 1/32)^2.

    f = G M / r^3 and g = v^2 / r^2 are the squared free-fall and flyby rates of a pair, F a smooth maximum of f. A row whose
    sum of f^2 is below the threshold has no such pair and is skipped; the force pass stored these row sums.
    """
    n, s = w.n, w.s
    x, v, g = block + POSITION * U3 * n, block + VELOCITY * U3 * n, gm_at(w)
    W, radial, flyby, expansion = 0.0, 0.0, 0.0, 0.0
    inverse_F, least = 1.0 / F, (TIGHT * F) ** 2 * (1.0 - 1e-9)
    for i in range(U0, n - U1):
        if s[w.row_sum + i] < least:
            continue
        for j in range(i + U1, n):
            dx, dy, dz = s[x + j] - s[x + i], s[x + n + j] - s[x + n + i], s[x + U2 * n + j] - s[x + U2 * n + i]
            vx, vy, vz = s[v + j] - s[v + i], s[v + n + j] - s[v + n + i], s[v + U2 * n + j] - s[v + U2 * n + i]
            inverse2 = 1.0 / (dx * dx + dy * dy + dz * dz + s[SOFTENING2])
            freefall_rate2 = (s[g + i] + s[g + j]) * inverse2 * np.sqrt(inverse2)
            c = max(freefall_rate2 * inverse_F - TIGHT, 0.0)
            weight = c * c
            v2 = vx * vx + vy * vy + vz * vz
            rv = dx * vx + dy * vy + dz * vz
            flyby_rate2 = v2 * inverse2
            W += weight
            radial += weight * rv * rv * inverse2 / max(v2, 1e-300)
            flyby += weight * flyby_rate2 * flyby_rate2
            expansion += weight * rv * inverse2
    return W, radial, flyby, expansion


@reassociated
def _weighted_acceleration2(w: Any, block: Any) -> Any:
    """Return the sum over bodies of m |a|^2."""
    n, s = w.n, w.s
    a, m, total = block + ACCELERATION * U3 * n, mass_at(w), 0.0
    for i in range(U0, n):
        total += s[m + i] * (s[a + i] * s[a + i] + s[a + n + i] * s[a + n + i] + s[a + U2 * n + i] * s[a + U2 * n + i])
    return total


@inlined
def observe_invariants(w: Any, block: Any, net: Any, rule: Any, energies: Any, energy_change: Any) -> Any:
    """Write the invariant features to net.scratch; return (unit of the step, ceiling of the step), both in units of time."""
    rate4_sum = energies.rate4_sum
    F = np.sqrt(np.sqrt(energies.rate8_sum))
    W, radial, flyby, expansion = _tight_pairs(w, block, F)
    if not W > 0.0:
        W = 1.0
    S = energy_scale(inner_kinetic_energy(w, block, energies.kinetic), energies.potential)
    g = 1.5 * expansion / W
    tol = rule[VALUE]
    x, radial_share = np.sqrt(flyby / W) / F, radial / W  # r v^2 / G M, and the share of v^2 along r
    parameter = x * (1.0 - radial_share)
    e2 = max(1.0 + (x - 2.0) * parameter, 0.0)
    error_fraction = 10.0 * energy_change / (S * tol)
    scratch = net.scratch
    scratch[0] = radial_share
    scratch[1] = max(energies.binding_sum / rate4_sum / S, NEGLIGIBLE)
    scratch[2] = 1.0 + x
    scratch[3] = energies.rate2_sum * energies.rate2_sum / rate4_sum
    scratch[4] = energies.rate8_sum / (rate4_sum * rate4_sum)
    scratch[5] = parameter / (1.0 + np.sqrt(e2)) + NEAREST
    scratch[6] = 1.0 + e2
    scratch[7] = max(_weighted_acceleration2(w, block) / (np.sqrt(rate4_sum) * S), NEGLIGIBLE)
    scratch[8] = 1.0 + error_fraction * error_fraction
    for k in range(FIRST_LOG, AFTER_LOGS):
        scratch[k] = log(scratch[k])
    scratch[3] *= -0.25
    scratch[4] *= -0.125
    scratch[8] *= np.copysign(0.5, energy_change)
    scratch[9], scratch[10] = rule[LOG_VALUE], rule[LOG_ORDER]
    unit = budget_time(energies, S, tol, rule[ORDER], rule[BUDGET_C], UNLIMITED)
    flyby_rate4 = flyby / ((1.0 - TIGHT) * (1.0 - TIGHT))
    rate, growth = np.sqrt(np.sqrt(rate4_sum + flyby_rate4)) / net.numbers[CEILING], g / MAX_CHANGE
    return unit, 1.0 / np.sqrt(rate * rate + growth * growth)
