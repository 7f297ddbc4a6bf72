"""Layout of the memory of the Gauss-Radau method, for the method and for its rule for the step."""

from __future__ import annotations

import numpy as np

from .jit import strict
from .kinds import Place
from .layout import U2, U3

# memory: a few numbers, then for every four numbers of a vector one group of rows of four numbers
LAST_DT, SIDE, EPSILON, FACTOR, NOT_CONVERGED, POWER = (np.uint64(k) for k in (0, 1, 2, 3, 4, 8))
GROUPS = np.uint64(16)
(
    DIFFERENCE,  # 7: g of the current step
    CHANGE,  # 7: accelerations at the nodes minus that at the start
    PLACE,  # 7: positions at the nodes
    PREDICTED,  # 7: b, predicted from the last step
    X0,
    V0,
    COMPENSATION0,
    A0,
    BEFORE,  # the difference that the last stage replaced
    END,  # acceleration at the end
    NEXT,  # 7: the polynomial about the end of the step; 7: the error of the predicted b
) = (np.uint64(4 * k) for k in (0, 7, 14, 21, 28, 29, 30, 31, 32, 33, 34))
# NEXT and PREDICTION_ERROR are stored twice: for the step accepted last and for the current one
PREDICTION_ERROR, SET = np.uint64(28), np.uint64(56)
GROUP = np.uint64(4 * (34 + 28))
U4, U7, U8 = np.uint64(4), np.uint64(7), np.uint64(8)


@strict
def offset_of(k: Place) -> Place:
    """Return the offset of number k of a vector in the first row of its group."""
    return GROUPS + (k >> U2) * GROUP + (k & U3)


@strict
def memory_end(n: Place) -> Place:
    """Return the number of numbers that n bodies need."""
    return GROUPS + ((U3 * n + U3) >> U2) * GROUP
