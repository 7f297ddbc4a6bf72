"""Epochs: Part 1, then Part 2, on one model; checkpoints, metrics and resume around them. The one training loop."""

from __future__ import annotations

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
from ..differentiable.adapter import ModelAdapter
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import CheckpointError, ConfigError
from ..integrators import COMPOSITIONS
from .checkpoints import Checkpoint, checkpoint_name, save_checkpoint
from .collection import collect_trajectory
from .generalization import generalize_on_trajectory, verify_trajectory
from .metrics import JsonlRecorder, Recorder, Recorders, epoch_record


def train_epoch_two_phase(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    recorder: Recorder | None = None,
    epoch: int = 1,
) -> dict[str, Any]:
    """Train one epoch from `particle`, and return its metrics.

    The result holds `trajectory_metrics`, `generalization_metrics`, `converged`, `part2_iterations`, `epoch_time` (seconds),
    and `final_state`, the state after the last accepted step.
    """
    began = time.perf_counter()
    watch = None if recorder is None else lambda step, retrains: recorder.collecting(epoch, step, retrains)
    trajectory, part1 = collect_trajectory(model, particle, optimizer, config, adapter, history_buffer, watch)
    if len(trajectory) == 0:
        warnings.warn(
            f"epoch {epoch} recorded no sample: all {part1['total_steps']} accepted steps went into filling the history "
            f"(history_len = {config.history_len}); Part 2 has nothing to do. More steps_per_epoch avoid this.",
            UserWarning,
            stacklevel=2,
        )
    converged, iterations, part2 = generalize_on_trajectory(model, trajectory, optimizer, config, adapter, history_buffer)
    result = {
        "trajectory_metrics": part1,
        "generalization_metrics": part2,
        "converged": converged,
        "part2_iterations": iterations,
        "final_state": trajectory.final,
    }
    if config.recheck_trajectory:
        result["recheck_pass_rate"] = verify_trajectory(model, trajectory, config, adapter)
    result["epoch_time"] = time.perf_counter() - began
    return result


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
) -> dict[str, Any]:
    """Train for `config.epochs` epochs; with `save_dir`, write checkpoints, models and metrics.jsonl there.

    `resume` continues after the epoch of a checkpoint, to the same bits as a training that was never interrupted. The result
    holds `epochs_completed`, `total_time` (seconds), `convergence_rate`, `final_metrics`, and `results`: one record per epoch
    of this call.
    """
    if config.integrator not in COMPOSITIONS:
        raise ConfigError(
            f"integrator = {config.integrator}: a network learns through a symmetric composition ({', '.join(COMPOSITIONS)}); "
            "others are for simulations."
        )
    history = history_buffer if history_buffer is not None else adapter.history_buffer
    run = _Run(model, optimizer, config, adapter, particle, history, current=particle)
    if resume is not None:
        run.restore(resume)
    adapter.measure_scales(particle)
    folder = None if save_dir is None else Path(save_dir)
    with _recorders(folder, recorder, run.epoch) as recorders:
        while run.epoch < config.epochs:
            record = run.train_epoch(recorders)
            recorders.record(record)
            if folder and (run.epoch % config.checkpoint_interval == 0 or run.epoch == config.epochs):
                run.save(folder, record)
    return run.summary({} if resume is None else resume.metrics)


@contextmanager
def _recorders(folder: Path | None, recorder: Recorder | None, epochs_done: int) -> Iterator[Recorder]:
    """Open metrics.jsonl in the folder, if there is one, beside the caller's own recorder, and close both at the end."""
    to_file = [JsonlRecorder(folder / "metrics.jsonl", epochs_done)] if folder else []
    recorders = Recorders(*to_file, *([recorder] if recorder else []))
    try:
        yield recorders
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
    current: ParticleTorch  # where the next epoch starts
    epoch: int = 0  # epochs completed
    converged: float = 0.0  # epochs whose Part 2 converged
    time_before: float = 0.0  # seconds of training before this call
    began: float = field(default_factory=time.perf_counter)
    results: list[dict[str, Any]] = field(default_factory=list)

    def train_epoch(self, recorders: Recorder) -> dict[str, Any]:
        """Train the next epoch, and return its record."""
        config, self.epoch = self.config, self.epoch + 1
        if config.lr_decay != 1:
            for group in self.optimizer.param_groups:
                group["lr"] = config.lr * config.lr_decay ** ((self.epoch - 1) / max(config.epochs - 1, 1))
        result = train_epoch_two_phase(
            self.model, self.current, self.optimizer, config, self.adapter, self.history, recorders, self.epoch
        )
        self.current = self.particle if config.epoch_start == "initial" else result["final_state"]
        self.converged += float(result["converged"])
        self.results.append(epoch_record(self.epoch, result))
        return self.results[-1]

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
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore everything that the next epoch depends on from a checkpoint."""
        if checkpoint.current_state is None or checkpoint.random_state is None:
            raise CheckpointError(
                "this checkpoint holds no training state to continue from; start a new run from its weights instead."
            )
        self.model.load_state_dict(checkpoint.model_state)
        self.optimizer.load_state_dict(checkpoint.optimizer_state)
        self.adapter.scales = checkpoint.scales
        self.adapter.generator.set_state(checkpoint.random_state)
        if self.history is not None:
            self.history.load_state_dict(checkpoint.history, self.particle)
        self.current = checkpoint.current_state.to(self.particle.position.device)
        self.epoch = checkpoint.epoch
        self.time_before, self.converged = checkpoint.totals["time"], checkpoint.totals["converged"]

    def summary(self, metrics_before: dict[str, Any]) -> dict[str, Any]:
        """Return the result of `run_two_phase_training`; `metrics_before` are its final metrics if no epoch was trained."""
        return {
            "epochs_completed": self.epoch,
            "total_time": self.seconds,
            "convergence_rate": self.converged / max(self.epoch, 1),
            "final_metrics": self.results[-1] if self.results else dict(metrics_before),
            "results": self.results,
        }
