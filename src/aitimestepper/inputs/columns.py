"""Columns by name: what the names in tables, dicts and files mean, and the arguments of `Bodies` made of them.

Names are those of REBOUND, AMUSE, Gadget and others, in any case. Only where the case makes the difference it counts: m is the
mass and M the mean anomaly, Omega the node and omega the pericentre. A unit may follow: `x [au]`, `x (au)` or `x_au`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import InitialConditionError, shown
from ..measured import Measured, in_one_system, measured
from ..units import UNITS, Unit, parse_unit
from ..validation import plain

AXES = ("x", "y", "z")
CARTESIAN = (*AXES, "vx", "vy", "vz")
ELEMENTS = ("a", "q", "e", "inc", "Omega", "omega", "pomega", "f", "M", "T")
EXACT = {"M": "M", "m": "mass", "Omega": "Omega", "omega": "omega", "Ω": "Omega", "ω": "omega", "T": "T", "t": "time", "G": "G"}
ALIASES = {
    "mass": "mass masses m",
    "position": "position positions pos coordinates",
    "velocity": "velocity velocities vel",
    **{axis: f"{axis} pos_{axis} position_{axis}" for axis in AXES},
    **{f"v{axis}": f"v{axis} v_{axis} vel_{axis} velocity_{axis}" for axis in AXES},
    "time": "time",
    "softening": "softening eps",
    "names": "name names body",
    "present": "present mask",
    "units": "units",
    "external_field": "external_field",
    "primary": "primary",
    "a": "a semi_major_axis semimajor_axis sma",
    "q": "q pericentre pericenter periapsis",
    "e": "e ecc eccentricity",
    "inc": "inc i incl inclination",
    "Omega": "node raan longnode ascending_node",
    "omega": "peri argperi argument_of_pericentre argument_of_pericenter",
    "pomega": "pomega varpi longperi",
    "f": "f nu true_anomaly",
    "M": "mean_anomaly",
    "T": "t_peri time_of_pericentre time_of_pericenter",
}
MEANINGS = {word: name for name, words in ALIASES.items() for word in words.split()}


class Header(NamedTuple):
    """What the name of a column means."""

    name: str | None  # a key of ALIASES; None: nothing that counts here
    unit: Unit | None
    text: str  # of the unit


def header_of(word: str) -> Header:
    """Return the meaning and the unit of the name of a column."""
    found = re.fullmatch(r"\s*([^\[(]*?)\s*[\[(]([^\])]*)[\])]\s*", word)
    bare, text = (found[1], found[2].strip()) if found else (word.strip(), "")
    name = _meaning(bare)
    if found and text and name is not None:
        return Header(name, parse_unit(text), text)
    head, _, tail = bare.rpartition("_")
    if name is None and tail.lower() in UNITS and _meaning(head) is not None:
        return Header(_meaning(head), UNITS[tail.lower()], tail)
    return Header(name, None, "")


def _meaning(word: str) -> str | None:
    return EXACT.get(word) or MEANINGS.get(word.lower())


def fields_of_columns(columns: Mapping[Any, Any], what: str) -> dict[str, Any]:
    """Return the arguments of `Bodies`, or of `Bodies.from_elements` if the columns are orbital elements.

    what: the word for the table in errors. Columns with other names are left out.
    """
    found: dict[str, Any] = {}
    for word, values in columns.items():
        header = header_of(word) if isinstance(word, str) else Header(None, None, "")
        if header.name is None or values is None:
            continue
        if header.name in found:
            raise InitialConditionError(f"{what} has several columns for {header.name}, one is {shown(word)}: keep one.")
        if header.unit is not None:
            values = Measured(_numbers(word, values), header.unit, header.text)
        found[header.name] = values
    vectors = {"position", "velocity"} & set(found)
    if "M" in found and "mass" not in found and not {"a", "q"} & set(found):
        found["mass"] = found.pop("M")  # where there are no elements, a capital M can only be the mass
    if "mass" not in found:
        raise InitialConditionError(f"{what} has no masses: it needs a column mass or m (found: {_listed(columns)}).")
    if "names" in found and not isinstance(found["names"], str):
        found["names"] = [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in found["names"]]
    if "x" not in found and not vectors and {"a", "q"} & set(found):
        return _of_elements(found, what)
    others = {name: values for name, values in found.items() if name not in (*CARTESIAN, *ELEMENTS, "primary")}
    return others | _shared(found, what, columns)


def _listed(columns: Mapping[Any, Any]) -> str:
    return shown(", ".join(map(str, columns)))


def _numbers(word: str, values: Any) -> np.ndarray:
    try:
        return np.array(plain(values), dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InitialConditionError(f"column {shown(word)} must be numbers, not {shown(values)}.") from None


def _shared(found: Mapping[str, Any], what: str, columns: Mapping[Any, Any]) -> dict[str, Any]:
    """Return position and velocity, from columns of axes or of vectors; time, G and the like as single values."""
    made = {}
    axes = AXES if "z" in found or "vz" in found or "position" in found else AXES[:2]
    for name, parts in (("position", axes), ("velocity", [f"v{axis}" for axis in axes])):
        if name in found:
            made[name] = found[name]
            continue
        missing = [part for part in parts if part not in found]
        if missing:
            raise InitialConditionError(
                f"{what} has no {name}: it needs {name} or {', '.join(parts)} (found: {_listed(columns)})."
            )
        made[name] = _stacked(name, {part: found[part] for part in parts})
    return made | _single(found)


def _stacked(name: str, parts: Mapping[str, Any]) -> Any:
    """Return columns as the last axis of one array; with units, in that of the first."""
    values = {part: measured(name, value) for part, value in parts.items()}
    units = [value for value in values.values() if isinstance(value, Measured)]
    if units and len(units) < len(values):
        bare = next(part for part, value in values.items() if not isinstance(value, Measured))
        raise InitialConditionError(f"{bare} has no unit, but other columns have: give every column a unit, or none.")
    if not units:
        return _side_by_side({part: _numbers(part, value) for part, value in values.items()})
    first = units[0]
    wrong = next((u for u in units if u.unit.powers != first.unit.powers), None)
    if wrong is not None:
        raise InitialConditionError(f"{name} has columns in {shown(first.text)} and in {shown(wrong.text)}.")
    rows = {part: _numbers(part, u.values) * (u.unit.scale / first.unit.scale) for part, u in zip(parts, units, strict=True)}
    return Measured(_side_by_side(rows), first.unit, first.text)


def _side_by_side(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    try:
        return np.stack(np.broadcast_arrays(*columns.values()), -1)
    except ValueError:
        shapes = ", ".join(f"{part} {values.shape}" for part, values in columns.items())
        raise InitialConditionError(f"columns have different shapes: {shapes}; give one number for each body.") from None


def _single(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return time and softening as one number, where a column repeats it for every body."""
    made = {}
    for name in ("time", "softening"):
        value: Any = measured(name, found.get(name))
        values: Any = value.values if isinstance(value, Measured) else value
        if value is None or np.ndim(values) == 0:
            continue
        if len(np.unique(np.asarray(values))) == 1:
            made[name] = value._replace(values=values[0]) if isinstance(value, Measured) else value[0]
    return made


def _of_elements(found: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the arguments of `Bodies.from_elements`: elements without those of the first body, which are empty or 0."""
    elements = {name: found[name] for name in ELEMENTS if name in found}
    others = {name: value for name, value in found.items() if name not in (*ELEMENTS, *CARTESIAN)}
    mass = measured("mass", found["mass"])
    bodies = np.shape(mass.values if isinstance(mass, Measured) else mass)[-1:]
    for name, given in elements.items():
        value = measured(name, given)
        values = _numbers(name, value.values if isinstance(value, Measured) else value)
        if values.shape[-1:] == bodies:
            first = values[..., 0]
            if not (np.isnan(first) | (first == 0)).all():
                raise InitialConditionError(
                    f"{what}: the first body is what the others orbit, its {name} must be empty, nan or 0, not {shown(first)}."
                )
            values = values[..., 1:]
        elements[name] = value._replace(values=values) if isinstance(value, Measured) else values
    primary: Any = others.get("primary")
    if np.ndim(primary) == 1:
        others["primary"] = _indices(primary, bodies)
    if "pomega" in elements:
        elements = _with_omega(elements)
    return others | elements | _single(found)


def _indices(primary: Any, bodies: tuple[int, ...]) -> np.ndarray:
    """Return the indices of what the orbits are about, without that of the first body."""
    values = _numbers("primary", primary)
    values = values[1:] if values.shape == bodies else values
    return values.astype(int) if (values == np.round(values)).all() else values


def _with_omega(elements: dict[str, Any]) -> dict[str, Any]:
    """Return elements with the argument of pericentre, from its longitude and that of the node."""
    if "omega" in elements:
        raise InitialConditionError("omega and pomega both say where the pericentre is: give one of them.")
    angles: dict[str, Any] = {name: elements.pop(name) for name in ("pomega", "Omega") if name in elements}
    radians, _ = in_one_system(angles, None)
    node = radians.get("Omega", 0.0)
    return elements | {"omega": np.asarray(radians["pomega"]) - node} | ({"Omega": node} if "Omega" in radians else {})
