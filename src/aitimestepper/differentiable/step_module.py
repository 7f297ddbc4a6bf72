"""The interface of all modules that choose steps in torch: `init` once, then one pure call of `choose` a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from ..criteria.base import Numbers
from .particle import ParticleTorch


class StepModule(nn.Module, ABC):
    """Chooses dt (B,) for every system of a batch from its state and, if the module has one, a memory.

    All that changes during a run is in the memory, which the loop carries: the module itself does not change. A memory is None,
    a tensor (B, ...), anything with `select(index)` that returns the memory of some of the systems, or a tuple of those. The
    step taken last is `particle.dt`: limits or an end time may have made it shorter than the one chosen.
    """

    velocity_even: bool = True  # flipping all velocities leaves dt as it is: what time-symmetric steps need
    trial_steps: int = 0  # number of whole trial steps for each step chosen; each costs the forces of a step
    made_for: str | None = None  # the integrator that it needs; None: any
    # the relative energy error that whole runs are to stay below, one number or one a system; None: it has no tolerance
    tolerance: Numbers | None = None

    def init(self, particle: ParticleTorch) -> Any:
        """Return the memory at the start of a run; modules without one return None."""
        return None

    @abstractmethod
    def choose(self, particle: ParticleTorch, memory: Any) -> tuple[Tensor, Any]:
        """Return dt (B,) at this state, and the memory to choose the next one with."""

    def report(self, memory: Any) -> dict[str, Tensor | None]:
        """Return diagnostics of the run so far, by name, each (B,); most modules have none."""
        return {}


def select_memory(memory: Any, index: Tensor) -> Any:
    """Return the memory of the systems that `index` names: of None, tensors, anything with `select`, and tuples of those."""
    if memory is None:
        return None
    if isinstance(memory, Tensor):
        return memory[index]
    if isinstance(memory, tuple):
        parts = [select_memory(part, index) for part in memory]
        return type(memory)(*parts) if hasattr(memory, "_fields") else tuple(parts)
    return memory.select(index)
