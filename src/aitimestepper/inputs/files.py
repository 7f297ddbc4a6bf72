"""Files of bodies, known by their content: NumPy, HDF5, archives of REBOUND, text. Nothing in them is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InitialConditionError, SnapshotError, shown
from ..files import parse_array, path_shown, read_bytes
from ..files.hdf5 import SIGNATURE, Stored, stored_arrays
from ..measured import Measured
from ..units import parse_unit
from .columns import fields_of_columns, header_of
from .rebound_archive import MAGIC, fields_of_archive
from .text import NO_UNIT, fields_of_rows, fields_of_text

NUMPY = b"\x93NUMPY"
WHAT = "initial conditions"
OURS = {
    "aitimestepper-suite": "a suite of problems, see docs/bench.md",
    "aitimestepper-snapshots": "a simulation: continue it with resume, or take bodies of Snapshots(...)",
}


def fields_of_file(path: Path) -> dict[str, Any]:
    """Return the arguments of `Bodies`, or of `Bodies.from_elements`, in a file; an error says what is wrong with it."""
    content = read_bytes(path, WHAT, InitialConditionError)
    if path.suffix == ".npy" or content.startswith(NUMPY):
        array = _array_in(content, path)
        if array.dtype.names is None:
            return fields_of_rows(array, path)
        return fields_of_columns({name: array[name] for name in array.dtype.names}, path_shown(path))
    if content.startswith(SIGNATURE):
        return _in_hdf5(content, path)
    if content.startswith(MAGIC):
        return fields_of_archive(content, path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise InitialConditionError(f"{path_shown(path)} is no text: {cause}.") from None
    return fields_of_text(text, path)


def _array_in(content: bytes, path: Path) -> np.ndarray:
    """Return the numbers in the content of a .npy file, or its columns of numbers and text."""
    try:
        if content.startswith(b"PK"):
            raise TypeError("it is an archive of several arrays, save one with numpy.save")
        values = parse_array(content, columns=True)
        if np.iscomplexobj(values):
            raise TypeError("its numbers are complex")
        return values if values.dtype.names else values.astype(np.float64)
    except Exception as error:  # whatever NumPy's parser raises about a file that is not trusted
        reason = str(error).partition("\n")[0][:100]
        raise InitialConditionError(f"{path_shown(path)} is not an array of numbers: {reason}") from None


def _in_hdf5(content: bytes, path: Path) -> dict[str, Any]:
    """Return the arguments in the data sets of the one group that holds masses."""
    try:
        about, arrays = stored_arrays(content, path, lambda name: header_of(name).name is not None)
    except SnapshotError as error:
        raise InitialConditionError(str(error)) from None
    kind = str(about.get("format", ""))
    if kind.startswith("aitimestepper"):
        raise InitialConditionError(f"{path_shown(path)} is {OURS.get(kind, 'a file of this program')}, and no set of bodies.")
    groups: dict[str, dict[str, Any]] = {}
    for where, stored in arrays.items():
        group, _, name = where.rpartition("/")
        groups.setdefault(group, {})[name] = _column(stored, name)
    holding = [group for group, columns in groups.items() if any(header_of(name).name in ("mass", "M") for name in columns)]
    if len(holding) != 1:
        words = f"{len(holding)} groups with masses ({shown(', '.join(holding))})" if holding else "no masses"
        raise InitialConditionError(f"{path_shown(path)} holds {words}; it needs mass, position and velocity in one group.")
    return fields_of_columns(groups[holding[0]], path_shown(path))


def _column(stored: Stored, name: str) -> Any:
    values = stored.values
    if values.dtype.kind == "S":
        if values.ndim > 1:
            raise InitialConditionError(f"{shown(name)} holds text in {values.ndim} axes; it needs numbers, or a word a body.")
        return [word.decode(errors="replace") for word in np.atleast_1d(values).tolist()]
    if stored.unit is None or stored.unit.lower().replace(" ", "") in NO_UNIT:
        return values
    return Measured(values.astype(np.float64), parse_unit(stored.unit), stored.unit)
