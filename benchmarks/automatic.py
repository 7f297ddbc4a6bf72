"""Everything automatic, a tolerance and nothing else, against REBOUND's IAS15 at the loosest epsilon that keeps that tolerance.

    python benchmarks/automatic.py [--split test] [--count 24] [--tol 1e-4 1e-6 1e-8] [--json FILE]

The problems are those of `bench steps`. IAS15 (PRS23) is run on all of them with epsilon = 1, 0.1, ... 1e-9; the loosest with
which nine in ten keep the tolerance is taken: a choice that its user cannot make beforehand. Ours is asked for the tolerance.
Forces: geometric means over the problems. Time: processor seconds of all runs on one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import PRS23, LastTerm, simulate
from aitimestepper.bench.peers import PEERS, prepare
from aitimestepper.evaluation.calibration import geometric_mean
from aitimestepper.evaluation.runs import share_error
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import Suite, make_suite

SHARE = 0.9
EPSILONS = tuple(10.0**-k for k in range(10))
MOST = 1_000_000  # forces of a run


def ias15(suite: Suite, told: Console) -> list[dict[str, Any]]:
    """All problems with every epsilon: forces, errors, seconds."""
    rows = []
    for epsilon in EPSILONS:
        runs = [prepare(PEERS["rebound:ias15:prs23"], case, epsilon).watch(MOST) for case in suite.cases]
        error, forces = (np.array([getattr(r, k) for r in runs], float) for k in ("error", "forces"))
        seconds = sum(r.seconds or 0.0 for r in runs)
        rows.append({"epsilon": epsilon, "error": error, "forces": geometric_mean(forces), "seconds": seconds})
        told.print(f"IAS15 epsilon {epsilon:g}: {rows[-1]['forces']:.0f} forces, 90 % below {share_error(error, SHARE):.1e}")
    return rows


def ours(suite: Suite, **how: Any) -> dict[str, Any]:
    """All problems, as one batch on one thread."""
    start, ends = suite.batch()
    began = time.process_time()
    done = simulate(start, t_end=ends, threads=1, max_steps=MOST, **how)
    seconds = time.process_time() - began
    error = np.where([s == "ok" for s in done.status], done.max_energy_error.numpy(), math.inf)
    return {
        "error": error,
        "forces": geometric_mean(done.force_evaluations.numpy()),
        "seconds": seconds,
        "integrator": done.integrator,
    }


def loosest(rows: list[dict[str, Any]], tol: float) -> dict[str, Any] | None:
    """The first that keeps the tolerance."""
    return next((row for row in rows if share_error(row["error"], SHARE) <= tol), None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--tol", type=float, nargs="+", default=[1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=150)
    suite = make_suite(STANDARD, given.split, given.count)
    theirs = ias15(suite, console)
    radau = []
    for epsilon in EPSILONS:
        for rule in (PRS23((5040.0 * epsilon) ** (1.0 / 7.0)), LastTerm(epsilon)):
            radau.append({"rule": rule.name, "epsilon": epsilon, **ours(suite, criterion=rule, integrator="radau15")})
    ours(suite, tol=1e-2)  # compiled by now
    table = Table(
        "tol", "ours", "kept", "worst family", "median / tol", "forces", "IAS15", "epsilon", "ratio", "time ratio", "radau15"
    )
    found = []
    for tol in given.tol:
        mine, his, other = ours(suite, tol=tol), loosest(theirs, tol), loosest(radau, tol)
        kept = mine["error"] <= tol
        worst = min(kept[suite.family_of == k].mean() for k in range(len(suite.families)))
        row = {"tol": tol, "integrator": mine["integrator"], "kept": float(kept.mean()), "worst": float(worst)}
        row |= {"median": float(np.median(mine["error"]) / tol), "forces": mine["forces"], "seconds": mine["seconds"]}
        if his is not None:
            row |= {"ias15_forces": his["forces"], "epsilon": his["epsilon"], "ias15_seconds": his["seconds"]}
            row |= {"ratio": mine["forces"] / his["forces"], "time_ratio": mine["seconds"] / his["seconds"]}
        if other is not None:
            row |= {"radau15_forces": other["forces"], "radau15_rule": f"{other['rule']} {other['epsilon']:g}"}
            row |= {"radau15_time_ratio": mine["seconds"] / other["seconds"]}
        found.append(row)
        cells = (row["kept"], row["worst"], row["median"], row["forces"], row.get("ias15_forces"), row.get("epsilon"))
        last = (row.get("ratio"), row.get("time_ratio"))
        radau_cell = f"{row.get('radau15_rule')}: {row.get('radau15_forces', math.nan):.0f}"
        table.add_row(
            f"{tol:g}", row["integrator"], *(f"{x:.3g}" if x is not None else "-" for x in (*cells, *last)), radau_cell
        )
    console.print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"split": given.split, "count": given.count, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
