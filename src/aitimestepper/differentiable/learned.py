"""The learned step in torch: a run with any network (B, F) -> (B, 2) and the adapter of its features."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..criteria.base import positive_numbers
from .adapter import ModelAdapter, Prediction, eval_mode
from .conserved import conserved_energy, energy_scale
from .history import HistoryBuffer
from .network import FullyConnectedNN
from .particle import ParticleTorch
from .step_module import StepModule, select_memory


def knows_range(network: nn.Module) -> bool:
    """Return whether a network knows the range of its inputs in the training."""
    return isinstance(network, FullyConnectedNN) and bool(torch.isfinite(network.lowest).any())


@dataclass(frozen=True)
class LearnedMemory:
    """Memory of a learned step along a run; all numbers are (B,)."""

    history: HistoryBuffer | None
    last: ParticleTorch | None  # the previous state: it is pushed to the history when the step taken from it is known
    tol: Tensor  # the tolerance wanted, smaller for long runs of disturbed bodies
    sensitive: Tensor  # bool: systems with the calibration of sensitive ones
    long: Tensor  # bool: runs of hundreds of orbits
    energy: Tensor  # the conserved energy at the start
    scale: Tensor  # S at the start, which energy errors are relative to
    largest_log10_error: Tensor  # log10 of the largest energy error that the network expected of a step
    at_ceiling: Tensor  # number of steps shortened by the ceiling
    out_of_range: Tensor  # number of states with inputs outside the range of the training

    def select(self, index: Tensor) -> LearnedMemory:
        """Return the memory of the systems that `index` names."""
        return LearnedMemory(*(select_memory(getattr(self, f.name), index) for f in fields(self)))


class LearnedModule(StepModule):
    """A network as a step, with the features, scales and integrator of its adapter.

    `tol`: the relative energy error wanted, a number or one a system; by default that of the adapter. `shortening`: its factor
    for the length of the run. `sensitive`, `long`: whether systems are sensitive, and have hundreds of orbits, one bool or one
    a system. If the tolerance is no input of the network, dt is scaled from the threshold that its single steps were trained
    for.
    """

    def __init__(
        self,
        network: nn.Module,
        adapter: ModelAdapter,
        tol: Any = None,
        shortening: Any = 1.0,
        sensitive: Any = False,
        long: Any = False,
    ) -> None:
        super().__init__()
        self.network, self.adapter = network, adapter
        self.velocity_even, self.made_for = not adapter.history_enabled, adapter.config.integrator
        self.tol = None if tol is None else positive_numbers(tol, "tol")
        self.shortening = torch.as_tensor(shortening, dtype=torch.float64)
        self.sensitive, self.long = (torch.as_tensor(kind, dtype=torch.bool) for kind in (sensitive, long))
        self.tolerance = self.tol if adapter.calibration else None  # only calibrated networks promise it for whole runs

    def init(self, particle: ParticleTorch) -> LearnedMemory:
        """Return an empty history, if the features need one, the tolerance, the energy at the start, and counts of zero."""
        zero = torch.zeros_like(particle.time)
        sees = self.adapter.sees_tolerance
        start = (conserved_energy(particle).detach(), energy_scale(particle).detach()) if sees else (zero, zero)
        tol = self.adapter.tolerance_of(particle, self.tol) * self.shortening.to(particle.time)
        sensitive, long = (kind.to(tol.device).expand(len(tol)) for kind in (self.sensitive, self.long))
        expected = torch.full_like(zero, -torch.inf)
        return LearnedMemory(self.adapter.new_history(), None, tol, sensitive, long, *start, expected, zero, zero)

    def choose(self, particle: ParticleTorch, memory: LearnedMemory) -> tuple[Tensor, LearnedMemory]:
        """Return dt (B,), without a graph, and the memory; the network is evaluated once."""
        history = self._history_at(particle, memory)
        prediction = self._predict(particle, memory, history)
        after = LearnedMemory(
            history,
            None if history is None else particle,
            memory.tol,
            memory.sensitive,
            memory.long,
            memory.energy,
            memory.scale,
            torch.maximum(memory.largest_log10_error, prediction.log10_error),
            memory.at_ceiling + prediction.at_ceiling,
            memory.out_of_range + prediction.out_of_range,
        )
        return prediction.dt, after

    def predict(self, particle: ParticleTorch, memory: LearnedMemory | None = None) -> Prediction:
        """Return the step with the network's estimate of its error; without a memory, as at the start of a run."""
        memory = self.init(particle) if memory is None else memory
        return self._predict(particle, memory, self._history_at(particle, memory))

    def _history_at(self, particle: ParticleTorch, memory: LearnedMemory) -> HistoryBuffer | None:
        """Return the window up to the previous state, from which the step `particle.dt` was taken."""
        if memory.history is None or memory.last is None:
            return memory.history
        history = memory.history.clone()
        history.push(memory.last, particle.dt)
        return history

    def _predict(self, particle: ParticleTorch, memory: LearnedMemory, history: HistoryBuffer | None) -> Prediction:
        with torch.no_grad(), eval_mode(self.network):
            asked = (memory.energy, memory.tol, memory.scale, memory.sensitive, memory.long)
            observation = self.adapter.observe(particle, history, *asked)
            prediction = self.adapter.predict(self.network, observation)
        if self.adapter.sees_tolerance:
            return prediction
        # not `prediction.dt` at the ceiling: dt times (ceiling over dt) can round to less than the ceiling
        wanted = torch.where(prediction.at_ceiling, observation.ceiling, prediction.dt) * self._factor(memory.tol)
        at_ceiling = wanted >= observation.ceiling
        return prediction._replace(dt=torch.minimum(wanted, observation.ceiling), at_ceiling=at_ceiling)

    def _factor(self, tol: Tensor) -> Tensor:
        """Return the factor of dt (B,) for `tol` (B,): the error of one step of a method of order p grows like dt^(p+1)."""
        return (tol / self.adapter.config.energy_threshold) ** (1.0 / (self.adapter.order + 1))

    def report(self, memory: LearnedMemory) -> dict[str, Tensor | None]:
        """Return the network's own account of the run, each (B,); None: the network knows no range of its training.

        It holds the largest relative energy error that the network expected of a step, the number of steps shortened by the
        ceiling, and the number of states outside the range of the training, whose inputs were clipped to it.
        """
        return {
            "expected_step_error": 10.0**memory.largest_log10_error,
            "steps_at_ceiling": memory.at_ceiling.long(),
            "steps_outside_training": memory.out_of_range.long() if knows_range(self.network) else None,
        }
