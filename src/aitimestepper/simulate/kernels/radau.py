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
from .fields import add_field, field_moves, field_power, field_uses_velocities, has_field
from .jit import by_width, inlined, nothing, strict
from .kinds import Count, Flag, Number, Numbers, Place
from .lanes import absolute, any_of, count_of, first_of, flag_like, fma, larger, like, no, where
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
from .pair_sums import accelerations_by_gravity
from .radau_elements import (
    clear_past_end,
    element_count,
    first_of_element,
    largest_of,
    memory_of,
    put,
    put_active,
    same_bits,
    take,
    zero,
)
from .radau_fields import node_velocities
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
from .registers import aligned
from .system import Advanced, SystemView, accelerations, forces

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
    return aligned((systems, radau_memory_size(n)))


@strict
def _predict(w: SystemView, m: Numbers, side: Place, q: Number) -> None:
    """Predict the powers b for a step q times as long as the last one, from its polynomial; q = 0 predicts zeros."""
    share = where((q > 0.5) & (q < 2.0), 1.0, 0.0)
    for c in range(U0, element_count(w)):
        p, power = memory_of(w, c), q
        ahead = p + NEXT + side * SET
        for k in range(U0, U7):
            predicted = power * take(w, m, ahead + U4 * k)
            put(w, m, p + PREDICTED + U4 * k, predicted)
            put(w, m, p + PLACE + U4 * k, fma(share, take(w, m, ahead + PREDICTION_ERROR + U4 * k), predicted))
            power *= q
        for j in range(U0, U7):
            g = take(w, m, p + PLACE + U4 * j)
            for k in range(j + U1, U7):
                g = fma(table.DIFFERENCES[k, j], take(w, m, p + PLACE + U4 * k), g)
            put(w, m, p + DIFFERENCE + U4 * j, g)


@strict
def _start(w: SystemView, m: Numbers, old: Place, new: Place, dt: Number) -> None:
    """Write the start of the step to memory, and compute the positions at the first node.

    Groups extend past the ends of vectors by up to three numbers. The accelerations there, which lie in the place of the unused
    jerk, are set to zero, so that these numbers have no effect.
    """
    s, d = w.s, U3 * w.n
    for k in range(U0, U3):
        s[new + JERK * d + k] = 0.0
    for c in range(U0, element_count(w)):
        k, p = old + first_of_element(w, c), memory_of(w, c)
        put(w, m, p + X0, take(w, s, k + POSITION * d))
        put(w, m, p + V0, take(w, s, k + VELOCITY * d))
        put(w, m, p + COMPENSATION0, -take(w, s, k + POSITION_COMPENSATION * d))
        put(w, m, p + A0, take(w, s, k + ACCELERATION * d))
    clear_past_end(w, m)
    active = flag_like(True, dt)
    _visit(w, m, new, U0, dt, False, active)


@strict
def _visit(w: SystemView, m: Numbers, new: Place, n: Place, dt: Number, fresh: bool, active: Flag) -> Flag:
    """Update node n, from new accelerations if `fresh`, then positions at the next node; return whether all bits stayed.

    Of systems that are not `active` the polynomial stays as it is.
    """
    s, unchanged = w.s, flag_like(True, dt)
    x, a = new + POSITION * U3 * w.n, new + ACCELERATION * U3 * w.n
    slot, ahead = U4 * (n - U1), n % U7
    first, second = table.NODES[ahead + U1] * dt, dt * dt
    for c in range(U0, element_count(w)):
        p, k = memory_of(w, c), first_of_element(w, c)
        g, a0 = p + DIFFERENCE, take(w, m, p + A0)
        lower, bend = zero(w), table.FROM_START[n] * a0
        for j in range(U0, U7):  # work that does not depend on the forces comes first
            value = take(w, m, g + U4 * j)
            lower = fma(table.FROM_LOWER[n, j], value, lower)
            bend = fma(table.TO_PLACE[n, j], value, bend)
        line = fma(first, take(w, m, p + V0), take(w, m, p + COMPENSATION0))
        if n > U0:
            if fresh:
                change = take(w, s, a + k) - a0
                put_active(w, m, p + CHANGE + slot, active, change)
            else:
                change = take(w, m, p + CHANGE + slot)
            before, now = take(w, m, g + slot), fma(table.FROM_CHANGE[n], change, lower)
            bend = fma(table.TO_PLACE[n, n - U1], now - before, bend)
            put_active(w, m, g + slot, active, now)
            put(w, m, p + BEFORE, before)
        place = take(w, m, p + X0) + fma(second, bend, line)
        unchanged = same_bits(w, place, take(w, m, p + PLACE + U4 * ahead)) & unchanged
        put(w, m, p + PLACE + U4 * ahead, place)
        put(w, s, x + k, place)
    return unchanged


@strict
def _correction(w: SystemView, m: Numbers) -> Number:
    """Return the change of the last difference in the last iteration, relative to the acceleration."""
    moved, size = zero(w), zero(w)
    for c in range(U0, element_count(w)):
        p = memory_of(w, c)
        last = p + DIFFERENCE + np.uint64(24)
        moved = larger(absolute(take(w, m, last) - take(w, m, p + BEFORE)), moved)
        size = larger(absolute(take(w, m, p + CHANGE + np.uint64(24)) + take(w, m, p + A0)), size)
    return largest_of(w, moved) / largest_of(w, size)


@strict
def _sum(u: Number, v: Number) -> tuple[Number, Number]:
    """Return the sum u + v and its rounding error, exactly (Knuth's two-sum)."""
    total = u + v
    back = total - u
    return total, (u - (total - back)) + (v - back)


@strict
def _finish(w: SystemView, m: Numbers, old: Place, new: Place, dt: Number) -> None:
    """Compute position, velocity and their compensations at the end of the step.

    Elements are written from the last to the first, so that numbers past the end of a vector are overwritten by the next one.
    """
    s, d, count = w.s, U3 * w.n, element_count(w)
    for c in range(U0, count):
        p, k = memory_of(w, count - U1 - c), first_of_element(w, count - U1 - c)
        before, after = old + k, new + k
        gain, twice = zero(w), zero(w)
        for part in range(2):
            for n in range(U1, U8):
                change = take(w, m, p + CHANGE + U4 * (n - U1))
                gain = fma(table.WEIGHTS[part, n], change, gain)
                twice = fma(table.TWICE[part, n], change, twice)
        a0, v0, v_compensation = take(w, m, p + A0), take(w, m, p + V0), take(w, s, before + VELOCITY_COMPENSATION * d)
        v, v_lost = _sum(v0, dt * (a0 + gain))
        v_lost = v_lost - v_compensation
        line = dt * v0
        x, x_lost = _sum(take(w, m, p + X0), line)
        bend = fma(dt * dt, fma(0.5, a0, twice), fma(dt, v0, -line))
        x_lost = x_lost + (fma(-dt, v_compensation, bend) + take(w, m, p + COMPENSATION0))
        x_end, v_end = x + x_lost, v + v_lost
        put(w, s, after + POSITION * d, x_end)
        put(w, s, after + VELOCITY * d, v_end)
        put(w, s, after + POSITION_COMPENSATION * d, (x_end - x) - x_lost)
        put(w, s, after + VELOCITY_COMPENSATION * d, (v_end - v) - v_lost)


@strict
def _polynomial_at_end(w: SystemView, m: Numbers, side: Place, had_prediction: Number) -> None:
    """Compute the polynomial about the end of the step, and the error of its prediction (`had_prediction`: 1.0 or 0.0)."""
    for c in range(U0, element_count(w)):
        p = memory_of(w, c)
        ahead, end = p + NEXT + side * SET, take(w, m, p + A0)
        for k in range(U0, U7):
            g = take(w, m, p + DIFFERENCE + U4 * k)
            end = fma(table.AT_END[k], g, end)
            power, taylor = g, g
            for j in range(k + U1, U7):
                g = take(w, m, p + DIFFERENCE + U4 * j)
                power = fma(table.POWERS[j, k], g, power)
                taylor = fma(table.AHEAD[k, j], g, taylor)
            put(w, m, ahead + U4 * k, taylor)
            error = had_prediction * (power - take(w, m, p + PREDICTED + U4 * k))
            put(w, m, ahead + PREDICTION_ERROR + U4 * k, error)
        put(w, m, p + END, end)


@strict
def _node_forces_of_few(w: SystemView, block: Place, t: Number) -> None:
    """Compute accelerations with loops unrolled over two, three and four bodies."""
    if w.n == U2:
        accelerations_by_gravity(SystemView(U2, w.s, w.row_sum, w.lanes), block)
    elif w.n == U3:
        accelerations_by_gravity(SystemView(U3, w.s, w.row_sum, w.lanes), block)
    elif w.n == U4:
        accelerations_by_gravity(SystemView(U4, w.s, w.row_sum, w.lanes), block)
    else:
        accelerations_by_gravity(w, block)
    if has_field(w):
        add_field(w, block, t)


_node_forces = by_width(accelerations, _node_forces_of_few)


@strict
def _iterate(w: SystemView, m: Numbers, new: Place, t: Number, dt: Number) -> Count:
    """Correct the polynomial until it converges; return the number of evaluations.

    Systems side by side end after different numbers of iterations, and wait unchanged for the last one. With velocity-dependent
    forces every node is evaluated anew: its velocities may change where its positions do not.
    """
    active, unchanged, moving, with_velocities = dt > 0.0, flag_like(False, dt), field_moves(w), field_uses_velocities(w)
    evaluations, error, iterations = count_of(active), like(np.inf, dt), 0
    m[NOT_CONVERGED] = like(0.0, dt)
    while True:
        evaluated = flag_like(False, dt)
        for n in range(U1, U8):
            fresh = active if iterations == 0 or with_velocities else active & no(unchanged)
            any_fresh = any_of(fresh)
            if any_fresh:
                if with_velocities:
                    node_velocities(w, m, new, n, dt)
                _node_forces(w, new, t + table.NODES[n] * dt)
                evaluations += count_of(fresh)
                evaluated = evaluated | fresh
                if moving:
                    power = field_power(w, new, t + table.NODES[n] * dt)
                    m[POWER + n] = where(fresh, power, m[POWER + n])
            unchanged = _visit(w, m, new, n, dt, any_fresh, active)
        iterations += 1
        last, error = error, _correction(w, m)
        ends = no(evaluated)
        if iterations > 1:
            ends = ends | (error * error < CONVERGED * last)
        if iterations > 2:
            ends = ends | (error >= last)  # only rounding errors change the nodes now
        if iterations == MAX_ITERATIONS:
            m[NOT_CONVERGED] = where(active, error, 0.0)
            return evaluations
        active = active & no(ends)
        if not any_of(active):
            return evaluations


@strict
def radau_step(w: SystemView, old: Place, new: Place, t: Number, dt: Number, memory: Numbers) -> Advanced:
    """Make one step of `dt`. It may be repeated with another dt until `radau_accept` is called.

    Of systems side by side, those whose dt is 0 take no part.
    """
    m, side, moving = memory, np.uint64(first_of(memory[SIDE])), field_moves(w)
    q = where((m[LAST_DT] > 0.0) & (dt < MAX_GROWTH * m[LAST_DT]), dt / m[LAST_DT], 0.0)
    _predict(w, m, side, q)
    _start(w, m, old, new, dt)
    evaluations = _iterate(w, m, new, t, dt)
    _finish(w, m, old, new, dt)
    _polynomial_at_end(w, m, U1 - side, where(q > 0.0, 1.0, 0.0))
    work = like(0.0, dt)
    if moving:
        m[POWER] = field_power(w, old, t)
        for n in range(U0, U8):
            work += dt * table.WEIGHTS[1, n] * m[POWER + n]
    potential, sums = forces(w, new, t + dt)
    return Advanced(potential, sums, work, evaluations, dt)


@strict
def radau_accept(w: SystemView, memory: Numbers, dt: Number) -> None:
    """Accept the step, so that the next one is predicted from it. The side is the same for all systems side by side."""
    memory[SIDE] = 1.0 - memory[SIDE]
    memory[LAST_DT] = dt


@inlined
def _keep_of_lanes(w: SystemView, memory: Numbers, stays: Flag) -> None:
    m, side = memory, np.uint64(first_of(memory[SIDE]))
    for c in range(U0, U3 * w.n):
        now = offset_of(c) + NEXT + side * SET
        before = offset_of(c) + NEXT + (U1 - side) * SET
        for k in range(U0, U2 * U7):
            m[now + U4 * k] = where(stays, m[before + U4 * k], m[now + U4 * k])


# copy the polynomials of systems that rejected their step to the side of those that accepted it
keep_polynomial = by_width(nothing, _keep_of_lanes)


@strict
def radau_interpolate(w: SystemView, memory: Numbers, dt: Number, h: Number, target: Place) -> None:
    """Write position and velocity at the fraction h of the last step to block `target`; compensations are not written."""
    m, s, d = memory, w.s, U3 * w.n
    for k in range(U0, d):
        p = offset_of(k)
        gain, twice = like(0.0, dt), like(0.0, dt)
        for down in range(U0, U7):
            power, b = U7 - down, like(0.0, dt)
            for j in range(power - U1, U7):
                b += table.POWERS[j, power - U1] * m[p + DIFFERENCE + U4 * j]
            gain = (gain + b / np.float64(power + U1)) * h
            twice = (twice + b / np.float64((power + U1) * (power + U2))) * h
        x, v, a, t = m[p + X0], m[p + V0], m[p + A0], h * dt
        s[target + POSITION * d + k] = x + (m[p + COMPENSATION0] + t * (v + t * (0.5 * a + twice)))
        s[target + VELOCITY * d + k] = v + t * (a + gain)
