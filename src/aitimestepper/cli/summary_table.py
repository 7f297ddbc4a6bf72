"""The summary of a run of several systems as two short tables for the terminal, where the JSON would have a page a system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..simulate.result import OK, SimulationResult
from .terminal import console, table_of

WORST = 5  # number of systems that are shown one by one
QUANTITIES = {
    "steps": "steps",
    "force_evaluations": "force evaluations",
    "max_energy_error": "largest energy error",
    "final_energy_error": "energy error at the end",
}


def show_summary(result: SimulationResult, more: Mapping[str, Any]) -> None:
    """Print statuses, numbers over the systems, the worst systems, and the files; `more` is added as it is."""
    out = console(markup=False, highlight=False, emoji=False)
    counts = ", ".join(f"{n} {status}" for status, n in Counter(result.status).most_common())
    out.print(f"{len(result.status)} systems: {counts}")
    out.print(f"{result.criterion} with {result.integrator}, {result.wall_time:.3g} s")
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


def worst_first(result: SimulationResult) -> list[int]:
    """Return the systems by number: those that stopped early, then the others from the largest error (over tol) down."""
    scale = 1.0 if result.tol is None else result.tol
    errors = np.nan_to_num(result.max_energy_error / scale, nan=np.inf)
    return sorted(range(len(result.status)), key=lambda i: (result.status[i] == OK, -errors[i]))


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
