"""The length of a Gauss-Radau step: from the derivatives at its end (Pham, Rein & Spiegel, arXiv 2401.02849), or from b6.

Where the acceleration of a body passes through zero, an estimate from its jerk replaces it. The papers do not do this: there
PRS23 alone gives a step of zero. On the figure-eight REBOUND's steps decrease to 7e-12, and it makes 4.5 times as many.
"""

from __future__ import annotations

import numpy as np

from .jit import strict
from .kinds import Kind, Numbers, Place
from .layout import U0, U1, U2, U3
from .radau_layout import DIFFERENCE, END, EPSILON, FACTOR, NEXT, NOT_CONVERGED, SET, SIDE, U4, offset_of
from .rules import taylor_pass
from .system import SystemView, scratch_at

PRS23_RULE, GLOBAL_RULE = range(2)
MIN_SHARE = 0.01  # with 1e-4 ... 0.1 the figure-eight takes 6862 ... 3561 steps, other reference problems 0.4 % more or less
LARGEST_NOT_CONVERGED = 1e-9  # change of the last difference, relative to the acceleration
# squared, relative to the largest acceleration: where forces cancel to less, the derivatives are rounding errors for any
# step, and the step would shrink without end (a massless body between two equal ones does that at 1e-22)
NEGLIGIBLE2 = 1e-18


@strict
def _effective_acceleration2(a2: float, j2: float, s2: float, c2: float) -> float:
    """Return the larger of a^2 and MIN_SHARE (j t)^2, where t^2 = 2 j^2 / (s^2 + j c) is the squared time scale of the jerk."""
    if a2 * s2 >= 2.0 * MIN_SHARE * j2 * j2:  # then it is the larger, without a root
        return a2
    slow = s2 + np.sqrt(j2 * c2)
    return max(a2, MIN_SHARE * (2.0 * j2 * j2 / slow)) if slow > 0.0 else a2


@strict
def _smallest_time(w: SystemView) -> float:
    """Return the smallest of PRS23's times sqrt(2 a^2 / (j^2 + a s)) over bodies, from the derivatives in the scratch space.

    It is infinite if no force acts on any body. NaN is not handled here; the check of the energy detects it.
    """
    s, n, d = w.s, w.n, U3 * w.n
    first, largest2, a2_best, fast_best = scratch_at(w), 0.0, 1.0, 0.0
    for k in range(first, first + d):
        largest2 = max(largest2, s[k] * s[k])
    for i in range(first, first + n):
        a2, j2, s2, c2 = 0.0, 0.0, 0.0, 0.0
        for k in range(i, i + d, n):
            a2 += s[k] * s[k]
            j2 += s[k + d] * s[k + d]
            s2 += s[k + d + d] * s[k + d + d]
            c2 += s[k + d + d + d] * s[k + d + d + d]
        if a2 < NEGLIGIBLE2 * largest2:
            continue
        a2 = _effective_acceleration2(a2, j2, s2, c2)
        fast = j2 + np.sqrt(a2 * s2)
        if a2 * fast_best < a2_best * fast:  # by products: one division at the end
            a2_best, fast_best = a2, fast
    return np.sqrt(2.0 * a2_best / fast_best)


@strict
def _factor(epsilon: float) -> float:
    """Return the factor of PRS23's time, (7! epsilon)^(1/7), since b6 = a^(7) dt^7 / 7!."""
    return (5040.0 * epsilon) ** (1.0 / 7.0)


@strict
def radau_first_dt(w: SystemView, block: Place, epsilon: float) -> float:
    """Return the first step, from the derivatives of the self-gravity in `block`; infinite if no force acts on any body."""
    for k in range(4):
        taylor_pass(w, block, k)
    return _factor(epsilon) * _smallest_time(w)


@strict
def radau_next_dt(w: SystemView, memory: Numbers, dt: float, epsilon: float, rule: Kind) -> float:
    """Return the next step, after one of `dt` that is not accepted yet; a result far below `dt` means that it was too long."""
    if rule == GLOBAL_RULE:
        return _shortened_unless_converged(memory, dt, dt * (epsilon / _last_term(w, memory)) ** (1.0 / 7.0))
    m, s, d, scratch = memory, w.s, U3 * w.n, scratch_at(w)
    if epsilon != m[EPSILON]:  # a power takes as long as the force between two bodies
        m[EPSILON], m[FACTOR] = epsilon, _factor(epsilon)
    ahead = NEXT + (U1 - np.uint64(m[SIDE])) * SET
    for k in range(U0, d):
        p = offset_of(k)
        s[scratch + k] = m[p + END]
        s[scratch + d + k] = m[p + ahead]
        s[scratch + U2 * d + k] = 2.0 * m[p + ahead + U4]
        s[scratch + U3 * d + k] = 6.0 * m[p + ahead + U2 * U4]
    return _shortened_unless_converged(m, dt, dt * (m[FACTOR] * _smallest_time(w)))


@strict
def _shortened_unless_converged(m: Numbers, dt: float, choice: float) -> float:
    """Return `choice`, or if the iterations of this step did not converge, a step so short that this one is repeated."""
    return min(choice, 0.125 * dt) if m[NOT_CONVERGED] > LARGEST_NOT_CONVERGED else choice


@strict
def _last_term(w: SystemView, m: Numbers) -> float:
    """Return the largest b6 relative to the largest acceleration at the end of the step."""
    last, size = 0.0, 0.0
    for k in range(U0, U3 * w.n):
        p = offset_of(k)
        last = max(last, abs(m[p + DIFFERENCE + U4 * np.uint64(6)]))
        size = max(size, abs(m[p + END]))
    return last / size if last > 0.0 else 0.0
