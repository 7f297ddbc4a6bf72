"""The one interface of everything that chooses a step, and the wrappers that add behaviour to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError


class Lowered(NamedTuple):
    """What a compiled loop needs to know of a criterion: its kind, its numbers, and those of what it wraps."""

    kind: str
    parameters: tuple[float, ...]
    inner: Lowered | None = None


class AbstractStepCriterion(ABC):
    """Chooses dt (B,) for every system of a batch from its state and, if it has one, a memory.

    A criterion is a value: all that changes during a run is in the memory, which the loop carries. `even` says that
    flipping all velocities leaves dt as it is, which every way to make a step time-symmetric needs.
    """

    name: ClassVar[str]
    velocity_even: bool = True
    integrator: str = "leapfrog"  # the one that the loop takes when nothing else is asked for
    # whole steps that the criterion takes on trial for each one it chooses; a run of `steps` steps with a method of `stages`
    # stages costs steps * stages * (1 + trial_steps) force evaluations, and one to begin with
    trial_steps: int = 0
    # the relative energy error that whole runs are to stay below, a number or (B,); None: the criterion knows of none
    run_tolerance: float | Tensor | None = None
    symmetrization: tuple[float, float] = (1.5, float("inf"))  # what `Symmetrized` does with it: reset, settle

    def init(self, particle: ParticleTorch) -> Any:
        """The memory at the start; criteria without one use None."""
        return None

    @abstractmethod
    def step_size(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,) dt at this state."""

    def update(self, particle: ParticleTorch, dt: Tensor, memory: Any) -> Any:
        """The memory after `dt` (B,) was taken from `particle`."""
        return memory

    def report(self, memory: Any) -> dict[str, Tensor]:
        """What the criterion has to say of its run so far, by name, each (B,); most have nothing."""
        return {}

    @abstractmethod
    def lower(self) -> Lowered:
        """What the compiled engine needs."""


def select_memory(memory: Any, index: Tensor) -> Any:
    """The memory of the systems that `index` names: tensors, anything with `select`, None, and tuples of those."""
    if memory is None:
        return None
    if isinstance(memory, Tensor):
        return memory[index]
    if isinstance(memory, tuple):
        return tuple(select_memory(m, index) for m in memory)
    return memory.select(index)


class Wrapper(AbstractStepCriterion):
    """A criterion around another one, `inner`: what it does not say itself, it takes from there."""

    def __init__(self, criterion: AbstractStepCriterion) -> None:
        self.inner = criterion
        self.velocity_even, self.integrator, self.trial_steps = (
            criterion.velocity_even,
            criterion.integrator,
            criterion.trial_steps,
        )
        self.run_tolerance, self.symmetrization = criterion.run_tolerance, criterion.symmetrization

    def init(self, particle: ParticleTorch) -> Any:
        """The inner memory."""
        return self.inner.init(particle)

    def update(self, particle: ParticleTorch, dt: Tensor, memory: Any) -> Any:
        """The inner memory."""
        return self.inner.update(particle, dt, memory)

    def report(self, memory: Any) -> dict[str, Tensor]:
        """The inner one's."""
        return self.inner.report(memory)


def innermost(criterion: AbstractStepCriterion) -> AbstractStepCriterion:
    """What is left without the wrappers."""
    while isinstance(criterion, Wrapper):
        criterion = criterion.inner
    return criterion


class Limited(Wrapper):
    """The inner criterion's dt, kept between `dt_min` and `dt_max`."""

    name = "limited"

    def __init__(self, criterion: AbstractStepCriterion, dt_min: float | None = None, dt_max: float | None = None) -> None:
        super().__init__(criterion)
        low, high = dt_min or 0.0, float("inf") if dt_max is None else dt_max
        if not 0 <= low <= high or high == 0:
            raise ConfigError(
                f"Limited: dt_min = {dt_min} and dt_max = {dt_max} must satisfy 0 <= dt_min <= dt_max, dt_max > 0."
            )
        self.dt_min, self.dt_max = low, high

    def step_size(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,)."""
        return self.inner.step_size(particle, memory).clamp(self.dt_min, self.dt_max)

    def lower(self) -> Lowered:
        """Its two limits, around the inner one."""
        return Lowered(self.name, (self.dt_min, self.dt_max), self.inner.lower())


def refuse_velocity_odd(wrapper: str, criterion: AbstractStepCriterion) -> None:
    """Only a step that is even in the velocities can be made time-symmetric."""
    if not criterion.velocity_even:
        raise ConfigError(
            f"{wrapper} needs a step that is even in the velocities; {criterion.name} is not (it looks at past states, or is "
            "time-symmetric already): use it as it is, or train one with history_len = 0."
        )


class Symmetrized(Wrapper):
    """Time-symmetric steps without an extra force evaluation: dt_{n+1} = Q(s_n)^2 / dt_n, Q the inner criterion's step.

    Q at a state is then the geometric mean of the steps before and after it, in either direction of time, so that the
    energy error of a bound orbit does not drift (Kepler e = 0.9, 1000 orbits: final error down by 1e5). Where the new
    step would differ from Q by more than `reset`, it is Q. Q must be even in the velocities.

    Whatever is rough in Q makes every other step too long, for good: a learned step needs 25 % more forces then
    (diagnostics/ablations.py).
    Where the mirrored step is off by more than `settle` from the one that the last three Q let expect, half a step ahead on
    a parabola, that one is taken, and the mirror begins anew from it. Both numbers are the criterion's own unless given.
    """

    name = "symmetrized"

    def __init__(
        self, criterion: AbstractStepCriterion, max_ratio: float | None = None, smoothness: float | None = None
    ) -> None:
        super().__init__(criterion)
        refuse_velocity_odd("Symmetrized", criterion)
        self.max_ratio = criterion.symmetrization[0] if max_ratio is None else max_ratio
        self.smoothness = criterion.symmetrization[1] if smoothness is None else smoothness
        for word, value in (("max_ratio", self.max_ratio), ("smoothness", self.smoothness)):
            if not value > 1:
                raise ConfigError(f"Symmetrized: {word} = {value} must be above 1.")

    def init(self, particle: ParticleTorch) -> Any:
        """(step taken last (B,), 0: none yet; Q there; Q before that; the inner memory)."""
        none = torch.zeros_like(particle.time)
        return none, none, none, self.inner.init(particle)

    def step_size(self, particle: ParticleTorch, memory: Any) -> Tensor:
        """(B,)."""
        last, before, earlier, inner = memory
        Q = self.inner.step_size(particle, inner)
        dt = Q * (Q / last)
        if self.smoothness < float("inf"):
            bend = torch.where(earlier > 0, Q / before * (earlier / before), 1.0)
            due = Q * torch.sqrt(Q / before * torch.sqrt(bend))
            dt = torch.where((dt <= self.smoothness * due) & (dt * self.smoothness >= due), dt, due)
        return torch.where((dt <= self.max_ratio * Q) & (dt * self.max_ratio >= Q) & (last > 0), dt, Q)

    def update(self, particle: ParticleTorch, dt: Tensor, memory: Any) -> Any:
        """Remember the step, and what it would have been."""
        _, before, _, inner = memory
        Q = self.inner.step_size(particle, inner).detach() if self.smoothness < float("inf") else before
        return dt.detach(), Q, before, self.inner.update(particle, dt, inner)

    def report(self, memory: Any) -> dict[str, Tensor]:
        """The inner one's."""
        return self.inner.report(memory[-1])

    def lower(self) -> Lowered:
        """Its two ratios, around the inner one."""
        return Lowered(self.name, (self.max_ratio, self.smoothness), self.inner.lower())
