"""The coefficients of the 15th-order Gauss-Radau method, computed from their definition with 60 digits, then rounded once.

The step is h = 0 ... 1. Along it the acceleration is a(h) = a0 + sum_j g_j N_j(h), N_j = product of (h - h_i), i = 0 ... j,
which agrees with the accelerations at the nodes h_0 = 0, h_1 ... h_7; in powers it is a0 + sum_l b_l h^(l+1).

The nodes are rounded first and everything else is computed for the rounded nodes, so that their error of 1e-17 does no harm.
With tables that were simply rounded the energy drifted by 7e-18 an orbit (Kepler, e = 0.1), visible after 100 orbits.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import comb
from typing import Any

import numpy as np

STAGES = 7  # after the start
DIGITS = 60
Numbers = list[Decimal]


def _nodes() -> Numbers:
    """Return 0 and the zeros of the polynomial of degree 7 that is orthogonal on (0, 1) with weight h."""
    c = [Decimal(1)]  # sum_k (-7)_k (9)_k / ((2)_k k!) h^k
    for k in range(STAGES):
        c.append(c[-1] * (k - 7) * (k + 9) / ((k + 2) * (k + 1)))
    nodes = [Decimal(0)]
    for start in np.sort(np.roots([float(x) for x in reversed(c)])):
        h = Decimal(float(start))
        for _ in range(4):
            slope = sum((k * c[k] * h ** (k - 1) for k in range(1, 8)), Decimal(0))
            h -= sum((c[k] * h**k for k in range(8)), Decimal(0)) / slope
        nodes.append(Decimal(float(h)))
    return nodes


def _powers(h: Numbers) -> list[Numbers]:
    """Return rows [j][l], the coefficient of h^(l+1) in N_j."""
    rows = [[Decimal(1)] + [Decimal(0)] * 6]
    for j in range(1, STAGES):
        rows.append([(rows[-1][k - 1] if k else Decimal(0)) - h[j] * rows[-1][k] for k in range(STAGES)])
    return rows


def _differences(h: Numbers) -> list[Numbers]:
    """Return rows [l][j], the coefficient of N_j in h^(l+1)."""
    rows = [[Decimal(1)] + [Decimal(0)] * 6]
    for _ in range(1, STAGES):
        rows.append([(rows[-1][j - 1] if j else Decimal(0)) + h[j + 1] * rows[-1][j] for j in range(STAGES)])
    return rows


def _lower(h: Numbers, n: int) -> Numbers:
    """Return g_{n-1} for an acceleration changed by 1 at node n, then its coefficient of each lower g."""
    product = [Decimal(1)]
    for i in range(n):
        product.append(product[-1] * (h[n] - h[i]))
    return [1 / product[n], *(-product[j + 1] / product[n] if j < n - 1 else Decimal(0) for j in range(STAGES))]


def _twice_integrated(powers: list[Numbers], h: Decimal) -> Numbers:
    """Return the double integral of every N_j from 0 to h."""
    return [sum((c * h ** (k + 3) / ((k + 2) * (k + 3)) for k, c in enumerate(row)), Decimal(0)) for row in powers]


def _integrated(powers: list[Numbers], h: Decimal) -> Numbers:
    """Return the integral of every N_j from 0 to h."""
    return [sum((c * h ** (k + 2) / (k + 2) for k, c in enumerate(row)), Decimal(0)) for row in powers]


def _share(h: Numbers, m: int) -> Numbers:
    """Return coefficients of h, h^2, ... in the integral of the polynomial that is 1 at node m and 0 at the others."""
    row = [Decimal(1)]
    for i in range(8):
        if i != m:
            row = [
                ((row[k - 1] if k else 0) - (h[i] * row[k] if k < len(row) else 0)) / (h[m] - h[i]) for k in range(len(row) + 1)
            ]
    return [c / (k + 1) for k, c in enumerate(row)]


def _array(rows: Any) -> np.ndarray:
    return np.array([[float(x) for x in row] for row in rows])


def _split(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows[:, 0].copy(), rows[:, 1:].copy()


def _two(numbers: Any) -> np.ndarray:
    """Return (2, ...): the rounding errors of the numbers, and the rounded numbers; their sum is good to 32 digits."""
    high = [float(x) for x in numbers]
    return np.array([[float(x - Decimal(y)) for x, y in zip(numbers, high, strict=True)], high])


with localcontext() as _context:
    _context.prec = DIGITS
    _h = _nodes()
    _c = _powers(_h)
    _shares = [_share(_h, m) for m in range(8)]
    _w = [sum(row, Decimal(0)) for row in _shares]
    _ahead = [_h[n + 1 if n < STAGES else 1] for n in range(STAGES + 1)]  # the node visited after node n
    NODES = np.array([float(h) for h in _h])
    # g_{n-1} from the change of acceleration at node n, and from the lower g; then the position at the next node, in units of
    # the step squared, from a0 and from every g
    FROM_CHANGE, FROM_LOWER = _split(_array(_lower(_h, n) for n in range(STAGES + 1)))
    FROM_START = np.array([float(h * h / 2) for h in _ahead])
    TO_PLACE = _array(_twice_integrated(_c, h) for h in _ahead)
    TO_SPEED = _array(_integrated(_c, h) for h in _h)  # velocity at a node, in units of the step, from every g
    POWERS = _array(_c)  # [j, l]
    DIFFERENCES = _array(_differences(_h))  # [l, j]
    # [l, j]: coefficient of s^(l+1) in N_j(1 + s), to predict the next step
    AHEAD = _array([[sum(comb(i + 1, k + 1) * _c[j][i] for i in range(k, 7)) for j in range(7)] for k in range(7)])
    AT_END = np.array([float(sum(row)) for row in _c])  # N_j(1)
    SHARES = _array(_shares)  # [n, l]: coefficient of h^(l+1) in the weight of node n, for integrals from 0 to h
    # integrals over the step of a, and of (1 - h) a: the changes of velocity and position
    WEIGHTS = _two(_w)
    TWICE = _two([w * (1 - h) for w, h in zip(_w, _h, strict=True)])
