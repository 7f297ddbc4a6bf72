"""Which is better per hour: gradients through guesses of runs, or CMA-ES on whole runs? From EnergyBudget, in the same time.

    python diagnostics/descent_or_search.py [--seconds 180] [--json FILE]

Leapfrog, tolerances 1e-2 to 1e-4, one thread; the time to make the reference trajectories counts. `cost`: as in ablations.py.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from aitimestepper import ModelAdapter
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.evaluation.evaluation_set import evaluate
from aitimestepper.training.runs.descent import Descending, Descent
from aitimestepper.training.runs.networks import keep_inputs_in, step_of, untrained
from aitimestepper.training.runs.objective import mean_log_cost, scores
from aitimestepper.training.runs.plan import SEARCHED, TunePlan
from aitimestepper.training.runs.search import Generation, Search, search
from aitimestepper.training.runs.training_run import TrainingRun, input_ranges

BATCH = 25  # iterations between looks at the clock
SIGMA = 0.15  # of CMA-ES from scratch
ENOUGH = 100_000


class Late(Exception):
    """The time is up."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan = TunePlan("leapfrog", (1e-2, 1e-3, 1e-4), problems=24, threads=1)
    work = TrainingRun(plan)
    validation = work.evaluation_set("validation", 0, plan.validation)
    found: dict[str, Any] = {"seconds": given.seconds}

    def judge(name: str, done: int, model: FullyConnectedNN) -> None:
        rows = scores(validation, evaluate(step_of(model, work.config), validation))
        cost = math.exp(mean_log_cost(rows, validation.order))
        found[name] = {"done": done, "cost": cost}
        Console().print(f"{name}: {done} in {given.seconds:.0f} s, cost {cost:.0f}")

    judge("EnergyBudget", 0, untrained(work.config))
    began, model = time.perf_counter(), untrained(work.config)
    tracks = work.tracks()
    keep_inputs_in(model, *input_ranges(tracks, plan))
    going = Descending(model, ModelAdapter(work.config), tracks, plan.asked, Descent(iterations=350), plan.seed)
    while time.perf_counter() - began < given.seconds:
        going.advance(BATCH)
    judge("gradients", going.done, model)

    what, best = work.evaluation_set("train", SEARCHED, 48), untrained(work.config)
    keep_inputs_in(best, *input_ranges(tracks, plan))
    state: dict[str, Any] = {"done": 0, "model": best}
    began = time.perf_counter()

    def note(generation: Generation, mean: FullyConnectedNN) -> None:
        state.update(done=generation.number + 1, model=mean)
        if time.perf_counter() - began > given.seconds:
            raise Late

    try:
        search(best, work.config, what, Search(ENOUGH, sigma=SIGMA), plan.seed, tell=note)
    except Late:
        judge("CMA-ES", state["done"], state["model"])
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
