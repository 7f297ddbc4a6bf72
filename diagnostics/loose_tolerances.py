"""Does it pay to learn from tolerances that are too loose for an order? Costs on `validation`, with them and without.

    python diagnostics/loose_tolerances.py [--integrators kahan_li6 kahan_li8] [--iterations 350] [--json FILE]

Cost: force evaluations of a run with steps such that its error is the tolerance, as the order of the method predicts it from a
run with other steps; geometric mean over problems, each family counting the same.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import Config
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.evaluation.evaluation_set import LONG, EvaluationSet, evaluate
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import make_suite
from aitimestepper.training.judges.networks import learned_step
from aitimestepper.training.judges.tolerances import SUITABLE, asked, learned, measured_at
from descent import references_of, trained


def costs(network: FullyConnectedNN, config: Config, problems: EvaluationSet) -> list[float]:
    """Return the costs of a network at the tolerances of the problems."""
    measured = evaluate(learned_step(network, config), problems)
    log_cost = measured.log_forces + measured.log_excess / problems.order
    means = [log_cost[:, problems.family == k].mean(1) for k in range(len(problems.families))]
    return np.exp(np.mean(means, axis=0)).tolist()


def main() -> None:
    """Learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrators", nargs="+", default=["kahan_li6", "kahan_li8"], choices=list(SUITABLE))
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24, help="references of each family")
    parser.add_argument("--validation", type=int, default=24, help="problems of each family to measure on")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("integrator", "tolerance", "learned from all", "from the tight ones", "ratio")
    rows: dict[str, dict[str, list[float]]] = {}
    for integrator in given.integrators:
        tight = Config(judge="run", integrator=integrator, seed=1, device="cpu", threads=1)
        every, tolerances = replace(tight, tolerances=asked(tight)), learned(tight)
        suite = make_suite((*STANDARD, LONG), "train", given.problems)
        references = references_of(suite, integrator, measured_at(asked(tight)))
        problems = EvaluationSet.make(integrator, tolerances, "validation", given.validation)
        both = [costs(trained(c, references, given.iterations), c, problems) for c in (every, tight)]
        rows[integrator] = {}
        for tol, from_every, from_tight in zip(tolerances, *both, strict=True):
            rows[integrator][f"{tol:g}"] = [from_every, from_tight]
            table.add_row(integrator, f"{tol:g}", f"{from_every:.0f}", f"{from_tight:.0f}", f"{from_tight / from_every:.2f}")
    Console(width=100).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"iterations": given.iterations, "cost": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
