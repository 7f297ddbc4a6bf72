"""`aitimestepper tune`: from flags to a model."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..criteria.learned import DEFAULT, cheapest_composition, shipped
from ..errors import UserError
from ..training.checkpoints import Checkpoint, find_checkpoint, load_checkpoint
from ..training.runs.objective import Score
from ..training.runs.plan import TunePlan
from ..training.runs.training_run import MODEL, STATE, Progress, tune
from .benching import families_named
from .progress import task


def run_tune(options: argparse.Namespace) -> int:
    """Tune as asked, with progress, and say what came out."""
    plan = plan_from(options)
    folder = Path(options.out_dir) / (options.save_name or f"tune-{plan.integrator}")
    if (folder / MODEL).exists() and not options.overwrite:
        raise UserError(f"{folder / MODEL} exists; give --overwrite to replace it, or another --save-name.")
    if options.overwrite:
        (folder / STATE).unlink(missing_ok=True)
    start = None if options.start is None else started_from(options.start, plan)
    torch.set_num_threads(1)  # small networks: threads cost more than they give
    command = shlex.join(["aitimestepper", *options.words])
    quiet = options.quiet or options.json
    with task(f"tune {plan.integrator}", quiet) as bar:

        def tell(progress: Progress) -> None:
            if progress.scores is None:
                bar(progress.done, progress.total, progress.stage)
            elif not quiet:
                print(f"{progress.stage:>15}  {in_words(progress.scores)}", file=sys.stderr)

        path = tune(plan, folder, start, command, tell=tell)
    card = load_checkpoint(path).card
    if options.json:
        print(json.dumps({"model": str(path), **card}, indent=2, allow_nan=False))
        return 0
    for row in card["validation"]:
        score = Score(**row)
        print(
            f"tol {score.tol:g}: kept by {score.compliance:.0%} of the validation problems ({score.worst_compliance:.0%} in "
            f"the worst family), median error {score.median:.2g} tol, {score.forces:.0f} force evaluations"
        )
    print(f"model: {path} ({card['hours'] * 60:.0f} minutes)\nnext: aitimestepper simulate --model {folder} --symmetrized")
    return 0


def plan_from(options: argparse.Namespace) -> TunePlan:
    """What the flags say, over the defaults."""
    families, own = families_named(options.ic_family)
    plan = TunePlan(families=families, own=own)
    if options.integrator is not None or options.tol is not None:
        tightest = min(options.tol) if options.tol else 1.0
        plan = replace(plan, integrator=options.integrator or cheapest_composition(tightest))
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("layers", "problems", "calibration", "seed", "threads")
        if getattr(options, name) is not None
    }
    if options.tol is not None:
        given["tolerances"] = options.tol
    if options.iterations is not None:
        given["descent"] = plan.descent._replace(iterations=options.iterations)
    if options.generations is not None:
        given["search"] = plan.search._replace(generations=options.generations)
    return replace(plan, **given).checked()


def started_from(name: str, plan: TunePlan) -> Checkpoint:
    """The model to begin with; it must look at the same inputs, through as many units."""
    checkpoint = shipped(plan.integrator) if name == DEFAULT else load_checkpoint(find_checkpoint(name))
    config = checkpoint.config
    if config.feature_type != "invariant" or tuple(config.layers) != tuple(plan.layers):
        raise UserError(
            f"--start {name} has {config.feature_type} features and layers {' '.join(map(str, config.layers))}, not invariant "
            f"and {' '.join(map(str, plan.layers))}: give --layers as it has, or leave --start out."
        )
    return checkpoint


def in_words(scores: list[Score]) -> str:
    """A look at `validation` in a line: forces, and how many comply (in the worst family)."""
    return "  ".join(f"{s.tol:g}: {s.forces:.0f} ({s.compliance:.0%}/{s.worst_compliance:.0%})" for s in scores)
