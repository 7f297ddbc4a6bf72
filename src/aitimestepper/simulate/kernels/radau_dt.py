"""The length of a Gauss-Radau step: from the derivatives at its end (Pham, Rein & Spiegel, arXiv 2401.02849), or from b6.

Where the acceleration of a body passes through zero, an estimate from its jerk replaces it. The papers do not do this: there
PRS23 alone gives a step of zero. On the figure-eight REBOUND's steps decrease to 7e-12, and it makes 4.5 times as many.
"""

from __future__ import annotations

import numpy as np

from ...constants import TINY
from .elementary import exp, log
from .jit import inlined, strict
from .kinds import Flag, Kind, Number, Numbers, Place
from .lanes import absolute, all_of, any_of, first_of, larger, like, no, smaller, sqrt, where
from .layout import SOFTENING2, U0, U1, U2, U3
from .radau_layout import DIFFERENCE, END, EPSILON, FACTOR, NEXT, NOT_CONVERGED, SET, SIDE, U4, offset_of
from .rules import last_term_factor, taylor_pass
from .system import SystemView, scratch_at

PRS23_RULE, GLOBAL_RULE = range(2)
HUGE = 1e300
MIN_SHARE = 0.01  # with 1e-4 ... 0.1 the figure-eight takes 6862 ... 3561 steps, other reference problems 0.4 % more or less
LARGEST_NOT_CONVERGED = 1e-9  # change of the last difference, relative to the acceleration
# squared, relative to the largest acceleration: where forces cancel to less, the derivatives are rounding errors for any
# step, and the step would shrink without end (a massless body between two equal ones does that at 1e-22)
NEGLIGIBLE2 = 1e-18


@strict
def _effective_acceleration2(a2: Number, j2: Number, s2: Number, c2: Number) -> Number:
    """Return the larger of a^2 and MIN_SHARE (j t)^2, where t^2 = 2 j^2 / (s^2 + j c) is the squared time scale of the jerk."""
    clear = a2 * s2 >= 2.0 * MIN_SHARE * j2 * j2  # then a^2 is the larger, without a root
    if all_of(clear):
        return a2
    slow = s2 + sqrt(j2 * c2)
    return where(clear | no(slow > 0.0), a2, larger(MIN_SHARE * (2.0 * j2 * j2 / slow), a2))


@strict
def _smallest_time(w: SystemView) -> Number:
    """Return the smallest of PRS23's times sqrt(2 a^2 / (j^2 + a s)) over bodies, from the derivatives in the scratch space.

    It is infinite if no force acts on any body. NaN is not handled here; the check of the energy detects it.
    """
    s, n, d = w.s, w.n, U3 * w.n
    nothing = like(0.0, s[SOFTENING2])
    first, largest2, a2_best, fast_best = scratch_at(w), nothing, nothing + 1.0, nothing
    for k in range(first, first + d):
        largest2 = larger(s[k] * s[k], largest2)
    for i in range(first, first + n):
        a2, j2, s2, c2 = nothing, nothing, nothing, nothing
        for k in range(i, i + d, n):
            a2 += s[k] * s[k]
            j2 += s[k + d] * s[k + d]
            s2 += s[k + d + d] * s[k + d + d]
            c2 += s[k + d + d + d] * s[k + d + d + d]
        felt = a2 >= NEGLIGIBLE2 * largest2
        a2 = _effective_acceleration2(a2, j2, s2, c2)
        fast = j2 + sqrt(a2 * s2)
        faster = felt & (a2 * fast_best < a2_best * fast)  # by products: one division at the end
        a2_best, fast_best = where(faster, a2, a2_best), where(faster, fast, fast_best)
    return sqrt(2.0 * a2_best / fast_best)


@strict
def radau_first_dt(w: SystemView, block: Place, epsilon: Number) -> Number:
    """Return the first step, from the derivatives of the self-gravity in `block`; infinite if no force acts on any body."""
    for k in range(4):
        taylor_pass(w, block, k)
    return last_term_factor(epsilon) * _smallest_time(w)


@strict
def radau_next_dt(w: SystemView, memory: Numbers, dt: Number, epsilon: Number, rule: Kind) -> Number:
    """Return the next step, after one of `dt` that is not accepted yet; a result far below `dt` means that it was too long."""
    if rule == GLOBAL_RULE:
        return _shortened_unless_converged(memory, dt, dt * _last_term_share(w, memory, epsilon))
    m, s, d, scratch = memory, w.s, U3 * w.n, scratch_at(w)
    if any_of(epsilon != m[EPSILON]):  # a power takes as long as the force between two bodies
        m[EPSILON], m[FACTOR] = epsilon, last_term_factor(epsilon)
    ahead = NEXT + (U1 - np.uint64(first_of(m[SIDE]))) * SET
    for k in range(U0, d):
        p = offset_of(k)
        s[scratch + k] = m[p + END]
        s[scratch + d + k] = m[p + ahead]
        s[scratch + U2 * d + k] = 2.0 * m[p + ahead + U4]
        s[scratch + U3 * d + k] = 6.0 * m[p + ahead + U2 * U4]
    return _shortened_unless_converged(m, dt, dt * (m[FACTOR] * _smallest_time(w)))


@inlined
def _shortened_unless_converged(m: Numbers, dt: Number, choice: Number) -> Number:
    """Return `choice`, or if the iterations of this step did not converge, a step so short that this one is repeated."""
    return where(not_converged(m), smaller(choice, 0.125 * dt), choice)


@inlined
def not_converged(m: Numbers) -> Flag:
    """Return whether the iterations of the last step did not converge."""
    return m[NOT_CONVERGED] > LARGEST_NOT_CONVERGED


@strict
def _last_term_share(w: SystemView, m: Numbers, epsilon: Number) -> Number:
    """Return (epsilon size / b6)^(1/7), with the largest b6 and the largest acceleration at the end of the step."""
    last, size = like(0.0, epsilon), like(0.0, epsilon)
    for k in range(U0, U3 * w.n):
        p = offset_of(k)
        last = larger(absolute(m[p + DIFFERENCE + U4 * np.uint64(6)]), last)
        size = larger(absolute(m[p + END]), size)
    share = larger(smaller(epsilon / (last / size), HUGE), TINY)  # without any b6 it is infinite or NaN
    return exp(log(share) / 7.0)
