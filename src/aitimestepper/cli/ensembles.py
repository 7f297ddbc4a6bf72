"""`aitimestepper ensemble`: many small systems from a specification, and what is in their folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..ensembles.ensemble import ensemble
from ..ensembles.result import Ensemble
from ..ensembles.spec import read_spec
from ..errors import UserError
from .arguments import Request
from .terminal import print_json, print_rows

INSPECT = "inspect"
QUANTILES = (0.5, 0.9, 1.0)


def run(request: Request) -> int:
    """Run or describe an ensemble, and return the exit code."""
    options = request.options
    assert options is not None
    found = _inspected(options) if options.what[0] == INSPECT else _run(options)
    content = summary(found)
    if options.json or not sys.stdout.isatty():
        print_json(content)
    else:
        print_rows([(name, _text(value)) for name, value in content.items()], ("folder", "next"))
    return 0


def _inspected(options: argparse.Namespace) -> Ensemble:
    if len(options.what) != 2:
        raise UserError("give one folder: aitimestepper ensemble inspect FOLDER")
    return Ensemble.load(options.what[1])


def _run(options: argparse.Namespace) -> Ensemble:
    if len(options.what) != 1:
        raise UserError(f"give one specification, not {len(options.what)}; see aitimestepper ensemble --help")
    path = Path(options.what[0])
    spec = read_spec(path)
    arguments = spec.arguments | ({} if options.threads is None else {"threads": options.threads})
    out = options.out or spec.out or path.stem
    quiet = options.quiet or options.json
    try:
        return ensemble(spec.source, out=out, resume=options.resume, client=options.scheduler, progress=not quiet, **arguments)
    except KeyboardInterrupt as stop:
        if str(stop):
            print(f"\n{stop}", file=sys.stderr)
        raise


def summary(found: Ensemble) -> dict[str, Any]:
    """Return what is in the table of an ensemble, for JSON."""
    content: dict[str, Any] = {
        "folder": str(found.folder),
        "systems": len(found),
        "of": found.manifest.systems,
        "finished": found.finished,
        "version": found.manifest.version,
    }
    if not found.finished:
        content["next"] = f"aitimestepper ensemble SPEC.toml -o {found.folder} --resume"
    if not len(found):
        return content | {"spec": found.spec}
    for name, column in (("outcomes", "outcome" if "outcome" in found.columns else "status"), ("status", "status")):
        content[name] = {str(value): count for value, count in found.counts(column).items()}
    if "within_tolerance" in found.columns:
        content["within_tolerance"] = float(np.mean(found["within_tolerance"]))
    error = found["max_energy_error"]
    finite = error[np.isfinite(error)]
    if len(finite):
        content["max_energy_error"] = {f"{q:.0%}": float(np.quantile(finite, q)) for q in QUANTILES}
    content["force_evaluations"] = int(found["force_evaluations"].sum())
    content["columns"] = list(found.columns)
    return content | {"spec": found.spec}


def _text(value: Any) -> str:
    """Return a value for a line on a terminal."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
