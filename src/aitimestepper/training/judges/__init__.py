"""Judges: what a training accepts. `step` looks at single steps, `run` at whole runs; the epochs around them are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import nn
from torch.optim import Optimizer

from ...config import Config
from ...differentiable.adapter import ModelAdapter
from ...differentiable.history import HistoryBuffer
from ...differentiable.particle import ParticleTorch
from ..collection import Collected
from ..generalization import Generalized

Watch = Callable[[str, int, int, str], None]  # stage, number done, number in all, words


class Judge(Protocol):
    """The two parts of an epoch, and what a training needs around them."""

    def collect(self, particle: ParticleTorch, epoch: int, watch: Watch) -> Collected:
        """Part 1: record what is accepted."""

    def generalize(self, trajectory: Any, watch: Watch) -> Generalized:
        """Part 2: learn from random minibatches of what was recorded, until one passes."""

    def after_epoch(self, trajectory: Any, watch: Watch) -> dict[str, Any]:
        """Measure the network after an epoch; return more metrics by name."""

    def about(self) -> dict[str, Any]:
        """Return what the card of every model says of its training, as plain values."""

    def state(self) -> dict[str, Any]:
        """Return what the next epoch depends on besides network, optimizer and random state, as tensors and plain values."""

    def restore(self, state: dict[str, Any], epochs: int, watch: Watch) -> None:
        """Continue after `epochs` epochs from the result of `state`."""

    def finish(self, watch: Watch) -> dict[str, Any]:
        """Put the network that is to be used in place, and return its card; {} if there is nothing to do."""


def judge_for(
    model: nn.Module, optimizer: Optimizer, config: Config, adapter: ModelAdapter, history: HistoryBuffer | None = None
) -> Judge:
    """Return the judge that the settings name."""
    if config.judge == "run":
        from .run import RunJudge

        return RunJudge(model, optimizer, config, adapter)
    from .step import StepJudge

    return StepJudge(model, optimizer, config, adapter, history)
