"""Features of a state: their names, dimensions and scales.

Every feature type is a table of (name, dimension); the dimension (powers of mass, length, time) decides its scale. The
features themselves are computed by `differentiable.features`, which learns through them, and by `simulate.kernels.observe`,
which runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import ConfigError

Dimension = tuple[int, int, int]
Table = tuple[tuple[str, Dimension], ...]

NUMBER, MASS, LENGTH, SPEED, ACCELERATION, TIME = (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, -1), (0, 1, -2), (0, 0, 1)

BASIC: Table = (
    ("bodies", NUMBER),
    ("axes", NUMBER),
    ("total mass", MASS),
    ("mean radius", LENGTH),
    ("max radius", LENGTH),
    ("mean speed", SPEED),
    ("max speed", SPEED),
    ("mean acceleration", ACCELERATION),
    ("max acceleration", ACCELERATION),
    ("min pair distance", LENGTH),
    ("mean pair distance", LENGTH),
)
RICH: Table = (
    *BASIC,
    ("mean mass", MASS),
    ("min mass", MASS),
    ("max mass", MASS),
    ("mass deviation", MASS),
    ("min radius", LENGTH),
    ("rms radius", LENGTH),
    ("min speed", SPEED),
    ("rms speed", SPEED),
    ("min acceleration", ACCELERATION),
    ("rms acceleration", ACCELERATION),
    ("max pair distance", LENGTH),
    ("softening", LENGTH),
)
TRANSITION: Table = (
    *((f"{kind} |dx|", LENGTH) for kind in ("mean", "max", "rms")),
    *((f"{kind} |dv|", SPEED) for kind in ("mean", "max", "rms")),
    *((f"{kind} |da|", ACCELERATION) for kind in ("mean", "max", "rms")),
    ("dt", TIME),
)
INVARIANT: Table = (
    ("ln chi, the tightest pairs' potential energy over the total energy and over their own", NUMBER),
    ("ln(1 + flyby rate over free-fall rate of the tightest pairs)", NUMBER),
    ("ln(tau_2/tau_4): how many pairs matter", NUMBER),
    ("ln(0.001 + pericentre distance over distance) of the tightest pairs, as if each were alone", NUMBER),
    ("ln(1 + eccentricity^2) of their orbits", NUMBER),
    ("ln(sum m a^2 tau_4^2 over the total energy)", NUMBER),
    ("ln(0.001 + that over the total energy alone over chi): how light the tightest pairs are", NUMBER),
    ("ln(1 + (10 times the energy error so far over the tolerance)^2) / 2, with its sign", NUMBER),
    ("ln tolerance", NUMBER),
)
ERROR_FRACTION = 7  # index of the invariant feature that holds the energy error so far over the tolerance


@dataclass(frozen=True)
class Scales:
    """Length, speed, acceleration, time and mass of the training set, measured once; the defaults of 1 scale nothing."""

    L0: float = 1.0
    V0: float = 1.0
    A0: float = 1.0
    T0: float = 1.0
    M0: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"scales: {name} = {str(value)[:60]} must be a positive number.")

    def of(self, table: Table) -> tuple[float, ...]:
        """Return the scale of every feature of `table`."""
        by_dimension = {
            NUMBER: 1.0,
            MASS: self.M0,
            LENGTH: self.L0,
            SPEED: self.V0,
            ACCELERATION: self.A0,
            TIME: self.T0,
        }
        return tuple(by_dimension[dimension] for _, dimension in table)


def slot_table(feature_type: str, history_len: int) -> Table:
    """Return the features of one slot: `delta_mag` describes transitions when there is history, else it is `basic`."""
    if feature_type == "delta_mag":
        return TRANSITION if history_len else BASIC
    return {"rich": RICH, "invariant": INVARIANT}.get(feature_type, BASIC)


def feature_count(feature_type: str, history_len: int) -> int:
    """Return the length of the vector: (K+1) F for `basic` and `rich`, 10 K for `delta_mag` with history, 9 `invariant`."""
    slots = history_len if feature_type == "delta_mag" and history_len else history_len + 1
    return slots * len(slot_table(feature_type, history_len))
