"""One attempted step: the network chooses dt, the integrator takes it, the energies judge it, the loss learns from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.adapter import ModelAdapter, Observation, Prediction, eval_mode
from ..differentiable.conserved import field_work, relative_error
from ..differentiable.history import HistoryBuffer
from ..differentiable.network import SeededDropout
from ..differentiable.particle import ParticleTorch
from ..integrators import step
from .losses import estimate_losses, guarded_step_losses


class StepAttempt(NamedTuple):
    """One attempted step."""

    advanced: ParticleTorch  # in the graph
    dt: Tensor  # (B,) in the graph
    E0: Tensor  # (B,)
    E1: Tensor  # (B,)


class EnergyCheck(NamedTuple):
    """Verdict on a step."""

    passed: bool  # every system passed
    rel_dE: Tensor  # (B,)


def attempt_single_step(
    model: nn.Module,
    particle: ParticleTorch,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> StepAttempt:
    """Let the network choose dt and take that step, judged in eval mode; `particle` is not modified.

    With a time-dependent outer field E1 is corrected by the work the field did: what remains is the error of the step.
    """
    start = particle.clone_detached()
    with eval_mode(model):
        return take_step(start, adapter.predict(model, adapter.observe(start, history_buffer)), config)


def take_step(start: ParticleTorch, prediction: Prediction, config: Config) -> StepAttempt:
    """The step by the predicted dt, with the energies before and after."""
    advanced = step(start, prediction.dt, config.integrator)
    return StepAttempt(advanced, prediction.dt, start.total_energy(), advanced.total_energy() - field_work(start, advanced))


def check_energy_threshold(E0: Tensor, E1: Tensor, threshold: float) -> EnergyCheck:
    """Whether all systems kept their energy to `threshold`, relative; what is not finite never passes."""
    rel_dE = relative_error(E0, E1).detach()
    rel_dE = torch.where(torch.isfinite(rel_dE), rel_dE, torch.inf)
    return EnergyCheck(bool((rel_dE <= threshold).all()), rel_dE)


def learning_losses(
    model: nn.Module,
    start: ParticleTorch,
    observation: Observation,
    config: Config,
    adapter: ModelAdapter,
    judged: tuple[Prediction, StepAttempt],
) -> Tensor:
    """(B,) losses to learn from: of the judged attempt, or, if the network has dropout, of one more with dropout active."""
    prediction, attempt = judged
    if any(isinstance(m, (SeededDropout, nn.modules.dropout._DropoutNd)) and m.p > 0 for m in model.modules()):
        was_training = model.training
        model.train()
        prediction = adapter.predict(model, observation)
        model.train(was_training)
        attempt = take_step(start, prediction, config)
    losses = guarded_step_losses(attempt.dt, attempt.E0, attempt.E1, config, prediction.at_ceiling)
    return losses + estimate_losses(prediction.log10_error, attempt.E0, attempt.E1)


def learn(optimizer: torch.optim.Optimizer, losses: Tensor) -> None:
    """One optimizer step on the mean loss."""
    optimizer.zero_grad(set_to_none=True)
    losses.mean().backward()
    optimizer.step()
