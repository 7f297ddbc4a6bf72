"""Suites in HDF5 files, with one array over all problems for each quantity, padded to the largest problem."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InitialConditionError, SnapshotError, UserError
from ..fields import OWN, field_from_plain, field_to_plain
from ..files import is_sealed, parse_json, path_shown, read_bytes, seal, write_atomically
from ..files.archives import MARK, SEAL
from ..files.hdf5 import all_stored, attributes_of, datasets_in
from .named import InitialConditions
from .suites import Case, Known, Suite, checked

FORMAT, VERSION = "aitimestepper-suite", 3
READABLE = (2, VERSION)  # 2 has no fields, and does not say what is regular
TEXTS = ("name", "family", "known", "field")
NAMES = ("mass", "position", "velocity", "t_end", "bodies", "G", "softening", "period", "regular", *TEXTS)
ATTRIBUTES = ("format", "version", "name", "split", "seeds")
DAMAGED = "it is damaged, or was changed by another program: its contents do not fit the checksum at its end"


def save_suite(suite: Suite, path: str | Path) -> Path:
    """Write a suite, whole or not at all: mass (P, N), position and velocity (P, N, D), bodies, t_end, G, ... (P,)."""
    import h5py

    if len({case.initial.position.shape[1] for case in suite.cases}) != 1:
        raise SnapshotError(f"the problems of {suite.name} have 2 and 3 axes; write a file for each.")
    own = [case.name for case in suite.cases if field_to_plain(case.external_field) == OWN]
    if own:
        raise SnapshotError(f"{own[0]} has an external field of your own, which a file cannot hold; write the others.")
    P, N, D = len(suite), max(case.size for case in suite.cases), suite.cases[0].initial.position.shape[1]
    mass, position, velocity = np.zeros((P, N)), np.zeros((P, N, D)), np.zeros((P, N, D))
    for i, case in enumerate(suite.cases):
        n = case.size
        mass[i, :n], position[i, :n], velocity[i, :n] = case.initial.mass, case.initial.position, case.initial.velocity
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v110", "v110")) as f:
        about = {"format": FORMAT, "name": suite.name, "split": suite.split or "-", "seeds": json.dumps(suite.seeds)}
        about["units"] = "of each problem's own, in which its G is right"
        f.attrs.update({name: np.bytes_(text.encode()) for name, text in about.items()} | {"version": VERSION})
        f["mass"], f["position"], f["velocity"] = mass, position, velocity
        f["bodies"] = np.array([case.size for case in suite.cases])
        f["t_end"] = np.array([case.t_end for case in suite.cases])
        f["G"] = np.array([case.initial.G or 1.0 for case in suite.cases])
        f["period"] = np.array([math.nan if c.initial.period is None else c.initial.period for c in suite.cases])
        f["softening"] = np.array([case.softening for case in suite.cases])
        f["regular"] = suite.regular.astype(np.int8)
        f["field"] = np.array([json.dumps(field_to_plain(case.external_field)).encode() for case in suite.cases])
        f["name"] = np.array([case.name.encode() for case in suite.cases])
        f["family"] = np.array([case.family.encode() for case in suite.cases])
        f["known"] = np.array([_known_text(case).encode() for case in suite.cases])
    write_atomically(Path(path), seal(image.getvalue()))
    return Path(path)


def load_suite(path: str | Path) -> Suite:
    """Return the suite in a file; a file made by other programs needs only mass, position, velocity and t_end.

    Text counts where it is of fixed length; see `attributes_of`.
    A file of this program has a seal, so that damage to it shows; from other programs, data in other files are refused.
    """
    import h5py

    path = Path(path)
    raw = read_bytes(path, "suite", SnapshotError)
    whole = is_sealed(raw)
    try:
        if MARK in raw[-SEAL:] and not whole:
            raise SnapshotError(DAMAGED)
        with h5py.File(io.BytesIO(raw), "r") as f:
            attrs = attributes_of(f, ATTRIBUTES)
            if "format" in attrs and not whole:
                raise SnapshotError(DAMAGED)
            datasets = datasets_in(f, path)
            given = [name for name in NAMES if name in datasets and datasets[name].dtype.kind != "O"]
            arrays = {name: _values(datasets[name], name) for name in given}
        return _suite(arrays, attrs, path.stem)
    except InitialConditionError:
        raise
    except UserError as error:
        raise (
            error if str(path) in str(error) else SnapshotError(f"{path_shown(path)} does not hold a suite: {error}.")
        ) from None
    except Exception as error:  # whatever HDF5 raises for a file that is damaged or none
        reason = str(error).partition("\n")[0]
        raise SnapshotError(f"{path_shown(path)} does not hold a suite: {type(error).__name__}: {reason}.") from None


def _values(dataset: Any, name: str) -> np.ndarray:
    """Return a data set of numbers, or of text of fixed length under one of the names for it."""
    if dataset.chunks is not None and not all_stored(dataset, len(dataset)):
        raise SnapshotError(f"{name} states more numbers than it holds")
    if (dataset.dtype.kind == "S") != (name in TEXTS) or dataset.dtype.kind not in "biufS":
        raise SnapshotError(f"{name} has the type {dataset.dtype}")
    return np.asarray(dataset[()])


def _suite(arrays: dict[str, np.ndarray], attrs: dict[str, Any], stem: str) -> Suite:
    """Return the suite that arrays and attributes describe; `stem` is its name if they have none."""
    missing = [name for name in ("mass", "position", "velocity", "t_end") if name not in arrays]
    if missing:
        raise SnapshotError(f"it has no {', '.join(missing)}")
    if attrs.get("format", FORMAT) != FORMAT or attrs.get("version", VERSION) not in READABLE:
        found = f"{attrs.get('format', FORMAT)} {attrs.get('version', VERSION)}"
        raise SnapshotError(f"it is of the format {found}, this program reads {FORMAT} {VERSION}")
    shape = arrays["mass"].shape
    short = [name for name in NAMES if name in arrays and np.shape(arrays[name])[:1] != shape[:1]]
    flat = all(x.ndim == 1 for name, x in arrays.items() if name not in ("mass", "position", "velocity"))
    if len(shape) != 2 or not shape[0] or arrays["position"].ndim != 3 or short or not flat:
        shapes = ", ".join(f"{name} {np.shape(values)}" for name, values in arrays.items())
        raise SnapshotError(f"the shapes {shapes} are not (P, N), (P, N, axes) and (P,)")
    cases = tuple(checked(_case(arrays, i, stem)) for i in range(shape[0]))
    seeds = {str(k): (int(v[0]), int(v[1])) for k, v in parse_json(str(attrs.get("seeds", "{}"))).items()}
    split = str(attrs.get("split", "-"))
    return Suite(str(attrs.get("name", stem)), cases, None if split == "-" else split, seeds)


def _case(arrays: dict[str, np.ndarray], i: int, stem: str) -> Case:
    """Return problem i of the arrays in a file; `stem` is its name if the file has none."""

    def text(name: str, default: str) -> str:
        value = arrays[name][i] if name in arrays else default
        return value.decode() if isinstance(value, bytes) else str(value)

    def number(name: str, default: float) -> float:
        return float(arrays[name][i]) if name in arrays else default

    n, most = int(number("bodies", arrays["mass"].shape[1])), arrays["mass"].shape[1]
    if not 2 <= n <= most:
        raise SnapshotError(f"problem {i} has {n} bodies of {most}")
    period = number("period", math.nan)
    mass, position, velocity = (np.asarray(arrays[k][i][:n], dtype=float) for k in ("mass", "position", "velocity"))
    initial = InitialConditions(mass, position, velocity, None if math.isnan(period) else period, number("G", 1.0))
    known = tuple(
        Known(str(k["quantity"]), float(k["time"]), np.array(k["values"], dtype=float)) for k in parse_json(text("known", "[]"))
    )
    name, family = text("name", f"{stem}-{i}"), text("family", stem)
    external_field, regular = field_from_plain(parse_json(text("field", "null"))), bool(number("regular", 0.0))
    return Case(name, family, initial, number("t_end", 0.0), number("softening", 0.0), known, regular, external_field)


def _known_text(case: Case) -> str:
    """Return the known facts about a problem as JSON."""
    return json.dumps([{"quantity": k.quantity, "time": k.time, "values": k.values.tolist()} for k in case.known])
