"""Trajectory: the accepted steps of Part 1, stacked; a minibatch of it is an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from ..differentiable.adapter import ModelAdapter, Observation
from ..differentiable.history import HistoryBuffer
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError
from .attempt import StepStart


class Trajectory:
    """S samples: the state that each step was taken from, its features, dt (S,) and relative energy error (S,).

    The features in `start` include the sample's own history window at the time when the step was accepted: replay uses that
    one, never the current history. `final` is the state of all systems after the last step.
    """

    def __init__(
        self,
        start: StepStart,
        dt: Tensor,
        energy_error: Tensor,
        final: ParticleTorch | None = None,
    ) -> None:
        self.start, self.final = start, final
        self.dt, self.energy_error = dt, energy_error

    @classmethod
    def stack(cls, parts: Sequence[Trajectory], final: ParticleTorch) -> Trajectory:
        """Return one trajectory from many; `final` also gives the shape if there are none."""
        if not parts:
            none = torch.zeros(0, dtype=torch.long, device=final.position.device)
            empty = final.time[none]
            observation = Observation(empty.view(0, 0), empty, empty)
            return cls(StepStart(final.select(none), observation, empty, empty), empty, empty, final)
        dt, error = torch.cat([t.dt for t in parts]), torch.cat([t.energy_error for t in parts])
        return cls(StepStart.stack([t.start for t in parts]), dt, error, final)

    @property
    def particle(self) -> ParticleTorch:
        """The states that the steps were taken from."""
        return self.start.particle

    def __len__(self) -> int:
        """Return the number of samples S."""
        return len(self.dt)

    def __iter__(self) -> Iterator[tuple[ParticleTorch, Tensor]]:
        """Yield (particle, dt) of every sample, as batches of one system."""
        for i in range(len(self)):
            one = torch.tensor([i], device=self.dt.device)
            yield self.particle.select(one), self.dt[one]

    def select(self, index: Tensor) -> Trajectory:
        """Return the samples that `index` names."""
        return Trajectory(self.start.select(index), self.dt[index], self.energy_error[index], self.final)


Samples = Sequence[tuple[ParticleTorch, Any]]  # plain pairs (particle, dt)


def as_trajectory(samples: Trajectory | Samples, adapter: ModelAdapter, history: HistoryBuffer | None = None) -> Trajectory:
    """Return a trajectory; plain pairs (particle, dt) are stacked.

    Pairs hold no history windows: their features include `history`, or the adapter's own. The errors of their steps are NaN.
    """
    if isinstance(samples, Trajectory):
        return samples
    if not len(samples):
        raise ConfigError("a minibatch of no samples cannot be evaluated; give at least one pair (particle, dt).")
    window = adapter.history_buffer if history is None else history
    starts = [StepStart.observe(particle, adapter, window) for particle, _ in samples]
    dts = [torch.as_tensor(dt).detach().to(s.energy).expand(len(s.energy)) for s, (_, dt) in zip(starts, samples, strict=True)]
    dt = torch.cat(dts)
    return Trajectory(StepStart.stack(starts), dt, torch.full_like(dt, torch.nan))


@overload
def sample_minibatch(trajectory: Trajectory, batch_size: int, generator: torch.Generator | None = None) -> Trajectory: ...


@overload
def sample_minibatch(trajectory: Samples, batch_size: int, generator: torch.Generator | None = None) -> Samples: ...


def sample_minibatch(
    trajectory: Trajectory | Samples, batch_size: int, generator: torch.Generator | None = None
) -> Trajectory | Samples:
    """Draw min(batch_size, len) samples, uniform without replacement; from a fresh random stream unless one is given.

    Plain pairs (particle, dt) are returned as such.

    Examples:
        >>> import torch
        >>> from aitimestepper import ParticleTorch, sample_minibatch
        >>> p = ParticleTorch.from_tensors([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -0.4], [0.0, 0.8]])
        >>> pairs = [(p, torch.tensor([dt])) for dt in (0.1, 0.2, 0.3)]
        >>> len(sample_minibatch(pairs, batch_size=2))
        2
    """
    if generator is None:
        generator = torch.Generator()
        generator.seed()
    index = torch.randperm(len(trajectory), generator=generator)[: min(batch_size, len(trajectory))]
    if isinstance(trajectory, Trajectory):
        return trajectory.select(index.to(trajectory.dt.device))
    return [trajectory[i] for i in index.tolist()]
