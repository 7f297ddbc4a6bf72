"""When should mirrored steps of a learned step be given up? Each integrator where `simulate` takes it, for several ratios.

    python diagnostics/settle.py [--settle 1.004 1.007 1.1] [--json FILE]

Forces of a run in which the error is the tolerance, on `validation` (as in loose_tolerances.py), over those with the ratio of
the package; largest error over what was asked in a thousand Kepler orbits (m2/m1 = 1e-3).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import LearnedStep, Symmetrized, simulate
from aitimestepper.criteria.learned import SYMMETRIZATION
from aitimestepper.initial.named import kepler
from aitimestepper.initial.suites import Suite, make_suite
from aitimestepper.integrators import COMPOSITIONS

ASKED = {"leapfrog": 1e-2, "suzuki4": 1e-3, "kahan_li6": 1e-5, "kahan_li8": 1e-7}
ECCENTRICITIES, ORBITS = (0.5, 0.9, 0.99), 1000
SHORT = f"e = {', '.join(map(str, ECCENTRICITIES))}"


def settled_at(integrator: str, tol: float, smoothness: float) -> dict[str, Any]:
    """What `simulate` is given besides a problem."""
    rule = Symmetrized(LearnedStep.load("default", tol, integrator=integrator), smoothness=smoothness)
    return {"criterion": rule, "integrator": integrator, "max_steps": 50_000_000}


def log_forces(suite: Suite, integrator: str, tol: float, smoothness: float) -> float:
    """Mean over problems, at the tolerance."""
    start, ends = suite.batch()
    done = simulate(start, t_end=ends, **settled_at(integrator, tol, smoothness))
    excess = torch.log(done.max_energy_error / tol) / COMPOSITIONS[integrator].order
    return (torch.log(done.force_evaluations.double()) + excess).mean().item()


def long_run(integrator: str, tol: float, smoothness: float, e: float) -> float:
    """Largest error over what was asked."""
    done = simulate(kepler(e=e, q=1e-3), t_end=2 * math.pi * ORBITS, **settled_at(integrator, tol, smoothness))
    return done.max_energy_error.item() / tol


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--settle", nargs="+", type=float, default=[1.001, 1.004, SYMMETRIZATION[1], 1.01, 1.015, 1.04, 1.1, 1.3]
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    table = Table("settle", *(f"{name}: forces, {SHORT}" for name in ASKED))
    suite = make_suite(split="validation", count=24)
    own = {name: log_forces(suite, name, tol, SYMMETRIZATION[1]) for name, tol in ASKED.items()}
    rows: dict[str, dict[str, list[float]]] = {}
    for settle in given.settle:
        rows[f"{settle:g}"] = row = {}
        for name, tol in ASKED.items():
            ratio = math.exp(log_forces(suite, name, tol, settle) - own[name])
            row[name] = [ratio, *(long_run(name, tol, settle, e) for e in ECCENTRICITIES)]
        table.add_row(f"{settle:g}", *(f"{r:.2f}; {', '.join(f'{x:.2g}' for x in largest)}" for r, *largest in row.values()))
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(
            json.dumps({"asked": ASKED, "package": SYMMETRIZATION[1], "e": ECCENTRICITIES, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
