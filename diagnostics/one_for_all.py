"""One network for all integrators, with the order as an input, or one for each? Costs on `validation`, as in ablations.py.

    python diagnostics/one_for_all.py [--iterations 350] [--problems 24] [--json FILE]

Every network takes 350 iterations of learning for each integrator, on the same references; a common one takes them in turn.
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
from aitimestepper.training.runs.descent import Descent
from aitimestepper.training.runs.networks import config_for, learned_step, untrained_network
from aitimestepper.training.runs.objective import mean_log_cost, scores
from aitimestepper.training.runs.plan import DescentSettings, TrainingPlan
from aitimestepper.training.runs.training_run import TrainingRun, input_ranges

ASKED = {  # where `simulate` takes each, and two decades further
    "leapfrog": (1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-3, 1e-4, 1e-5),
    "kahan_li6": (1e-4, 1e-6, 1e-8),
    "kahan_li8": (1e-4, 1e-6, 1e-8),
}


def learned(runs: list[TrainingRun], units: int) -> FullyConnectedNN:
    """Return a network of so many hidden units that learned from the references of all of these."""
    network = untrained_network(config_for(runs[0].plan.integrator, (units,)))
    ranges = [input_ranges(run.references(), run.plan) for run in runs]
    lowest, highest = (torch.stack(ends) for ends in zip(*ranges, strict=True))
    network.limit_inputs(lowest.amin(0), highest.amax(0))
    descents = [
        Descent(network, ModelAdapter(run.config), run.references(), run.plan.asked, run.plan.descent, run.plan.seed)
        for run in runs
    ]
    for _ in range(runs[0].plan.descent.iterations):
        for descent in descents:
            descent.advance(1)
    return network.eval()


def log_cost(network: FullyConnectedNN, units: int, run: TrainingRun, problems: EvaluationSet) -> float:
    """Return the mean of ln of the forces at which the runs stay within the tolerances, for an integrator."""
    step = learned_step(network, config_for(run.plan.integrator, (units,)))
    return mean_log_cost(scores(problems, evaluate(step, problems)), problems.order)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24, help="references of each family")
    parser.add_argument("--validation", type=int, default=24, help="problems of each family to measure on")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {"problems": given.problems, "validation": given.validation, "threads": 1}
    settings = DescentSettings(iterations=given.iterations)
    runs = [TrainingRun(TrainingPlan(name, ASKED[name], descent=settings, **sizes)) for name in COMPOSITIONS]
    pairs = [(run, run.evaluation_set("validation", 0, given.validation)) for run in runs]
    rows: dict[str, list[float]] = {}
    rows["one each, 16 units"] = [log_cost(learned([run], 16), 16, run, problems) for run, problems in pairs]
    for units in (16, 32):
        common = learned(runs, units)
        rows[f"one for all, {units} units"] = [log_cost(common, units, run, problems) for run, problems in pairs]
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
