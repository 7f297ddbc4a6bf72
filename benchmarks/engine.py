"""Simulation speed: steps, lanes, splittings, first call, accuracy against IAS15, threads, and the limit of the processor.

    python benchmarks/engine.py [--only constant accuracy ...] [--quick] [--json FILE]

Contenders take turns, round after round; a ratio is the median of those within a round. Single-threaded runs are timed in
processor time, so that a machine with other work on it still gives the ratios; the study of threads needs a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
from rich.console import Console
from rich.table import Table

import engine_accuracy
import engine_lanes
import engine_limit
import engine_splittings
import engine_steps
import rebound
from aitimestepper.bench.timing import Effort
from measure import CAREFUL, QUICK, Row

Study = Callable[[Effort], Iterator[Row]]
STUDIES: dict[str, Study] = {
    "constant": engine_steps.constant_steps,
    "learned": engine_steps.learned_steps,
    "lanes": engine_lanes.side_by_side,
    "lengths": engine_lanes.uneven,
    "masks": engine_lanes.masks,
    "splittings": engine_splittings.forces_in_hindsight,
    "compilation": engine_lanes.compilation,
    "start": engine_steps.first_call,
    "accuracy": engine_accuracy.against_ias15,
    "threads": engine_steps.threads,
    "limit": engine_limit.pair_loop,
    "parts": engine_limit.parts,
}


def machine() -> dict[str, object]:
    """Return processor, load and versions of the machine."""
    models = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    versions = {"python": platform.python_version(), "numba": numba.__version__, "rebound": rebound.__version__}
    return {"processor": models[0] if models else platform.machine(), "cores": os.cpu_count(), "load": load, **versions}


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def shown(value: float, unit: str) -> str:
    """Return a value with three digits and its unit; an empty text for NaN."""
    return "" if math.isnan(value) else f"{value:.3g} {unit}".strip()


def show(console: Console, rows: list[Row]) -> None:
    """Print rows as a table."""
    table = Table("", "measurement", "target", "measured", "met", "note")
    group = ""
    for row in rows:
        target = "" if row.target is None else f"{'>=' if row.at_least else '<='} {shown(row.target, row.unit)}"
        met = {True: "yes", False: "[bold]no[/bold]", None: ""}[row.met]
        table.add_row(row.group if row.group != group else "", row.what, target, shown(row.measured, row.unit), met, row.note)
        group = row.group
    console.print(table)


def main() -> None:
    """Run the studies and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=STUDIES, help="these studies alone")
    parser.add_argument("--quick", action="store_true", help="three rounds of shorter calls and orbits")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    console, found = Console(width=150), machine()
    console.print(", ".join(f"{k} {v}" for k, v in found.items()))
    rows: list[Row] = []
    for name in options.only or STUDIES:
        measured = list(STUDIES[name](QUICK if options.quick else CAREFUL))
        show(console, measured)
        rows += measured
    missed = [f"{row.group}, {row.what}" for row in rows if row.met is False]
    with_target = sum(row.target is not None for row in rows)
    console.print(f"{with_target - len(missed)} of {with_target} targets met" + "".join(f"\n  not: {what}" for what in missed))
    if options.json is not None:
        numbers = [row.plain() for row in rows]
        options.json.write_text(json.dumps({"machine": found, "rows": numbers}, indent=2) + "\n")


if __name__ == "__main__":
    main()
