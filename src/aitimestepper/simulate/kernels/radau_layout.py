"""Where things lie in the memory of the Gauss-Radau method: named once, for the method and for its rule for the step."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import strict
from .layout import U2, U3

# memory: a few numbers, then for every four numbers of a vector a group of rows of four
LAST_DT, SIDE, EPSILON, FACTOR, NOT_CONVERGED, POWER = (np.uint64(k) for k in (0, 1, 2, 3, 4, 8))
GROUPS = np.uint64(16)
(
    DIFFERENCE,  # 7: g, of the step being made
    CHANGE,  # 7: accelerations at the nodes less that at the start
    PLACE,  # 7: positions at the nodes
    PREDICTED,  # 7: b as the last step predicts it
    X0,
    V0,
    COMPENSATION0,
    A0,
    BEFORE,  # the difference that the last stage replaced
    END,  # acceleration at the end
    NEXT,  # 7: the polynomial about the end of the step; 7: by how much the prediction of b was wrong
) = (np.uint64(4 * k) for k in (0, 7, 14, 21, 28, 29, 30, 31, 32, 33, 34))
MISSED, SET = np.uint64(28), np.uint64(56)  # NEXT and MISSED are kept twice: of the step accepted last and of this one
GROUP = np.uint64(4 * (34 + 28))
U4, U7, U8 = np.uint64(4), np.uint64(7), np.uint64(8)


@strict
def place_of(k: Any) -> Any:
    """Where number k of a vector has its first row."""
    return GROUPS + (k >> U2) * GROUP + (k & U3)
