"""One network for all integrators, which is told the order, or one for each? Costs on `validation`, as in ablations.py.

    python diagnostics/one_for_all.py [--iterations 350] [--problems 24] [--json FILE]

Every network learns as much from each integrator, 350 iterations on the same tracks; a common one from all four in turn.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import ModelAdapter
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.evaluation.evaluation_set import EvaluationSet, evaluate
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.training.runs.descent import Descending, Descent
from aitimestepper.training.runs.networks import config_for, keep_inputs_in, step_of, untrained
from aitimestepper.training.runs.objective import mean_log_cost, scores
from aitimestepper.training.runs.plan import TunePlan
from aitimestepper.training.runs.training_run import TrainingRun, input_ranges

ASKED = {  # where `simulate` would take them, and two decades further
    "leapfrog": (1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-3, 1e-4, 1e-5),
    "kahan_li6": (1e-4, 1e-6, 1e-8),
    "kahan_li8": (1e-4, 1e-6, 1e-8),
}


def learned(works: list[TrainingRun], layers: tuple[int, ...]) -> FullyConnectedNN:
    """A network from all of these together."""
    model = untrained(config_for(works[0].plan.integrator, layers))
    ranges = [input_ranges(work.tracks(), work.plan) for work in works]
    lowest, highest = (torch.stack(ends) for ends in zip(*ranges, strict=True))
    keep_inputs_in(model, lowest.amin(0), highest.amax(0))
    going = [
        Descending(model, ModelAdapter(work.config), work.tracks(), work.plan.asked, work.plan.descent, work.plan.seed)
        for work in works
    ]
    for _ in range(works[0].plan.descent.iterations):
        for one in going:
            one.advance(1)
    return model.eval()


def log_cost(model: FullyConnectedNN, work: TrainingRun, exam: EvaluationSet) -> float:
    """Mean ln forces at which the tolerances are kept."""
    return mean_log_cost(scores(exam, evaluate(step_of(model, work.config), exam)), exam.order)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    how = Descent(iterations=given.iterations)
    works = [TrainingRun(TunePlan(name, ASKED[name], problems=given.problems, descent=how, threads=1)) for name in COMPOSITIONS]
    exams = [work.evaluation_set("validation", 0, work.plan.validation) for work in works]
    rows: dict[str, list[float]] = {}
    rows["one each, 16 units"] = [log_cost(learned([w], (16,)), w, e) for w, e in zip(works, exams, strict=True)]
    for units in (16, 32):
        common = learned(works, (units,))
        rows[f"one for all, {units} units"] = [log_cost(common, w, e) for w, e in zip(works, exams, strict=True)]
    table = Table("network", *(f"{name}, ratio" for name in COMPOSITIONS))
    costs: dict[str, dict[str, float]] = {}
    for name, found in rows.items():
        costs[name] = dict(zip(COMPOSITIONS, (math.exp(cost) for cost in found), strict=True))
        first = rows["one each, 16 units"]
        table.add_row(name, *(f"{math.exp(a):.0f}, {math.exp(a - b):.2f}" for a, b in zip(found, first, strict=True)))
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"iterations": given.iterations, "cost": costs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
