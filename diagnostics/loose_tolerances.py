"""Does it pay to learn from tolerances that are too loose for an order? Costs on `validation`, with them and without.

    python diagnostics/loose_tolerances.py [--integrators kahan_li6 kahan_li8] [--iterations 350] [--json FILE]

Cost: force evaluations of a run with steps such that its error is the tolerance, as the order of the method predicts it from a
run with other steps; geometric mean over problems, each family counting the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper.evaluation.evaluation_set import evaluate
from aitimestepper.training.runs.networks import learned_step
from aitimestepper.training.runs.plan import TOLERANCES, DescentSettings, TrainingPlan
from aitimestepper.training.runs.training_run import TrainingRun


def costs(plan: TrainingPlan, tolerances: tuple[float, ...]) -> list[float]:
    """Return the costs at these tolerances of a network that learned as the plan says."""
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(plan, folder=Path(folder))
        step = learned_step(run.descend(), run.config)
    fresh = plan.validation  # the first problems of `validation` have chosen the network
    problems = TrainingRun(replace(plan, tolerances=tolerances)).evaluation_set("validation", fresh, plan.validation)
    measured = evaluate(step, problems)
    log_cost = measured.log_forces + measured.log_excess / problems.order
    means = [log_cost[:, problems.family == k].mean(1) for k in range(len(problems.families))]
    return np.exp(np.mean(means, axis=0)).tolist()


def main() -> None:
    """Learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrators", nargs="+", default=["kahan_li6", "kahan_li8"], choices=list(TOLERANCES))
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24, help="references of each family")
    parser.add_argument("--validation", type=int, default=24, help="problems of each family to measure on")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("integrator", "tolerance", "learned from all", "from the tight ones", "ratio")
    rows: dict[str, dict[str, list[float]]] = {}
    for integrator in given.integrators:
        how_long = DescentSettings(iterations=given.iterations)
        sizes = {"problems": given.problems, "validation": given.validation}
        plan = TrainingPlan(integrator, descent=how_long, threads=1, **sizes)
        both = [costs(p, plan.learned) for p in (replace(plan, tolerances=plan.asked), plan)]
        rows[integrator] = {}
        for tol, every, tight in zip(plan.learned, *both, strict=True):
            rows[integrator][f"{tol:g}"] = [every, tight]
            table.add_row(integrator, f"{tol:g}", f"{every:.0f}", f"{tight:.0f}", f"{tight / every:.2f}")
    Console(width=100).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"iterations": given.iterations, "cost": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
