"""Epochs: Part 1, then Part 2, on one model; checkpoints, metrics and resume around them. The one training loop."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config import Config
from ..criteria.learned import LearnedStep
from ..differentiable.adapter import ModelAdapter
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import CheckpointError, ConfigError
from ..integrators import SPLITTINGS
from ..simulate.units import refuse_extreme_units
from .checkpoints import Checkpoint, checkpoint_name, misfit, restore_optimizer, save_checkpoint
from .judges import Judge, judge_for
from .metrics import JsonlRecorder, Recorder, Recorders, WandbRecorder, epoch_record
from .summary import TrainingSummary

FINISHED = "validation"  # entry of a card that only a finished training has


def train_epoch_two_phase(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    recorder: Recorder | None = None,
    epoch: int = 1,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Train one epoch from `particle`, and return its metrics. judge: that of the training; None: the one that config names.

    The result holds `trajectory_metrics`, `generalization_metrics`, `converged`, `part2_iterations`, `epoch_time` (seconds),
    `final_state`, the state after the last accepted step, and `more`, further metrics by name.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, train_epoch_two_phase
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> epoch = train_epoch_two_phase(model, particle, optimizer, config, adapter)
        >>> epoch["trajectory_metrics"]["trajectory_length"]
        4
    """
    began = time.perf_counter()
    judge = judge or judge_for(model, optimizer, config, adapter, history_buffer)
    watch = (recorder or Recorder()).progress
    trajectory, part1 = judge.collect(particle, epoch, watch)
    if len(trajectory) == 0:
        warnings.warn(_nothing_recorded(epoch, part1, config), UserWarning, stacklevel=2)
    converged, iterations, part2 = judge.generalize(trajectory, watch)
    return {
        "trajectory_metrics": part1,
        "generalization_metrics": part2,
        "converged": converged,
        "part2_iterations": iterations,
        "final_state": trajectory.final,
        "more": judge.after_epoch(trajectory, watch),
        "epoch_time": time.perf_counter() - began,
    }


def _nothing_recorded(epoch: int, part1: dict[str, Any], config: Config) -> str:
    """Return the warning about an epoch without a sample."""
    words = f"epoch {epoch} recorded no sample, so that Part 2 has nothing to do:"
    if part1["total_steps"] == 0:
        return f"{words} all systems were dropped at max_retrain_steps = {config.max_retrain_steps}; raise it, or raise lr."
    return (
        f"{words} all {part1['total_steps']} accepted steps went into filling the history (history_len = "
        f"{config.history_len}); raise steps_per_epoch."
    )


def run_two_phase_training(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    save_dir: str | Path | None = None,
    recorder: Recorder | None = None,
    resume: Checkpoint | None = None,
    wandb_run: Any = None,
    checkpoint_interval: int | None = None,
    card: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train for `config.epochs` epochs; with `save_dir`, write checkpoints, models and metrics.jsonl there.

    particle: the initial conditions; with judge `run`, which samples problems from families, only stored with the model.
    `resume` continues after the epoch of a checkpoint, to the same bits as a training that was never interrupted. wandb_run: a
    run of Weights & Biases, to log every epoch to. checkpoint_interval: instead of that of `config`. card: entries for the card
    of a model that was trained on runs.

    The result holds `epochs_completed`, `total_time` (seconds), `convergence_rate`, `final_metrics`, `card`, and `results`: of
    each epoch of this call what `train_epoch_two_phase` returns, and its record by the names of metrics.jsonl.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, run_two_phase_training
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> result = run_two_phase_training(model, particle, optimizer, config, adapter)
        >>> result["epochs_completed"]
        2
    """
    if config.integrator not in SPLITTINGS:
        raise ConfigError(
            f"integrator = {config.integrator}: a network learns through a splitting ({', '.join(SPLITTINGS)}); "
            "others are for simulations."
        )
    refuse_extreme_units(particle.to_bodies(), LearnedStep())
    if checkpoint_interval is not None:
        config = dataclasses.replace(config, checkpoint_interval=checkpoint_interval)
    history = history_buffer if history_buffer is not None else adapter.history_buffer
    judge = judge_for(model, optimizer, config, adapter, history)
    run = _Run(model, optimizer, config, adapter, particle, history, judge, current=particle, card=dict(card or {}))
    adapter.measure_scales(particle)
    folder = None if save_dir is None else Path(save_dir)
    more = [*([recorder] if recorder else []), *([WandbRecorder(wandb_run)] if wandb_run is not None else [])]
    with _recorders(folder, more, 0 if resume is None else resume.epoch) as recorders:
        if resume is not None:
            run.restore(resume, recorders)
        while run.epoch < config.epochs:
            record = run.train_epoch(recorders)
            recorders.record(record)
            if folder and (run.epoch % config.checkpoint_interval == 0 or run.epoch == config.epochs):
                run.save(folder, record)
        if resume is None or run.results or FINISHED not in resume.card:
            run.finish(folder, recorders, {} if resume is None else resume.metrics)
    return run.summary({} if resume is None else resume.metrics)


@contextmanager
def _recorders(folder: Path | None, more: list[Recorder], epochs_done: int) -> Iterator[Recorder]:
    """Open metrics.jsonl in the folder, if there is one, beside the caller's own recorders, and close all at the end."""
    to_file = [JsonlRecorder(folder / "metrics.jsonl", epochs_done)] if folder else []
    recorders = Recorders(*to_file, *more)
    try:
        yield recorders
        for one in to_file:
            one.refuse_lost()
    finally:
        recorders.close()


@dataclass
class _Run:
    """State of a training: everything that the next epoch depends on, which `save` and `restore` write and read."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    config: Config
    adapter: ModelAdapter
    particle: ParticleTorch  # the initial conditions
    history: HistoryBuffer | None
    judge: Judge
    current: ParticleTorch  # where the next epoch starts
    card: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0  # epochs completed
    converged: float = 0.0  # epochs whose Part 2 converged
    time_before: float = 0.0  # seconds of training before this call
    began: float = field(default_factory=time.perf_counter)
    results: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)  # of the last epoch

    def train_epoch(self, recorders: Recorder) -> dict[str, Any]:
        """Train the next epoch, and return its record."""
        config, self.epoch = self.config, self.epoch + 1
        if config.lr_decay != 1:
            for group in self.optimizer.param_groups:
                group["lr"] = config.lr * config.lr_decay ** ((self.epoch - 1) / max(config.epochs - 1, 1))
        result = train_epoch_two_phase(
            self.model, self.current, self.optimizer, config, self.adapter, self.history, recorders, self.epoch, self.judge
        )
        self.current = self.particle if config.epoch_start == "initial" else result["final_state"]
        self.converged += float(result["converged"])
        self.record = epoch_record(self.epoch, result)
        self.results.append({**result, **self.record})
        return self.record

    def finish(self, folder: Path | None, recorders: Recorder, metrics: dict[str, Any]) -> None:
        """Let the judge finish, and write the finished network with its card; a judge without a card has nothing to do."""
        made = self.judge.finish(recorders.progress)
        if made:
            self.card = {**self.card, **made, "hours": round(self.seconds / 3600.0, 3), "seed": self.config.seed}
            if folder:
                self.save(folder, self.record or metrics)

    @property
    def seconds(self) -> float:
        """Time of training, including that before a resume."""
        return self.time_before + time.perf_counter() - self.began

    def save(self, folder: Path, record: dict[str, Any]) -> None:
        """Write everything that the next epoch depends on; `restore` is the inverse."""
        save_checkpoint(
            folder / checkpoint_name(self.epoch),
            self.model,
            self.optimizer,
            config=self.config,
            epoch=self.epoch,
            metrics=record,
            scales=self.adapter.scales,
            initial_conditions=self.particle,
            current_state=self.current,
            history=self.history,
            random_state=self.adapter.generator.get_state(),
            totals={"time": self.seconds, "converged": self.converged},
            judge_state=self.judge.state(),
            card={**self.judge.about(), **self.card},
        )

    def restore(self, checkpoint: Checkpoint, recorders: Recorder) -> None:
        """Restore everything that the next epoch depends on from a checkpoint."""
        if checkpoint.current_state is None or checkpoint.random_state is None:
            raise CheckpointError(
                "this checkpoint holds no training state to continue from; start a new run from its weights instead."
            )
        try:
            self._restore_state(checkpoint, checkpoint.current_state, checkpoint.random_state)
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise misfit(error) from None
        if checkpoint.epoch < self.config.epochs or FINISHED not in checkpoint.card:
            self.judge.restore(checkpoint.judge_state, checkpoint.epoch, recorders.progress)

    def _restore_state(self, checkpoint: Checkpoint, current: ParticleTorch, random_state: torch.Tensor) -> None:
        """Restore everything but the state of the judge, or raise an error of any kind for values that do not fit."""
        self.model.load_state_dict(checkpoint.model_state)
        restore_optimizer(self.optimizer, checkpoint.optimizer_state)
        self.adapter.scales = checkpoint.scales
        self.adapter.generator.set_state(random_state)
        if self.history is not None:
            self.history.load_state_dict(checkpoint.history, self.particle)
        if current.position.shape != self.particle.position.shape:
            raise ValueError(f"its state has the shape {tuple(current.position.shape)}")
        self.current = current.to(self.particle.position.device)
        self.epoch = checkpoint.epoch
        self.time_before, self.converged = float(checkpoint.totals["time"]), float(checkpoint.totals["converged"])
        self.card |= checkpoint.card  # the command is that of the beginning

    def summary(self, metrics_before: dict[str, Any]) -> dict[str, Any]:
        """Return the result of `run_two_phase_training`; `metrics_before` are its final metrics if no epoch was trained."""
        return TrainingSummary(
            epochs_completed=self.epoch,
            total_time=self.seconds,
            convergence_rate=self.converged / max(self.epoch, 1),
            final_metrics=self.record or dict(metrics_before),
            card=self.card,
            results=self.results,
        )
