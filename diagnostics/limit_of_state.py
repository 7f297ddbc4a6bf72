"""What limits the learned step? A network of the package against steps that know one problem only.

    python diagnostics/limit_of_state.py [--integrators leapfrog kahan_li6] [--tracks 2] [--iterations 250] [--json FILE]

On tracks of `validation`, by guesses (see aitimestepper.training.runs.predicted): the forces at which the error is the tolerance.
`package`: the network for everything; `own`: the same network after learning from that problem alone, as far as a step that is
chosen from these inputs can go; `any`: the best steps for a problem whose whole run is known, free to follow it in any way that
is no rougher; `hindsight`: EnergyBudget with the constant that is best for the problem.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from aitimestepper import ModelAdapter
from aitimestepper.criteria.learned import shipped
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.evaluation.runs import Systems
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.training.runs.descent import ROUGH
from aitimestepper.training.runs.networks import searched, untrained
from aitimestepper.training.runs.objective import log_cost
from aitimestepper.training.runs.predicted import PredictedError, converged_prediction, log_steps, predict_for_steps
from aitimestepper.training.runs.reference import ReferenceTrajectories, make_tracks

ASKED = {"leapfrog": 1e-3, "suzuki4": 1e-4, "kahan_li6": 1e-6, "kahan_li8": 1e-7}  # where each is at home
LR, MEMORY, SETTLE = 1e-2, 0.7, 30
BUMPS, WIDTH = 1000, 1.5  # of steps that are free all along a run: at most so many numbers; how many steps each is wide


class Problem(NamedTuple):
    """A track, and what is asked on it."""

    track: ReferenceTrajectories
    tol: float
    integrator: str

    def judge(self, log_Q: Tensor) -> tuple[PredictedError, float]:
        """(what a run with such steps would come to, the forces at which the error would be the tolerance)."""
        found = predict_for_steps(log_Q, self.track, self.tol, self.integrator)
        return found, math.exp((found.log_forces + found.log_excess / self.order).item())

    @property
    def order(self) -> int:
        """Of the integrator."""
        return COMPOSITIONS[self.integrator].order

    def settled(self, model: FullyConnectedNN, adapter: ModelAdapter) -> tuple[Tensor, Tensor]:
        """(ln of the steps that a network chooses, the error so far that it sees)."""
        _, spent = converged_prediction(model, adapter, self.track, self.tol, SETTLE)
        with torch.no_grad():
            return log_steps(model, adapter, self.track, self.tol, spent), spent


def improve(
    problem: Problem, steps: Callable[[Tensor], Tensor], parameters: Iterable[Tensor], spent: Tensor, iterations: int
) -> float:
    """The fewest forces in the last quarter of a descent, for steps that parameters and the error so far decide about."""
    optimizer, best = torch.optim.Adam(parameters, lr=LR), math.inf
    for k in range(iterations):
        found, forces = problem.judge(steps(spent))
        spent = MEMORY * spent + (1 - MEMORY) * found.spent
        cost = log_cost(found.log_forces, found.log_excess, problem.track.family, problem.order)
        optimizer.zero_grad()
        (cost + ROUGH * found.roughness.mean()).backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = LR * (1 - k / iterations) + 1e-4
        if k > 0.75 * iterations:
            best = min(best, forces)
    return best


def smooth_bumps(log_Q: Tensor, track: ReferenceTrajectories) -> Tensor:
    """(S, K) bell curves along the run, one every step or every few, wide enough for their sums to be smooth."""
    done = torch.cumsum(torch.nn.functional.pad(torch.diff(track.time) * torch.exp(-log_Q[1:]), (1, 0)), 0)
    at = torch.linspace(0.0, float(done[-1]), max(2, min(BUMPS, int(done[-1]))), dtype=log_Q.dtype)
    bumps = torch.exp(-0.5 * ((done[:, None] - at) / (WIDTH * (at[1] - at[0]))) ** 2)
    return bumps / bumps.sum(1, keepdim=True)


def four_ways(problem: Problem, model: FullyConnectedNN, adapter: ModelAdapter, iterations: int) -> list[float]:
    """Forces: of the package's network, of its own, of any steps, of EnergyBudget in hindsight."""
    log_Q, spent = problem.settled(model, adapter)
    package, own_model = problem.judge(log_Q)[1], copy.deepcopy(model)

    def own_steps(spent: Tensor) -> Tensor:
        return log_steps(own_model, adapter, problem.track, problem.tol, spent)

    own = improve(problem, own_steps, searched(own_model), spent, iterations)
    free = [own]
    for start in (log_Q, problem.settled(own_model, adapter)[0]):
        bumps = smooth_bumps(start, problem.track)
        height = torch.zeros(bumps.shape[1], dtype=start.dtype, requires_grad=True)
        free.append(improve(problem, lambda _, at=start, b=bumps, h=height: at + b @ h, [height], spent, iterations))
    hindsight = problem.judge(problem.settled(untrained(adapter.config), adapter)[0])[1]
    return [package, own, min(free), hindsight]


def of_integrator(integrator: str, tracks: int, iterations: int) -> dict[str, list[float]]:
    """Geometric means over the problems of each family."""
    tol, checkpoint = ASKED[integrator], shipped(integrator)
    model, adapter = checkpoint.build_model(), ModelAdapter(checkpoint.config)
    assert isinstance(model, FullyConnectedNN)
    suite = make_suite(STANDARD, "validation", tracks, first=7000)
    made = make_tracks(Systems.of(suite), suite.family_of, integrator, (10 * tol, tol, 0.1 * tol))
    found = {}
    for k, family in enumerate(suite.families):
        members = torch.nonzero(made.family == k).flatten()
        problems = [Problem(made.rows(i[None])[0], tol, integrator) for i in members]
        logs = torch.log(torch.tensor([four_ways(p, model, adapter, iterations) for p in problems], dtype=torch.float64))
        found[family] = logs.mean(0).exp().tolist()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrators", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--tracks", type=int, default=2, help="of each family")
    parser.add_argument("--iterations", type=int, default=250)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("integrator", "tol", "family", "package", "own", "any", "hindsight", "package / own", "package / any")
    rows = {}
    for integrator in given.integrators:
        rows[integrator] = of_integrator(integrator, given.tracks, given.iterations)
        for family, (package, own, free, hindsight) in rows[integrator].items():
            forces = (f"{x:.0f}" for x in (package, own, free, hindsight))
            ratios = f"{package / own:.2f}", f"{package / free:.2f}"
            table.add_row(integrator, f"{ASKED[integrator]:g}", family, *forces, *ratios)
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"asked": ASKED, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
