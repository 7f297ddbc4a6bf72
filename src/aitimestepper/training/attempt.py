"""One attempted step: the network chooses dt, the integrator takes it, its energy error is checked, the loss is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.adapter import ModelAdapter, Observation, Prediction, eval_mode
from ..differentiable.conserved import energy_scale, field_work, relative_error
from ..differentiable.history import HistoryBuffer
from ..differentiable.network import SeededDropout
from ..differentiable.particle import ParticleTorch
from ..differentiable.stepping import step
from .losses import estimate_losses, guarded_step_losses


class StepAttempt(NamedTuple):
    """One attempted step."""

    advanced: ParticleTorch  # in the graph
    dt: Tensor  # (B,) in the graph
    E0: Tensor  # (B,)
    E1: Tensor  # (B,)


class EnergyCheck(NamedTuple):
    """Result of the energy check of a step."""

    passed: bool  # every system passed
    rel_dE: Tensor  # (B,)


class StepStart(NamedTuple):
    """States that steps are attempted from, with all that does not depend on the network, without a graph."""

    particle: ParticleTorch
    observation: Observation
    scale: Tensor  # (B,) energy scale S of each state, which the error of its step is relative to
    energy: Tensor  # (B,) total energy of each state

    @classmethod
    def observe(cls, particle: ParticleTorch, adapter: ModelAdapter, history: HistoryBuffer | None = None) -> StepStart:
        """Return independent copies of the states of `particle`, with their features, energy scale and energy."""
        state = particle.clone_detached()
        return cls(state, adapter.observe(state, history), energy_scale(state), state.total_energy())

    def select(self, index: Tensor) -> StepStart:
        """Return the systems that `index` names."""
        particle, observation = self.particle.select(index), self.observation.select(index)
        return StepStart(particle, observation, self.scale[index], self.energy[index])

    @classmethod
    def stack(cls, parts: Sequence[StepStart]) -> StepStart:
        """Return one batch of all states of `parts`."""
        observation = Observation(*(torch.cat([getattr(p.observation, name) for p in parts]) for name in Observation._fields))
        particle = ParticleTorch.stack([p.particle for p in parts])
        return cls(particle, observation, torch.cat([p.scale for p in parts]), torch.cat([p.energy for p in parts]))


class MeasuredStep(NamedTuple):
    """An attempted step with its error."""

    prediction: Prediction
    attempt: StepAttempt
    rel_dE: Tensor  # (B,) |E1 - E0| / S in the graph


def attempt_single_step(
    model: nn.Module,
    particle: ParticleTorch,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> StepAttempt:
    """Let the network choose dt, in eval mode, and take that step; `particle` is not modified.

    With a time-dependent external field E1 is corrected by the work that the field did: what remains is the error of the step.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, attempt_single_step
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> advanced, dt, E0, E1 = attempt_single_step(model, particle, config, adapter)
        >>> tuple(advanced.position.shape), tuple(dt.shape), tuple(E1.shape)  # (B, N, D), (B,), (B,)
        ((1, 2, 2), (1,), (1,))
    """
    return measure_step(model, StepStart.observe(particle, adapter, history_buffer), config, adapter).attempt


def measure_step(model: nn.Module, start: StepStart, config: Config, adapter: ModelAdapter) -> MeasuredStep:
    """Take the step that the network chooses in eval mode, and measure its error."""
    with eval_mode(model):
        return _step_as_predicted(start, adapter.predict(model, start.observation), config)


def _step_as_predicted(start: StepStart, prediction: Prediction, config: Config) -> MeasuredStep:
    attempt = take_step(start, prediction.dt, config)
    return MeasuredStep(prediction, attempt, step_error(attempt, start.scale))


def take_step(start: StepStart, dt: Tensor, config: Config) -> StepAttempt:
    """Return the step by dt (B,), with the energies before and after."""
    advanced = step(start.particle, dt, config.integrator)
    return StepAttempt(advanced, dt, start.energy, advanced.total_energy() - field_work(start.particle, advanced))


def step_error(attempt: StepAttempt, scale: Tensor) -> Tensor:
    """Return |E1 - E0| / S (B,), in the graph, with the energy scale S (B,) of the state that the step started from.

    It is S itself, not the larger of S and |E0|: a system that moves as a whole has the error of one at rest.
    """
    return (attempt.E1 - attempt.E0).abs() / scale


def check_energy_threshold(E0: Tensor, E1: Tensor, threshold: float, floor: Tensor | None = None) -> EnergyCheck:
    """Return whether all systems conserved their energy to `threshold`, relative; a non-finite error never passes.

    floor (B,): lower limit of |E0| in the relative error, 1e-4 (K + |U|) of the state that the step starts from; without it
    an energy of zero passes only unchanged.

    Examples:
        >>> import torch
        >>> from aitimestepper import check_energy_threshold
        >>> E0, E1 = torch.tensor([-1.0, -2.0]), torch.tensor([-1.0, -2.1])  # (B,)
        >>> passed, rel_dE = check_energy_threshold(E0, E1, threshold=0.01)
        >>> passed, [round(error, 3) for error in rel_dE.tolist()]
        (False, [0.0, 0.05])
    """
    return check_errors(relative_error(E0, E1, floor), threshold)


def check_errors(rel_dE: Tensor, threshold: float) -> EnergyCheck:
    """Return whether all relative energy errors rel_dE (B,) are within `threshold`; a non-finite error never passes."""
    rel_dE = rel_dE.detach()
    rel_dE = torch.where(torch.isfinite(rel_dE), rel_dE, torch.inf)
    return EnergyCheck(bool((rel_dE <= threshold).all()), rel_dE)


def learning_losses(
    model: nn.Module, start: StepStart, measured: MeasuredStep, config: Config, adapter: ModelAdapter
) -> Tensor:
    """Return the losses to learn from, (B,): of the measured step, or of another one with dropout if the network has it."""
    if any(isinstance(m, (SeededDropout, nn.modules.dropout._DropoutNd)) and m.p > 0 for m in model.modules()):
        was_training = model.training
        model.train()
        prediction = adapter.predict(model, start.observation)
        model.train(was_training)
        measured = _step_as_predicted(start, prediction, config)
    losses = guarded_step_losses(measured.attempt.dt, measured.rel_dE, config, measured.prediction.at_ceiling)
    return losses + estimate_losses(measured.prediction.log10_error, measured.rel_dE)


def learn(optimizer: torch.optim.Optimizer, losses: Tensor) -> None:
    """Take one optimizer step on the mean of losses (B,)."""
    optimizer.zero_grad(set_to_none=True)
    losses.mean().backward()
    optimizer.step()
