"""Part 1: attempt a step, check its energy error, retrain on the same state until it passes, accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..config import Config
from ..differentiable.adapter import ModelAdapter, Observation, Prediction, eval_mode
from ..differentiable.conserved import roundoff_floor
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import RetryLimitError, UnreachableThresholdError
from .attempt import StepAttempt, check_energy_threshold, learn, learning_losses, take_step
from .trajectory import Trajectory


class CollectedStep(NamedTuple):
    """An accepted step."""

    particle: ParticleTorch
    dt: Tensor
    metrics: dict[str, Any]


class Collected(NamedTuple):
    """Part 1 of one epoch."""

    trajectory: Trajectory
    metrics: dict[str, Any]


@dataclass
class _Acceptance:
    """What the systems of a batch have achieved while one step of all of them is being collected."""

    observation: Observation
    advanced: ParticleTorch
    dt: Tensor
    error: Tensor
    retrains: Tensor  # (B,) optimizer steps while this system was failing
    active: Tensor  # (B,) bool, False: dropped at the retry cap

    def accept(self, pending: Tensor, attempt: StepAttempt, rel_dE: Tensor, good: Tensor) -> None:
        """Take over the `good` rows of an attempt by the systems `pending`."""
        index, rows = pending[good], attempt.advanced.clone_detached()
        if len(index) == len(self.dt):
            self.advanced = rows
        elif len(index):
            self.advanced = self.advanced.with_rows(index, rows.select(good))
        self.dt[index] = attempt.dt.detach()[good]
        self.error[index] = rel_dE[good]


def _collect_step(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None,
) -> _Acceptance:
    """All systems of the batch advanced by one accepted step each.

    `pending` are the systems not accepted yet: only they are attempted again and learned from; the others wait with the
    step they passed with.
    """
    start = particle.clone_detached()
    start.total_energy()
    observation = adapter.observe(start, history_buffer)
    zeros = torch.zeros_like(start.time)
    done = _Acceptance(observation, start, zeros.clone(), zeros.clone(), zeros.long(), torch.ones_like(zeros, dtype=torch.bool))
    pending = torch.arange(len(start), device=zeros.device)
    tries = 0
    while True:
        here, seen = start.select(pending), observation.select(pending)
        with eval_mode(model):
            prediction = adapter.predict(model, seen)
            attempt = take_step(here, prediction, config)
        passed, rel_dE = check_energy_threshold(attempt.E0, attempt.E1, config.energy_threshold)
        good = rel_dE <= config.energy_threshold
        if passed:
            done.accept(pending, attempt, rel_dE, good)
            return done
        if tries == 0:
            _refuse_unreachable(here.select(~good), config)
        if tries == config.max_retrain_steps:
            _at_retry_cap(done, pending, here, attempt, rel_dE, config)
            return done
        losses = learning_losses(model, here, seen, config, adapter, (prediction, attempt))
        learn(optimizer, losses[~good])
        done.accept(pending, attempt, rel_dE, good)
        pending = pending[~good]
        done.retrains[pending] += 1
        tries += 1


def _refuse_unreachable(failing: ParticleTorch, config: Config) -> None:
    """A threshold below round-off would be retried for ever: say so instead."""
    floor = roundoff_floor(failing)
    if (floor > config.energy_threshold).any():
        worst = int(floor.argmax())
        raise UnreachableThresholdError(
            f"energy_threshold = {config.energy_threshold:g} is below the round-off of the energy of this system "
            f"(E = {failing.total_energy()[worst].item():.6g} is a small difference of kinetic and potential energy; round-off "
            f"about {floor[worst].item():.1e}): raise energy_threshold above that, or start from other initial conditions."
        )


def _at_retry_cap(
    done: _Acceptance, pending: Tensor, here: ParticleTorch, attempt: StepAttempt, rel_dE: Tensor, config: Config
) -> None:
    """`max_retrain_steps` are used up: raise, shrink dt until the step passes, or drop the systems for this epoch."""
    good = rel_dE <= config.energy_threshold
    done.accept(pending, attempt, rel_dE, good)
    pending, here, dt, rel_dE = pending[~good], here.select(~good), attempt.dt.detach()[~good], rel_dE[~good]
    if config.retry_fallback == "raise":
        worst = int(rel_dE.argmax())
        raise RetryLimitError(
            f"max_retrain_steps = {config.max_retrain_steps} retrains were not enough for system {int(pending[worst])} "
            f"at t = {here.time[worst].item():.6g} (x = {_short(here.position[worst])}, v = {_short(here.velocity[worst])}): "
            f"relative energy error {rel_dE[worst].item():.3e} at dt = {dt[worst].item():.3e}, "
            f"energy_threshold {config.energy_threshold:g}; raise max_retrain_steps or lr, or set retry_fallback to shrink."
        )
    if config.retry_fallback == "drop":
        done.active[pending] = False
        return
    while len(pending):
        dt = 0.5 * dt
        shrunk = take_step(here, Prediction(dt, dt, dt > 0, dt < 0), config)
        rel_dE = check_energy_threshold(shrunk.E0, shrunk.E1, config.energy_threshold).rel_dE
        good = rel_dE <= config.energy_threshold
        done.accept(pending, shrunk, rel_dE, good)
        pending, here, dt = pending[~good], here.select(~good), dt[~good]


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
    """One accepted step of every system: attempts and optimizer steps on the same state until the energy check passes.

    metrics: `retrain_iterations` (optimizer steps), `reject_count` (rejected attempts, summed over systems),
    `final_energy_error` (largest over systems). The history is read, not pushed to.
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
    """`steps_per_epoch` accepted steps of every system. Steps with a history window that is not full yet are not recorded.

    metrics count over all systems: `total_steps` = `trajectory_length` + `warmup_discarded`. `watch(step, retrains)` is
    told of the progress.
    """
    if history_buffer is None:
        history_buffer = adapter.new_history()
    parts: list[Trajectory] = []
    tally = _Tally()
    state = particle.clone_detached()
    active = torch.arange(len(particle), device=particle.time.device)
    for number in range(1, config.steps_per_epoch + 1):
        current = state.select(active)
        window = None if history_buffer is None else history_buffer.select(active)
        done = _collect_step(model, current, optimizer, config, adapter, window)
        keep = done.active
        if watch is not None:
            watch(number, int(done.retrains.max()))
        recorded = history_buffer is None or history_buffer.full
        tally.add(done, recorded)
        if recorded:
            sample = Trajectory(current, done.observation, done.dt, done.error)
            parts.append(sample.select(keep.nonzero().flatten()))
        # dropped systems are pushed where they stand, so that the windows of the others stay in step
        adapter.update_history(history_buffer, state, torch.zeros_like(state.time).index_put((active,), done.dt))
        state = state.with_rows(active[keep], done.advanced.select(keep))
        active = active[keep]
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
        """One step of all systems that were not dropped."""
        for mine, theirs in ((self.retrains, done.retrains), (self.error, done.error), (self.dt, done.dt)):
            mine.append(theirs[done.active])
        self.warmup += 0 if recorded else int(done.active.sum())

    def metrics(self) -> dict[str, Any]:
        """Over all steps, recorded or not."""
        retrains, error, dt = (torch.cat(x).double() for x in (self.retrains, self.error, self.dt))
        some = len(retrains) > 0
        return {
            "total_steps": len(retrains),
            "warmup_discarded": self.warmup,
            "mean_retrain_iterations": float(retrains.mean()) if some else 0.0,
            "max_retrain_iterations": int(retrains.max()) if some else 0,
            "mean_energy_error": float(error.mean()) if some else 0.0,
            "mean_dt": float(dt.mean()) if some else 0.0,
        }
