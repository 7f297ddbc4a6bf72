"""What people have: dicts, tuples, tables, arrays, simulations of other programs and files, as the arguments of `Bodies`.

Objects of pandas, astropy, REBOUND and torch are known by what they can do; none of these libraries is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InitialConditionError
from .columns import fields_of_columns
from .files import fields_of_file
from .rebound_simulation import fields_of_simulation, is_simulation

WHOLE = ("mass", "position", "velocity")
MORE = ("time", "softening", "G", "names", "external_field", "units", "present")


def fields_of(thing: Any) -> dict[str, Any]:
    """Return the arguments of `Bodies`, or without `position` those of `Bodies.from_elements`, that `thing` holds.

    thing: an object with the attributes mass, position and velocity, such as a `ParticleTorch`; a dict, a pandas or astropy
    table or a structured array with columns such as m, x, y, z, vx, vy, vz or m, a, e, ...; a tuple (mass, position, velocity);
    an array with the rows mass, position, velocity; a `rebound.Simulation`; the path of a file. Numbers may be quantities of
    astropy. An error says what is missing.
    """
    if isinstance(thing, (str, Path)):
        return fields_of_file(Path(thing))
    if is_simulation(thing):
        return fields_of_simulation(thing)
    if all(hasattr(thing, name) for name in WHOLE) and not isinstance(thing, Mapping):
        return _attributes(thing)
    columns = _columns(thing)
    if columns is not None:
        return fields_of_columns(columns, type(thing).__name__)
    if isinstance(thing, (tuple, list)) and len(thing) == 3:
        return dict(zip(WHOLE, thing, strict=True))
    if isinstance(thing, np.ndarray) and thing.ndim == 2 and thing.shape[1] in (5, 7):
        dim = thing.shape[1] // 2
        return {"mass": thing[:, 0], "position": thing[:, 1 : 1 + dim], "velocity": thing[:, 1 + dim :]}
    missing = [name for name in WHOLE if not hasattr(thing, name)]
    raise InitialConditionError(
        f"simulate needs mass, position and velocity arrays; {type(thing).__name__} lacks {', '.join(missing)}: give Bodies, a "
        "dict, a table, a tuple (mass, position, velocity), a rebound.Simulation or the path of a file."
    )


def _attributes(thing: Any) -> dict[str, Any]:
    found = {name: getattr(thing, name, None) for name in (*WHOLE, *MORE)}
    if found["present"] is None:
        found["present"] = getattr(thing, "mask", None)
    if not isinstance(found["units"], (str, type(None))) and not hasattr(found["units"], "scale"):
        found["units"] = None
    return {name: value for name, value in found.items() if value is not None}


def _columns(thing: Any) -> Mapping[str, Any] | None:
    """Return the columns of a table by name, or None if it is none."""
    if isinstance(thing, Mapping):
        return thing
    if isinstance(thing, np.ndarray):
        return {name: thing[name] for name in thing.dtype.names} if thing.dtype.names else None
    names = next((getattr(thing, word) for word in ("colnames", "columns") if hasattr(thing, word)), None)
    if names is None or not hasattr(thing, "__getitem__"):
        return None
    names = [str(name) for name in names]
    double = [name for name in names if names.count(name) > 1]
    if double:
        raise InitialConditionError(f"{type(thing).__name__} has several columns called {double[0]}: keep one.")
    found = {name: _column(thing[name]) for name in names}
    index: Any = getattr(thing, "index", None)  # the rows of a pandas table may be called as the bodies are
    if not callable(index) and len(np.shape(index)) == 1 and all(isinstance(word, str) for word in index):
        found.setdefault("name", list(index))
    return found


def _column(column: Any) -> Any:
    """Return a column as an array, or as a quantity if it has a unit."""
    if type(column).__module__.startswith("astropy"):
        return getattr(column, "quantity", column) if getattr(column, "unit", None) is not None else np.asarray(column)
    return np.asarray(column)
