"""Part 1: attempt a step, check its energy error, retrain on the same state until it passes, accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.adapter import ModelAdapter, eval_mode
from ..differentiable.conserved import roundoff_floor
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import RetryLimitError, UnreachableThresholdError
from .attempt import StepAttempt, StepStart, check_errors, learn, learning_losses, measure_step, step_error, take_step
from .trajectory import Trajectory

# With retry_fallback = shrink. A step 1e30 times shorter changes no digit of a state: the energy then jumps by itself.
MAX_HALVINGS = 100


class CollectedStep(NamedTuple):
    """An accepted step."""

    particle: ParticleTorch
    dt: Tensor  # (B,)
    metrics: dict[str, Any]


class Collected(NamedTuple):
    """Part 1 of one epoch."""

    trajectory: Any  # a `Trajectory`; with judge `run` a `judges.run.RunRecord`
    metrics: dict[str, Any]


@dataclass
class _Acceptance:
    """Accepted steps of the systems of a batch, while one step of each is being collected."""

    start: StepStart
    advanced: ParticleTorch
    dt: Tensor  # (B,)
    error: Tensor  # (B,) relative energy error of the accepted step
    retrains: Tensor  # (B,) optimizer steps while this system was failing
    active: Tensor  # (B,) bool, False: dropped at the retry cap

    @classmethod
    def begin(cls, start: StepStart) -> _Acceptance:
        """Return the state in which no step is accepted yet."""
        zeros = torch.zeros_like(start.scale)
        active = torch.ones_like(zeros, dtype=torch.bool)
        return cls(start, start.particle, zeros.clone(), zeros.clone(), zeros.long(), active)

    def accept(self, pending: Tensor, attempt: StepAttempt, rel_dE: Tensor, good: Tensor) -> None:
        """Accept the `good` rows of an attempt by the systems `pending`."""
        index, rows = pending[good], attempt.advanced.clone_detached()
        if len(index) == len(self.dt):
            self.advanced = rows
        elif len(index):
            self.advanced = self.advanced.with_rows(index, rows.select(good))
        self.dt[index] = attempt.dt.detach()[good]
        self.error[index] = rel_dE[good]


class _FailedSteps(NamedTuple):
    """Steps that were still rejected when the retries were used up."""

    systems: Tensor  # (F,) their indices in the batch
    start: StepStart
    dt: Tensor  # (F,)
    rel_dE: Tensor  # (F,)

    def select(self, index: Tensor) -> _FailedSteps:
        """Return the steps that `index` names."""
        return _FailedSteps(self.systems[index], self.start.select(index), self.dt[index], self.rel_dE[index])


def _collect_step(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None,
) -> _Acceptance:
    """Return all systems of the batch advanced by one accepted step each.

    `pending` are the systems whose step is not accepted yet: only their steps are attempted again and learned from. The others
    wait with their accepted step.
    """
    start = StepStart.observe(particle, adapter, history_buffer)
    done = _Acceptance.begin(start)
    pending = torch.arange(len(particle), device=start.scale.device)
    tries = 0
    while True:
        here = start.select(pending)
        measured = measure_step(model, here, config, adapter)
        passed, rel_dE = check_errors(measured.rel_dE, config.energy_threshold)
        good = rel_dE <= config.energy_threshold
        if passed or tries == config.max_retrain_steps:
            done.accept(pending, measured.attempt, rel_dE, good)
            if not passed:
                failed = _FailedSteps(pending, here, measured.attempt.dt.detach(), rel_dE)
                _at_retry_cap(done, failed.select(~good), config)
            return done
        if tries == 0:
            _refuse_unreachable(here.particle.select(~good), config)
        losses = learning_losses(model, here, measured, config, adapter)
        learn(optimizer, losses[~good])
        done.accept(pending, measured.attempt, rel_dE, good)
        pending = pending[~good]
        done.retrains[pending] += 1
        tries += 1


def _refuse_unreachable(failing: ParticleTorch, config: Config) -> None:
    """Raise an error if the threshold is below round-off: no number of retries would reach it."""
    floor = roundoff_floor(failing)
    if (floor > config.energy_threshold).any():
        worst = int(floor.argmax())
        raise UnreachableThresholdError(
            f"energy_threshold = {config.energy_threshold:g} is below the round-off of the energy of this system "
            f"(E = {failing.total_energy()[worst].item():.6g} is a small difference of kinetic and potential energy; round-off "
            f"about {floor[worst].item():.1e}): raise energy_threshold above that, or start from other initial conditions."
        )


def _at_retry_cap(done: _Acceptance, failed: _FailedSteps, config: Config) -> None:
    """Raise, shrink dt until the steps pass, or drop their systems for this epoch: `max_retrain_steps` are used up."""
    if config.retry_fallback == "raise":
        raise RetryLimitError(
            f"max_retrain_steps = {config.max_retrain_steps} retrains were not enough for {_worst(failed, config)}; "
            "raise max_retrain_steps or lr, or set retry_fallback to shrink."
        )
    if config.retry_fallback == "drop":
        done.active[failed.systems] = False
    else:
        _shrink(done, failed, config)


def _shrink(done: _Acceptance, failed: _FailedSteps, config: Config) -> None:
    """Halve the steps until they pass, and accept them."""
    for _ in range(MAX_HALVINGS):
        attempt = take_step(failed.start, 0.5 * failed.dt, config)
        rel_dE = check_errors(step_error(attempt, failed.start.scale), config.energy_threshold).rel_dE
        good = rel_dE <= config.energy_threshold
        done.accept(failed.systems, attempt, rel_dE, good)
        failed = failed._replace(dt=attempt.dt, rel_dE=rel_dE).select(~good)
        if not len(failed.systems):
            return
    raise RetryLimitError(
        f"{MAX_HALVINGS} halvings of dt (retry_fallback = shrink) were not enough for {_worst(failed, config)}; its energy "
        "jumps however short the step is: look at its external field, or set retry_fallback to drop."
    )


def _worst(failed: _FailedSteps, config: Config) -> str:
    """Return a description of the step with the largest error: system, state, error and threshold."""
    i, state = int(failed.rel_dE.argmax()), failed.start.particle
    return (
        f"system {int(failed.systems[i])} at t = {state.time[i].item():.6g} "
        f"(x = {_short(state.position[i])}, v = {_short(state.velocity[i])}): "
        f"relative energy error {failed.rel_dE[i].item():.3e} at dt = {failed.dt[i].item():.3e}, "
        f"energy_threshold {config.energy_threshold:g}"
    )


def _short(x: Tensor) -> str:
    rows = ["(" + ", ".join(f"{v:.4g}" for v in row) + ")" for row in x[:3].tolist()]
    return " ".join(rows) + (" ..." if len(x) > 3 else "")


def collect_trajectory_step(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> CollectedStep:
    """Take one accepted step of every system: attempts and optimizer steps on the same state until the energy check passes.

    metrics: `retrain_iterations` (optimizer steps), `reject_count` (rejected attempts, summed over systems),
    `final_energy_error` (largest over systems). The history is read, not pushed to.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, collect_trajectory_step
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> advanced, dt, metrics = collect_trajectory_step(model, particle, optimizer, config, adapter)
        >>> metrics["final_energy_error"] <= config.energy_threshold
        True
    """
    done = _collect_step(model, particle, optimizer, config, adapter, history_buffer)
    metrics = {
        "retrain_iterations": int(done.retrains.max()),
        "reject_count": int(done.retrains.sum()),
        "final_energy_error": float(done.error.max()),
    }
    return CollectedStep(done.advanced, done.dt, metrics)


def collect_trajectory(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Collected:
    """Take `steps_per_epoch` accepted steps of every system. Steps from a history window that is not full are not recorded.

    metrics are counts and means over all systems: `total_steps` = `trajectory_length` + `warmup_discarded`.
    `watch(step, retrains)` is called after every step.

    Examples:
        >>> import torch
        >>> from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch, collect_trajectory
        >>> particle = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> config = Config(feature_type="basic", steps_per_epoch=4, epochs=2, lr=1e-2, seed=0, device="cpu")
        >>> model, adapter = FullyConnectedNN(11, seed=0).double(), ModelAdapter(config)
        >>> optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
        >>> trajectory, metrics = collect_trajectory(model, particle, optimizer, config, adapter)
        >>> len(trajectory), metrics["total_steps"]
        (4, 4)
    """
    if history_buffer is None:
        history_buffer = adapter.history_buffer
    parts: list[Trajectory] = []
    tally = _Tally()
    state = particle.clone_detached()
    active = torch.arange(len(particle), device=particle.time.device)
    with eval_mode(model):
        for number in range(1, config.steps_per_epoch + 1):
            current = state.select(active)
            window = None if history_buffer is None else history_buffer.select(active)
            done = _collect_step(model, current, optimizer, config, adapter, window)
            passed = done.active
            if watch is not None:
                watch(number, int(done.retrains.max()))
            recorded = history_buffer is None or history_buffer.full
            tally.add(done, recorded)
            if recorded:
                sample = Trajectory(done.start, done.dt, done.error)
                parts.append(sample.select(passed.nonzero().flatten()))
            # dropped systems are pushed as they are, so that all windows get as many pushes
            adapter.update_history(history_buffer, state, torch.zeros_like(state.time).index_put((active,), done.dt))
            state = state.with_rows(active[passed], done.advanced.select(passed))
            active = active[passed]
            if not len(active):
                break
    trajectory = Trajectory.stack(parts, state)
    metrics = {**tally.metrics(), "trajectory_length": len(trajectory), "dropped_systems": len(particle) - len(active)}
    return Collected(trajectory, metrics)


class _Tally:
    """Counts over the accepted steps of one Part 1."""

    def __init__(self) -> None:
        self.retrains: list[Tensor] = []
        self.error: list[Tensor] = []
        self.dt: list[Tensor] = []
        self.warmup = 0

    def add(self, done: _Acceptance, recorded: bool) -> None:
        """Count one step of all systems that were not dropped."""
        for all_values, values in ((self.retrains, done.retrains), (self.error, done.error), (self.dt, done.dt)):
            all_values.append(values[done.active])
        self.warmup += 0 if recorded else int(done.active.sum())

    def metrics(self) -> dict[str, Any]:
        """Return the counts and means over all steps, recorded or not."""
        retrains, error, dt = (torch.cat(x).double() for x in (self.retrains, self.error, self.dt))
        any_step = len(retrains) > 0
        return {
            "total_steps": len(retrains),
            "warmup_discarded": self.warmup,
            "mean_retrain_iterations": float(retrains.mean()) if any_step else 0.0,
            "max_retrain_iterations": int(retrains.max()) if any_step else 0,
            "mean_energy_error": float(error.mean()) if any_step else 0.0,
            "mean_dt": float(dt.mean()) if any_step else 0.0,
        }
