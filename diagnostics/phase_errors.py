"""Does a step that keeps the energy also keep the orbit? Errors in position at equal force evaluations.

    python diagnostics/phase_errors.py [--tol 1e-3] [--integrator leapfrog] [--json FILE]

Two-body orbits, hierarchical triples and planetary systems of `test` (regular motion: elsewhere a position says nothing after a
while), 24 of each. The learned step is asked for `tol`; each classical rule gets the steps with which it spends as many forces
on that problem. Error: distance of the bodies from where a Gauss-Radau run at machine precision has them at the end, over their
distance from the centre of mass; medians over problems.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import simulate
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.matched import matched_step_parameters
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.suites import make_suite

FAMILIES = ("kepler", "triple", "planets")
RULES = ("energybudget", "freefall", "aarseth", "prs23")


def distance(final: ParticleTorch, exact: ParticleTorch) -> np.ndarray:
    """(B,) of all bodies from where they should be, over their distance from the centre."""
    apart = (final.position - exact.position).norm(dim=-1).amax(1)
    return (apart / exact.position.norm(dim=-1).amax(1)).numpy()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--integrator", default="leapfrog")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    suite = make_suite(FAMILIES, "test", given.count)
    systems = Systems.of(suite)
    exact = simulate(systems.start, t_end=systems.ends, tol=1e-13, integrator="radau15").final

    def run(contender: Contender, step_parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        criterion = contender.criterion(torch.from_numpy(step_parameters), systems.start)
        done = simulate(systems.start, t_end=systems.ends, criterion=criterion, integrator=given.integrator)
        return done.force_evaluations.numpy().astype(float), distance(done.final, exact), done.max_energy_error.numpy()

    learned = Contender(rule_named("learned"), "symmetrized", given.integrator)
    forces, place, energy = run(learned, np.full(len(suite), learned.step_parameter(given.tol)))
    table = Table("step", *(f"{name}: position / energy" for name in suite.families))
    rows = {"learned": (place, energy)}
    for name in RULES:
        for variant in ("plain", "symmetrized"):
            other = Contender(rule_named(name), variant, given.integrator)
            step_parameters, _ = matched_step_parameters(systems, other, forces)
            _, at, lost = run(other, step_parameters)
            rows[other.label] = (at, lost)
    found = {}
    for label, (at, lost) in rows.items():
        own = [suite.family_of == k for k in range(len(suite.families))]
        found[label] = {
            f: [float(np.median(at[g])), float(np.median(lost[g]))] for f, g in zip(suite.families, own, strict=True)
        }
        table.add_row(label, *(f"{p:.2e} / {e:.2e}" for p, e in found[label].values()))
    Console(width=140).print(table)
    if given.json is not None:
        about = {"tol": given.tol, "integrator": given.integrator, "count": given.count}
        given.json.write_text(json.dumps({**about, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
