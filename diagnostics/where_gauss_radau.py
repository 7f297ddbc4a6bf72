"""Below which tolerance Gauss-Radau is cheaper than a learned splitting, and how loose its epsilon may be.

    python diagnostics/where_gauss_radau.py [--count 12] [--split validation]

Every family of short runs. A row for each way to choose the steps: geometric means of forces, over the five standard families
and over all; and for each tolerance the share of problems within it in the worst family, by total and own energies.
`policy.RADAU_BELOW` and `policy.RADAU_EPSILONS` come from this. Five minutes.
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
from asked import BUDGET, Problems

STANDARD = ("kepler", "triple", "random3", "cluster", "planets")
LONG = ("longrun", "thousand")
TOLERANCES = (1e-6, 3.4e-7, 1e-7, 1e-8)
WAYS: dict[str, dict[str, Any]] = {
    "blanes_moan4, 1e-6": {"tol": 1e-6, "integrator": "blanes_moan4"},
    "blanes_moan4, 3.4e-7": {"tol": 3.4e-7, "integrator": "blanes_moan4"},
    "blanes_moan6, 3.4e-7": {"tol": 3.4e-7, "integrator": "blanes_moan6"},
    "blanes_moan6, 1e-7": {"tol": 1e-7, "integrator": "blanes_moan6"},
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
    parser.add_argument("--count", type=int, default=12, help="problems of each family")
    parser.add_argument("--split", default="validation")
    given = parser.parse_args()
    families = [name for name in FAMILIES if name not in LONG]
    suites = {name: Problems.of(make_suite((name,), given.split, given.count)) for name in families}
    print(f"{'':26}{'standard':>10}{'all':>8}  kept in the worst family at {', '.join(f'{t:g}' for t in TOLERANCES)}")
    for name, way in WAYS.items():
        found = {family: errors_and_forces(problems, way) for family, problems in suites.items()}
        forces = [geometric_mean(np.concatenate([found[f][1] for f in some])) for some in (STANDARD, families)]
        worst = [min(float((error <= tol).mean()) for error, _ in found.values()) for tol in TOLERANCES]
        print(f"{name:26}{forces[0]:10.0f}{forces[1]:8.0f}  {'  '.join(f'{w:.0%}' for w in worst)}", flush=True)


if __name__ == "__main__":
    main()
