"""`aitimestepper train`: a new run, or one resumed."""

from __future__ import annotations

import dataclasses
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ..config import Config
from ..differentiable.adapter import ModelAdapter
from ..errors import CheckpointError, ConfigError, UserError
from ..files import write_atomically
from ..initial.problems import make_problem
from ..training.checkpoints import Checkpoint, build_network, find_checkpoint, load_checkpoint
from ..training.epochs import run_two_phase_training
from ..training.metrics import Recorders, WandbRecorder
from .arguments import Request, run_folder, to_toml
from .progress import TrainingProgress

# below this width threads cost more than they give, and on a shared machine they wait for each other (10x slower was seen)
SMALL_NETWORK = 128
# what may differ between a run and its continuation without changing a bit of the result
RESUME_MAY_CHANGE = ("epochs", "device", "checkpoint_interval", "wandb")


def train_run(request: Request) -> tuple[Path, Config, dict[str, Any]]:
    """Train as asked; returns the run folder, the configuration, and what `run_two_phase_training` says."""
    config, checkpoint, folder = _resumed(request) if request.resume else _new(request)
    if max(config.layers) <= SMALL_NETWORK:
        torch.set_num_threads(1)
    adapter = ModelAdapter(config)
    if checkpoint is not None and checkpoint.initial_conditions is not None:
        particle = checkpoint.initial_conditions.to(adapter.device)
    else:
        particle = make_problem(config, adapter.dtype, adapter.device).particle
    model = build_network(config).to(adapter.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    if checkpoint is None:
        _prepare(folder, request.overwrite)
    write_atomically(folder / "config.toml", to_toml(config.to_dict()).encode())
    first = 1 if checkpoint is None else checkpoint.epoch + 1
    watchers: list[Any] = [TrainingProgress(first, config.epochs, config.steps_per_epoch, request.quiet or request.json)]
    if config.wandb:
        watchers.append(WandbRecorder(config, str(config.save_name), folder))
    try:
        done = run_two_phase_training(
            model, particle, optimizer, config, adapter, save_dir=folder, recorder=Recorders(*watchers), resume=checkpoint
        )
    except KeyboardInterrupt:
        if any(folder.glob("model_epoch_*.pt")):
            print(f"\ncontinue with: aitimestepper train --resume {folder}", file=sys.stderr)
        raise
    return folder, config, done


def _new(request: Request) -> tuple[Config, None, Path]:
    """A run with a name and a seed; what was not given is made up and written down, so that the run can be repeated."""
    config = Config.from_dict(request.settings)
    if config.save_name is None:
        config = dataclasses.replace(config, save_name=time.strftime("run-%Y%m%d-%H%M%S"))
    if config.seed is None:
        config = dataclasses.replace(config, seed=secrets.randbelow(2**31))
    return config, None, run_folder(config)


def _resumed(request: Request) -> tuple[Config, Checkpoint, Path]:
    given = Config.from_dict(request.settings)
    path = find_checkpoint(str(request.resume), given.out_dir)
    checkpoint = load_checkpoint(path)
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
    return config, checkpoint, path.parent


def _prepare(folder: Path, overwrite: bool) -> None:
    """An empty folder for a new run; one that holds a run is touched only with --overwrite."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = [*folder.glob("model_epoch_*.pt"), *folder.glob("metrics.jsonl")]
        if old and not overwrite:
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
