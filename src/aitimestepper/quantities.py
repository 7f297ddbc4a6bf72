"""Numbers given back as quantities of astropy, which is imported here alone, and when it is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .errors import InitialConditionError, require
from .measured import SI
from .units import LENGTH, MASS, TIME, VELOCITY, UnitSystem


class Quantities(NamedTuple):
    """Quantities of astropy of B systems."""

    mass: Any  # (B, N)
    position: Any  # (B, N, D)
    velocity: Any  # (B, N, D)
    time: Any  # (B,)


def quantities(
    units: UnitSystem | None, mass: np.ndarray, position: np.ndarray, velocity: np.ndarray, time: np.ndarray
) -> Quantities:
    """Return arrays as quantities, in the units in which they were given."""
    if units is None:
        raise InitialConditionError("these bodies have no units: give them some, as Bodies(..., units='au Msun yr').")
    return Quantities(
        _quantity(units, MASS, units.labels[1], mass),
        _quantity(units, LENGTH, units.labels[0], position),
        _quantity(units, VELOCITY, units.labels[3], velocity),
        _quantity(units, TIME, units.labels[2], time),
    )


def _quantity(units: UnitSystem, kind: str, label: str, values: np.ndarray) -> Any:
    """Return values in units of the system as a quantity in the unit `label`; in that of the system if that is none of it."""
    u = require("astropy.units", "astropy", "giving results as quantities")
    own = u.Unit(units.scale(kind) * u.Unit(SI[kind]))
    try:
        wanted = u.Unit(label)
        factor = own.to(wanted)
    except (ValueError, TypeError):  # the unit has a name that astropy does not know, such as yr2pi
        return values * own
    return (values.copy() if abs(factor - 1) < 1e-13 else values * factor) * wanted
