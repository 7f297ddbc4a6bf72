"""`aitimestepper plot`: the orbits, energy error, steps or elements of a run as a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import UserError
from ..files import refuse_irregular
from .arguments import Request
from .terminal import print_json

OPTIONS = {"axes": ("orbits",), "about": ("orbits",), "pair": ("elements",), "primary": ("elements",)}


def run(request: Request) -> int:
    """Draw what was asked for, print the name of the file, and return the exit code."""
    assert request.options is not None
    asked = request.options
    path = Path(asked.output or f"{Path(asked.run).stem}-{asked.kind}.pdf")
    drawn = _draw(asked, path)
    if asked.json:
        print_json({"plot": str(drawn), "kind": asked.kind, "run": asked.run})
    else:
        print(drawn)
    return 0


def _draw(asked: argparse.Namespace, path: Path) -> Path:
    from ..report.plot_files import check_path, save_plot

    options = {name: getattr(asked, name) for name in OPTIONS if getattr(asked, name) is not None}
    for name in options:
        if asked.kind not in OPTIONS[name]:
            raise UserError(f"--{name} is for plot {OPTIONS[name][0]}, not for plot {asked.kind}: leave it out.")
    check_path(path)
    refuse_irregular(path)
    if os.path.lexists(path) and not asked.overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it, or another name with -o.")
    return save_plot(asked.kind, asked.run, path, asked.width, system=asked.system, **options)
