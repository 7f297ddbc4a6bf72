"""What limits the learned step? A shipped network against steps that are optimized for one problem.

    python diagnostics/limit_of_state.py [--integrators leapfrog blanes_moan4] [--problems 2] [--iterations 250] [--json FILE]

Measured are the forces at which the error is the tolerance, as predicted along reference trajectories of `validation` (see
aitimestepper.training.judges.predicted). `package`: the network of the package. `own`: the same network after learning from
that problem alone, which is as far as a step chosen from these inputs can go. `any`: the best steps for a problem whose whole
run is known; they may follow it in any way that is no rougher. `hindsight`: EnergyBudget with the constant best for it.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from aitimestepper import ModelAdapter
from aitimestepper.differentiable.network import FullyConnectedNN, build_network, network_from
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.models import shipped
from aitimestepper.training.judges.networks import trained_parameters
from aitimestepper.training.judges.objective import log_cost
from aitimestepper.training.judges.predicted import PredictedError, converged_prediction, log_steps, predict_for_steps
from aitimestepper.training.judges.reference import ReferenceTrajectories
from aitimestepper.training.judges.run import ROUGHNESS_WEIGHT
from descent import references_of

# a tolerance for which each integrator is of use
ASKED = {"leapfrog": 1e-3, "chin4": 1e-3, "blanes_moan4": 1e-4, "blanes_moan6": 1e-6}
LR, DAMPING, ROUNDS = 1e-2, 0.7, 30
BUMPS, WIDTH = 1000, 1.5  # for steps that are free all along a run: largest number of bell curves, width of each in steps


class Problem(NamedTuple):
    """One reference trajectory of S points, and the tolerance asked for on it."""

    reference: ReferenceTrajectories
    tol: float
    integrator: str

    def predict(self, log_Q: Tensor) -> tuple[PredictedError, float]:
        """Return the prediction for steps exp(log_Q) (S,), and the forces at which its error is the tolerance."""
        found = predict_for_steps(log_Q, self.reference, self.tol, self.integrator)
        return found, math.exp((found.log_forces + found.log_excess / self.order).item())

    @property
    def order(self) -> int:
        """Order of the integrator."""
        return SPLITTINGS[self.integrator].order

    def steps_of(self, network: FullyConnectedNN, adapter: ModelAdapter) -> tuple[Tensor, Tensor]:
        """Return ln of the steps that a network chooses (S,), and the error so far over the tolerance that it is shown (S,)."""
        _, shown = converged_prediction(network, adapter, self.reference, self.tol, ROUNDS)
        with torch.no_grad():
            return log_steps(network, adapter, self.reference, self.tol, shown), shown


def improve(
    problem: Problem, steps: Callable[[Tensor], Tensor], parameters: Iterable[Tensor], shown: Tensor, iterations: int
) -> float:
    """Return the fewest forces in the last quarter of a descent, for steps that follow from parameters and the error so far."""
    optimizer, best = torch.optim.Adam(parameters, lr=LR), math.inf
    for k in range(iterations):
        found, forces = problem.predict(steps(shown))
        shown = DAMPING * shown + (1 - DAMPING) * found.error_fraction
        cost = log_cost(found.log_forces, found.log_excess, problem.reference.family, problem.order)
        optimizer.zero_grad()
        (cost + ROUGHNESS_WEIGHT * found.roughness.mean()).backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = LR * (1 - k / iterations) + 1e-4
        if k > 0.75 * iterations:
            best = min(best, forces)
    return best


def smooth_bumps(log_Q: Tensor, reference: ReferenceTrajectories) -> Tensor:
    """Return K bell curves along the run, (S, K), one every step or every few, wide enough for their sums to be smooth."""
    done = torch.cumsum(torch.nn.functional.pad(torch.diff(reference.time) * torch.exp(-log_Q[1:]), (1, 0)), 0)
    at = torch.linspace(0.0, float(done[-1]), max(2, min(BUMPS, int(done[-1]))), dtype=log_Q.dtype)
    bumps = torch.exp(-0.5 * ((done[:, None] - at) / (WIDTH * (at[1] - at[0]))) ** 2)
    return bumps / bumps.sum(1, keepdim=True)


def four_ways(problem: Problem, network: FullyConnectedNN, adapter: ModelAdapter, iterations: int) -> list[float]:
    """Return the forces of the package's network, of its own one, of any steps, and of EnergyBudget in hindsight."""
    log_Q, shown = problem.steps_of(network, adapter)
    package, own_network = problem.predict(log_Q)[1], copy.deepcopy(network)

    def own_steps(shown: Tensor) -> Tensor:
        return log_steps(own_network, adapter, problem.reference, problem.tol, shown)

    own = improve(problem, own_steps, trained_parameters(own_network), shown, iterations)
    free = [own]
    for start in (log_Q, problem.steps_of(own_network, adapter)[0]):
        bumps = smooth_bumps(start, problem.reference)
        height = torch.zeros(bumps.shape[1], dtype=start.dtype, requires_grad=True)
        free.append(improve(problem, lambda _, at=start, b=bumps, h=height: at + b @ h, [height], shown, iterations))
    untrained = build_network(replace(adapter.config, judge="run"))  # the step of EnergyBudget
    hindsight = problem.predict(problem.steps_of(untrained, adapter)[0])[1]
    return [package, own, min(free), hindsight]


def geometric_means(integrator: str, count: int, iterations: int) -> dict[str, list[float]]:
    """Return geometric means over `count` problems of each family."""
    tol, model = ASKED[integrator], shipped(integrator)
    network, adapter = network_from(model), ModelAdapter(model.config)  # uncalibrated: it is asked for the tolerance itself
    suite = make_suite(STANDARD, "validation", count, first=7000)
    made = references_of(suite, integrator, (10 * tol, tol, 0.1 * tol))
    found = {}
    for k, family in enumerate(suite.families):
        members = torch.nonzero(made.family == k).flatten()
        problems = [Problem(made.rows(i[None])[0], tol, integrator) for i in members]
        logs = torch.log(torch.tensor([four_ways(p, network, adapter, iterations) for p in problems], dtype=torch.float64))
        found[family] = logs.mean(0).exp().tolist()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrators", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--problems", type=int, default=2, help="problems of each family")
    parser.add_argument("--iterations", type=int, default=250)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("integrator", "tol", "family", "package", "own", "any", "hindsight", "package / own", "package / any")
    rows = {}
    for integrator in given.integrators:
        rows[integrator] = geometric_means(integrator, given.problems, given.iterations)
        for family, (package, own, free, hindsight) in rows[integrator].items():
            forces = (f"{x:.0f}" for x in (package, own, free, hindsight))
            ratios = f"{package / own:.2f}", f"{package / free:.2f}"
            table.add_row(integrator, f"{ASKED[integrator]:g}", family, *forces, *ratios)
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"asked": ASKED, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
