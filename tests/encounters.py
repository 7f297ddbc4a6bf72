"""Parabolic encounters: their energy is zero but for rounding, and the energy scale of a state follows the distance."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.bodies import Bodies


def encounter(distance: float = 2.0, pericentre: float = 0.1) -> Bodies:
    """Return two bodies of the masses 1 and 1/2 on their way to a pericentre.

    S = 1e-4 (K + |U|), with K = |U|, is 1e-4 over the distance: at the pericentre it is 20 times that at the start by default.
    """
    M, p = 1.5, 2.0 * pericentre
    cosine = p / distance - 1.0
    sine = -math.sqrt(1.0 - cosine * cosine)  # before the pericentre
    x = distance * np.array([cosine, sine])
    v = math.sqrt(M / p) * np.array([-sine, 1.0 + cosine])
    share = np.array([[-1 / 3], [2 / 3]])
    return Bodies([1.0, 0.5], share * x, share * v)
