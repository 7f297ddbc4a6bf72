"""Part 2 of a training on runs by itself, which ablations.py and limit_of_state.py share.

All references are there from the first iteration, and the learning rate falls from one to the next. No network is validated,
chosen or calibrated on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from aitimestepper import Config, ModelAdapter
from aitimestepper.differentiable.network import FullyConnectedNN, build_network
from aitimestepper.initial.suites import Suite
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.training.judges.ranges import input_ranges
from aitimestepper.training.judges.reference import ReferenceTrajectories, join_references, measure_references
from aitimestepper.training.judges.run import RunJudge, RunRecord
from aitimestepper.training.judges.tolerances import asked


def references_of(suite: Suite, integrator: str, tolerances: Sequence[float], threads: int = 1) -> ReferenceTrajectories:
    """Return the reference trajectories of all problems that have one; errors are measured with steps at the tolerances."""
    gate = Config(judge="run").energy_threshold
    made = measure_references(suite, integrator, tolerances, gate, threads)
    found = [(one, int(k)) for one, k in zip(made, suite.family_of, strict=True) if one is not None]
    return join_references(*zip(*found, strict=True))


class Descent(RunJudge):
    """Judge `run` with given references, one iteration at a time."""

    def __init__(self, network: FullyConnectedNN, config: Config, references: ReferenceTrajectories) -> None:
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        super().__init__(network, optimizer, replace(config, replay_steps=1, replay_min_steps=1), ModelAdapter(config))
        self.record = RunRecord(references, None)
        self.shown: tuple[Tensor, list[float]] | None = None

    def _predicted(self, references: ReferenceTrajectories) -> tuple[Tensor, list[float]]:
        """Return what was predicted at the start; `generalize` keeps the error so far up to date in place."""
        if self.shown is None:
            self.shown = super()._predicted(references)
        return self.shown

    def iterate(self, done: float) -> None:
        """Learn from one minibatch; done: the fraction of all iterations before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.config.lr_decay**done
        self.generalize(self.record, lambda *_: None)


def descend(descents: Sequence[Descent], iterations: int) -> None:
    """Take so many iterations of each, in turn."""
    for k in range(iterations):
        for one in descents:
            one.iterate(k / iterations)


def trained(
    config: Config,
    references: ReferenceTrajectories,
    iterations: int,
    without: Sequence[int] = (),
    start: FullyConnectedNN | None = None,
) -> FullyConnectedNN:
    """Return a network that learned from the references; without: indices of inputs that it ignores."""
    network = build_network(config)
    if start is not None:
        network.load_state_dict(start.state_dict())
    lowest, highest = input_ranges(references, asked(config), SPLITTINGS[config.integrator].order)
    hidden = list(without)
    lowest[hidden] = highest[hidden] = 0.5 * (lowest[hidden] + highest[hidden])
    network.limit_inputs(lowest, highest)
    descend([Descent(network, config, references)], iterations)
    return network
