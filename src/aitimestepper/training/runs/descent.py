"""The gradient way: AdamW on guesses of runs. Beside policy search: diagnostics/descent_or_search.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ...differentiable.adapter import ModelAdapter
from ...integrators import COMPOSITIONS
from ...differentiable.network import FullyConnectedNN
from .networks import searched
from .objective import log_cost
from .predicted import predict_error
from .reference import ReferenceTrajectories

ROUGH = 16.0  # weight of what is not time-symmetric; 7 times as much took 11 % more forces at order 6, 13 times 27 % at order 8
# ln of the factor by which the network is shown another error than the guess, since real errors are not quite as guessed
NOISE = 0.35
CLIP = 1.0  # largest norm of a gradient
MEMORY = 0.5  # how much the last guess of what is spent counts beside this one


class Descent(NamedTuple):
    """How to descend."""

    iterations: int = 2100
    lr: float = 5e-3  # at the start; falls to `lr_end` of it
    lr_end: float = 0.02
    batch: int = 12  # tracks of each family in an iteration
    weight_decay: float = 1e-3


class Descending:
    """A descent on its way; the model is changed in place."""

    def __init__(
        self,
        model: FullyConnectedNN,
        adapter: ModelAdapter,
        tracks: ReferenceTrajectories,
        tolerances: Sequence[float],
        how: Descent,
        seed: int,
    ) -> None:
        self.model, self.adapter, self.tracks, self.tolerances, self.how = model, adapter, tracks, tolerances, how
        self.done = 0
        self._order = COMPOSITIONS[adapter.config.integrator].order
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = torch.optim.AdamW(searched(model), lr=how.lr, weight_decay=how.weight_decay)
        self._spent = torch.zeros(len(tolerances), len(tracks.time), dtype=torch.float64)
        self._members = [torch.nonzero(tracks.family == k).flatten() for k in torch.unique(tracks.family)]

    def advance(self, iterations: int, tell: Callable[[int], None] = lambda done: None) -> float:
        """So many iterations more; their mean loss."""
        total = 0.0
        for _ in range(iterations):
            total += self._iterate()
            self.done += 1
            tell(self.done)
        return total / iterations

    def _iterate(self) -> float:
        """A tolerance in turn, tracks at random."""
        turn = self.done % len(self.tolerances)
        drawn = [m[torch.randperm(len(m), generator=self._generator)[: self.how.batch]] for m in self._members]
        part, points = self.tracks.rows(torch.cat(drawn))
        doubt = torch.exp(NOISE * torch.randn(len(part.first), generator=self._generator, dtype=torch.float64))
        shown = self._spent[turn, points] * doubt[part.track]
        found = predict_error(self.model, self.adapter, part, self.tolerances[turn], shown)
        self._spent[turn, points] = MEMORY * self._spent[turn, points] + (1.0 - MEMORY) * found.spent
        loss = log_cost(found.log_forces, found.log_excess, part.family, self._order) + ROUGH * found.roughness.mean()
        for group in self._optimizer.param_groups:
            group["lr"] = self.how.lr * self.how.lr_end ** (self.done / self.how.iterations)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(searched(self.model), CLIP)
        self._optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as tensors and plain values."""
        return {
            "done": self.done,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": self._generator.get_state(),
            "spent": self._spent,
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """As if it had never stopped."""
        self.done = state["done"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["random"])
        self._spent = state["spent"]
