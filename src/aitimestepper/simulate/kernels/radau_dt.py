"""How long a Gauss-Radau step may be: from the derivatives at its end (Pham, Rein & Spiegel, arXiv 2401.02849), or from b6.

Where the acceleration of a body passes zero its jerk stands in for it, which the papers do not do: PRS23 alone asks for no
step at all there. On the figure-eight REBOUND's steps go down to 7e-12, and it makes 4.5 times as many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import strict
from .layout import U0, U1, U2, U3
from .radau_layout import DIFFERENCE, END, EPSILON, FACTOR, NEXT, NOT_CONVERGED, SET, SIDE, U4, place_of
from .rules import taylor_pass
from .system import work_at

PRS23_RULE, GLOBAL_RULE = range(2)
LEAST_SHARE = 0.01  # with 1e-4 ... 0.1 the figure-eight takes 6862 ... 3561 steps, other reference problems 0.4 % more or less
LARGEST_NOT_CONVERGED = 1e-9  # change of the last difference, relative to the acceleration
# of the largest acceleration, squared: where forces cancel to less, the derivatives are rounding, whatever the step, and it
# would shrink without end (a massless body between two equal ones does that at 1e-22)
NOTHING2 = 1e-18


@strict
def _meant2(a2: Any, j2: Any, s2: Any, c2: Any) -> Any:
    """Return the square of an acceleration, or of a tenth of what its jerk and the time of that, 2 j^2 / (s^2 + j c), give."""
    if a2 * s2 >= 2.0 * LEAST_SHARE * j2 * j2:  # then it is the larger, without a root
        return a2
    slow = s2 + np.sqrt(j2 * c2)
    return max(a2, LEAST_SHARE * (2.0 * j2 * j2 / slow)) if slow > 0.0 else a2


@strict
def _smallest_time(w: Any) -> Any:
    """Return PRS23's sqrt(2 a^2 / (j^2 + a s)), the smallest over bodies, from the derivatives in the scratch space.

    Infinite if no body feels anything. What is not a number is left to whoever looks at the energy.
    """
    s, n, d = w.s, w.n, U3 * w.n
    first, largest2, a2_best, fast_best = work_at(w), 0.0, 1.0, 0.0
    for k in range(first, first + d):
        largest2 = max(largest2, s[k] * s[k])
    for i in range(first, first + n):
        a2, j2, s2, c2 = 0.0, 0.0, 0.0, 0.0
        for k in range(i, i + d, n):
            a2 += s[k] * s[k]
            j2 += s[k + d] * s[k + d]
            s2 += s[k + d + d] * s[k + d + d]
            c2 += s[k + d + d + d] * s[k + d + d + d]
        if a2 < NOTHING2 * largest2:
            continue
        a2 = _meant2(a2, j2, s2, c2)
        fast = j2 + np.sqrt(a2 * s2)
        if a2 * fast_best < a2_best * fast:  # by products: one division at the end
            a2_best, fast_best = a2, fast
    return np.sqrt(2.0 * a2_best / fast_best)


@strict
def _factor(epsilon: Any) -> Any:
    """Return the factor of PRS23's time; 5040 = 7!, since b6 = a^(7) dt^7 / 7!."""
    return (5040.0 * epsilon) ** (1.0 / 7.0)


@strict
def radau_first_dt(w: Any, block: Any, epsilon: Any) -> Any:
    """Return the step to begin with, by the derivatives (of self-gravity) of `block`; infinite if no body feels any."""
    for k in range(4):
        taylor_pass(w, block, k)
    return _factor(epsilon) * _smallest_time(w)


@strict
def radau_next_dt(w: Any, memory: Any, dt: Any, epsilon: Any, rule: Any) -> Any:
    """Return the step after the one just made and not yet accepted; much below `dt`: that one was too long."""
    if rule == GLOBAL_RULE:
        return _settled(memory, dt, dt * (epsilon / _last_term(w, memory)) ** (1.0 / 7.0))
    m, s, d, top = memory, w.s, U3 * w.n, work_at(w)
    if epsilon != m[EPSILON]:  # a power takes as long as a force between two bodies
        m[EPSILON], m[FACTOR] = epsilon, _factor(epsilon)
    ahead = NEXT + (U1 - np.uint64(m[SIDE])) * SET
    for k in range(U0, d):
        p = place_of(k)
        s[top + k] = m[p + END]
        s[top + d + k] = m[p + ahead]
        s[top + U2 * d + k] = 2.0 * m[p + ahead + U4]
        s[top + U3 * d + k] = 6.0 * m[p + ahead + U2 * U4]
    return _settled(m, dt, dt * (m[FACTOR] * _smallest_time(w)))


@strict
def _settled(m: Any, dt: Any, choice: Any) -> Any:
    """Return the step wanted, unless the iterations of this one did not converge: then so short a one that it is made again."""
    return min(choice, 0.125 * dt) if m[NOT_CONVERGED] > LARGEST_NOT_CONVERGED else choice


@strict
def _last_term(w: Any, m: Any) -> Any:
    """Return the largest b6 relative to the largest acceleration at the end."""
    last, size = 0.0, 0.0
    for k in range(U0, U3 * w.n):
        p = place_of(k)
        last = max(last, abs(m[p + DIFFERENCE + U4 * np.uint64(6)]))
        size = max(size, abs(m[p + END]))
    return last / size if last > 0.0 else 0.0
