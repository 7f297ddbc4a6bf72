"""Three bodies as both `Bodies` and `ParticleTorch` take them, and changes of them that both refuse with the same message."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

X = [[1.0, 0.0], [0.0, 2.0], [-1.5, 0.5]]
V = [[0.0, 0.5], [0.25, 0.0], [0.0, -0.5]]
THREE = {"mass": [1.0, 2.0, 3.0], "position": X, "velocity": V}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"position": [1.0, 2.0]}, r"position has shape \(2,\), not \(bodies, axes\)"),
    ({"position": np.zeros((3, 1)), "velocity": np.zeros((3, 1))}, r"position has shape \(1, 3, 1\).*2 or 3 axes"),
    ({"position": np.zeros((3, 4)), "velocity": np.zeros((3, 4))}, r"position has shape \(1, 3, 4\).*2 or 3 axes"),
    ({"position": np.zeros((2, 2, 3, 2))}, r"position has shape \(2, 2, 3, 2\)"),
    ({"velocity": V[:2]}, r"velocity has shape \(1, 2, 2\), position \(1, 3, 2\)"),
    ({"velocity": np.zeros((3, 3))}, r"velocity has shape \(1, 3, 3\), position \(1, 3, 2\)"),
    ({"mass": [1.0, 2.0]}, r"mass has shape \(2,\), which does not fit \(1, 3\)"),
    ({"mass": np.ones((2, 3))}, r"mass has shape \(2, 3\), which does not fit \(1, 3\)"),
    ({"softening": np.zeros((3, 3))}, r"softening has shape \(3, 3\), which does not fit \(1,\)"),
    ({"present": [True, True]}, r"present has shape \(2,\), which does not fit \(1, 3\)"),
    ({"position": [[1.0, 0.0], [0.0], [2.0, 1.0]]}, r"position must be numbers in a regular array, got list \[\[1.0"),
    ({"mass": "heavy"}, "mass must be numbers in a regular array, got str heavy"),
    ({"velocity": None}, r"velocity has shape \(\), position \(1, 3, 2\)"),
    ({"position": [[1.0, math.nan], [0, 2], [1, 1]]}, r"position is not finite \(nan\).* = \[0, 0, 1\]"),
    ({"velocity": [[1.0, 2], [0, 2], [-math.inf, 1]]}, r"velocity is not finite \(-inf\).* = \[0, 2, 0\]"),
    ({"mass": [1.0, 2.0, math.nan]}, r"mass is not finite \(nan\).* = \[0, 2\]"),
    ({"time": math.nan}, r"time is not finite \(nan\)"),
    ({"softening": math.nan}, r"softening is not finite \(nan\)"),
    ({"mass": [1.0, -2.5, 1.0]}, r"mass of \[system, body\] = \[0, 1\] is -2.5; masses must be 0 or more"),
    ({"mass": 0.0}, "system 0 has no mass at all"),
    ({"softening": -0.1}, "softening is -0.1; it must be 0 or more"),
    ({"G": 0.0}, "G = 0.0 must be a positive number"),
    ({"G": -1.0}, "G = -1.0 must be a positive number"),
    ({"G": math.inf}, "G = inf must be a positive number"),
    ({"G": math.nan}, "G = nan must be a positive number"),
    ({"present": [True, False, False]}, "system 0 has fewer than 2 bodies"),
    ({"position": [[1.0, 0], [0, 2], [1, 0]]}, "body 0 of system 0 is at the same place as another, at softening 0"),
]
