"""`aitimestepper tune`: a model trained on whole runs. PyTorch is loaded inside the command."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..criteria.learned import DEFAULT
from ..errors import UserError, require
from ..models import Model, find_model, load_model, shipped
from ..policy import cheapest_composition
from .arguments import Request
from .families import families_named
from .terminal import print_json, task

if TYPE_CHECKING:
    from ..training.runs.objective import Score
    from ..training.runs.plan import TrainingPlan
    from ..training.runs.training_run import Progress


def run(request: Request) -> int:
    """Train with progress, print the quality of the model, and return the exit code."""
    require("torch", "train", f"aitimestepper {request.command}").set_num_threads(1)  # small networks: threads cost more
    assert request.options is not None
    options = request.options
    plan = plan_from(options)
    path, folder = _train(plan, options), folder_of(options, plan)
    card = load_model(path).card
    if options.json:
        print_json({"model": str(path), **card})
        return 0
    for row in card["validation"]:
        print(
            f"tol {row['tol']:g}: {row['compliance']:.0%} of the validation problems stay within it "
            f"({row['worst_compliance']:.0%} in the worst family), median error {row['median']:.2g} tol, "
            f"{row['forces']:.0f} force evaluations"
        )
    print(f"model: {path} ({card['hours'] * 60:.0f} minutes)\nnext: aitimestepper simulate --model {folder} --symmetrized")
    return 0


def _train(plan: TrainingPlan, options: argparse.Namespace) -> Path:
    """Train, or continue a training that was stopped; return the path of the model."""
    from ..training.runs.training_run import MODEL, STATE, train_on_runs

    folder = folder_of(options, plan)
    if (folder / MODEL).exists() and not options.overwrite:
        raise UserError(f"{folder / MODEL} exists; give --overwrite to replace it, or another --save-name.")
    if options.overwrite:
        (folder / STATE).unlink(missing_ok=True)
    start = None if options.start is None else start_model(options.start, plan)
    quiet = options.quiet or options.json
    with task(f"tune {plan.integrator}", quiet) as bar:

        def report(progress: Progress) -> None:
            if progress.scores is None:
                bar(progress.done, progress.total, progress.stage)
            elif not quiet:
                print(f"{progress.stage:>15}  {described(progress.scores)}", file=sys.stderr)

        return train_on_runs(plan, folder, start, shlex.join(["aitimestepper", *options.words]), report=report)


def folder_of(options: argparse.Namespace, plan: TrainingPlan) -> Path:
    """Return the folder of the training."""
    return Path(options.out_dir) / (options.save_name or f"tune-{plan.integrator}")


def plan_from(options: argparse.Namespace) -> TrainingPlan:
    """Return the plan from the flags, which override the defaults."""
    from ..training.runs.plan import TrainingPlan

    families, own = families_named(options.ic_family)
    plan = TrainingPlan(families=families, own=own)
    if options.integrator is not None or options.tol is not None:
        tightest = min(options.tol) if options.tol else 1.0
        plan = replace(plan, integrator=options.integrator or cheapest_composition(tightest))
    names = ("layers", "problems", "calibration", "seed", "threads")
    given: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.tol is not None:
        given["tolerances"] = options.tol
    if options.iterations is not None:
        given["descent"] = plan.descent._replace(iterations=options.iterations)
    return replace(plan, **given).checked()


def start_model(name: str, plan: TrainingPlan) -> Model:
    """Return the model to begin with, which must have the inputs and the layers of the plan."""
    model = shipped(plan.integrator) if name == DEFAULT else load_model(find_model(name))
    config = model.config
    if config.feature_type != "invariant" or tuple(config.layers) != tuple(plan.layers):
        raise UserError(
            f"--start {name} has {config.feature_type} features and layers {' '.join(map(str, config.layers))}, not invariant "
            f"and {' '.join(map(str, plan.layers))}: give --layers as it has, or leave --start out."
        )
    return model


def described(scores: list[Score]) -> str:
    """Return a validation as one line: for each tolerance the forces and the compliance, over all and in the worst family."""
    return "  ".join(f"{s.tol:g}: {s.forces:.0f} ({s.compliance:.0%}/{s.worst_compliance:.0%})" for s in scores)
