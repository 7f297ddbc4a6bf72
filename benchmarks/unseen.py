"""The learned step of the package on problems of kinds it was never trained on, as asked, beside calibrated classical rules.

    python benchmarks/unseen.py [--json FILE]

scatter: a single body meets a binary (24 problems of `test`); Burrau, Kozai, Plummer spheres of 64 and 256 bodies, the outer
Solar System. Each classical rule has the constant with which nine in ten problems of `train` keep the tolerance
(docs/bench/steps.json.gz), on the same integrator: the problems here were not asked. Forces: geometric means.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper.bench.records import Results
from aitimestepper.evaluation.calibration import geometric_mean
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.initial.suites import Suite, make_suite, reference_case

CALIBRATED = Path(__file__).resolve().parents[1] / "docs/bench/steps.json.gz"
RULES = ("aarseth", "prs23", "energybudget", "freefall")
ASKED = {"leapfrog": (1e-2, 1e-3), "suzuki4": (1e-3, 1e-5), "kahan_li6": (1e-4, 1e-6, 1e-8), "kahan_li8": (1e-6, 1e-8)}
SINGLE = ("burrau", "kozai", "plummer64", "plummer256", "solar")
MOST = 1_000_000


def suites() -> dict[str, Suite]:
    """By name."""
    found = {name: Suite(name, (reference_case(name),)) for name in SINGLE}
    return {"scatter": make_suite(("scatter",), "test", 24), **found}


def constants(results: Results, integrator: str, tol: float) -> list[tuple[Contender, float]]:
    """The classical rules that were calibrated for that, and their step_parameters."""
    found = []
    for r in results.records:
        wanted = r.mode == "calibrated" and r.family == "all" and r.integrator == integrator and r.tolerance == tol
        if wanted and r.criterion in RULES and r.value is not None:
            contender = Contender(rule_named(r.criterion), r.variant, integrator)
            found.append((contender, contender.step_parameter(r.value)))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results, learned, console = Results.load(CALIBRATED), rule_named("learned"), Console(width=150)
    rows: list[dict[str, Any]] = []
    table = Table("problem", "integrator", "tol", "kept", "error / tol", "forces", "best classical", "kept", "forces", "ratio")
    for name, suite in suites().items():
        systems = Systems.of(suite)
        for integrator, tolerances in ASKED.items():
            for tol in tolerances:
                mine = Contender(learned, "symmetrized", integrator)
                done = measure(systems, mine, mine.step_parameter(tol), MOST)
                row: dict[str, Any] = {"problem": name, "integrator": integrator, "tol": tol}
                row |= {"kept": float((done.error <= tol).mean()), "median": float(np.median(done.error) / tol)}
                row |= {"forces": geometric_mean(done.forces)}
                others = []
                for contender, step_parameter in constants(results, integrator, tol):
                    other = measure(systems, contender, step_parameter, MOST)
                    forces = geometric_mean(other.forces)
                    others.append((forces, contender.label, float((other.error <= tol).mean())))
                # the cheapest of those that keep the tolerance as often, or as often as any does
                enough = min(row["kept"], max(kept for _, _, kept in others))
                forces, label, kept = min(o for o in others if o[2] >= enough)
                ratio = row["forces"] / forces if kept > 0 else None  # what none of them keeps cannot be compared
                row |= {"classical": label, "classical_kept": kept, "classical_forces": forces, "ratio": ratio}
                rows.append(row)
                cells = [f"{tol:g}", f"{row['kept']:.0%}", f"{row['median']:.2g}", f"{row['forces']:.0f}"]
                last = "-" if ratio is None else f"{ratio:.2f}"
                table.add_row(name, integrator, *cells, label, f"{kept:.0%}", f"{forces:.0f}", last)
    console.print(table)
    for integrator in ASKED:
        own = [r for r in rows if r["integrator"] == integrator]
        ratio = geometric_mean(np.array([r["ratio"] for r in own if r["ratio"]]))
        console.print(f"{integrator}: kept {np.mean([r['kept'] for r in own]):.0%}, forces over the best classical {ratio:.2f}")
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
