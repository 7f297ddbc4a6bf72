"""The page of the explorer: HTML, style, program and data in one file, which a browser opens from disk without any network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._version import __version__
from ...errors import UserError
from ...files import open_regular, path_shown, write_atomically
from .recorded import Recorded, read_recorded, systems_in
from .trainings import CHARTS, Training, read_training

FOLDER = Path(__file__).parent
SCRIPTS = ("format.js", "runs.js", "scene.js", "charts.js", "about.js", "explorer.js")  # one program, in this order
PAGE_BYTES = 11_000_000  # of the data of all runs together; with the rest, a page has less than 15 MB
MOST_PANELS = 16  # runs and trainings of a page
HDF5 = b"\x89HDF\r\n\x1a\n"  # the first bytes of such a file
FIRST_SYSTEMS = 4  # of a batch, where none are asked for


def write_explorer(
    runs: Sequence[str], page: Path, *, systems: Sequence[int] = (), out_dir: str = "runs", title: str = ""
) -> dict[str, Any]:
    """Write the page about snapshot files and trainings, and return what it shows, for a summary.

    `systems` are those of each file with several systems; without them the first four are shown.
    """
    if page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"cannot write the page {page}: give a name that ends in .html.")
    recorded, trainings = read_all(runs, systems, out_dir)
    content = explorer_page(recorded, trainings, title or " · ".join(dict.fromkeys(_names(runs))))
    write_atomically(page, content)
    return {
        "page": str(page),
        "bytes": len(content),
        "runs": [
            {"label": r.label, "rows": r.rows, "rows_kept": len(r.row), "encounters": len(r.encounters)} for r in recorded
        ],
        "trainings": [{"label": t.label, "epochs": len(t.epochs)} for t in trainings],
    }


def is_snapshot(run: str) -> bool:
    """Return whether a RUN of the command line names a simulation (HDF5), not a training."""
    if Path(run).suffix.lower() in (".h5", ".hdf5") or not os.path.isfile(run):
        return Path(run).suffix.lower() in (".h5", ".hdf5")
    with open_regular(Path(run), "file") as f:
        return f.read(len(HDF5)) == HDF5


def read_all(runs: Sequence[str], systems: Sequence[int], out_dir: str) -> tuple[list[Recorded], list[Training]]:
    """Return all systems of all files, and all trainings, in the order in which they were given."""
    names = _names(runs)
    simulations = [(run, name) for run, name in zip(runs, names, strict=True) if is_snapshot(run)]
    others = [(run, name) for run, name in zip(runs, names, strict=True) if not is_snapshot(run)]
    shown = [(Path(run), system, label) for run, name in simulations for system, label in _chosen(Path(run), systems, name)]
    panels = len(shown) + len(others)
    if panels > MOST_PANELS:
        raise UserError(f"{panels} runs are more than a page shows, {MOST_PANELS}: name fewer, or fewer --systems.")
    recorded = [read_recorded(path, system, PAGE_BYTES / len(shown), label) for path, system, label in shown]
    return recorded, [read_training(run, out_dir, name) for run, name in others]


def _chosen(path: Path, systems: Sequence[int], name: str) -> list[tuple[int, str]]:
    """Return the systems of a file to show, and their labels."""
    count = systems_in(path)
    if count == 1:
        return [(0, name)]
    for system in systems:
        if not 0 <= system < count:
            raise UserError(f"--systems {system}: {path_shown(path)} holds the systems 0 to {count - 1}.")
    chosen = dict.fromkeys(systems) if systems else range(min(count, FIRST_SYSTEMS))
    return [(system, f"{name} · system {system}") for system in chosen]


def _names(runs: Sequence[str]) -> list[str]:
    """Return short names of runs, or what the user wrote where two of them would have the same."""
    short = [Path(run).stem if is_snapshot(run) else Path(run).name or run for run in runs]
    return [run if short.count(name) > 1 else name for run, name in zip(runs, short, strict=True)]


def explorer_page(recorded: Sequence[Recorded], trainings: Sequence[Training], title: str) -> bytes:
    """Return the page as bytes of UTF-8.

    Its policy (CSP) allows this one script and this one style by their hashes, and no request to anywhere.
    """
    script = "\n".join(["'use strict';", *((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)])
    script, style = f"(() => {{\n{script}\n}})();\n", (FOLDER / "explorer.css").read_text(encoding="utf-8")
    data = {"runs": [_run(r) for r in recorded], "trainings": [_training(t) for t in trainings]}
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    parts = {  # in the order of the template
        "@POLICY@": policy,
        "@TITLE@": html.escape(title),
        "@STYLE@": style,
        "@HEADING@": html.escape(title),
        "@VERSION@": html.escape(__version__),
        "@DATA@": _json(data),
        "@SCRIPT@": script,
    }
    pieces = [(FOLDER / "page.html").read_text(encoding="utf-8")]
    for mark, text in parts.items():  # each mark is replaced in the template only, never in what was put in
        before, _, after = pieces.pop().partition(mark)
        pieces += [before, text, after]
    return "".join(pieces).encode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """Return JSON that no text in it can end the element of: names and paths may hold anything."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII only
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _packed(values: np.ndarray, kind: str) -> str:
    """Return numbers as base64 of little-endian bytes of type `kind`."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def _run(r: Recorded) -> dict[str, Any]:
    """Return a run as the program of the page reads it."""
    forces, narrow = r.forces, r.nearest.pair.max(initial=0) < 1 << 16
    return {
        "label": r.label,
        "path": str(r.path),
        "axes": r.axes,
        "rows": r.rows,
        "bodies": [[int(k), name, _finite(float(m))] for k, name, m in zip(r.bodies, r.names, r.mass, strict=True)],
        "allBodies": r.all_bodies,
        "row": _packed(r.row, "<u4"),
        "time": _packed(r.time, "<f8"),
        "dt": _packed(r.dt, "<f8"),
        "error": _packed(r.energy_error, "<f8"),
        "steps": _packed(r.steps, "<f8"),  # whole numbers below 2^53
        "near": _packed(r.nearest.distance, "<f8"),
        "pair": _packed(r.nearest.pair, "<u2" if narrow else "<u4"),
        "drawn": _packed(r.drawn, "<u4"),
        "position": _packed(r.position, "<f4"),
        "velocity": _packed(r.velocity, "<f4"),
        "centre": r.centre.tolist(),
        "scale": r.scale,
        "speed": r.speed,
        "view": r.view,
        "tolerance": r.tolerance,
        "forces": {"before": forces.before, "each": forces.each, "exact": forces.exact, "total": forces.total},
        "pairRows": r.pair_rows,
        "encounters": [[e.time, e.distance, *e.pair, e.row] for e in r.encounters],
        "approach": None if r.approach is None else [r.approach[1], r.approach[0], *r.approach[2]],
        "events": [{"time": e.time, "kind": e.kind, "bodies": list(e.bodies), "text": e.text} for e in r.events],
        "facts": r.facts,
        "command": r.command,
    }


def _training(t: Training) -> dict[str, Any]:
    return {
        "label": t.label,
        "path": str(t.path),
        "epochs": t.epochs,
        "metrics": [
            {"name": name, "label": CHARTS[name][0], "log": CHARTS[name][1], "values": [_finite(v) for v in values],
             "line": t.threshold if name == "part1/mean_energy_error" else None}
            for name, values in t.metrics.items()
        ],
        "facts": t.facts,
        "command": t.command,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
