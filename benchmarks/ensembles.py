"""Ensembles of small systems: systems a second on one thread, beside a loop over REBOUND's IAS15.

    python benchmarks/ensembles.py [--count 1000] [--subset 60] [--rounds 3] [--json FILE]

Hierarchical triples (family `triple`), and binaries that meet binaries (`binaries`; where there is none, a single body meets a
binary: `scatter`). Ours is asked for a tolerance and nothing else, all systems in one call. IAS15 (PRS23) has an epsilon with
which about as many systems stay within the tolerance, and runs a random part of the systems one after the other; making them is
not timed. Processor time, medians of rounds in which both take turns; so is the ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import simulate
from aitimestepper.bench.peers import peer_named, prepare
from aitimestepper.initial.families import FAMILIES
from aitimestepper.initial.suites import make_suite
from aitimestepper.simulate.result import SimulationResult
from measure import interleaved

ASKED = ((1e-3, 1e-2), (1e-5, 1e-4), (1e-7, 1e-6))  # tolerance, and the epsilon of IAS15
ENSEMBLES = ("triple", "binaries" if "binaries" in FAMILIES else "scatter")
SEED = 11  # of the random part
BUDGET = 1_000_000  # largest number of steps of ours, and of forces of IAS15, where errors are measured


def measured(family: str, count: int, subset: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each tolerance."""
    suite = make_suite((family,), "test", count)
    start, ends = suite.batch()
    chosen = np.random.default_rng(SEED).choice(count, min(subset, count), replace=False)
    for tol, epsilon in ASKED:
        theirs = [prepare(peer_named("rebound:ias15:prs23"), suite.cases[k], epsilon) for k in chosen]

        def ours(tol: float = tol) -> SimulationResult:
            return simulate(start, t_end=ends, tol=tol, threads=1, max_steps=BUDGET, warn=False)

        runs = [[one.job(1) for one in theirs] for _ in range(rounds + 1)]  # made before they are timed, one list a round
        times = interleaved(
            {"ours": ours, "IAS15": lambda runs=runs: [job() for job in runs.pop()]}, rounds, 1, time.process_time
        )
        done, error = ours(), np.array([one.watch(BUDGET).error for one in theirs])
        within = done.within_tolerance
        assert within is not None
        yield {
            "family": family,
            "tol": tol,
            "integrator": done.integrator,
            "within_tolerance": float(within.mean()),
            "systems_per_second": count / times.median("ours"),
            "epsilon": epsilon,
            "ias15_within_tolerance": float((error <= tol).mean()),
            "ias15_systems_per_second": len(chosen) / times.median("IAS15"),
            "ratio": times.ratio("IAS15", "ours") * count / len(chosen),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="systems of each ensemble")
    parser.add_argument("--subset", type=int, default=60, help="systems that IAS15 runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    head = ("systems", "tol", "ours", "within tol", "systems / s", "IAS15 epsilon", "within tol", "systems / s", "ratio")
    table, rows = Table(*head), []
    for family in ENSEMBLES:
        for row in measured(family, given.count, given.subset, given.rounds):
            rows.append(row)
            cells = [row["family"], f"{row['tol']:g}", row["integrator"], f"{row['within_tolerance']:.0%}"]
            cells += [f"{row['systems_per_second']:.0f}", f"{row['epsilon']:g}", f"{row['ias15_within_tolerance']:.0%}"]
            table.add_row(*cells, f"{row['ias15_systems_per_second']:.0f}", f"{row['ratio']:.1f}")
    Console(width=130).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"count": given.count, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
