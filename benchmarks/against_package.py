"""A network of one's own against the package, on problems of the families that it was trained on.

    python benchmarks/against_package.py RUN [--split validation] [--count 24] [--same-integrator]

`within`: share of the runs within the tolerance, in brackets that of the worst family. `forces`: geometric mean of the force
evaluations. `cost`: forces at which the error that 93 % of the problems stay below is the tolerance, as the order of the method
predicts them: it does not depend on how a network was calibrated. The package is asked for the tolerance alone; with
--same-integrator its network for the integrator of the run is taken.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import LearnedStep, SimulationResult, simulate
from aitimestepper.initial.own_families import families_named
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import integrator_named
from aitimestepper.models import find_model, load_model, shipped
from aitimestepper.training.judges.objective import Score, forces_and_excess


def score(run: SimulationResult, tol: float, family: np.ndarray) -> Score:
    """Return the score of the runs of all problems at one tolerance."""
    within = run.max_energy_error <= tol
    excess = np.log(np.maximum(run.max_energy_error / tol, 1e-9)).clip(max=math.log(1e4))
    arrays = (torch.from_numpy(x) for x in (np.log(run.force_evaluations.astype(float)), excess, family))
    forces, tail = forces_and_excess(*arrays)
    worst = min(float(within[family == k].mean()) for k in np.unique(family))
    return Score(tol, math.exp(forces), float(tail), float(within.mean()), worst, float(np.exp(np.median(excess))))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder or a model file")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--count", type=int, default=60, help="problems of each family")
    parser.add_argument("--same-integrator", action="store_true")
    given = parser.parse_args()
    model = load_model(find_model(given.run))
    families, own = families_named(model.config.ic_family or ())
    suite = make_suite(families, given.split, given.count, 3, own)
    start, ends = suite.batch()
    table = Table("tolerance", "network", "within", "forces", "cost", "median error / tol")
    ratios = []
    for tol, _ in model.calibration:
        mine = simulate(start, t_end=ends, criterion=LearnedStep(model), tol=tol, warn=False)
        criterion = LearnedStep(shipped(model.integrator)) if given.same_integrator else None
        package = simulate(start, t_end=ends, criterion=criterion, tol=tol, warn=False)
        both = []
        for name, run in (("this one", mine), (f"package, {package.integrator}", package)):
            s, order = score(run, tol, suite.family_of), integrator_named(run.integrator).order
            both.append((s.forces, s.cost(order)))
            within = f"{s.compliance:.0%} ({s.worst_compliance:.0%})"
            table.add_row(f"{tol:g}", name, within, f"{s.forces:.0f}", f"{s.cost(order):.0f}", f"{s.median:.2g}")
        ratios.append(np.log(both[0]) - np.log(both[1]))
    Console(width=100).print(table)
    forces, cost = np.exp(np.mean(ratios, axis=0))
    print(f"this one over the package, geometric mean over the tolerances: forces {forces:.3f}, cost {cost:.3f}")


if __name__ == "__main__":
    main()
