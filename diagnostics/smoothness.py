"""When should a symmetrized step of a learned criterion be replaced? Several ratios, each integrator where `simulate` takes it.

    python diagnostics/smoothness.py [--smoothness 1.004 1.007 1.1] [--count 24] [--orbits 1000] [--json FILE]

`smoothness` is the factor by which the time-symmetric step may differ from the step that the last three lead to expect (see
`Symmetrized`). Measured are the forces of a run in which the error is the tolerance, on `validation`, as the order of the
method predicts it from a run with other steps, over those with the ratio of the package, and the largest error over the
tolerance in a thousand Kepler orbits (m2/m1 = 1e-3).
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

from aitimestepper import LearnedStep, Symmetrized, simulate
from aitimestepper.criteria.learned import SYMMETRIZATION
from aitimestepper.initial.named import kepler
from aitimestepper.initial.suites import Suite, make_suite
from aitimestepper.integrators import SPLITTINGS

ASKED = {"leapfrog": 1e-2, "chin4": 1e-3, "blanes_moan4": 1e-4, "blanes_moan6": 1e-6}
ECCENTRICITIES = (0.5, 0.9, 0.99)
RATIOS = (1.001, 1.004, SYMMETRIZATION.smoothness, 1.01, 1.015, 1.04, 1.1, 1.3)


def settings(integrator: str, tol: float, smoothness: float) -> dict[str, Any]:
    """Return the arguments of `simulate` besides the problem."""
    rule = Symmetrized(LearnedStep.load("default", tol, integrator=integrator), smoothness=smoothness)
    return {"criterion": rule, "integrator": integrator, "max_steps": 50_000_000, "warn": False}


def mean_log_forces(suite: Suite, integrator: str, tol: float, smoothness: float) -> float:
    """Return the mean over problems of ln of the forces at which the error is the tolerance."""
    start, ends = suite.batch()
    done = simulate(start, t_end=ends, **settings(integrator, tol, smoothness))
    excess = np.log(done.max_energy_error / tol) / SPLITTINGS[integrator].order
    return float((np.log(done.force_evaluations) + excess).mean())


def long_run(integrator: str, tol: float, smoothness: float, e: float, orbits: int) -> float:
    """Return the largest error of a Kepler orbit over the tolerance."""
    done = simulate(kepler(e=e, q=1e-3), t_end=2 * math.pi * orbits, **settings(integrator, tol, smoothness))
    return float(done.max_energy_error[0]) / tol


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoothness", nargs="+", type=float, default=list(RATIOS))
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--orbits", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    head = f"e = {', '.join(map(str, ECCENTRICITIES))}"
    table = Table("smoothness", *(f"{name}: forces; {head}" for name in ASKED))
    suite = make_suite(split="validation", count=given.count)
    own = {name: mean_log_forces(suite, name, tol, SYMMETRIZATION.smoothness) for name, tol in ASKED.items()}
    rows: dict[str, dict[str, list[float]]] = {}
    for ratio in given.smoothness:
        rows[f"{ratio:g}"] = row = {}
        for name, tol in ASKED.items():
            forces = math.exp(mean_log_forces(suite, name, tol, ratio) - own[name])
            row[name] = [forces, *(long_run(name, tol, ratio, e, given.orbits) for e in ECCENTRICITIES)]
        table.add_row(f"{ratio:g}", *(f"{r:.2f}; {', '.join(f'{x:.2g}' for x in largest)}" for r, *largest in row.values()))
    Console(width=140).print(table)
    if given.json is not None:
        about = {"asked": ASKED, "package": SYMMETRIZATION.smoothness, "e": ECCENTRICITIES, "rows": rows}
        given.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
