"""`aitimestepper sweep`: trainings over ranges of settings. PyTorch and Optuna are loaded inside the command."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, require
from ..files import WriterLock, make_folder, write_atomically
from .arguments import Request, to_toml
from .terminal import print_json

if TYPE_CHECKING:
    from ..training.study import Done, Reports
    from ..training.sweep import Sweep
    from ..training.trials import Trial


def run(request: Request) -> int:
    """Make the trainings that are missing, write what is best, and return the exit code."""
    options = request.options
    assert options is not None
    require("torch", "train", "aitimestepper sweep")
    require("optuna", "sweep", "aitimestepper sweep")
    from ..training.study import run_sweep
    from ..training.sweep import read_sweep

    sweep = read_sweep(Path(options.spec))
    sweep = dataclasses.replace(sweep, **{k: v for k in ("trials", "storage") if (v := getattr(options, k)) is not None})
    if sweep.trials < 1:
        raise ConfigError(f"trials = {sweep.trials} must be >= 1.")
    quiet = options.quiet or options.json
    make_folder(sweep.folder)
    lock = WriterLock(sweep.folder / "sweep.db")
    try:
        done = run_sweep(sweep, lambda settings, recorder: _train(settings, recorder, request), _report_on(sweep, quiet))
    except KeyboardInterrupt:
        print(f"\nwhat is done stays; go on with: {request.text}", file=sys.stderr)
        raise
    finally:
        lock.release()
    _write(done, quiet)
    print_json(_summary(done)) if options.json else _print(done)
    return 0


def _train(settings: dict[str, Any], recorder: Reports, request: Request) -> Path:
    """Train with some settings; a training of this trial that was stopped goes on from its newest checkpoint."""
    from ..training.checkpoints import checkpoint_name
    from .training import train_run

    folder = Path(settings["out_dir"]) / settings["save_name"]
    begun = any((folder / checkpoint_name(epoch)).exists() for epoch in recorder.values)
    given, resume = ({}, str(folder)) if begun else (settings, None)
    asked = Request("train", given, {}, resume=resume, overwrite=not begun, quiet=True, text=request.text)
    return train_run(asked, (recorder,))[0]


def _report_on(sweep: Sweep, quiet: bool) -> Any:
    """Return the function that prints a line about each trial that has ended; quiet: one that does nothing."""

    def tell(trial: Trial) -> None:
        words = "" if trial.value is None else f": {sweep.metric} = {trial.value:.6g}"
        settings = ", ".join(f"{name} = {_short(value)}" for name, value in trial.settings.items())
        print(f"trial {trial.number + 1} of {sweep.trials} {trial.state}{words} ({settings})", file=sys.stderr)

    return (lambda trial: None) if quiet else tell


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(done: Done, quiet: bool) -> None:
    """Write best.toml, and the figure where matplotlib is installed."""
    folder, best = done.sweep.folder, done.best
    head = f"# the best of {len(done.trials)} trials: number {best.number}, {done.sweep.metric} = {best.value!r}\n"
    write_atomically(folder / "best.toml", (head + to_toml(done.settings)).encode())
    if importlib.util.find_spec("matplotlib") is None:
        if not quiet:
            print("no figure: it needs matplotlib: pip install 'aitimestepper[report]'.", file=sys.stderr)
        return
    from ..report.sweep_figure import sweep_figure

    rows = [(t.number, t.state, math.nan if t.value is None else t.value, t.settings) for t in done.trials]
    write_atomically(folder / "sweep.png", sweep_figure(rows, done.sweep.metric, done.sweep.direction))


def _summary(done: Done) -> dict[str, Any]:
    states = [trial.state for trial in done.trials]
    return {
        "study": done.sweep.name,
        "folder": str(done.sweep.folder),
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "trained": done.made,
        "metric": done.sweep.metric,
        "best": {"trial": done.best.number, "value": done.best.value, "settings": done.best.settings},
    }


def _print(done: Done) -> None:
    folder, best = done.sweep.folder, done.best
    settings = ", ".join(f"{name} = {_short(value)}" for name, value in best.settings.items())
    print(f"best of {len(done.trials)} trials: number {best.number}, {done.sweep.metric} = {best.value:.6g} ({settings})")
    print(f"next: aitimestepper train --config {folder / 'best.toml'}")
