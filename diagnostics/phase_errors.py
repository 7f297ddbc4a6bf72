"""Does a step with small energy errors also have small errors in position? Both at equal force evaluations.

    python diagnostics/phase_errors.py [--tol 1e-3] [--integrator leapfrog] [--json FILE]

Two-body orbits, hierarchical triples and planetary systems of `test`, 24 of each: their motion is regular (in chaotic motion a
position means nothing after a while). The learned step is asked for `tol`; each classical rule gets the steps with which it
spends as many forces on that problem. Error in position: distance of the bodies from their places at the end of a Gauss-Radau
run at machine precision, over their distance from the centre of mass. Medians over problems.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import Bodies, simulate
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.matched import matched_step_parameters
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import make_suite

FAMILIES = ("kepler", "triple", "planets")
RULES = ("energybudget", "freefall", "aarseth", "prs23")


def position_error(final: Bodies, exact: Bodies) -> np.ndarray:
    """Return the largest distance of a body from its place in `exact`, over the largest distance from the centre, (B,)."""
    apart = np.linalg.norm(final.position - exact.position, axis=-1).max(1)
    return apart / np.linalg.norm(exact.position, axis=-1).max(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--integrator", default="leapfrog")
    parser.add_argument("--count", type=int, default=24, help="problems of each family")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    suite = make_suite(FAMILIES, "test", given.count)
    systems = Systems.of(suite)
    exact = simulate(systems.start, t_end=systems.ends, tol=1e-13, integrator="radau15", warn=False).final

    def run(contender: Contender, step_parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        criterion = contender.criterion(step_parameters, systems.start)
        done = simulate(systems.start, t_end=systems.ends, criterion=criterion, integrator=given.integrator, warn=False)
        return done.force_evaluations.astype(float), position_error(done.final, exact), done.max_energy_error

    learned = Contender(rule_named("learned"), "symmetrized", given.integrator)
    forces, place, energy = run(learned, np.full(len(suite), learned.step_parameter(given.tol)))
    table = Table("step", *(f"{name}: position / energy" for name in suite.families))
    rows = {"learned": (place, energy)}
    for name in RULES:
        for variant in ("plain", "symmetrized"):
            other = Contender(rule_named(name), variant, given.integrator)
            step_parameters, _ = matched_step_parameters(systems, other, forces)
            rows[other.label] = run(other, step_parameters)[1:]
    found = {}
    members = {family: suite.family_of == k for k, family in enumerate(suite.families)}
    for label, errors in rows.items():
        found[label] = {family: [float(np.median(error[own])) for error in errors] for family, own in members.items()}
        table.add_row(label, *(f"{p:.2e} / {e:.2e}" for p, e in found[label].values()))
    Console(width=140).print(table)
    if given.json is not None:
        about = {"tol": given.tol, "integrator": given.integrator, "count": given.count}
        given.json.write_text(json.dumps({**about, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
