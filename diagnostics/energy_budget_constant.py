"""The constant of EnergyBudget for each splitting: which share of runs stays within the tolerance, and at what cost.

    python diagnostics/energy_budget_constant.py [--constants 0.4 0.5 ...] [--split train] [--integrators leapfrog ...]

Problems of all families, 16 of each; long runs and runs in an outer field are left out. A run is within the tolerance if its
total energy is and, where the motion is regular, the own energy of every body.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from aitimestepper import EnergyBudget, Symmetrized
from aitimestepper.evaluation.contenders import Contender, Rule
from aitimestepper.evaluation.own_errors import OwnReference, own_reference
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.initial.families import FAMILIES
from aitimestepper.initial.suites import Suite, make_suite
from aitimestepper.integrators import SPLITTINGS

TOLERANCES = {2: (1e-2, 1e-3), 4: (1e-2, 1e-3, 1e-5), 6: (1e-3, 1e-5, 1e-7), 8: (1e-6, 1e-8, 1e-10)}
LEFT_OUT = ("longrun", "thousand", "tidal")
FIRST = 40_000  # number of the first problem; no training uses it
BUDGET = 1_000_000


def problems(split: str, count: int) -> tuple[Suite, Systems, OwnReference]:
    """Return problems of all families, ready to run, with what their bodies' own energies are compared with."""
    suite = make_suite([name for name in FAMILIES if name not in LEFT_OUT], split, count, first=FIRST)
    systems = Systems.of(suite)
    return suite, systems, own_reference(systems, suite.regular, 2)


def report(suite: Suite, systems: Systems, own: OwnReference, name: str, tol: float, c: float) -> str:
    """Run all problems, and return compliance, errors and cost as a line."""
    rule = Rule("budget", lambda tols, *_: Symmetrized(replace(EnergyBudget(tols, name), c=c)), lambda _: 1.0)
    done = measure(systems, Contender(rule, "plain", name), tol, BUDGET, None, 2, own)
    assert done.own_error is not None  # they were asked for
    error = np.maximum(done.error, done.own_error) / tol
    shares = {family: float((error[suite.family_of == k] <= 1).mean()) for k, family in enumerate(suite.families)}
    worst = min(shares, key=lambda family: shares[family])
    within = f"within tol {(error <= 1).mean():6.1%}  worst family {shares[worst]:4.0%} {worst:12s}"
    median, most, forces = np.median(error), np.quantile(error, 0.9), geometric_mean(done.forces)
    return f"{name:12s} {tol:.0e} c {c:4.2f}  {within} error/tol median {median:8.2g} p90 {most:8.2g}  forces {forces:7.0f}"


def main() -> None:
    """Print one row for each splitting, tolerance and constant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", type=float, nargs="*", help="constants to try (default: the one in use)")
    parser.add_argument("--integrators", nargs="+", choices=SPLITTINGS, default=list(SPLITTINGS))
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=16, help="problems of each family")
    options = parser.parse_args()
    suite, systems, own = problems(options.split, options.count)
    for name in options.integrators:
        for tol in TOLERANCES[SPLITTINGS[name].order]:
            for c in options.constants or [EnergyBudget(tol, name).constant]:
                print(report(suite, systems, own, name, tol, c), flush=True)


if __name__ == "__main__":
    main()
