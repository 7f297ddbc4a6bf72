"""A tolerance and nothing else, family by family: what is kept, and at what cost.

    python benchmarks/families.py [--only kepler moons] [--split test] [--count 24] [--tol 1e-2 1e-5] [--json FILE] [--markdown]

Every family of the package. kept: the share of problems within the tolerance: by the total energy; by the own energy of every
body whose orbit is regular (`own`, of the problems that have such bodies); by both. Medians over the problems of both errors
over the tolerance, and geometric means of forces. `possible`: the share of problems that Gauss-Radau with its default epsilon
solves to a tenth of the tolerance; in the others rounding alone may exceed it. Problems of a family run in one call on one
thread. `longrun` and `thousand` take most of the time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper.evaluation.evaluation_set import ABOVE_ROUNDING, rounding_errors
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.initial.families import FAMILIES
from aitimestepper.initial.suites import make_suite
from asked import Asked, Problems, percent, share

TOLERANCES = tuple(10.0**-k for k in range(2, 9))
HEAD = ("family", "tol", "integrator", "kept, total", "own", "both", "possible", "total / tol", "own / tol", "forces")


def row_of(family: str, run: Asked, rounding: np.ndarray) -> dict[str, Any]:
    """Return what is shown of a family at a tolerance; rounding (P,): the errors of Gauss-Radau."""
    counted = run.own_error[~np.isnan(run.own_error)]
    return {
        "family": family,
        "tol": run.tol,
        "integrator": run.integrator,
        "kept_total": share(run.error, run.tol),
        "kept_own": share(run.own_error, run.tol),
        "kept_both": share(run.both, run.tol),
        "possible": float((ABOVE_ROUNDING * rounding <= run.tol).mean()),
        "median_total": float(np.median(run.error) / run.tol),
        "median_own": float(np.median(counted) / run.tol) if len(counted) else None,
        "with_own": len(counted),
        "forces": geometric_mean(run.forces),
        "worst_problem": int(np.argmax(run.both)),
    }


def cells_of(row: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    kept = [percent(row[name]) for name in ("kept_total", "kept_own", "kept_both", "possible")]
    medians = ["-" if row[name] is None else f"{row[name]:.2g}" for name in ("median_total", "median_own")]
    return [row["family"], f"{row['tol']:.0e}", row["integrator"], *kept, *medians, f"{row['forces']:.0f}"]


def show(rows: list[dict[str, Any]], markdown: bool) -> None:
    """Print the table."""
    if markdown:
        print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        for row in rows:
            print(f"| {' | '.join(cells_of(row))} |")
        return
    table = Table(*HEAD)
    for k, row in enumerate(rows, start=1):
        table.add_row(*cells_of(row), end_section=k < len(rows) and rows[k]["family"] != row["family"])
    Console(width=130).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), metavar="FAMILY", help="these families alone")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--tol", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for family in given.only or FAMILIES:
        problems = Problems.of(make_suite((family,), given.split, given.count))
        rounding = rounding_errors(problems.systems, problems.suite.regular, 1)
        rows += [row_of(family, problems.asked(tol), rounding) for tol in given.tol]
    show(rows, given.markdown)
    worst = min(rows, key=lambda row: row["kept_both"])
    print(f"fewest kept: {worst['kept_both']:.0%} of {worst['family']} at {worst['tol']:g}")
    if given.json is not None:
        given.json.write_text(json.dumps({"split": given.split, "count": given.count, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
