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

from aitimestepper import Config
from aitimestepper.differentiable.network import FullyConnectedNN, build_network
from aitimestepper.evaluation.evaluation_set import LONG, EvaluationSet, evaluate
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.training.judges.networks import learned_step
from aitimestepper.training.judges.objective import mean_log_cost, scores
from aitimestepper.training.judges.ranges import input_ranges
from aitimestepper.training.judges.reference import ReferenceTrajectories
from aitimestepper.training.judges.tolerances import asked, measured_at
from descent import Descent, descend, references_of

ASKED = {  # where `simulate` takes each, and two decades further
    "leapfrog": (1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-3, 1e-4, 1e-5),
    "kahan_li6": (1e-4, 1e-6, 1e-8),
    "kahan_li8": (1e-4, 1e-6, 1e-8),
}


def settings(integrator: str, units: int = 16) -> Config:
    """Return the settings of a training with so many hidden units."""
    tolerances = ASKED[integrator]
    return Config(judge="run", integrator=integrator, tolerances=tolerances, layers=(units,), seed=1, device="cpu", threads=1)


def learned(references: dict[str, ReferenceTrajectories], units: int, iterations: int) -> FullyConnectedNN:
    """Return a network of so many hidden units that learned from the references of all of these integrators."""
    configs = {name: settings(name, units) for name in references}
    network = build_network(next(iter(configs.values())))
    ranges = [input_ranges(references[name], asked(c), SPLITTINGS[name].order) for name, c in configs.items()]
    lowest, highest = (torch.stack(ends) for ends in zip(*ranges, strict=True))
    network.limit_inputs(lowest.amin(0), highest.amax(0))
    descend([Descent(network, config, references[name]) for name, config in configs.items()], iterations)
    return network


def log_cost(network: FullyConnectedNN, units: int, problems: EvaluationSet) -> float:
    """Return the mean of ln of the forces at which the runs stay within the tolerances, for an integrator."""
    step = learned_step(network, settings(problems.integrator, units))
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
    suite, count = make_suite((*STANDARD, LONG), "train", given.problems), given.iterations
    references = {name: references_of(suite, name, measured_at(asked(settings(name)))) for name in ASKED}
    sets = [EvaluationSet.make(name, tolerances, "validation", given.validation) for name, tolerances in ASKED.items()]
    rows: dict[str, list[float]] = {}
    own = [learned({name: made}, 16, count) for name, made in references.items()]
    rows["one each, 16 units"] = [log_cost(network, 16, problems) for network, problems in zip(own, sets, strict=True)]
    for units in (16, 32):
        common = learned(references, units, count)
        rows[f"one for all, {units} units"] = [log_cost(common, units, problems) for problems in sets]
    table = Table("network", *(f"{name}, ratio" for name in ASKED))
    costs: dict[str, dict[str, float]] = {}
    for name, found in rows.items():
        costs[name] = dict(zip(ASKED, (math.exp(cost) for cost in found), strict=True))
        first = rows["one each, 16 units"]
        table.add_row(name, *(f"{math.exp(a):.0f}, {math.exp(a - b):.2f}" for a, b in zip(found, first, strict=True)))
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"iterations": given.iterations, "cost": costs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
