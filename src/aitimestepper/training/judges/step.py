"""Judge `step`: a single step is accepted if its relative energy error is within `energy_threshold`."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from ...config import Config
from ...differentiable.adapter import ModelAdapter
from ...differentiable.history import HistoryBuffer
from ...differentiable.particle import ParticleTorch
from ..collection import Collected, collect_trajectory
from ..generalization import Generalized, generalize_on_trajectory, verify_trajectory
from ..trajectory import Trajectory
from . import Watch


class StepJudge:
    """Part 1 collects accepted steps, Part 2 takes one step of every sample; see `collection` and `generalization`."""

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, config: Config, adapter: ModelAdapter, history: HistoryBuffer | None
    ) -> None:
        self.model, self.optimizer, self.config, self.adapter, self.history = model, optimizer, config, adapter, history

    def collect(self, particle: ParticleTorch, epoch: int, watch: Watch) -> Collected:
        """Take `steps_per_epoch` accepted steps of every system."""
        steps = self.config.steps_per_epoch
        return collect_trajectory(
            self.model,
            particle,
            self.optimizer,
            self.config,
            self.adapter,
            self.history,
            lambda step, retrains: watch("part 1", step, steps, f"retrain {retrains}" if retrains else ""),
        )

    def generalize(self, trajectory: Trajectory, watch: Watch) -> Generalized:
        """Learn from random minibatches until all samples of one pass."""
        return generalize_on_trajectory(self.model, trajectory, self.optimizer, self.config, self.adapter, self.history)

    def after_epoch(self, trajectory: Trajectory, watch: Watch) -> dict[str, Any]:
        """With `recheck_trajectory`, verify every sample once more."""
        if not self.config.recheck_trajectory:
            return {}
        return {"part2/recheck_pass_rate": verify_trajectory(self.model, trajectory, self.config, self.adapter)}

    def about(self) -> dict[str, Any]:
        """Return nothing: the configuration says it all."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return nothing: the history is stored with the checkpoint."""
        return {}

    def restore(self, state: dict[str, Any], epochs: int, watch: Watch) -> None:
        """Do nothing; see `state`."""

    def finish(self, watch: Watch) -> dict[str, Any]:
        """Do nothing: the network of the last epoch is the result."""
        return {}
