"""The summary of a run for the terminal: a few lines about one system, two short tables about several."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..simulate.described import counts_of, rows_of, step_words, worst_first
from ..simulate.result import SimulationResult
from .terminal import console, print_rows, table_of

WORST = 5  # number of systems that are shown one by one
QUANTITIES = {
    "steps": "steps",
    "force_evaluations": "force evaluations",
    "max_energy_error": "largest energy error",
    "final_energy_error": "energy error at the end",
}


WHOLE = ("output", "movie", "report", "next", "")  # lines that are not wrapped, so that a path or a command can be copied


def show_one(result: SimulationResult, more: Mapping[str, Any]) -> None:
    """Print a line for each quantity of the run of one system, and what to do next; `more` is added as it is."""
    rows = [*rows_of(result), ("wall time", f"{result.wall_time:.3g} s")]
    if not sys.stderr.isatty():  # a terminal has got it as a warning
        rows += [("advice", sentence) for sentence in result.advice]
    rows += [(name.replace("_", " "), str(value)) for name, value in more.items()]
    if result.output is None:
        rows.append(("next", "give --output run.h5 to draw the run (aitimestepper plot) or to go on with it (--resume)"))
    else:
        path, later = shlex.quote(str(result.output)), f"{_later(result):.6g}"
        rows += [("output", str(result.output)), ("next", f"aitimestepper plot orbits {path}")]
        rows.append(("", f"aitimestepper simulate --resume {path} --t-end {later}"))
    print_rows(rows, WHOLE)


def _later(result: SimulationResult) -> float:
    """Return an end time after which the run is twice as long."""
    end = float(result.final.time[0])
    return 2.0 * end - (0.0 if result.limits is None else float(result.limits.start.time[0]))


def show_summary(result: SimulationResult, more: Mapping[str, Any]) -> None:
    """Print statuses, numbers over the systems, the worst systems, and the files; `more` is added as it is."""
    out = console(markup=False, highlight=False, emoji=False)
    out.print(f"{len(result.status)} systems: {counts_of(result)}")
    out.print(f"{step_words(result)}, {result.wall_time:.3g} s")
    if result.tol is not None and result.within_tolerance is not None:
        within = int(result.within_tolerance.sum())
        out.print(f"within the tolerance of {_range(result.tol)}: {within} of {len(result.status)}")
    if result.covered_bodies is not None:
        covered, bodies = int(result.covered_bodies.sum()), int(result.final.present.sum())
        out.print(f"bodies whose own orbits the tolerance covers: {covered} of {bodies}")
    out.print(_over_systems(result, out))
    out.print(_worst_systems(result, out))
    _print_files(result, more, out)


def _over_systems(result: SimulationResult, out: Console) -> Table:
    """Return the table of the smallest, median and largest value of each quantity, and the system of the largest one."""
    table = table_of(out, [""], ("smallest", "median", "largest", "in system"))
    for name, words in QUANTITIES.items():
        values = np.asarray(getattr(result, name), dtype=float)
        if np.isfinite(values).any():
            largest = int(np.nanargmax(values))
            shown = (np.nanmin(values), np.nanmedian(values), values[largest])
            table.add_row(words, *map(_number, shown), str(largest))
    return table


def _worst_systems(result: SimulationResult, out: Console) -> Table:
    """Return the table of the systems that did not reach their end, then of those with the largest errors."""
    table = table_of(out, ("worst systems", "status"), ("end time", "steps", "largest error", "error at end"))
    for i in worst_first(result)[:WORST]:
        time, steps = f"{result.final.time[i]:.6g}", _number(float(result.steps[i]))
        errors = _number(result.max_energy_error[i]), _number(result.final_energy_error[i])
        table.add_row(str(i), result.status[i], time, steps, *errors)
    return table


def _print_files(result: SimulationResult, more: Mapping[str, Any], out: Console) -> None:
    # a file name is not wrapped, so that it can be copied
    for name, value in more.items():
        out.print(f"{name.replace('_', ' ')}: {_number(value) if isinstance(value, float) else value}", soft_wrap=True)
    if result.output is not None:
        out.print(f"output: {result.output}", soft_wrap=True)
    out.print("--json prints every system.")


def _range(tol: np.ndarray) -> str:
    low, high = float(tol.min()), float(tol.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _number(value: float) -> str:
    """Return a whole number as it is, and another one with two digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1e}"
