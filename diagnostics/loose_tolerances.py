"""Does it pay to learn from tolerances at which an order is wasted? Costs on `validation`, with them and without.

    python diagnostics/loose_tolerances.py [--integrators kahan_li6 kahan_li8] [--iterations 350] [--json FILE]

Cost: forces of a run in which the error is the tolerance, as far as steps of another length would make it so: the geometric
mean over problems, each family counting the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper.evaluation.evaluation_set import evaluate
from aitimestepper.training.runs.descent import Descent
from aitimestepper.training.runs.networks import step_of
from aitimestepper.training.runs.plan import TOLERANCES, TunePlan
from aitimestepper.training.runs.training_run import TrainingRun


def costs(plan: TunePlan, tolerances: tuple[float, ...]) -> list[float]:
    """Of a network that learned as the plan says, at these tolerances."""
    with tempfile.TemporaryDirectory() as folder:
        work = TrainingRun(plan, folder=Path(folder))
        step = step_of(work.descend(None), work.config)
    what = TrainingRun(replace(plan, tolerances=tolerances)).evaluation_set("validation", plan.validation, plan.validation)
    marks = evaluate(step, what)
    of_problem = torch.from_numpy(marks.log_forces + marks.log_excess / what.order)
    family = torch.from_numpy(what.family)
    means = torch.stack([of_problem[:, family == k].mean(1) for k in range(len(what.families))])
    return means.mean(0).exp().tolist()


def main() -> None:
    """Learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrators", nargs="+", default=["kahan_li6", "kahan_li8"], choices=list(TOLERANCES))
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("integrator", "tolerance", "learned from all", "from the tight ones", "ratio")
    rows: dict[str, dict[str, list[float]]] = {}
    for integrator in given.integrators:
        plan = TunePlan(integrator, problems=given.problems, descent=Descent(iterations=given.iterations), threads=1)
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
