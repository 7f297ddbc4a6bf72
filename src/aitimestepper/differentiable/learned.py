"""The learned step in torch: any network (B, F) -> (B, 2), with an adapter for its features, drives a run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from ..criteria.base import positive_numbers
from .adapter import ModelAdapter, Prediction, eval_mode
from .conserved import conserved_energy
from .history import HistoryBuffer
from .particle import ParticleTorch
from .step_module import StepModule, select_memory


@dataclass(frozen=True)
class LearnedMemory:
    """What a learned step carries along a run; all numbers are (B,)."""

    history: HistoryBuffer | None
    last: ParticleTorch | None  # the state before this one: it joins the history when the step taken from it is known
    tol: Tensor  # the tolerance wanted
    energy: Tensor  # the conserved energy at the start
    worst: Tensor  # log10 of the largest energy error that the network expected of a step
    at_ceiling: Tensor  # how many steps the ceiling cut short
    out_of_range: Tensor  # for how many states, unlike all that it was trained on, the network chose

    def select(self, index: Tensor) -> LearnedMemory:
        """Return the memory of the systems that `index` names."""
        return LearnedMemory(*(select_memory(getattr(self, f.name), index) for f in fields(self)))


class LearnedModule(StepModule):
    """A network as a step, with the features, scales and integrator of its adapter.

    `tol`: the relative energy error wanted, a number or one a system; without it, that of the adapter. A network that is shown
    the tolerance answers to it; the dt of others is scaled from the threshold that their single steps were trained for.
    """

    def __init__(self, network: nn.Module, adapter: ModelAdapter, tol: Any = None) -> None:
        super().__init__()
        self.network, self.adapter = network, adapter
        self.velocity_even, self.made_for = not adapter.history_enabled, adapter.config.integrator
        self.tol = None if tol is None else positive_numbers(tol, "tol")
        self.tolerance = self.tol if adapter.calibration else None  # calibrated on whole runs: it is a promise about them

    def init(self, particle: ParticleTorch) -> LearnedMemory:
        """Return an empty history, if the network looks at one, the energy at the start, and counts of nothing."""
        none = torch.zeros_like(particle.time)
        energy = conserved_energy(particle).detach() if self.adapter.sees_tolerance else none
        tol = self.adapter.tolerance_of(particle, self.tol)
        return LearnedMemory(self.adapter.new_history(), None, tol, energy, torch.full_like(none, -torch.inf), none, none)

    def choose(self, particle: ParticleTorch, memory: LearnedMemory) -> tuple[Tensor, LearnedMemory]:
        """Return dt (B,), without a graph, and the memory; the network is asked once."""
        history = self._history_at(particle, memory)
        answer = self._predict(particle, memory, history)
        after = LearnedMemory(
            history,
            None if history is None else particle,
            memory.tol,
            memory.energy,
            torch.maximum(memory.worst, answer.log10_error),
            memory.at_ceiling + answer.at_ceiling,
            memory.out_of_range + answer.out_of_range,
        )
        return answer.dt, after

    def predict(self, particle: ParticleTorch, memory: LearnedMemory | None = None) -> Prediction:
        """Return the step, and what the network says of it; without a memory, as at the start of a run."""
        memory = self.init(particle) if memory is None else memory
        return self._predict(particle, memory, self._history_at(particle, memory))

    def _history_at(self, particle: ParticleTorch, memory: LearnedMemory) -> HistoryBuffer | None:
        """Return the window up to the state before this one, from which the step `particle.dt` was taken."""
        if memory.history is None or memory.last is None:
            return memory.history
        history = memory.history.clone()
        history.push(memory.last, particle.dt)
        return history

    def _predict(self, particle: ParticleTorch, memory: LearnedMemory, history: HistoryBuffer | None) -> Prediction:
        with torch.no_grad(), eval_mode(self.network):
            observation = self.adapter.observe(particle, history, memory.energy, memory.tol)
            answer = self.adapter.predict(self.network, observation)
        if self.adapter.sees_tolerance:
            return answer
        # not `answer.dt` at the ceiling: dt times ceiling over dt can be a rounding less than it
        wanted = torch.where(answer.at_ceiling, observation.ceiling, answer.dt) * self._factor(memory.tol)
        at_ceiling = wanted >= observation.ceiling
        return answer._replace(dt=torch.minimum(wanted, observation.ceiling), at_ceiling=at_ceiling)

    def _factor(self, tol: Tensor) -> Tensor:
        """Return what dt is multiplied by for `tol` (B,): one step of a method of order p errs like dt^(p+1)."""
        return (tol / self.adapter.config.energy_threshold) ** (1.0 / (self.adapter.order + 1))

    def report(self, memory: LearnedMemory) -> dict[str, Tensor]:
        """Return how the network saw its run.

        The largest relative energy error of a step that it expected, how many steps the ceiling cut short, and for how many
        states, unlike all that it was trained on, it chose as for the nearest one it knows.
        """
        return {
            "expected_step_error": 10.0**memory.worst,
            "steps_at_ceiling": memory.at_ceiling.long(),
            "steps_outside_training": memory.out_of_range.long(),
        }
