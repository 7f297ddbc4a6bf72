"""Suites in HDF5 files, with one array over all problems for each quantity, padded to the largest problem."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np

from ..errors import SnapshotError
from ..files import write_atomically
from .named import InitialConditions
from .suites import Case, Known, Suite, checked

FORMAT, VERSION = "aitimestepper-suite", 1
NAMES = ("mass", "position", "velocity", "t_end", "bodies", "G", "softening", "period", "name", "family", "known")


def save_suite(suite: Suite, path: str | Path) -> Path:
    """Write a suite, whole or not at all: mass (P, N), position and velocity (P, N, D), bodies, t_end, G, softening (P,)."""
    import h5py

    if len({case.initial.position.shape[1] for case in suite.cases}) != 1:
        raise SnapshotError(f"the problems of {suite.name} have 2 and 3 axes; write a file for each.")
    P, N, D = len(suite), max(case.size for case in suite.cases), suite.cases[0].initial.position.shape[1]
    mass, position, velocity = np.zeros((P, N)), np.zeros((P, N, D)), np.zeros((P, N, D))
    for i, case in enumerate(suite.cases):
        n = case.size
        mass[i, :n], position[i, :n], velocity[i, :n] = case.initial.mass, case.initial.position, case.initial.velocity
    words = h5py.string_dtype()
    image = io.BytesIO()
    with h5py.File(image, "w") as f:
        f.attrs.update({"format": FORMAT, "version": VERSION, "name": suite.name, "split": suite.split or ""})
        f.attrs["seeds"] = json.dumps(suite.seeds)
        f.attrs["units"] = "of each problem's own, in which its G is right"
        f["mass"], f["position"], f["velocity"] = mass, position, velocity
        f["bodies"] = np.array([case.size for case in suite.cases])
        f["t_end"] = np.array([case.t_end for case in suite.cases])
        f["G"] = np.array([case.initial.G or 1.0 for case in suite.cases])
        f["period"] = np.array([math.nan if c.initial.period is None else c.initial.period for c in suite.cases])
        f["softening"] = np.array([case.softening for case in suite.cases])
        f.create_dataset("name", data=[case.name for case in suite.cases], dtype=words)
        f.create_dataset("family", data=[case.family for case in suite.cases], dtype=words)
        f.create_dataset("known", data=[_known_text(case) for case in suite.cases], dtype=words)
    write_atomically(Path(path), image.getvalue())
    return Path(path)


def load_suite(path: str | Path) -> Suite:
    """Return the suite in a file; a file made by other programs needs only mass, position, velocity and t_end."""
    import h5py

    try:
        with h5py.File(path, "r") as f:
            attrs = dict(f.attrs)
            arrays = {name: f[name][()] for name in NAMES if name in f}
    except FileNotFoundError:
        raise SnapshotError(f"there is no suite {path}.") from None
    except (OSError, TypeError) as error:
        raise SnapshotError(f"{path} does not hold a suite: {error}.") from None
    missing = [name for name in ("mass", "position", "velocity", "t_end") if name not in arrays]
    if missing:
        raise SnapshotError(f"{path} does not hold a suite: it has no {', '.join(missing)}.")
    if attrs.get("format", FORMAT) != FORMAT or attrs.get("version", VERSION) != VERSION:
        found = f"{attrs.get('format', FORMAT)} {attrs.get('version', VERSION)}"
        raise SnapshotError(f"{path} is of the format {found}, this program reads {FORMAT} {VERSION}.")
    stem, shape = Path(path).stem, arrays["mass"].shape
    short = [name for name in NAMES if name in arrays and np.shape(arrays[name])[:1] != shape[:1]]
    if len(shape) != 2 or not shape[0] or arrays["position"].ndim != 3 or short:
        shapes = ", ".join(f"{name} {np.shape(values)}" for name, values in arrays.items())
        raise SnapshotError(f"{path} does not hold a suite: the shapes {shapes} are not (P, N), (P, N, axes) and (P,).")
    try:
        cases = tuple(checked(_case(arrays, i, stem)) for i in range(shape[0]))
        seeds = {k: (int(v[0]), int(v[1])) for k, v in json.loads(attrs.get("seeds", "{}")).items()}
    except (KeyError, TypeError, IndexError, json.JSONDecodeError) as error:
        raise SnapshotError(f"{path} does not hold a suite: {type(error).__name__}: {error}.") from None
    return Suite(str(attrs.get("name", stem)), cases, str(attrs.get("split", "")) or None, seeds)


def _case(arrays: dict[str, np.ndarray], i: int, stem: str) -> Case:
    """Return problem i of the arrays in a file; `stem` is its name if the file has none."""

    def text(name: str, default: str) -> str:
        value = arrays[name][i] if name in arrays else default
        return value.decode() if isinstance(value, bytes) else str(value)

    def number(name: str, default: float) -> float:
        return float(arrays[name][i]) if name in arrays else default

    n = int(number("bodies", arrays["mass"].shape[1]))
    period = number("period", math.nan)
    mass, position, velocity = (np.asarray(arrays[k][i][:n], dtype=float) for k in ("mass", "position", "velocity"))
    initial = InitialConditions(mass, position, velocity, None if math.isnan(period) else period, number("G", 1.0))
    known = tuple(Known(k["quantity"], k["time"], np.array(k["values"])) for k in json.loads(text("known", "[]")))
    name, family = text("name", f"{stem}-{i}"), text("family", stem)
    return Case(name, family, initial, number("t_end", 0.0), number("softening", 0.0), known)


def _known_text(case: Case) -> str:
    """Return the known facts about a problem as JSON."""
    return json.dumps([{"quantity": k.quantity, "time": k.time, "values": k.values.tolist()} for k in case.known])
