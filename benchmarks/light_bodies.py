"""Bodies of little or no mass: whether a tolerance alone keeps their own orbits, of which the total energy says nothing.

    python benchmarks/light_bodies.py [--count 24] [--tol 1e-3 1e-5] [--only moons] [--json FILE]

Bodies of mass 0 to 1e-5 on orbits of e = 0 to 0.95 for 40 orbits of the innermost: alone about a star, beside a giant, in a
binary, and as moons of a planet (families light_alone, light_giant, light_binary and moons). kept: the share of problems in
which the total energy, the own energy of every body (compared with Gauss-Radau), and both stay within the tolerance; beside
them that of EnergyBudget on the same integrator, time-symmetric.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import measure
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.initial.families import LIGHT
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import SPLITTINGS
from asked import BUDGET, Problems, percent, share

TOLERANCES = tuple(10.0**-k for k in range(2, 9))
HEAD = ("family", "tol", "integrator", "kept, total", "own", "both", "total / tol", "own / tol", "worst own / tol", "forces")


def measured(family: str, problems: Problems, tol: float) -> dict[str, Any]:
    """Return shares, errors and cost of a family at a tolerance."""
    run = problems.asked(tol)
    own = run.own_error[~np.isnan(run.own_error)]
    row: dict[str, Any] = {"family": family, "tol": tol, "integrator": run.integrator, "problems": len(own)}
    row |= {"kept_total": share(run.error, tol), "kept_own": share(run.own_error, tol), "kept_both": share(run.both, tol)}
    row |= {"median_total": float(np.median(run.error) / tol), "forces": geometric_mean(run.forces)}
    row |= {"median_own": float(np.median(own) / tol), "worst_own": float(own.max() / tol)} if len(own) else {}
    if run.integrator in SPLITTINGS:
        budget = Contender(rule_named("energybudget"), "symmetrized", run.integrator)
        other = measure(problems.systems, budget, budget.step_parameter(tol), BUDGET, own=problems.own)
        row |= {
            "budget_kept": share(np.maximum(other.error, other.own_error), tol),
            "budget_forces": geometric_mean(other.forces),
        }
    return row


def cells_of(row: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    kept = [percent(row[name]) for name in ("kept_total", "kept_own", "kept_both")]
    errors = [f"{row[name]:.2g}" if name in row else "-" for name in ("median_total", "median_own", "worst_own")]
    budget = [percent(row.get("budget_kept")), f"{row['budget_forces']:.0f}" if "budget_forces" in row else "-"]
    return [row["family"], f"{row['tol']:.0e}", row["integrator"], *kept, *errors, f"{row['forces']:.0f}", *budget]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=LIGHT, help="these families alone")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--tol", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table, rows = Table(*HEAD, "EnergyBudget, both", "forces"), []
    for family in given.only or LIGHT:
        problems = Problems.of(make_suite((family,), given.split, given.count))
        for tol in given.tol:
            rows.append(measured(family, problems, tol))
            table.add_row(*cells_of(rows[-1]), end_section=tol == given.tol[-1])
    Console(width=150).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"split": given.split, "count": given.count, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
