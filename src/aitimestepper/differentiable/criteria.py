"""A step module for every criterion: the same numbers in torch that the compiled engine computes from the same values."""

from __future__ import annotations

import torch
from torch import Tensor

from ..criteria.base import Criterion
from ..criteria.catalogue import CRITERIA
from ..criteria.classical import EnergyBudget
from ..criteria.learned import LearnedStep
from ..criteria.own import OwnCriterion
from ..criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from ..errors import ConfigError
from ..integrators import SPLITTINGS
from ..policy import bind
from .adapter import ModelAdapter
from .conserved import energy_scale
from .learned import LearnedModule
from .network import network_from
from .particle import ParticleTorch
from .rules import RULES, Rule, energy_budget
from .step_module import StepModule
from .wrappers import HuaynoModule, HutMakinoMcMillanModule, LimitedModule, SymmetrizedModule


class ClassicalModule(StepModule):
    """The step of a classical criterion; its number is in the memory, so that it follows its system when others end."""

    def __init__(self, criterion: Criterion) -> None:
        super().__init__()
        self.criterion, self.tolerance = criterion, criterion.tolerance
        self.made_for = criterion.made_for if criterion.made_for in SPLITTINGS else None
        if type(criterion) is not CRITERIA.get(criterion.name) or criterion.name not in RULES:  # a subclass may be another rule
            raise ConfigError(f"the criterion {criterion} has no form in torch: write a StepModule that chooses its steps.")
        self.rule: Rule = RULES[criterion.name]

    def init(self, particle: ParticleTorch) -> Tensor:
        """Return the number of every system, (B,)."""
        return torch.from_numpy(self.criterion.values(len(particle))).to(particle.time)

    def choose(self, particle: ParticleTorch, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return dt (B,) and the same numbers."""
        return self.rule(particle, memory), memory


class BudgetModule(StepModule):
    """The step of EnergyBudget; its memory is the tolerance of every system and S at the start of the run."""

    def __init__(self, criterion: EnergyBudget) -> None:
        super().__init__()
        self.criterion, self.tolerance = criterion, criterion.tolerance
        self.made_for = criterion.made_for if criterion.made_for in SPLITTINGS else None

    def init(self, particle: ParticleTorch) -> tuple[Tensor, Tensor]:
        """Return tolerance and S of every system, each (B,)."""
        return torch.from_numpy(self.criterion.values(len(particle))).to(particle.time), energy_scale(particle).detach()

    def choose(self, particle: ParticleTorch, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return dt (B,) and the same memory."""
        tol, scale = memory
        return energy_budget(particle, tol, self.criterion.order, self.criterion.constant, scale), memory


class OwnModule(StepModule):
    """The step of a Python function of the user's own, which is called for one system after the other, without a graph."""

    def __init__(self, criterion: OwnCriterion) -> None:
        super().__init__()
        if criterion.address is not None:
            raise ConfigError(f"the criterion {criterion} is compiled code, which knows no tensors: give a Python function.")
        self.criterion, self.velocity_even = criterion, criterion.velocity_even

    def init(self, particle: ParticleTorch) -> Tensor:
        """Return the number of every system, (B,)."""
        return torch.from_numpy(self.criterion.values(len(particle))).to(particle.time)

    def choose(self, particle: ParticleTorch, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return dt (B,) and the same numbers."""
        tensors = (particle.mass, particle.position, particle.velocity, particle.get_acceleration())
        arrays = [x.detach().cpu().numpy() for x in tensors]
        present, time, values = (x.detach().cpu().numpy() for x in (particle.mask, particle.time, memory))
        steps = [
            float(self.criterion.function(float(time[i]), *(x[i, there] for x in arrays), float(values[i])))
            for i, there in enumerate(present)
        ]
        return torch.tensor(steps, dtype=memory.dtype, device=memory.device), memory


def module_for(criterion: Criterion, integrator: str = "leapfrog") -> StepModule:
    """Return the module that chooses the steps of a criterion in runs by `integrator`.

    `policy.bind` fills in what the criterion leaves open. Trial steps are taken by splittings, so that the integrator of
    `HutMakinoMcMillan` must be one.
    """
    return _built(bind(criterion, integrator), integrator)


def _built(criterion: Criterion, integrator: str) -> StepModule:
    if isinstance(criterion, Limited):
        return LimitedModule(_built(criterion.criterion, integrator), *criterion.limits)
    if isinstance(criterion, Symmetrized):
        return SymmetrizedModule(_built(criterion.criterion, integrator), *criterion.ratios)
    if isinstance(criterion, Huayno):
        return HuaynoModule(_built(criterion.criterion, integrator))
    if isinstance(criterion, HutMakinoMcMillan):
        return HutMakinoMcMillanModule(_built(criterion.criterion, integrator), criterion.iterations, integrator)
    if type(criterion) is LearnedStep:
        # a network in single precision is evaluated in double, as in the engine
        network = network_from(criterion.bound_model).double()
        told = (criterion.turns, criterion.sensitive, criterion.long, criterion.tol)
        numbers = max((len(x) for x in told if isinstance(x, tuple)), default=1)
        shortening = criterion.shortening(criterion.values(numbers))
        kinds = (criterion.sensitive or False, criterion.long or False)
        adapter = ModelAdapter.of_model(criterion.bound_model)
        return LearnedModule(network, adapter, criterion.tol, shortening if numbers > 1 else shortening[0], *kinds)
    if type(criterion) is EnergyBudget:
        return BudgetModule(criterion)
    return OwnModule(criterion) if type(criterion) is OwnCriterion else ClassicalModule(criterion)
