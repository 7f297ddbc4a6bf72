"""What the commands print and return."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..config import Config
from ..criteria.catalogue import CRITERIA
from ..differentiable.loop import OK
from ..initial.named import MAKERS
from ..simulate.result import SimulationResult
from ..specs import describe
from . import simulation, training
from .arguments import Request

ADVISED = 5  # systems of a batch, at most, that are spoken of one by one
EXIT_NOT_OK = 1  # the simulation ran, but some system did not reach its end


def train(request: Request) -> int:
    """`aitimestepper train`."""
    folder, _, done = training.train_run(request)
    summary = {k: done[k] for k in ("epochs_completed", "total_time", "convergence_rate", "final_metrics")}
    if request.json:
        _print_json({"run": str(folder), **summary})
        return 0
    last = done["final_metrics"]
    converged = f"Part 2 converged in {done['convergence_rate']:.0%} of them"
    print(f"trained {done['epochs_completed']} epochs in {done['total_time']:.1f} s; {converged}")
    if last:
        print(
            f"last epoch: {last['part1/acceptance_rate']:.1%} of steps accepted, mean dt {last['part1/mean_dt']:.3e}, "
            f"energy error a step {last['part1/mean_energy_error']:.1e}, Part 2 pass rate {last['part2/final_pass_rate']:.1%}"
        )
    print(f"run: {folder}\nnext: aitimestepper simulate --model {folder}")
    return 0


def simulate(request: Request) -> int:
    """`aitimestepper simulate`."""
    quiet = request.quiet or request.json
    if request.resume is not None:
        return _report_simulation(simulation.go_on(request.resume, request.simulation, quiet))
    config, result, _ = simulation.run(request.simulation, quiet, request.overwrite)
    return _report_simulation(result, config)


def both(request: Request) -> int:
    """`aitimestepper both`."""
    folder, _, done = training.train_run(request)
    given = {**request.simulation, "model": str(folder)}
    config, result, recorder = simulation.run(given, request.quiet or request.json, request.overwrite)
    more = {"run": str(folder), "training_time": done["total_time"]}
    if config.report:
        from .reporting import write_run_report

        more["report"] = str(write_run_report(folder, given, result, recorder.track(), request.quiet or request.json))
    return _report_simulation(result, config, more)


def inspect(request: Request) -> int:
    """`aitimestepper inspect`."""
    from .inspection import inspect_file, print_inspection

    content = inspect_file(Path(str(request.file)))
    if request.json:
        _print_json(content)
    else:
        print_inspection(content)
    return 0


def listing(request: Request) -> int:
    """`--list-ic`, `--list-criteria`."""
    rows = describe(MAKERS if request.listing == "ic" else CRITERIA)
    if request.json:
        _print_json(dict(rows))
        return 0
    table = Table("write", "what it is", box=None, header_style="bold")
    for how, what in rows:
        table.add_row(how, what)
    Console(width=None if Console().is_terminal else 160).print(table)
    return 0


def bench(request: Request) -> int:
    """`aitimestepper bench ...`."""
    from .benching import run_bench

    assert request.options is not None
    return run_bench(request.options)


def tune(request: Request) -> int:
    """`aitimestepper tune ...`."""
    from .training_on_runs import run_tune

    assert request.options is not None
    return run_tune(request.options)


COMMANDS: dict[str, Callable[[Request], int]] = {
    "train": train,
    "simulate": simulate,
    "both": both,
    "tune": tune,
    "inspect": inspect,
    "bench": bench,
}


def run_command(request: Request) -> int:
    """The command, or the list that was asked for instead."""
    return listing(request) if request.listing else COMMANDS[request.command](request)


def _report_simulation(result: SimulationResult, config: Config | None = None, more: dict[str, Any] | None = None) -> int:
    extra = {"movie": config.movie} if config is not None and config.movie else {}
    _print_json({**(more or {}), **result.summary(), **extra})
    advice = result.advice
    more_of_them = (f"{len(advice) - ADVISED} systems more; see the summary.",) if len(advice) > ADVISED else ()
    for sentence in advice[:ADVISED] + more_of_them:
        warnings.warn(sentence, UserWarning, stacklevel=2)
    return 0 if all(s == OK for s in result.status) else EXIT_NOT_OK


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))
