"""The 15th-order Gauss-Radau method (Everhart 1985; Rein & Spiegel 2015), compiled.

The acceleration along a step is a polynomial of degree 7 that agrees with the forces at 8 nodes. The positions at the nodes
depend on the polynomial, so it is predicted from the last step and corrected until it converges. Inside the step it is stored
as divided differences g: each stage computes one of them, and positions are sums over them with fixed coefficients.

Two things differ from the papers:
- A node whose positions did not change in any bit since its last visit is not evaluated again. Iterating to convergence
  therefore costs 15 evaluations a step, not 23 (Kepler, e = 0.9).
- The end of the step is a sum of the accelerations with the Radau weights, each in two parts, not a sum over the powers.
  Rounding errors stay random (Kepler, e = 0.1, 1000 orbits: a position error of 1.1e-11, 4.5e-11 with REBOUND).
"""

from __future__ import annotations

import numpy as np

from . import radau_tables as table
from .fields import field_moves, field_power
from .jit import strict
from .kinds import Number, Numbers, Place
from .lanes import absolute, fma, four, larger, largest, load, same, store
from .layout import (
    ACCELERATION,
    JERK,
    POSITION,
    POSITION_COMPENSATION,
    U0,
    U1,
    U2,
    U3,
    VELOCITY,
    VELOCITY_COMPENSATION,
)
from .radau_layout import (
    A0,
    BEFORE,
    CHANGE,
    COMPENSATION0,
    DIFFERENCE,
    END,
    GROUP,
    GROUPS,
    LAST_DT,
    NEXT,
    NOT_CONVERGED,
    PLACE,
    POWER,
    PREDICTED,
    PREDICTION_ERROR,
    SET,
    SIDE,
    U4,
    U7,
    U8,
    V0,
    X0,
    offset_of,
)
from .system import Advanced, SystemView, forces

MAX_ITERATIONS = 12
# iterations end when the next one would change the last difference by less than this, relative to the acceleration: 1e-13 saves
# 3 % of the evaluations and loses 3e-18 of the energy an orbit (Kepler, e = 0.5); with 1e-15 no loss shows after 1000 orbits
CONVERGED = 1e-15
MAX_GROWTH = 20.0  # ratio of steps; beyond it a prediction is worse than none


def radau_memory_size(n: int) -> int:
    """Return the number of floats of memory that n bodies need, a multiple of 8."""
    return int(GROUPS) + int(GROUP) * ((3 * n + 3) // 4)


def radau_memory(systems: int, n: int) -> np.ndarray:
    """Return the memory before the first step, zeros (systems, numbers).

    Every row begins at a cache line (64 bytes): without this alignment a step takes up to 1.6 times as long.
    """
    scratch = np.zeros(systems * radau_memory_size(n) + 8)
    first = -scratch.ctypes.data % 64 // 8
    return scratch[first : first + systems * radau_memory_size(n)].reshape(systems, radau_memory_size(n))


@strict
def _groups(w: SystemView) -> Place:
    """Return the number of groups of four in a vector of 3 n numbers."""
    return (U3 * w.n + U3) >> U2


@strict
def _predict(groups: Place, m: Numbers, side: Place, q: float) -> None:
    """Predict the powers b for a step q times as long as the last one, from its polynomial; q = 0 predicts zeros."""
    p = GROUPS
    share = 1.0 if 0.5 < q < 2.0 else 0.0
    for _ in range(U0, groups):
        ahead, power = p + NEXT + side * SET, q
        for k in range(U0, U7):
            predicted = power * load(m, ahead + U4 * k)
            store(m, p + PREDICTED + U4 * k, predicted)
            store(m, p + PLACE + U4 * k, fma(share, load(m, ahead + PREDICTION_ERROR + U4 * k), predicted))
            power *= q
        for j in range(U0, U7):
            g = load(m, p + PLACE + U4 * j)
            for k in range(j + U1, U7):
                g = fma(table.DIFFERENCES[k, j], load(m, p + PLACE + U4 * k), g)
            store(m, p + DIFFERENCE + U4 * j, g)
        p += GROUP


@strict
def _start(w: SystemView, groups: Place, m: Numbers, old: Place, new: Place, dt: float) -> None:
    """Write the start of the step to memory, and compute the positions at the first node.

    Groups extend past the ends of vectors by up to three numbers. The accelerations there, which lie in the place of the unused
    jerk, are set to zero, so that these numbers have no effect.
    """
    s, d, p = w.s, U3 * w.n, GROUPS
    for k in range(U0, U3):
        s[new + JERK * d + k] = 0.0
    for c in range(U0, groups):
        k = old + U4 * c
        store(m, p + X0, load(s, k + POSITION * d))
        store(m, p + V0, load(s, k + VELOCITY * d))
        store(m, p + COMPENSATION0, -load(s, k + POSITION_COMPENSATION * d))
        store(m, p + A0, load(s, k + ACCELERATION * d))
        p += GROUP
    for k in range(d, U4 * groups):
        m[GROUPS + (groups - U1) * GROUP + A0 + (k & U3)] = 0.0
    _visit(w, groups, m, new, U0, dt, False)


@strict
def _visit(w: SystemView, groups: Place, m: Numbers, new: Place, n: Place, dt: float, fresh: bool) -> bool:
    """Update node n, from new accelerations if `fresh`, then positions at the next node; return whether all bits stayed."""
    s, p, unchanged = w.s, GROUPS, True
    x, a = new + POSITION * U3 * w.n, new + ACCELERATION * U3 * w.n
    slot, ahead = U4 * (n - U1), n % U7
    first, second = table.NODES[ahead + U1] * dt, dt * dt
    for _ in range(U0, groups):
        g, a0 = p + DIFFERENCE, load(m, p + A0)
        lower, bend = four(0.0), table.FROM_START[n] * a0
        for j in range(U0, U7):  # work that does not depend on the forces comes first
            value = load(m, g + U4 * j)
            lower = fma(table.FROM_LOWER[n, j], value, lower)
            bend = fma(table.TO_PLACE[n, j], value, bend)
        line = fma(first, load(m, p + V0), load(m, p + COMPENSATION0))
        if n > U0:
            if fresh:
                change = load(s, a) - a0
                store(m, p + CHANGE + slot, change)
            else:
                change = load(m, p + CHANGE + slot)
            before, now = load(m, g + slot), fma(table.FROM_CHANGE[n], change, lower)
            bend = fma(table.TO_PLACE[n, n - U1], now - before, bend)
            store(m, g + slot, now)
            store(m, p + BEFORE, before)
        place = load(m, p + X0) + fma(second, bend, line)
        unchanged = same(place, load(m, p + PLACE + U4 * ahead)) and unchanged
        store(m, p + PLACE + U4 * ahead, place)
        store(s, x, place)
        p, x, a = p + GROUP, x + U4, a + U4
    return unchanged


@strict
def _correction(groups: Place, m: Numbers) -> float:
    """Return the change of the last difference in the last iteration, relative to the acceleration."""
    p = GROUPS
    moved, size = four(0.0), four(0.0)
    for _ in range(U0, groups):
        last = p + DIFFERENCE + np.uint64(24)
        moved = larger(absolute(load(m, last) - load(m, p + BEFORE)), moved)
        size = larger(absolute(load(m, p + CHANGE + np.uint64(24)) + load(m, p + A0)), size)
        p += GROUP
    return largest(moved) / largest(size)


@strict
def _sum(u: Number, v: Number) -> tuple[Number, Number]:
    """Return the sum u + v and its rounding error, exactly (Knuth's two-sum)."""
    total = u + v
    back = total - u
    return total, (u - (total - back)) + (v - back)


@strict
def _finish(w: SystemView, groups: Place, m: Numbers, old: Place, new: Place, dt: float) -> None:
    """Compute position, velocity and their compensations at the end of the step.

    Groups are written from the last to the first, so that numbers past the end of a vector are overwritten by the next one.
    """
    s, d, p = w.s, U3 * w.n, GROUPS + groups * GROUP
    for c in range(U0, groups):
        p -= GROUP
        k = U4 * (groups - U1 - c)
        before, after = old + k, new + k
        gain, twice = four(0.0), four(0.0)
        for part in range(2):
            for n in range(U1, U8):
                change = load(m, p + CHANGE + U4 * (n - U1))
                gain = fma(table.WEIGHTS[part, n], change, gain)
                twice = fma(table.TWICE[part, n], change, twice)
        a0, v0, v_compensation = load(m, p + A0), load(m, p + V0), load(s, before + VELOCITY_COMPENSATION * d)
        v, v_lost = _sum(v0, dt * (a0 + gain))
        v_lost = v_lost - v_compensation
        line = dt * v0
        x, x_lost = _sum(load(m, p + X0), line)
        bend = fma(dt * dt, fma(0.5, a0, twice), fma(dt, v0, -line))
        x_lost = x_lost + (fma(-dt, v_compensation, bend) + load(m, p + COMPENSATION0))
        x_end, v_end = x + x_lost, v + v_lost
        store(s, after + POSITION * d, x_end)
        store(s, after + VELOCITY * d, v_end)
        store(s, after + POSITION_COMPENSATION * d, (x_end - x) - x_lost)
        store(s, after + VELOCITY_COMPENSATION * d, (v_end - v) - v_lost)


@strict
def _polynomial_at_end(groups: Place, m: Numbers, side: Place, had_prediction: float) -> None:
    """Compute the polynomial about the end of the step, and the error of its prediction (`had_prediction`: 1.0 or 0.0)."""
    p = GROUPS
    for _ in range(U0, groups):
        ahead, end = p + NEXT + side * SET, load(m, p + A0)
        for k in range(U0, U7):
            g = load(m, p + DIFFERENCE + U4 * k)
            end = fma(table.AT_END[k], g, end)
            power, taylor = g, g
            for j in range(k + U1, U7):
                g = load(m, p + DIFFERENCE + U4 * j)
                power = fma(table.POWERS[j, k], g, power)
                taylor = fma(table.AHEAD[k, j], g, taylor)
            store(m, ahead + U4 * k, taylor)
            store(m, ahead + PREDICTION_ERROR + U4 * k, had_prediction * (power - load(m, p + PREDICTED + U4 * k)))
        store(m, p + END, end)
        p += GROUP


@strict
def radau_step(w: SystemView, old: Place, new: Place, t: float, dt: float, memory: Numbers) -> Advanced:
    """Make one step of `dt`. It may be repeated with another dt until `radau_accept` is called."""
    m, groups, side, without_sums = memory, _groups(w), np.uint64(memory[SIDE]), SystemView(w.n, w.s, U0, w.lanes)
    moving = field_moves(w)
    q = dt / m[LAST_DT] if m[LAST_DT] > 0.0 and dt < MAX_GROWTH * m[LAST_DT] else 0.0
    _predict(groups, m, side, q)
    _start(w, groups, m, old, new, dt)
    evaluations, iterations, error, unchanged = 1, 0, np.inf, False
    while True:
        evaluated = 0
        for n in range(U1, U8):
            fresh = iterations == 0 or not unchanged
            if fresh:
                forces(without_sums, new, t + table.NODES[n] * dt)
                evaluated += 1
                if moving:
                    m[POWER + n] = field_power(w, new, t + table.NODES[n] * dt)
            unchanged = _visit(w, groups, m, new, n, dt, fresh)
        evaluations += evaluated
        iterations += 1
        last, error = error, _correction(groups, m)
        if evaluated == 0 or iterations == MAX_ITERATIONS:
            break
        if iterations > 1 and error * error < CONVERGED * last:
            break
        if iterations > 2 and error >= last:  # only rounding errors change the nodes now
            break
    m[NOT_CONVERGED] = error if iterations == MAX_ITERATIONS else 0.0
    _finish(w, groups, m, old, new, dt)
    _polynomial_at_end(groups, m, U1 - side, 1.0 if q > 0.0 else 0.0)
    work = 0.0
    if moving:
        m[POWER] = field_power(w, old, t)
        for n in range(U0, U8):
            work += dt * table.WEIGHTS[1, n] * m[POWER + n]
    potential, sums = forces(w, new, t + dt)
    return Advanced(potential, sums, work, evaluations, dt)


@strict
def radau_accept(w: SystemView, memory: Numbers, dt: float) -> None:
    """Accept the step, so that the next one is predicted from it."""
    memory[SIDE] = 1.0 - memory[SIDE]
    memory[LAST_DT] = dt


@strict
def radau_interpolate(w: SystemView, memory: Numbers, dt: float, h: float, target: Place) -> None:
    """Write position and velocity at the fraction h of the last step to block `target`; compensations are not written."""
    m, s, d = memory, w.s, U3 * w.n
    for k in range(U0, d):
        p = offset_of(k)
        gain, twice = 0.0, 0.0
        for down in range(U0, U7):
            power, b = U7 - down, 0.0
            for j in range(power - U1, U7):
                b += table.POWERS[j, power - U1] * m[p + DIFFERENCE + U4 * j]
            gain = (gain + b / np.float64(power + U1)) * h
            twice = (twice + b / np.float64((power + U1) * (power + U2))) * h
        x, v, a, t = m[p + X0], m[p + V0], m[p + A0], h * dt
        s[target + POSITION * d + k] = x + (m[p + COMPENSATION0] + t * (v + t * (0.5 * a + twice)))
        s[target + VELOCITY * d + k] = v + t * (a + gain)
