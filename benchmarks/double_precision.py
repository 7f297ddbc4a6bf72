"""How few forces buy double precision: a scan of tolerances of every method, on the problems of `bench rl`.

    python benchmarks/double_precision.py [--problems 100] [--forces 11528] [--only asked radau15] [--json FILE]

Three suns for 30 years, 100 problems. asked: a tolerance and nothing else. Splittings from order 4 on: EnergyBudget,
time-symmetric, with tolerances 1e-6 to 1e-15. Gauss-Radau: PRS23 and LastTerm with epsilon = 1, 0.1, ... 1e-15. REBOUND's IAS15
(PRS23) with the same. Medians of forces; median, 90 % and largest value of the energy error, over all steps and at the end. The
last tables hold the setting of each method with the smallest 90 % among those of at most so many forces: over all steps, and at
the end, as the figures that ours stand beside are given. Forces are counted, so other programs do not matter.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import simulate
from aitimestepper.bench.peers import available_peers, peer_named, prepare
from aitimestepper.bench.rl import FORCES
from aitimestepper.criteria.classical import radau_eta
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.evaluation.statistics import share_error
from aitimestepper.initial.suites import Suite, named_suite
from aitimestepper.integrators import SPLITTINGS

TOLERANCES = tuple(10.0**-k for k in range(6, 16))
EPSILONS = tuple(10.0**-k for k in range(16))
BUDGET = 2_000_000  # force evaluations of a run
TOO_DEAR = 5  # a scan ends with the first median above so many times the forces that are of interest
PEER = "rebound:ias15:prs23"
HEAD = ("method", "tol", "forces", "median", "90 %", "largest", "median at the end", "90 %", "largest")


class Scanned(NamedTuple):
    """Errors (P,) and forces (P,) of one setting; infinite errors: runs that broke off or cost too much."""

    method: str
    value: float
    error: np.ndarray
    final: np.ndarray
    forces: np.ndarray

    def row(self) -> dict[str, Any]:
        """Return the quantiles."""
        row: dict[str, Any] = {"method": self.method, "value": self.value, "forces": float(np.median(self.forces))}
        for name, errors in (("error", self.error), ("final", self.final)):
            row[name] = [float(share_error(errors, share)) for share in (0.5, 0.9, 1.0)]
        return row


Run = Callable[[float], Scanned]


def methods(suite: Suite) -> dict[str, tuple[Run, tuple[float, ...]]]:
    """Return for every method its run at a value, and the values to scan, from coarse to fine."""
    systems = Systems.of(suite)
    found: dict[str, tuple[Run, tuple[float, ...]]] = {"asked": (lambda tol: asked(systems, tol), TOLERANCES)}
    for name, splitting in SPLITTINGS.items():
        if splitting.order >= 4:
            contender = Contender(rule_named("energybudget"), "symmetrized", name)
            found[name] = (lambda tol, c=contender: own(c.name, systems, c, tol, tol), TOLERANCES)
    for rule, number in (("prs23", radau_eta), ("lastterm", float)):
        contender = Contender(rule_named(rule), "plain", "radau15")
        found[f"radau15 {rule}"] = (lambda e, c=contender, n=number: own(c.name, systems, c, e, n(e)), EPSILONS)
    if PEER in available_peers():
        found["IAS15"] = (lambda epsilon: ias15(suite, epsilon), EPSILONS)
    return found


def asked(systems: Systems, tol: float) -> Scanned:
    """Run all problems with a tolerance alone."""
    done = simulate(systems.start, t_end=systems.ends, tol=tol, max_steps=BUDGET, threads=1, warn=False)
    ok = np.array(done.status) == "ok"
    error, final = (np.where(ok, e, math.inf) for e in (done.max_energy_error, done.final_energy_error))
    return Scanned(f"asked ({done.integrator})", tol, error, final, done.force_evaluations.astype(float))


def own(name: str, systems: Systems, contender: Contender, value: float, number: float) -> Scanned:
    """Run all problems with a rule at its own number."""
    done = measure(systems, contender, contender.step_parameter(number), BUDGET)
    return Scanned(name, value, done.error, done.final_error, done.forces)


def ias15(suite: Suite, epsilon: float) -> Scanned:
    """Run all problems with REBOUND."""
    runs = [prepare(peer_named(PEER), case, epsilon).watch(BUDGET) for case in suite.cases]
    columns = (np.array([getattr(run, name) for run in runs], float) for name in ("error", "final_error", "forces"))
    return Scanned("IAS15 prs23", epsilon, *columns)


def best_of(rows: list[dict[str, Any]], forces: float, names: list[str], error: str) -> list[dict[str, Any]]:
    """Return for each method its row of at most so many forces with the smallest 90 % of `error`, the smallest first."""
    best = []
    for name in names:
        affordable = [row for row in rows if row["scan"] == name and row["forces"] <= forces]
        if affordable:
            best.append(min(affordable, key=lambda row: row[error][1]))
    return sorted(best, key=lambda row: row[error][1])


def table_of(title: str, rows: list[dict[str, Any]]) -> Table:
    """Return the table of some rows."""
    table = Table(*HEAD, title=title)
    for row in rows:
        numbers = [f"{x:.1e}" for x in (*row["error"], *row["final"])]
        table.add_row(row["method"], f"{row['value']:.0e}", f"{row['forces']:.0f}", *numbers)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=100, help="the first so many of the hundred")
    parser.add_argument("--forces", type=float, default=FORCES, help="largest median number of forces of the last table")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="methods whose name begins so")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console, whole = Console(width=150), named_suite("rl")
    suite = Suite("rl", whole.cases[: given.problems])
    chosen = {k: v for k, v in methods(suite).items() if not given.only or k.startswith(tuple(given.only))}
    rows: list[dict[str, Any]] = []
    for name, (run, values) in chosen.items():
        for value in values:
            rows.append({"scan": name, **run(value).row()})
            if rows[-1]["forces"] > TOO_DEAR * given.forces:
                break
        console.print(table_of(name, [row for row in rows if row["scan"] == name]))
    for error, words in (("error", "over all steps"), ("final", "at the end")):
        best = best_of(rows, given.forces, list(chosen), error)
        console.print(table_of(f"at most {given.forces:.0f} forces, smallest 90 % {words}", best))
    if given.json is not None:
        given.json.write_text(json.dumps({"problems": given.problems, "budget": BUDGET, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
