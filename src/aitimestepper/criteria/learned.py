"""The learned step: a trained network as the criterion that drives a simulation."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..differentiable.adapter import ModelAdapter, Prediction, eval_mode, resolve_device
from ..differentiable.conserved import conserved_energy
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError, nearest_name_hint
from ..integrators import COMPOSITIONS
from ..training.checkpoints import Checkpoint, find_checkpoint, load_checkpoint
from .base import AbstractStepCriterion, Lowered

DEFAULT, DEFAULT_TOL = "default", 1e-6
MODELS = Path(__file__).parents[1] / "models"  # those of the package
# reset, settle: above 1.01 steps alternate, below 1.004 too few are symmetric; both spoil a thousand orbits
# (diagnostics/settle.py)
SYMMETRIZATION = (2.0, 1.007)
BESIDE = 3.0  # a network tuned for a tolerance is good for others that are at most so many times smaller or larger


@dataclass
class LearnedMemory:
    """What a learned step carries along a run; all (B,) but the window."""

    history: HistoryBuffer | None
    tol: Tensor  # asked for
    energy: Tensor  # at the start
    expected: Tensor  # log10 of the energy error that the network expects of the step it just chose
    worst: Tensor  # the largest of those so far
    at_ceiling: Tensor  # 1 where the ceiling cut the step just chosen
    capped: Tensor  # how many it cut so far
    outside: Tensor  # 1 where the network was never trained on such a state as it just chose for
    strange: Tensor  # how many such states so far

    def select(self, index: Tensor) -> LearnedMemory:
        """That of the systems which `index` names."""
        history = None if self.history is None else self.history.select(index)
        numbers = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "history"}
        return LearnedMemory(history, **numbers)


# The cheapest composition above a tolerance, by the force evaluations of the models as asked, on `validation` (their cards)
CHEAPEST = ((3.5e-3, "leapfrog"), (9e-5, "suzuki4"), (5e-7, "kahan_li6"), (0.0, "kahan_li8"))


def cheapest_composition(tol: float) -> str:
    """The composition whose learned step keeps an energy error of `tol` with the fewest forces."""
    return next((name for above, name in CHEAPEST if tol > above), CHEAPEST[-1][1])


@functools.cache
def shipped(integrator: str) -> Checkpoint:
    """The network of the package for an integrator."""
    path = MODELS / f"{integrator}.pt"
    if not path.is_file():
        known = sorted(p.stem for p in MODELS.glob("*.pt"))
        raise ConfigError(f"no learned step is shipped for integrator = {integrator}: {nearest_name_hint(integrator, known)}")
    return load_checkpoint(path)


def covers(checkpoint: Checkpoint, tol: float) -> bool:
    """Whether a network was tuned for such a tolerance."""
    known = [pair[0] for pair in checkpoint.card.get("calibration", ())]
    return bool(known) and min(known) / BESIDE <= tol <= max(known) * BESIDE


class LearnedStep(AbstractStepCriterion):
    """A trained network as a step criterion, with the features, scales, integrator and precision it was trained with."""

    name = "learned"

    def __init__(self, model: nn.Module, adapter: ModelAdapter, tol: float | None = None) -> None:
        if tol is not None and not 0 < tol < float("inf"):
            raise ConfigError(f"tol = {tol} must be a positive number.")
        self.model, self.adapter = model, adapter
        self.integrator = adapter.config.integrator
        self.velocity_even = not adapter.history_enabled
        if adapter.sees_tolerance:  # it sees the error so far, which is rough
            self.symmetrization = SYMMETRIZATION
        self.tol: float | Tensor = adapter.tol
        if tol is not None:
            self._ask_for(tol)

    def _ask_for(self, tol: float | Tensor) -> None:
        self.tol, self.run_tolerance = tol, tol if self.adapter.calibration else None
        if self.adapter.sees_tolerance:  # a copy: others may hold the adapter too
            self.adapter = copy.copy(self.adapter)
            self.adapter.tol = tol

    def at_tolerance(self, tol: float | Tensor) -> LearnedStep:
        """The same step with another tolerance, a number or (B,)."""
        changed = copy.copy(self)
        changed._ask_for(tol)
        return changed

    @property
    def exponent(self) -> float:
        """By which power of `tol` dt changes: one step of an order-p method errs like dt^(p+1), the unit is that of a run."""
        return 1.0 / (COMPOSITIONS[self.integrator].order + (0 if self.adapter.sees_tolerance else 1))

    @property
    def factor(self) -> Any:
        """What dt is multiplied by."""
        return self.factor_for(self.tol)

    def factor_for(self, tol: Any) -> Any:
        """What dt is multiplied by for `tol` (a number or (B,)): 1 if the network is told the tolerance."""
        return 1.0 if self.adapter.sees_tolerance else (tol / self.adapter.config.energy_threshold) ** self.exponent

    @classmethod
    def load(
        cls,
        checkpoint_or_name: str | Path,
        tol: float | None = None,
        device: torch.device | str | None = None,
        integrator: str = "auto",
    ) -> LearnedStep:
        """From a checkpoint file, a run folder, or the name of a run; nothing else needs to be said. `default`: the package's.

        `tol` is the relative energy error wanted: of a whole run, if the network was tuned on runs (as those of the package
        are, one for each `integrator`; `auto`: the cheapest for `tol`); else of one step. Without it, that of the training.
        """
        if checkpoint_or_name == DEFAULT:
            wanted = DEFAULT_TOL if tol is None else tol
            name = cheapest_composition(wanted) if integrator == "auto" else integrator
            return cls.from_checkpoint(shipped(name), wanted, device)
        return cls.from_checkpoint(load_checkpoint(find_checkpoint(checkpoint_or_name)), tol, device)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, tol: float | None = None, device: torch.device | str | None = None
    ) -> LearnedStep:
        """From a checkpoint already read."""
        adapter = ModelAdapter(checkpoint.config, device=None if device is None else resolve_device(str(device)))
        adapter.scales = checkpoint.scales
        adapter.calibration = checkpoint.card.get("calibration", ())
        return cls(checkpoint.build_model(adapter.device), adapter, tol)

    def init(self, particle: ParticleTorch) -> LearnedMemory:
        """An empty history window, if the network looks at one; nothing expected yet."""
        unknown, none = torch.full_like(particle.time, -torch.inf), torch.zeros_like(particle.time)
        energy = conserved_energy(particle) if self.adapter.sees_tolerance else none
        tol = self.adapter.tolerance_of(particle, self.tol)
        return LearnedMemory(self.adapter.new_history(), tol, energy, unknown, unknown, none, none, none, none)

    def predict(self, particle: ParticleTorch, memory: LearnedMemory | None = None) -> Prediction:
        """The dt, and the network's own estimate of the energy error of that step."""
        with torch.no_grad(), eval_mode(self.model):
            known = (None, None, None) if memory is None else (memory.history, memory.energy, memory.tol)
            observation = self.adapter.observe(particle, *known)
            said = self.adapter.predict(self.model, observation)
        if self.adapter.sees_tolerance:
            return said
        # not `said.dt` there: dt times ceiling over dt can be a rounding less than the ceiling
        factor = self.factor if memory is None else self.factor_for(memory.tol)
        wanted = torch.where(said.at_ceiling, observation.ceiling, said.dt) * factor
        at_ceiling = wanted >= observation.ceiling
        return said._replace(dt=torch.minimum(wanted, observation.ceiling), at_ceiling=at_ceiling)

    def step_size(self, particle: ParticleTorch, memory: LearnedMemory | None) -> Tensor:
        """(B,). What the network expects of the step is noted in the memory."""
        if memory is None:
            return self.predict(particle).dt
        said = self.predict(particle, memory)
        memory.expected, memory.at_ceiling = said.log10_error, said.at_ceiling.to(said.dt)
        memory.outside = said.outside.to(said.dt)
        return said.dt

    def update(self, particle: ParticleTorch, dt: Tensor, memory: LearnedMemory) -> LearnedMemory:
        """Push the state into the window, and count."""
        history = None if memory.history is None else memory.history.clone()
        self.adapter.update_history(history, particle, dt)
        return replace(
            memory,
            history=history,
            worst=torch.maximum(memory.worst, memory.expected),
            capped=memory.capped + memory.at_ceiling,
            strange=memory.strange + memory.outside,
        )

    def report(self, memory: LearnedMemory) -> dict[str, Tensor]:
        """The largest relative energy error of a step that the network expected, how many steps the ceiling cut short, and how
        many it chose for states unlike all that it was trained on, as for the nearest one it knows.
        """
        return {
            "expected_step_error": 10.0**memory.worst,
            "steps_at_ceiling": memory.capped.long(),
            "steps_outside_training": memory.strange.long(),
        }

    def lower(self) -> Lowered:
        """The factor for the tolerance; weights and scales travel with the model."""
        return Lowered(
            self.name, (float(torch.as_tensor(self.factor, dtype=torch.float64).reshape(-1)[0]), self.adapter.config.dt_ceiling)
        )
