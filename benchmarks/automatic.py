"""A tolerance and nothing else, against REBOUND's IAS15 at the loosest epsilon with which it stays within that tolerance.

    python benchmarks/automatic.py [--split test] [--count 24] [--tol 1e-4 1e-6 1e-8] [--json FILE]

The problems are those of `bench steps`. IAS15 (PRS23) runs all of them with epsilon = 1, 0.1, ... 1e-9; the loosest one with
which nine in ten stay within the tolerance is taken: a choice that its user cannot make beforehand. Ours is asked for the
tolerance. Forces: geometric means over the problems. Time: processor seconds of all runs on one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import PRS23, LastTerm, simulate
from aitimestepper.bench.peers import PEERS, prepare
from aitimestepper.criteria.classical import radau_eta
from aitimestepper.evaluation.statistics import geometric_mean, share_error
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import Suite, make_suite

SHARE = 0.9
EPSILONS = tuple(10.0**-k for k in range(10))
BUDGET = 1_000_000  # force evaluations of a run


def ias15(suite: Suite, console: Console) -> list[dict[str, Any]]:
    """Run all problems with every epsilon; return forces, errors and seconds of each."""
    rows = []
    for epsilon in EPSILONS:
        runs = [prepare(PEERS["rebound:ias15:prs23"], case, epsilon).watch(BUDGET) for case in suite.cases]
        error, forces = (np.array([getattr(r, k) for r in runs], float) for k in ("error", "forces"))
        seconds = sum(r.seconds or 0.0 for r in runs)
        rows.append({"epsilon": epsilon, "error": error, "forces": geometric_mean(forces), "seconds": seconds})
        console.print(f"IAS15 epsilon {epsilon:g}: {rows[-1]['forces']:.0f} forces, 90 % below {share_error(error, SHARE):.1e}")
    return rows


def ours(suite: Suite, **settings: Any) -> dict[str, Any]:
    """Run all problems as one batch on one thread."""
    start, ends = suite.batch()
    began = time.process_time()
    done = simulate(start, t_end=ends, threads=1, max_steps=BUDGET, warn=False, **settings)
    seconds = time.process_time() - began
    error = np.where([s == "ok" for s in done.status], done.max_energy_error, math.inf)
    return {
        "error": error,
        "forces": geometric_mean(done.force_evaluations),
        "seconds": seconds,
        "integrator": done.integrator,
    }


def loosest(rows: list[dict[str, Any]], tol: float) -> dict[str, Any] | None:
    """Return the first row within the tolerance."""
    return next((row for row in rows if share_error(row["error"], SHARE) <= tol), None)


def compared(suite: Suite, tol: float, peer: dict[str, Any] | None, radau: dict[str, Any] | None) -> dict[str, Any]:
    """Return cost and errors of our runs at a tolerance, beside those of IAS15 and of our Gauss-Radau method."""
    mine = ours(suite, tol=tol)
    within = mine["error"] <= tol
    worst = min(within[suite.family_of == k].mean() for k in range(len(suite.families)))
    row = {"tol": tol, "integrator": mine["integrator"], "within_tolerance": float(within.mean()), "worst": float(worst)}
    row |= {"median": float(np.median(mine["error"]) / tol), "forces": mine["forces"], "seconds": mine["seconds"]}
    if peer is not None:
        row |= {"ias15_forces": peer["forces"], "epsilon": peer["epsilon"], "ias15_seconds": peer["seconds"]}
        row |= {"ratio": mine["forces"] / peer["forces"], "time_ratio": mine["seconds"] / peer["seconds"]}
    if radau is not None:
        row |= {"radau15_forces": radau["forces"], "radau15_rule": f"{radau['rule']} {radau['epsilon']:g}"}
        row |= {"radau15_time_ratio": mine["seconds"] / radau["seconds"]}
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--tol", type=float, nargs="+", default=[1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console(width=150)
    suite = make_suite(STANDARD, given.split, given.count)
    theirs = ias15(suite, console)
    radau = []
    for epsilon in EPSILONS:
        for rule in (PRS23(radau_eta(epsilon)), LastTerm(epsilon)):
            radau.append({"rule": rule.name, "epsilon": epsilon, **ours(suite, criterion=rule, integrator="radau15")})
    head = ("tol", "ours", "within tol", "worst family", "median / tol", "forces", "IAS15", "epsilon", "ratio", "time ratio")
    table, found = Table(*head, "radau15"), []
    for tol in given.tol:
        row = compared(suite, tol, loosest(theirs, tol), loosest(radau, tol))
        found.append(row)
        shown = ("within_tolerance", "worst", "median", "forces", "ias15_forces", "epsilon", "ratio", "time_ratio")
        cells = (f"{row[name]:.3g}" if name in row else "-" for name in shown)
        last = f"{row.get('radau15_rule')}: {row.get('radau15_forces', math.nan):.0f}"
        table.add_row(f"{tol:g}", row["integrator"], *cells, last)
    console.print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"split": given.split, "count": given.count, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
