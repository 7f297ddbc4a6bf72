"""Gradient descent: AdamW on the predicted cost and error of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...differentiable.adapter import ModelAdapter
from ...differentiable.network import FullyConnectedNN
from ...integrators import COMPOSITIONS
from .networks import trained_parameters
from .objective import log_cost
from .plan import DescentSettings
from .predicted import predict_error
from .reference import ReferenceTrajectories

# Weight of the penalty on steps that are not time-symmetric. A weight 7 times as large took 11 % more forces at order 6, one 13
# times as large 27 % more at order 8.
ROUGHNESS_WEIGHT = 16.0
# Standard deviation of ln of the factor between the error that is an input of the network and the predicted one, since real
# errors differ from predictions.
NOISE = 0.35
CLIP = 1.0  # largest norm of a gradient
DAMPING = 0.5  # weight of the previous prediction of the error so far in its moving average


class Descent:
    """State of a gradient descent; the network is changed in place."""

    def __init__(
        self,
        network: FullyConnectedNN,
        adapter: ModelAdapter,
        references: ReferenceTrajectories,
        tolerances: Sequence[float],
        settings: DescentSettings,
        seed: int,
    ) -> None:
        self.network, self.adapter, self.references = network, adapter, references
        self.tolerances, self.settings = tolerances, settings
        self.done = 0
        self._order = COMPOSITIONS[adapter.config.integrator].order
        self._generator = torch.Generator().manual_seed(seed)
        parameters = trained_parameters(network)
        self._optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
        # (T, S) the energy error so far over the tolerance, as predicted last
        self._error_fraction = torch.zeros(len(tolerances), len(references.time), dtype=torch.float64)
        self._members = [torch.nonzero(references.family == k).flatten() for k in torch.unique(references.family)]

    def advance(self, iterations: int, report: Callable[[int], None] = lambda done: None) -> float:
        """Take `iterations` more iterations, and return their mean loss; report(iterations in all) is called after each."""
        total = 0.0
        for _ in range(iterations):
            total += self._iterate()
            self.done += 1
            report(self.done)
        return total / iterations

    def _iterate(self) -> float:
        """Learn at the next tolerance in turn, from trajectories drawn at random; return the loss."""
        turn, settings = self.done % len(self.tolerances), self.settings
        drawn = [m[torch.randperm(len(m), generator=self._generator)[: settings.batch]] for m in self._members]
        part, points = self.references.rows(torch.cat(drawn))
        noise = torch.exp(NOISE * torch.randn(len(part.first), generator=self._generator, dtype=torch.float64))
        shown = self._error_fraction[turn, points] * noise[part.trajectory]
        found = predict_error(self.network, self.adapter, part, self.tolerances[turn], shown)
        before = self._error_fraction[turn, points]
        self._error_fraction[turn, points] = DAMPING * before + (1.0 - DAMPING) * found.error_fraction
        cost = log_cost(found.log_forces, found.log_excess, part.family, self._order)
        loss = cost + ROUGHNESS_WEIGHT * found.roughness.mean()
        for group in self._optimizer.param_groups:
            group["lr"] = settings.lr * settings.lr_end ** (self.done / settings.iterations)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained_parameters(self.network), CLIP)
        self._optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """Return all that is needed to continue, as tensors and plain values."""
        return {
            "done": self.done,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": self._generator.get_state(),
            "error_fraction": self._error_fraction,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the result of `state`, to the same bits as a descent that was never stopped."""
        self.done = state["done"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["random"])
        self._error_fraction = state["error_fraction"]
