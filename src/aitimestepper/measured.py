"""Numbers that come with a unit: quantities of astropy, and columns of tables that name one. They become plain numbers here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .errors import InitialConditionError, shown
from .units import ANGLE, GRAVITY, LENGTH, MASS, POWERS, TIME, UNITS, VELOCITY, Unit, UnitSystem, system_of
from .validation import as_array

NUMBER = "number without a unit"
SI = {LENGTH: "m", MASS: "kg", TIME: "s", VELOCITY: "m / s", ANGLE: "rad", GRAVITY: "m3 / (kg s2)"}
# what the numbers of bodies and of orbits are
KINDS = {
    **dict.fromkeys(("position", "softening", "a", "q"), LENGTH),
    **dict.fromkeys(("inc", "Omega", "omega", "pomega", "f", "M"), ANGLE),
    **dict.fromkeys(("time", "T"), TIME),
    "mass": MASS,
    "velocity": VELOCITY,
    "G": GRAVITY,
}


class Measured(NamedTuple):
    """Numbers with a unit; `text` is what the unit is called."""

    values: Any
    unit: Unit
    text: str


def is_quantity(value: Any) -> bool:
    """Return whether `value` is a quantity of astropy, or a list of them."""
    while isinstance(value, (list, tuple)) and not isinstance(value, Measured) and len(value):
        value = value[0]
    return type(value).__module__.startswith("astropy") and hasattr(value, "unit") and hasattr(value, "value")


def measured(name: str, value: Any, kind: str | None = None) -> Any:
    """Return a quantity of astropy as `Measured`, and anything else as it is; its kind is that of `name` in KINDS or given."""
    if not is_quantity(value):
        return value
    if isinstance(value, (list, tuple)):
        unit = _first(value).unit
        value = _collected(name, value, unit) * unit
    kind = kind or KINDS.get(name, NUMBER)
    try:
        scale = float(value.unit.to(SI.get(kind, "")))
    except Exception:  # of astropy, which is not imported here
        raise InitialConditionError(f"{name} is in {shown(value.unit)}, which is no {kind}.") from None
    if kind == NUMBER:
        return value.value * scale
    return Measured(value.value, Unit(scale, POWERS[kind]), str(value.unit))


def _first(value: Any) -> Any:
    while isinstance(value, (list, tuple)):
        value = value[0]
    return value


def _collected(name: str, values: Any, unit: Any) -> np.ndarray:
    """Return nested lists of quantities as an array of numbers in `unit`."""

    def number(value: Any) -> Any:
        return list(map(number, value)) if isinstance(value, (list, tuple)) else value.to_value(unit)

    try:
        return np.array(number(values), dtype=float)
    except Exception:  # numbers without a unit among them, or another kind of unit
        raise InitialConditionError(f"{name} has numbers of {shown(unit)} beside others; give one unit for all.") from None


def in_one_system(values: Mapping[str, Any], units: UnitSystem | None) -> tuple[dict[str, Any], UnitSystem | None]:
    """Return plain numbers in one system of units, and that system: `units`, or else the one that the numbers come with.

    values: by the names in KINDS, plain, as quantities of astropy or as `Measured`; plain ones are in `units`. Where some of
    mass, position and velocity have a unit and others have none, an error says which.
    """
    found = {name: measured(name, value) for name, value in values.items()}
    with_units = {name: value for name, value in found.items() if isinstance(value, Measured)}
    if not with_units:
        return found, units
    _refuse_wrong_kinds(with_units)
    if units is None:
        _refuse_mixed(found, with_units)
        units = _system_of(with_units)
    plain = {name: _rescaled(value, 1.0 if units is None else units.scale(KINDS[name])) for name, value in with_units.items()}
    return found | plain, units


def _rescaled(value: Measured, unit: float) -> Any:
    factor = value.unit.scale / unit
    with np.errstate(over="ignore"):  # infinite numbers are refused by whoever takes them
        return value.values if abs(factor - 1) < 1e-15 else as_array("numbers", value.values) * factor


def _system_of(values: Mapping[str, Measured]) -> UnitSystem | None:
    """Return the system of the units in which numbers are given; None if only angles have some."""
    given: dict[str, tuple[str, Unit]] = {}
    for name, value in values.items():
        given.setdefault(KINDS[name], (value.text, value.unit))
    if not set(given) - {ANGLE, GRAVITY}:
        return None
    missing = [kind for kind in (LENGTH, MASS) if kind not in given]
    if missing:
        raise InitialConditionError(f"no number has a unit of {missing[0]}, but some have units: give all, or none.")
    if TIME not in given and VELOCITY not in given:
        given[TIME] = ("yr", UNITS["yr"])
    return system_of(given)


def _refuse_mixed(found: Mapping[str, Any], with_units: Mapping[str, Measured]) -> None:
    """Raise an error where numbers other than 0 have no unit beside some that have one; those of angles are radians."""
    if all(KINDS.get(name) in (ANGLE, GRAVITY) for name in with_units):
        return
    for name, value in found.items():
        plain = name not in with_units and value is not None and KINDS.get(name) not in (ANGLE, GRAVITY, None)
        if plain and np.any(np.asarray(value, dtype=object) != 0):
            other = next(iter(with_units))
            raise InitialConditionError(
                f"{name} has no unit, but {other} has ({shown(with_units[other].text)}): give every number a unit, or none."
            )


def _refuse_wrong_kinds(values: Mapping[str, Measured]) -> None:
    for name, value in values.items():
        if value.unit.powers != POWERS[KINDS[name]]:
            raise InitialConditionError(f"{name} is in {shown(value.text)}, which is no {KINDS[name]}.")
        if not 0 < value.unit.scale < math.inf:
            raise InitialConditionError(f"the unit {shown(value.text)} of {name} is {value.unit.scale} of SI; give another.")


def in_time_unit(name: str, value: Any, units: UnitSystem | None) -> Any:
    """Return a time such as t_end as a plain number in `units`; plain numbers are returned as they are."""
    if not is_quantity(value):
        return value
    if units is None:
        raise InitialConditionError(f"{name} = {shown(value)} has a unit, but the bodies have none: give them units, too.")
    found: Measured = measured(name, value, TIME)
    return _rescaled(found, units.time)
