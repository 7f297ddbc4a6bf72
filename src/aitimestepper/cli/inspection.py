"""`aitimestepper inspect`: the contents of a file, and the command to use it with."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SnapshotError, UserError, shown
from ..files import conforms, is_being_written, open_regular
from ..models import find_model
from ..models.described import training_words
from ..simulate.snapshots import Snapshots
from .arguments import Request
from .model_inspection import calibration_lines, describe_model
from .terminal import print_json, print_rows

UNFINISHED = ("running", "interrupted")
# types of an outcome, a value for each system, and of a setting
RESULT: dict[str, Any] = {
    "status": list[str],
    "steps": list[int],
    "force_evaluations": list[int],
    "max_energy_error": list[float | None],
    "final_energy_error": list[float | None],
}
SETTING = bool | float | str | list[float] | None
WHOLE = ("simulation", "model", "next")  # lines that are not wrapped, so that a path or a command can be copied
# settings of a run, and their names in the table
SETTINGS = {
    "criterion": "criterion",
    "integrator": "integrator",
    "tol": "tolerance",
    "t_end": "end time",
    "steps": "steps asked for",
    "output_every": "output every",
    "dt_min": "smallest dt",
    "dt_max": "largest dt",
    "guard": "guard",
    "external_field": "external field",
    "units": "units",
    "created": "created",
}


def run(request: Request) -> int:
    """Print what the file holds, and return the exit code."""
    content = inspect_file(Path(str(request.file)))
    if request.json:
        print_json(content)
    else:
        print_inspection(content)
    return 0


def inspect_file(path: Path) -> dict[str, Any]:
    """Return the contents of a file, a simulation or a model, as JSON values; for a run folder those of its newest model."""
    if os.path.isdir(path) or not (path.suffix or os.path.exists(path)):
        path = find_model(path)
    with open_regular(path, "file") as f:
        head = f.read(8)
    if head == b"\x89HDF\r\n\x1a\n":
        content = _simulation(path)
    elif head[:2] == b"PK":
        path = find_model(path)  # beside a checkpoint
        content = describe_model(path)
    else:
        raise UserError(f"{path} is neither a simulation (.h5) nor a model (.npz) of aitimestepper.")
    return dict(_json_value({"file": str(path), **content, "size": path.stat().st_size}))


def _simulation(path: Path) -> dict[str, Any]:
    with Snapshots(path) as s:
        metadata, result, time = s.metadata, s.result, s.time
        _check(path, result, metadata, s.position.shape[1])
        finite = time[np.isfinite(time)]
        systems, bodies, axes = s.position.shape[1:]
        content = {
            "kind": "simulation",
            "progress": _progress(path, s.status),
            "status": s.status,
            "systems": systems,
            "bodies": bodies,
            "axes": axes,
            "rows": len(s),
            "time": [finite.min(), finite.max()] if len(finite) else None,
            "settings": {name: metadata[name] for name in SETTINGS if metadata.get(name) is not None},
            "versions": {"aitimestepper": metadata.get("version"), **(metadata.get("versions") or {})},
            "result": {name: value for name, value in result.items() if name != "status"},
        }
    if "simulation" in metadata:  # the state of a `Simulation`, which is neither a row nor an end
        content |= {"progress": "held", "next": f"aitimestepper.Simulation.load({str(path)!r})"}
        content["settings"].pop("output_every", None)
    elif content["progress"] == "unfinished":
        content["next"] = f"aitimestepper simulate --resume {path}"
    return content


def _check(path: Path, result: dict[str, Any], metadata: dict[str, Any], systems: int) -> None:
    """Raise an error for an outcome or settings of other types than those of a run."""
    for name, kind in RESULT.items():
        value = result.get(name)
        if value is not None and not (conforms(value, kind) and len(value) == systems):
            raise SnapshotError(f"{path} is refused: its {name.replace('_', ' ')} = {shown(value)} are none.")
    for name in ("versions", *SETTINGS):
        value = metadata.get(name)
        if not conforms(value, dict[str, str] | None if name == "versions" else SETTING):
            raise SnapshotError(f"{path} is refused: {name} = {shown(value)} is no setting of a run.")


def _progress(path: Path, status: list[str]) -> str:
    if not any(word in UNFINISHED for word in status):
        return "finished"
    return "being written" if is_being_written(path) else "unfinished"


def print_inspection(content: dict[str, Any]) -> None:
    """Print what `inspect_file` returned, a name and its words on each line; paths and commands are never broken."""
    rows = _simulation_lines(content) if content["kind"] == "simulation" else _model_lines(content)
    print_rows(rows, WHOLE)


def _simulation_lines(c: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("simulation", f"{c['file']} ({_size(c['size'])})"), ("status", _status(c))]
    lines.append(("holds", f"{_count(c['systems'], 'system')} of {_count(c['bodies'], 'body', 'bodies')} in {c['axes']}D"))
    span = f", t = {c['time'][0]:g} to {c['time'][1]:.10g}" if c["time"] else ""
    lines.append(("rows", f"{c['rows']}{span}"))
    lines += [(SETTINGS[name], _number(value)) for name, value in c["settings"].items() if value is not None]
    result = c["result"]
    for name, words in (
        ("steps", "steps taken"),
        ("force_evaluations", "force evaluations"),
        ("max_energy_error", "largest energy error"),
        ("final_energy_error", "final energy error"),
    ):
        if result.get(name) is not None:
            lines.append((words, _over_systems(result[name])))
    if closest := _closest(result.get("closest_approach")):
        lines.append(("closest approach", closest))
    if versions := [f"{name} {version}" for name, version in c["versions"].items() if version]:
        lines.append(("versions", ", ".join(versions)))
    return [*lines, *([("next", c["next"])] if "next" in c else [])]


def _model_lines(c: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("model", f"{c['file']} ({_size(c['size'])})")]
    names = ("epochs", "network", "features", "integrator", "energy_threshold")
    lines += [(name.replace("_", " "), _number(c[name])) for name in names if name in c]
    lines.append(("trained on", training_words(c)))
    if "calibration" in c:
        first, *rest = calibration_lines(c["calibration"])
        lines += [("calibrated for", first), *(("", line) for line in rest)]
    if "last_epoch" in c:
        metrics = (f"{name.partition('/')[2].replace('_', ' ')} {_number(x)}" for name, x in c["last_epoch"].items())
        lines.append(("last epoch", ", ".join(metrics)))
    return [*lines, ("next", c["next"])]


def _status(c: dict[str, Any]) -> str:
    counts = Counter(c["status"])
    each = next(iter(counts)) if len(c["status"]) == 1 else ", ".join(f"{n} {word}" for word, n in counts.most_common())
    if c["progress"] == "held":
        return "a Simulation, which goes on in Python"
    if c["progress"] == "being written":
        return f"being written now ({each})"
    if c["progress"] == "finished":
        return f"finished: {each}"
    state = "interrupted" if "running" not in counts else "stopped before its end, as by a kill or a full disk"
    return state if len(c["status"]) == 1 else f"{state}: {each}"


def _over_systems(values: Any) -> str:
    """Return a number as text; for several systems the largest, its system, and the median."""
    numbers = [math.nan if x is None else float(x) for x in (values if isinstance(values, list) else [values])]
    if len(numbers) == 1 or not np.isfinite(numbers).any():
        return _number(numbers[0])
    worst = int(np.nanargmax(numbers))
    return f"at most {_number(numbers[worst])} (system {worst}), median {_number(float(np.nanmedian(numbers)))}"


def _closest(found: Any) -> str | None:
    """Return the closest approach among all systems as text, or None if it is unknown."""
    try:
        distances = [math.inf if x is None else x for x in found["distance"]]
        at = int(np.argmin(distances))
        (i, j), distance, time = found["pair"][at], distances[at], found["time"][at]
        where = f" of system {at}" if len(distances) > 1 else ""
        return f"{distance:.6g} between bodies {i} and {j}{where}, at t = {time:.6g}" if math.isfinite(distance) else None
    except (TypeError, KeyError, IndexError, ValueError):
        return None


def _number(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_number, value))
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _size(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"


def _json_value(x: Any) -> Any:
    """Return `x` in Python's built-in types, with None for NaN and infinity, which JSON cannot express."""
    if isinstance(x, dict):
        return {k: _json_value(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_json_value(v) for v in x]
    x = x.item() if isinstance(x, np.generic) else x
    return None if isinstance(x, float) and not math.isfinite(x) else x
