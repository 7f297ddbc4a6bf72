"""What each part of the learned step is worth: networks tuned without it, judged on whole runs of `validation`.

    python diagnostics/ablations.py [--integrator leapfrog] [--iterations 350] [--only NAME ...] [--json FILE]

`cost`: geometric-mean forces at which 93 % of the problems keep the tolerance, half pooled and half in the worst families, at
1e-2, 1e-3 and 1e-4 (leapfrog); `ratio`: the mean of its logarithm against the network with everything. `max`, `final`: energy
error of 1000 Kepler orbits of e = 0.9, asked for 1e-3. Everyone learns from the same tracks, with the same seed.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import LearnedStep, ModelAdapter, Symmetrized, run_two_phase_training, simulate
from aitimestepper.criteria.base import AbstractStepCriterion
from aitimestepper.differentiable.features import INVARIANT
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.evaluation.evaluation_set import LONG, EvaluationSet, evaluate
from aitimestepper.initial.named import kepler
from aitimestepper.initial.problems import make_problem
from aitimestepper.training.runs import descent
from aitimestepper.training.runs import predicted as surrogate
from aitimestepper.training.runs.descent import Descending, Descent
from aitimestepper.training.runs.networks import keep_inputs_in, step_of, untrained
from aitimestepper.training.runs.objective import mean_log_cost, scores
from aitimestepper.training.runs.plan import TunePlan
from aitimestepper.training.runs.reference import ReferenceTrajectories
from aitimestepper.training.runs.training_run import TrainingRun, input_ranges

ORBITS = 2 * math.pi * 1000
SHOWN = 1e-3  # the tolerance of the long run
IDLE = ("ln chi", "ln(tau_8", "ln(1 + eccentricity", "ln(sum m a")  # inputs that by themselves make no difference
Wrap = Callable[[LearnedStep], AbstractStepCriterion]


def tuned(
    work: TrainingRun, tracks: ReferenceTrajectories, mute: list[int], start: FullyConnectedNN | None = None
) -> FullyConnectedNN:
    """A network for the plan of `work`, blind to the inputs of `mute`."""
    model = untrained(work.config)
    if start is not None:
        model.load_state_dict(start.state_dict())
    lowest, highest = input_ranges(tracks, work.plan)
    middle = 0.5 * (lowest + highest)
    lowest[mute], highest[mute] = middle[mute], middle[mute]
    keep_inputs_in(model, lowest, highest)
    plan = work.plan
    going = Descending(model, ModelAdapter(work.config), tracks, plan.asked, plan.descent, plan.seed)
    going.advance(plan.descent.iterations)
    return model.eval()


def two_phases(work: TrainingRun) -> FullyConnectedNN:
    """The mission's own loop, on Kepler orbits, as a beginning: 40 epochs."""
    config = replace(work.config, ic="kepler", num_orbits=32, e_max=0.95, steps_per_epoch=10, epochs=40, lr=1e-3, seed=1)
    adapter = ModelAdapter(config)
    model = untrained(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    particle = make_problem(config, adapter.dtype, adapter.device).particle
    run_two_phase_training(model, particle, optimizer, config, adapter)
    return model.eval()


def judged(work: TrainingRun, model: FullyConnectedNN, exam: EvaluationSet, wrap: Wrap = Symmetrized) -> dict[str, Any]:
    """On `validation`, and over a thousand orbits."""
    step = step_of(model, work.config)
    found = scores(exam, evaluate(step, exam, threads=work.threads, wrap=wrap))
    run = simulate(
        kepler(e=0.9, q=1e-3), t_end=ORBITS, criterion=wrap(step.at_tolerance(SHOWN)), threads=1, max_steps=3_000_000
    )
    return {
        "cost": {f"{s.tol:g}": s.cost(exam.order) for s in found},
        "kept": {f"{s.tol:g}": [s.compliance, s.worst_compliance] for s in found},
        "log_cost": mean_log_cost(found, exam.order),
        "forces_an_orbit": run.force_evaluations.item() / 1000,
        "max": run.max_energy_error.item(),
        "final": run.final_energy_error.item(),
    }


def studies(work: TrainingRun, tracks: ReferenceTrajectories, exam: EvaluationSet) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> what to do."""
    whole: list[FullyConnectedNN] = []

    def full() -> FullyConnectedNN:
        if not whole:
            whole.append(tuned(work, tracks, []))
        return whole[0]

    def with_setting(module: Any, name: str, value: float) -> dict[str, Any]:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            return judged(work, tuned(work, tracks, []), exam)
        finally:
            setattr(module, name, before)

    def without_long_runs() -> dict[str, Any]:
        short = torch.nonzero(tracks.family != work.plan.learned_from.index(LONG)).flatten()
        return judged(work, tuned(work, tracks.rows(short)[0], []), exam)

    def with_layers(*layers: int) -> dict[str, Any]:
        other = copy.copy(work)
        other.plan = replace(work.plan, layers=layers)
        other.config = replace(work.config, layers=layers)
        return judged(other, tuned(other, tracks, []), exam)

    found: dict[str, Callable[[], dict[str, Any]]] = {
        "everything": lambda: judged(work, full(), exam),
        "EnergyBudget (all weights zero)": lambda: judged(work, untrained(work.config), exam),
        "not symmetrized": lambda: judged(work, full(), exam, lambda c: c),
        "symmetrized, never settled": lambda: judged(work, full(), exam, lambda c: Symmetrized(c, smoothness=math.inf)),
        "no penalty on rough steps": lambda: with_setting(descent, "ROUGH", 0.0),
        "change of a step bounded, its bend not": lambda: with_setting(surrogate, "BEND", math.inf),
        "shown the error as guessed": lambda: with_setting(descent, "NOISE", 0.0),
        "no long runs to learn from": without_long_runs,
        "begun with the two phases": lambda: judged(work, tuned(work, tracks, [], two_phases(work)), exam),
        "the two phases alone": lambda: judged(work, two_phases(work), exam),
        "4 units": lambda: with_layers(4),
        "8 units": lambda: with_layers(8),
        "32 units": lambda: with_layers(32),
        "16 + 16 units": lambda: with_layers(16, 16),
    }
    for k, (name, _) in enumerate(INVARIANT[:-1]):  # the order is the same throughout
        found[f"without: {name}"] = lambda k=k: judged(work, tuned(work, tracks, [k]), exam)
    idle = [next(k for k, (name, _) in enumerate(INVARIANT) if name.startswith(word)) for word in IDLE]
    found["without four of these: chi, tau_8, eccentricity, pull"] = lambda: judged(work, tuned(work, tracks, idle), exam)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrator", default="leapfrog")
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--only", nargs="+", help="parts of names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tolerances = (1e-2, 1e-3, 1e-4) if given.integrator == "leapfrog" else (1e-4, 1e-6, 1e-8)
    how = Descent(iterations=given.iterations)
    plan = TunePlan(given.integrator, tolerances, problems=given.problems, descent=how, threads=given.threads)
    work = TrainingRun(plan)
    tracks, exam = work.tracks(), work.evaluation_set("validation", 0, plan.validation)
    console, rows = Console(width=180), {}
    for name, study in studies(work, tracks, exam).items():
        if given.only and not any(word in name for word in given.only) and name != "everything":
            continue
        rows[name] = study()
        console.print(name, {k: v for k, v in rows[name].items() if k != "kept"})
        if given.json is not None:
            about = {"integrator": given.integrator, "iterations": given.iterations, "problems": given.problems}
            given.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    table = Table("network", "ratio", *(f"cost {t:g}" for t in tolerances), "forces an orbit", "max", "final")
    for name, row in rows.items():
        ratio = math.exp(row["log_cost"] - rows["everything"]["log_cost"])
        costs = [f"{c:.0f}" for c in row["cost"].values()]
        table.add_row(name, f"{ratio:.2f}", *costs, f"{row['forces_an_orbit']:.0f}", f"{row['max']:.1e}", f"{row['final']:.1e}")
    console.print(table)


if __name__ == "__main__":
    main()
