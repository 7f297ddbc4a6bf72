"""Epochs: Part 1, then Part 2, on one model; checkpoints, metrics and resume around them. The one training loop."""

from __future__ import annotations

import time
import warnings
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
    """One epoch from `particle`: `trajectory_metrics`, `generalization_metrics`, `converged`, `part2_iterations`, `epoch_time`.

    Also `final_state`, where the last accepted step ended.
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
    """Train for `config.epochs` epochs; with `save_dir`, write checkpoints and metrics.jsonl there.

    `resume` continues after the epoch of a checkpoint, to the same bits as a run that was never interrupted. Returns
    `epochs_completed`, `total_time`, `convergence_rate`, `final_metrics`, and `results`: one record per epoch of this call.
    """
    if config.integrator not in COMPOSITIONS:
        raise ConfigError(
            f"integrator = {config.integrator}: a network learns through a symmetric composition ({', '.join(COMPOSITIONS)}); "
            "others are for simulations."
        )
    began = time.perf_counter()
    history = history_buffer if history_buffer is not None else adapter.new_history()
    current, first, totals = particle, 1, {"time": 0.0, "converged": 0.0}
    if resume is not None:
        current = _restore(resume, model, optimizer, adapter, history, particle)
        first, totals = resume.epoch + 1, dict(resume.totals)
    adapter.measure_scales(particle)
    folder = None if save_dir is None else Path(save_dir)
    to_file = [JsonlRecorder(folder / "metrics.jsonl", first - 1)] if folder else []
    recorders = Recorders(*to_file, *([recorder] if recorder else []))
    results: list[dict[str, Any]] = []
    try:
        for epoch in range(first, config.epochs + 1):
            if config.lr_decay != 1:
                for group in optimizer.param_groups:
                    group["lr"] = config.lr * config.lr_decay ** ((epoch - 1) / max(config.epochs - 1, 1))
            result = train_epoch_two_phase(model, current, optimizer, config, adapter, history, recorders, epoch)
            current = particle if config.epoch_start == "initial" else result["final_state"]
            record = epoch_record(epoch, result)
            results.append(record)
            totals["converged"] += float(result["converged"])
            recorders.record(record)
            if folder and (epoch % config.checkpoint_interval == 0 or epoch == config.epochs):
                so_far = {**totals, "time": totals["time"] + time.perf_counter() - began}
                _save(folder, epoch, record, so_far, model, optimizer, adapter, config, particle, current, history)
    finally:
        recorders.close()
    done = max(config.epochs, first - 1)
    return {
        "epochs_completed": done,
        "total_time": totals["time"] + time.perf_counter() - began,
        "convergence_rate": totals["converged"] / done,
        "final_metrics": results[-1] if results else (dict(resume.metrics) if resume else {}),
        "results": results,
    }


def _save(
    folder: Path,
    epoch: int,
    record: dict[str, Any],
    totals: dict[str, float],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    adapter: ModelAdapter,
    config: Config,
    particle: ParticleTorch,
    current: ParticleTorch,
    history: HistoryBuffer | None,
) -> None:
    """Everything that an epoch depends on; `_restore` is the other way."""
    save_checkpoint(
        folder / checkpoint_name(epoch),
        model,
        optimizer,
        config=config,
        epoch=epoch,
        metrics=record,
        scales=adapter.scales,
        initial_conditions=particle,
        current_state=current,
        history=history,
        random_state=adapter.generator.get_state(),
        totals=totals,
    )


def _restore(
    resume: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    adapter: ModelAdapter,
    history: HistoryBuffer | None,
    particle: ParticleTorch,
) -> ParticleTorch:
    """Put everything that an epoch depends on back to where the checkpoint left it; returns where the next one starts."""
    if resume.current_state is None or resume.random_state is None:
        raise CheckpointError(
            "this checkpoint holds no training state to continue from; start a new run from its weights instead."
        )
    model.load_state_dict(resume.model_state)
    optimizer.load_state_dict(resume.optimizer_state)
    adapter.scales = resume.scales
    adapter.generator.set_state(resume.random_state)
    if history is not None:
        history.load_state_dict(resume.history, particle)
    return resume.current_state.to(particle.position.device)
