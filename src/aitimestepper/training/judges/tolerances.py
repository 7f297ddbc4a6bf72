"""The tolerances that a training on runs learns and calibrates for."""

from __future__ import annotations

import math

from ...config import Config

SUITABLE: dict[str, tuple[float, ...]] = {  # tolerances for which a splitting is of use
    "leapfrog": (1e-1, 1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "kahan_li6": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "kahan_li8": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "blanes_moan4": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "blanes_moan6": (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "chin4": (1e-2, 1e-3, 1e-4, 1e-5),
}
# The loosest of them at which there is something to learn: at looser ones ceilings and smoothness determine the steps.
# For Blanes & Moan's and Chin's it is the loosest that suits them.
LOOSEST_LEARNED = {
    "leapfrog": 1e-1,
    "suzuki4": 1e-3,
    "kahan_li6": 1e-4,
    "kahan_li8": 1e-6,
    "blanes_moan4": 1e-2,
    "blanes_moan6": 1e-3,
    "chin4": 1e-2,
}
FARTHEST = math.log(1000.0)  # largest ln of the tolerance wanted over the one that calibration asks a network for


def asked(config: Config) -> tuple[float, ...]:
    """Return the tolerances to calibrate for, from loose to tight."""
    return tuple(sorted(config.tolerances or SUITABLE[config.integrator], reverse=True))


def learned(config: Config) -> tuple[float, ...]:
    """Return the tolerances to learn from: all that were given, or those at which there is something to learn."""
    return asked(config) if config.tolerances else tuple(t for t in asked(config) if t <= LOOSEST_LEARNED[config.integrator])


def measured_at(tolerances: tuple[float, ...]) -> tuple[float, ...]:
    """Return tolerances to measure errors of steps at: the two ends, and others at factors of about 30 between them.

    The loose end is ten times the loosest tolerance, since calibration may ask for more than is wanted.
    """
    first, last = math.log(10.0 * max(tolerances)), math.log(min(tolerances))
    parts = max(1, round((first - last) / math.log(30.0)))
    return tuple(math.exp(first + (last - first) * k / parts) for k in range(parts + 1))
