"""Below which tolerance Gauss-Radau is cheaper than a learned splitting, and how loose its epsilon may be.

    python diagnostics/where_gauss_radau.py [--count 16] [--split validation]

Every family of short runs, sensitive systems and others apart. A row for each way to choose the steps: the geometric mean of
forces, every family counting the same; and for each tolerance the share of problems within it in the worst family (of four and
more problems), by total and own energies. `policy.CHEAPEST`, `RADAU_BELOW` and `RADAU_EPSILONS` come from this. Two minutes.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from aitimestepper import PRS23, simulate
from aitimestepper.criteria.classical import radau_eta
from aitimestepper.evaluation.own_errors import Comparison, natural_units
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.initial.families import FAMILIES
from aitimestepper.initial.suites import make_suite
from aitimestepper.simulate.length import are_sensitive
from asked import BUDGET, Problems

LONG = ("longrun", "thousand")
FEWEST = 4
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 7e-7, 6e-7, 4e-7, 3.4e-7, 1e-7, 1e-8)
WAYS: dict[str, dict[str, Any]] = {
    **{
        f"{name}, {tol:g}": {"tol": tol, "integrator": name}
        for tol, names in (
            (1e-3, ("chin4", "blanes_moan4")),
            (1e-4, ("chin4", "blanes_moan4")),
            (1e-5, ("chin4", "blanes_moan4", "blanes_moan6")),
            (1e-6, ("blanes_moan4", "blanes_moan6")),
            *((tol, ("blanes_moan4", "blanes_moan6")) for tol in (7e-7, 6e-7, 4e-7, 3.4e-7)),
            (1e-7, ("blanes_moan6",)),
            (1e-8, ("blanes_moan6",)),
        )
        for name in names
    },
    **{
        f"radau15, epsilon {epsilon:g}": {"criterion": PRS23(radau_eta(epsilon)), "integrator": "radau15"}
        for epsilon in (3e-7, 1e-6, 3e-6, 1e-5)
    },
}


def errors_and_forces(problems: Problems, way: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the larger error of each problem, of the total or an own energy, and its forces, each (P,)."""
    comparison, units = Comparison(problems.own), natural_units(problems.systems)
    rows = {"output_every": comparison.reference.every, "sinks": (comparison.take,)}
    done = simulate(units.start, t_end=units.ends, max_steps=BUDGET, threads=1, warn=False, **rows, **way)
    comparison.end(done.final)
    total = np.where(np.array(done.status) == "ok", done.max_energy_error, math.inf)
    own = np.where(problems.own.compared & problems.own.covered.any(1), comparison.error, total)
    return np.fmax(total, own), done.force_evaluations.astype(float)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16, help="problems of each family")
    parser.add_argument("--split", default="validation")
    given = parser.parse_args()
    families = [name for name in FAMILIES if name not in LONG]
    suites = {name: Problems.of(make_suite((name,), given.split, given.count)) for name in families}
    kinds = {family: are_sensitive(problems.systems.start) for family, problems in suites.items()}
    print(f"{'':26}{'systems':>12}{'forces':>8}  kept in the worst family at {', '.join(f'{t:g}' for t in TOLERANCES)}")
    for name, way in WAYS.items():
        found = {family: errors_and_forces(problems, way) for family, problems in suites.items()}
        for words, sensitive in (("sensitive", True), ("others", False)):
            some = {f: kinds[f] == sensitive for f in families if (kinds[f] == sensitive).sum() >= FEWEST}
            forces = geometric_mean(np.array([geometric_mean(found[f][1][rows]) for f, rows in some.items()]))
            worst = [min(float((found[f][0][rows] <= tol).mean()) for f, rows in some.items()) for tol in TOLERANCES]
            print(f"{name:26}{words:>12}{forces:8.0f}  {'  '.join(f'{w:.0%}' for w in worst)}", flush=True)


if __name__ == "__main__":
    main()
