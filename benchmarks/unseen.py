"""The shipped learned step on kinds of problems it was never trained on, as asked, beside calibrated classical rules.

    python benchmarks/unseen.py [--only scatter kozai] [--count 24] [--json FILE]

scatter: a single body meets a binary (problems of `test`); Burrau, Kozai, Plummer spheres of 64 and 256 bodies, the outer
Solar System. Every integrator that has a network, at the tolerances that the network is calibrated for, up to 0.01. Each
classical rule has the constant with which nine in ten problems of `train` are within it (docs/learned/steps.json.gz),
on the same integrator: it was not calibrated on the problems here. Forces: geometric means.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper.bench.records import Results
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.initial.suites import Suite, make_suite, reference_case
from aitimestepper.models import SHIPPED, shipped

CALIBRATED = Path(__file__).resolve().parents[1] / "docs/learned/steps.json.gz"
RULES = ("aarseth", "prs23", "energybudget", "freefall")
LOOSEST = 0.01  # a larger energy error says that orbits were lost
SINGLE = ("burrau", "kozai", "plummer64", "plummer256", "solar")
BUDGET = 1_000_000  # force evaluations of a run


def suites(count: int) -> dict[str, Suite]:
    """Return the problems by name."""
    single = {name: Suite(name, (reference_case(name),)) for name in SINGLE}
    return {"scatter": make_suite(("scatter",), "test", count), **single}


def tolerances_of(integrator: str) -> list[float]:
    """Return the tolerances that the network of an integrator is calibrated for."""
    return [tol for tol, _ in shipped(integrator).calibration if tol <= 1.001 * LOOSEST]


def calibrated(results: Results, integrator: str, tol: float) -> list[tuple[Contender, float]]:
    """Return the classical rules that were calibrated for an integrator and a tolerance, with their step parameters."""
    found = []
    for r in results.records:
        wanted = r.mode == "calibrated" and r.family == "all" and r.integrator == integrator
        wanted = wanted and r.tolerance is not None and math.isclose(r.tolerance, tol, rel_tol=1e-6)
        if wanted and r.criterion in RULES and r.value is not None:
            contender = Contender(rule_named(r.criterion), r.variant, integrator)
            found.append((contender, contender.step_parameter(r.value)))
    return found


def compared(systems: Systems, integrator: str, tol: float, rules: list[tuple[Contender, float]]) -> dict[str, Any]:
    """Return compliance and cost of the learned step, beside the cheapest rule that complies as often, or most often."""
    learned = Contender(rule_named("learned"), "symmetrized", integrator)
    done = measure(systems, learned, learned.step_parameter(tol), BUDGET)
    row: dict[str, Any] = {"integrator": integrator, "tol": tol, "within_tolerance": float((done.error <= tol).mean())}
    row |= {"median": float(np.median(done.error) / tol), "forces": geometric_mean(done.forces)}
    others = []
    for contender, step_parameter in rules:
        other = measure(systems, contender, step_parameter, BUDGET)
        others.append((geometric_mean(other.forces), contender.label, float((other.error <= tol).mean())))
    if not others:  # none was calibrated with this integrator
        return {**row, "classical": "-", "classical_within_tolerance": 0.0, "classical_forces": None, "ratio": None}
    enough = min(row["within_tolerance"], max(share for _, _, share in others))
    forces, label, share = min(o for o in others if o[2] >= enough)
    row |= {"classical": label, "classical_within_tolerance": share, "classical_forces": forces}
    # without a classical rule within the tolerance there is no comparison
    return {**row, "ratio": row["forces"] / forces if share > 0 else None}


def cells_of(row: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    mine = [f"{row['tol']:g}", f"{row['within_tolerance']:.0%}", f"{row['median']:.2g}", f"{row['forces']:.0f}"]
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    theirs = "-" if row["classical_forces"] is None else f"{row['classical_forces']:.0f}"
    rule = [row["classical"], f"{row['classical_within_tolerance']:.0%}", theirs, ratio]
    return [row["problem"], row["integrator"], *mine, *rule]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("scatter", *SINGLE), help="these problems alone")
    parser.add_argument("--count", type=int, default=24, help="problems of scatter")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results, console = Results.load(CALIBRATED), Console(width=150)
    rows: list[dict[str, Any]] = []
    head = ("problem", "integrator", "tol", "within tol", "error / tol", "forces", "best classical", "within tol", "forces")
    table = Table(*head, "ratio")
    for name, suite in suites(given.count).items():
        if given.only and name not in given.only:
            continue
        systems = Systems.of(suite)
        for integrator in SHIPPED:
            for tol in tolerances_of(integrator):
                rules = calibrated(results, integrator, tol)
                rows.append({"problem": name, **compared(systems, integrator, tol, rules)})
                table.add_row(*cells_of(rows[-1]))
    console.print(table)
    for integrator in SHIPPED:
        own = [r for r in rows if r["integrator"] == integrator]
        ratios = [r["ratio"] for r in own if r["ratio"]]
        share = np.mean([r["within_tolerance"] for r in own])
        words = f"{geometric_mean(np.array(ratios)):.2f} ({len(ratios)} of {len(own)} cases)" if ratios else "-"
        console.print(f"{integrator}: {share:.0%} within the tolerance, forces over the best classical {words}")
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
