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

# Weight of what is not time-symmetric; 7 times as much took 11 % more forces at order 6, 13 times 27 % at order 8
ROUGHNESS_WEIGHT = 16.0
# ln of the factor by which the network is shown another error than the predicted one: real errors differ from it
NOISE = 0.35
CLIP = 1.0  # largest norm of a gradient
MEMORY = 0.5  # how much the last prediction of the error so far counts beside this one


class Descent:
    """A descent on its way; the network is changed in place."""

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
        """Take so many iterations more, and return their mean loss; report(iterations done in all) follows each."""
        total = 0.0
        for _ in range(iterations):
            total += self._iterate()
            self.done += 1
            report(self.done)
        return total / iterations

    def _iterate(self) -> float:
        """Learn at the tolerance whose turn it is, from trajectories drawn at random; return the loss."""
        turn, settings = self.done % len(self.tolerances), self.settings
        drawn = [m[torch.randperm(len(m), generator=self._generator)[: settings.batch]] for m in self._members]
        part, points = self.references.rows(torch.cat(drawn))
        noise = torch.exp(NOISE * torch.randn(len(part.first), generator=self._generator, dtype=torch.float64))
        shown = self._error_fraction[turn, points] * noise[part.trajectory]
        found = predict_error(self.network, self.adapter, part, self.tolerances[turn], shown)
        before = self._error_fraction[turn, points]
        self._error_fraction[turn, points] = MEMORY * before + (1.0 - MEMORY) * found.error_fraction
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
        """Return all that is needed to go on, as tensors and plain values."""
        return {
            "done": self.done,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": self._generator.get_state(),
            "error_fraction": self._error_fraction,
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """Put everything back to where `state` left it, as if the descent had never stopped."""
        self.done = state["done"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["random"])
        self._error_fraction = state["error_fraction"]
