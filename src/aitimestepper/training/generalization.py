"""Part 2: random minibatches of the trajectory, one batched step per sample, until all samples of a minibatch pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.adapter import ModelAdapter
from ..differentiable.history import HistoryBuffer
from .attempt import check_errors, learn, learning_losses, measure_step
from .trajectory import Samples, Trajectory, as_trajectory, sample_minibatch


class Evaluation(NamedTuple):
    """Result of the energy check of a minibatch."""

    all_pass: bool
    losses: Tensor  # (S,) in the graph of the network's parameters
    rel_dE: Tensor  # (S,)
    metrics: dict[str, Any]


class Generalized(NamedTuple):
    """Part 2 of one epoch."""

    converged: bool
    iterations: int  # minibatches evaluated
    metrics: dict[str, Any]


def evaluate_minibatch(
    model: nn.Module,
    minibatch: Trajectory | Samples,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> Evaluation:
    """Take one step of every sample in one batched call, in eval mode; the stored samples are not modified.

    The features of each sample include the history window that it was accepted with. Plain pairs (particle, dt) have none:
    theirs include `history_buffer`.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, evaluate_minibatch
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> from aitimestepper import collect_trajectory
        >>> trajectory, _ = collect_trajectory(model, particle, optimizer, config, adapter)
        >>> all_pass, losses, rel_dE, metrics = evaluate_minibatch(model, trajectory, config, adapter)
        >>> tuple(losses.shape), tuple(rel_dE.shape)  # one of each sample
        ((4,), (4,))
    """
    minibatch = as_trajectory(minibatch, adapter, history_buffer)
    measured = measure_step(model, minibatch.start, config, adapter)
    all_pass, rel_dE = check_errors(measured.rel_dE, config.energy_threshold)
    passed = int((rel_dE <= config.energy_threshold).sum())
    metrics = {
        "pass_count": passed,
        "fail_count": len(minibatch) - passed,
        "mean_rel_dE": float(rel_dE.mean()),
        "max_rel_dE": float(rel_dE.max()),
    }
    return Evaluation(all_pass, learning_losses(model, minibatch.start, measured, config, adapter), rel_dE, metrics)


def generalize_on_trajectory(
    model: nn.Module,
    trajectory: Trajectory | Samples,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> Generalized:
    """Train on fresh random minibatches until all samples of one pass; `replay_steps` is only a safety limit.

    trajectory: what Part 1 recorded, or plain pairs (particle, dt), whose features include `history_buffer`.

    The first `replay_min_steps` are learned from even if they pass: a network that starts with very short steps would otherwise
    pass everything, learn nothing, and waste force evaluations for ever. The last minibatch is never learned from.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, generalize_on_trajectory
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> from aitimestepper import collect_trajectory
        >>> trajectory, _ = collect_trajectory(model, particle, optimizer, config, adapter)
        >>> converged, iterations, metrics = generalize_on_trajectory(model, trajectory, optimizer, config, adapter)
        >>> 1 <= iterations <= config.replay_steps
        True
    """
    nothing = {"mean_rel_dE": 0.0, "max_rel_dE": 0.0, "final_pass_rate": 1.0}
    if len(trajectory) == 0:
        return Generalized(True, 0, nothing)
    if len(trajectory) < config.min_replay_size:
        return Generalized(True, 0, {**nothing, "skipped": True})
    trajectory = as_trajectory(trajectory, adapter, history_buffer)
    for iteration in range(1, config.replay_steps + 1):
        minibatch = sample_minibatch(trajectory, config.replay_batch_size, adapter.generator)
        all_pass, losses, _, evaluated = evaluate_minibatch(model, minibatch, config, adapter, history_buffer)
        if all_pass and (iteration > config.replay_min_steps or iteration == config.replay_steps or not bool(losses.any())):
            break
        learn(optimizer, losses)
    metrics = {
        "mean_rel_dE": evaluated["mean_rel_dE"],
        "max_rel_dE": evaluated["max_rel_dE"],
        "final_pass_rate": evaluated["pass_count"] / len(minibatch),
    }
    return Generalized(all_pass, iteration, metrics)


def verify_trajectory(model: nn.Module, trajectory: Trajectory, config: Config, adapter: ModelAdapter) -> float:
    """Return the fraction of all samples whose step passes with the network as it is now (ENH-03)."""
    if len(trajectory) == 0:
        return 1.0
    with torch.no_grad():
        metrics = evaluate_minibatch(model, trajectory, config, adapter).metrics
    return float(metrics["pass_count"] / len(trajectory))
