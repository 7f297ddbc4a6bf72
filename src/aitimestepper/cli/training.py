"""`aitimestepper train` and `aitimestepper both`: a new training, or one resumed. PyTorch is loaded inside the commands."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import secrets
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import INTEGRATORS, Config
from ..criteria.learned import DEFAULT, LearnedStep
from ..errors import CheckpointError, ConfigError, UserError, require
from ..files import read_bytes, write_atomically
from ..initial.families import LEARNED
from ..initial.problems import make_problem
from ..models import Model, find_model, load_model, shipped
from ..policy import cheapest_splitting
from ..simulate.units import refuse_extreme_units
from .arguments import Request, run_folder, to_toml
from .terminal import print_json

if TYPE_CHECKING:
    from ..differentiable.adapter import ModelAdapter
    from ..differentiable.network import FullyConnectedNN
    from ..differentiable.particle import ParticleTorch
    from ..training.checkpoints import Checkpoint
    from ..training.metrics import Recorder

# below this width threads cost more than they gain, and on a shared machine they wait for each other (10 times slower measured)
SMALL_NETWORK = 128
PROMISED = 0.85  # share of a family within the tolerance: of a true 90 %, one in five samples of 24 problems has less
# what may differ between a run and its continuation; of these only `epochs` can change bits: the learning rate falls until then
RESUME_MAY_CHANGE = ("epochs", "device", "checkpoint_interval", "wandb", "threads")


def run(request: Request) -> int:
    """Train, then simulate if the command is `both`; print the outcome, and return the exit code."""
    if request.command == "both":
        _check_simulation(request)
    folder, config, done = train_run(request)
    if request.command == "both":
        return _simulate_with(folder, request, done["total_time"])
    summary = {k: done[k] for k in ("epochs_completed", "total_time", "convergence_rate", "final_metrics", "card")}
    if request.json:
        print_json({"run": str(folder), **summary})
    else:
        _print_training(folder, config, **summary)
    return 0


def _check_simulation(request: Request) -> None:
    """Raise an error for a simulation that could not follow, before the training."""
    given = request.simulation
    if given.get("integrator") not in (None, request.settings.get("integrator", given.get("integrator"))):
        raise ConfigError(
            f"integrator = {given['integrator']} of the simulation is not {request.settings['integrator']} of the training, "
            "for which the network is made: leave it out."
        )
    if "ic" in given:
        make_problem(Config.from_dict({"num_orbits": 1, **given}))


def train_run(request: Request, more: tuple[Recorder, ...] = ()) -> tuple[Path, Config, dict[str, Any]]:
    """Train as asked; return the run's folder, its settings, and what `run_two_phase_training` returns.

    more: recorders that are told about every epoch, too.
    """
    torch = require("torch", "train", f"aitimestepper {request.command}")
    from ..differentiable.adapter import ModelAdapter
    from ..training.epochs import run_two_phase_training
    from ..training.judges.run import check_settings
    from ..training.metrics import Recorders, begin_wandb

    config, checkpoint, folder = _resumed(request) if request.resume is not None else _new(request)
    if max(config.layers) <= SMALL_NETWORK:
        torch.set_num_threads(1)
    if config.judge == "run":
        check_settings(config)
    adapter = ModelAdapter(config)
    particle = _initial_conditions(config, adapter, checkpoint)
    inputs = {} if checkpoint is not None else _digests(config)
    # the weights of a run that is resumed are in its checkpoint
    start = None if config.start is None or checkpoint is not None else start_model(config)
    model = _network(config, adapter, start).to(adapter.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    if checkpoint is None:
        _prepare(folder, request.overwrite)
    write_atomically(folder / "config.toml", _settings_text(config).encode())
    recorder = Recorders(*_recorders(config, 1 if checkpoint is None else checkpoint.epoch + 1, request), *more)
    wandb_run = begin_wandb(config, str(config.save_name), folder) if config.wandb else None
    about: dict[str, Any] = {"save_dir": folder, "recorder": recorder, "resume": checkpoint, "wandb_run": wandb_run}
    if checkpoint is None:
        # what is known of the training beforehand: the command, and the card of the model that it begins with
        about["card"] = {"command": request.text, **({} if start is None else {"start": dict(start.card)})}
        about["card"] |= {"inputs": inputs} if inputs else {}
    try:
        done = run_two_phase_training(model, particle, optimizer, config, adapter, **about)
    except torch.cuda.OutOfMemoryError:
        raise UserError(
            f"the memory of device = {config.device} does not suffice: ask for fewer systems or samples, or a smaller network."
        ) from None
    except KeyboardInterrupt:
        if not more and any(folder.glob("model_epoch_*.pt")):
            print(f"\ncontinue with: aitimestepper train --resume {folder}", file=sys.stderr)
        raise
    finally:
        if wandb_run is not None:
            wandb_run.finish()
    return folder, config, done


def _network(config: Config, adapter: ModelAdapter, start: Model | None) -> FullyConnectedNN:
    """Return the network to begin with: an untrained one, or that of a model, with its scales."""
    from ..differentiable.network import build_network
    from ..training.judges.networks import started_from

    if start is None:
        return build_network(config)
    adapter.scales = start.scales
    return started_from(start, config)


def start_model(config: Config) -> Model:
    """Return the model to begin with."""
    name = str(config.start)
    return shipped(config.integrator) if name == DEFAULT else load_model(find_model(name, config.out_dir))


def _digests(config: Config) -> dict[str, str]:
    """Return the SHA-256 of every file that a training begins with besides its settings, by the setting and the path."""
    paths = [] if config.start in (None, DEFAULT) else [("start", str(find_model(str(config.start), config.out_dir)))]
    if config.ic_family is None:
        name, _, rest = config.ic.partition(":")
        paths += [("ic", rest.removeprefix("path="))] if name == "file" else []
    else:
        files = dict.fromkeys(name.partition(":")[0] for name in config.ic_family)
        paths += [("ic_family", file) for file in files if file.endswith(".py")]
    return {f"{setting} = {path}": _digest(path, setting) for setting, path in paths}


def _digest(path: str, setting: str) -> str:
    return hashlib.sha256(read_bytes(Path(path), f"file of {setting}")).hexdigest()


def _refuse_other_inputs(checkpoint: Checkpoint, folder: Path) -> None:
    """Raise an error if a file that the run began with has changed, or if one that it still reads is gone.

    The network of `start` and the bodies of `ic` are in the checkpoint, the problems of `ic_family` are sampled from the file.
    """
    for name, digest in dict(checkpoint.card.get("inputs", {})).items():
        setting, _, path = name.partition(" = ")
        gone = not os.path.exists(path)
        if gone and setting != "ic_family":
            continue
        if gone or _digest(path, setting) != digest:
            settings = shlex.quote(str(folder / "config.toml"))
            raise ConfigError(
                f"{name}: this file {'is gone' if gone else 'has changed'} since the run began, so that the run cannot be "
                f"continued: put it back, or start anew: aitimestepper train --config {settings} --overwrite"
            )


def _settings_text(config: Config) -> str:
    """Return all settings of a training as TOML with which it can be started anew: of `ic` and `ic_family` the one in use."""
    return to_toml({name: value for name, value in config.to_dict().items() if name != "ic" or config.ic_family is None})


def _initial_conditions(config: Config, adapter: ModelAdapter, checkpoint: Checkpoint | None) -> ParticleTorch:
    """Return the initial conditions of the settings, or those of the run that is resumed."""
    from ..differentiable.particle import ParticleTorch

    if checkpoint is not None and checkpoint.initial_conditions is not None:
        return checkpoint.initial_conditions.to(adapter.device)
    bodies = make_problem(config).bodies
    refuse_extreme_units(bodies, LearnedStep())  # before a folder is made
    return ParticleTorch.from_bodies(bodies, adapter.dtype, adapter.device)


def _recorders(config: Config, first: int, request: Request) -> list[Recorder]:
    from .training_progress import EpochLines, TrainingProgress

    quiet = request.quiet or request.json
    found: list[Recorder] = [TrainingProgress(first, config.epochs, quiet)]
    return [*found, EpochLines()] if config.judge == "run" and not quiet else found


def _new(request: Request) -> tuple[Config, None, Path]:
    """Return settings and folder of a new run; a name and a seed that are not given are chosen here, and stored with it."""
    given = dict(request.settings)
    config = Config.from_dict(given)
    usual = Config(judge=config.judge)
    for f in dataclasses.fields(Config):
        unread = f.metadata.get("judge", config.judge) != config.judge
        if unread and getattr(config, f.name) != getattr(usual, f.name):
            raise ConfigError(f"{f.name} is a setting of judge = {f.metadata['judge']}; nothing reads it with {config.judge}.")
    if config.judge == "run" and "ic" in given:
        raise ConfigError(f"ic = {config.ic}: judge = run learns from many problems: name families of them with ic_family.")
    if config.judge == "run" and config.tolerances and "integrator" not in given:
        config = dataclasses.replace(config, integrator=cheapest_splitting(min(config.tolerances)))
    if config.integrator not in INTEGRATORS:
        raise ConfigError(
            f"integrator = {config.integrator} is for simulations only: a network is trained through one of "
            f"{', '.join(INTEGRATORS)}."
        )
    if config.judge == "run" and config.ic_family is None:
        config = dataclasses.replace(config, ic_family=LEARNED)
    if config.save_name is None:
        config = dataclasses.replace(config, save_name=time.strftime("run-%Y%m%d-%H%M%S"))
    if config.seed is None:
        config = dataclasses.replace(config, seed=secrets.randbelow(2**31))
    return config, None, run_folder(config)


def _resumed(request: Request) -> tuple[Config, Checkpoint, Path]:
    """Return settings, newest checkpoint and folder of the run that is resumed."""
    from ..training.checkpoints import find_checkpoint, load_checkpoint

    out_dir = Config.from_dict({k: v for k, v in request.settings.items() if k == "out_dir"}).out_dir
    path = find_checkpoint(str(request.resume), out_dir)
    checkpoint = load_checkpoint(path)
    given = Config.from_dict({**checkpoint.config.to_dict(), **request.settings})
    for name in request.settings:
        if name != "out_dir" and name not in RESUME_MAY_CHANGE and getattr(given, name) != getattr(checkpoint.config, name):
            raise ConfigError(
                f"{name} = {getattr(given, name)} differs from {getattr(checkpoint.config, name)} of the run {request.resume}: "
                f"a resumed run keeps its settings, except {', '.join(RESUME_MAY_CHANGE)}; train a new run to change others."
            )
    changes = {name: getattr(given, name) for name in RESUME_MAY_CHANGE if name in request.settings}
    config = dataclasses.replace(checkpoint.config, **changes)
    if config.epochs < checkpoint.epoch:
        raise CheckpointError(
            f"{path} has {checkpoint.epoch} epochs already, epochs = {config.epochs} asks for fewer; ask for more."
        )
    _refuse_other_inputs(checkpoint, path.parent)
    return config, checkpoint, path.parent


def _prepare(folder: Path, overwrite: bool) -> None:
    """Make an empty folder for a new run; one that holds a run is touched only with --overwrite."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        models = [*folder.glob("model_epoch_*.pt"), *folder.glob("model_epoch_*.npz")]
        old = [*models, *folder.glob("metrics.jsonl")]
        if models and not overwrite:
            raise UserError(
                f"{folder} already holds a run: continue it with train --resume {folder.name}, choose another --save-name, "
                "or give --overwrite to start anew."
            )
        for path in old:
            path.unlink()
    except OSError as error:
        raise UserError(
            f"cannot use {folder} for the run: {error.strerror}; choose another --out-dir or --save-name."
        ) from None


def _print_training(
    folder: Path,
    config: Config,
    epochs_completed: int,
    total_time: float,
    convergence_rate: float,
    final_metrics: dict[str, Any],
    card: dict[str, Any],
) -> None:
    print(f"trained {epochs_completed} epochs in {total_time:.1f} s; Part 2 converged in {convergence_rate:.0%} of them")
    if final_metrics and config.judge == "step":
        m = final_metrics
        print(
            f"last epoch: {m['part1/acceptance_rate']:.1%} of steps accepted, mean dt {m['part1/mean_dt']:.3e}, "
            f"energy error a step {m['part1/mean_energy_error']:.1e}, Part 2 pass rate {m['part2/final_pass_rate']:.1%}"
        )
    for row in card.get("validation", ()):
        print(
            f"tol {row['tol']:g}: {row['compliance']:.0%} of the validation problems stay within it "
            f"({row['worst_compliance']:.0%} in the worst family), median error {row['median']:.2g} tol, "
            f"{row['forces']:.0f} force evaluations"
        )
    print(f"run: {folder}\nnext: aitimestepper simulate --model {folder}")
    _warn_of_misses(card)


def _warn_of_misses(card: dict[str, Any]) -> None:
    """Warn of a network that does not keep what its calibration is for."""
    missed = [f"{row['tol']:g}" for row in card.get("validation", ()) if row["worst_compliance"] < PROMISED]
    if missed and card.get("calibration"):
        warnings.warn(
            f"in some family fewer than nine in ten validation problems are within {', '.join(missed)}: train longer (epochs, "
            "num_orbits), calibrate on more problems (calibration), or do not ask for it.",
            UserWarning,
            stacklevel=2,
        )


def _simulate_with(folder: Path, request: Request, training_time: float) -> int:
    """Simulate with the network just trained, compare it with classical steps if asked, and return the exit code."""
    from .simulation import print_summary, run_simulation

    given, quiet = {**request.simulation, "model": str(folder)}, request.quiet or request.json
    config, result, recorder = run_simulation(given, quiet, request.overwrite)
    more = {"run": str(folder), "training_time": training_time}
    if config.report:
        from .reporting import write_run_report

        more["report"] = str(write_run_report(folder, given, result, recorder.trajectory(), quiet))
    return print_summary(result, config, more, request.json)
