"""What limits the learned step? A network of the package against networks that know one problem only.

    python diagnostics/limit_of_state.py [--integrator leapfrog] [--tol 1e-3] [--tracks 6] [--iterations 400] [--json FILE]

On tracks of `validation`, by guesses (see aitimestepper.tuning.surrogate): the forces at which the error is the tolerance.
`package`: the network for everything; `own`: the same network after learning from that problem alone, as far as a step that is
chosen from these inputs can go; `hindsight`: EnergyBudget with the constant that is best for the problem.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import ModelAdapter
from aitimestepper.bench.runs import Systems
from aitimestepper.criteria.learned import shipped
from aitimestepper.integrators import COMPOSITIONS
from aitimestepper.io.families import STANDARD
from aitimestepper.io.suites import make_suite
from aitimestepper.model import FullyConnectedNN
from aitimestepper.tuning.descent import ROUGH
from aitimestepper.tuning.genes import searched, untrained
from aitimestepper.tuning.objective import log_cost
from aitimestepper.tuning.surrogate import Guess, guess, settled_guess
from aitimestepper.tuning.tracks import Tracks, make_tracks

LR, MEMORY, SETTLE = 1e-2, 0.7, 30


def cost(found: Guess, order: int) -> float:
    """Forces at which the error would be the tolerance."""
    return math.exp((found.log_forces + found.log_excess / order).item())


def own_cost(model: FullyConnectedNN, adapter: ModelAdapter, track: Tracks, tol: float, order: int, iterations: int) -> float:
    """After learning from this track alone; the best of the last quarter."""
    model = copy.deepcopy(model)
    _, spent = settled_guess(model, adapter, track, tol, SETTLE)
    optimizer, best = torch.optim.Adam(searched(model), lr=LR), math.inf
    for k in range(iterations):
        found = guess(model, adapter, track, tol, spent)
        spent = MEMORY * spent + (1 - MEMORY) * found.spent
        loss = log_cost(found.log_forces, found.log_excess, track.family, order) + ROUGH * found.roughness.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = LR * (1 - k / iterations) + 1e-4
        if k > 0.75 * iterations:
            best = min(best, cost(found, order))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrator", default="leapfrog")
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--tracks", type=int, default=6, help="of each family")
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint, order = shipped(given.integrator), COMPOSITIONS[given.integrator].order
    model, adapter = checkpoint.build_model(), ModelAdapter(checkpoint.config)
    assert isinstance(model, FullyConnectedNN)
    suite = make_suite(STANDARD, "validation", given.tracks, first=7000)
    tracks = make_tracks(Systems.of(suite), suite.family_of, given.integrator, (10 * given.tol, given.tol, 0.1 * given.tol))
    table, found = Table("family", "package", "own", "package / own", "hindsight"), {}
    for k, family in enumerate(suite.families):
        logs = []
        for i in torch.nonzero(tracks.family == k).flatten().tolist():
            track, _ = tracks.rows(torch.tensor([i]))
            mine = cost(settled_guess(model, adapter, track, given.tol, SETTLE)[0], order)
            hindsight = cost(settled_guess(untrained(checkpoint.config), adapter, track, given.tol, SETTLE)[0], order)
            own = own_cost(model, adapter, track, given.tol, order, given.iterations)
            logs.append([math.log(x) for x in (mine, own, hindsight)])
        means = [math.exp(sum(column) / len(logs)) for column in zip(*logs, strict=True)]
        found[family] = means
        table.add_row(family, f"{means[0]:.0f}", f"{means[1]:.0f}", f"{means[0] / means[1]:.2f}", f"{means[2]:.0f}")
    Console().print(table)
    if given.json is not None:
        about = {"integrator": given.integrator, "tol": given.tol}
        given.json.write_text(json.dumps({**about, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
