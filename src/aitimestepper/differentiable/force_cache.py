"""Cache of the forces of a state, so that a step costs one pass over the pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .gravity import Forces


class ForceInputs(NamedTuple):
    """All that the forces of self-gravity depend on."""

    position: Tensor  # (B, N, D)
    mass: Tensor  # (B, N)
    mask: Tensor  # (B, N) bool
    softening: Tensor  # (B,)
    G: float

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All inputs but G."""
        return self[:-1]


@dataclass(frozen=True, eq=False)
class RememberedForces:
    """Forces, what they were computed from, and how often each of these tensors had been written to by then."""

    inputs: ForceInputs
    forces: Forces
    versions: tuple[int, ...]

    def recall(self, now: ForceInputs) -> Forces | None:
        """Return the forces if nothing that they depend on was replaced or written to since, nor they themselves."""
        replaced = any(a is not b for a, b in zip(now.tensors, self.inputs.tensors, strict=True))
        if replaced or now.G != self.inputs.G or self.versions != _versions(*now.tensors, *self.forces):
            return None
        # forces computed under no_grad but needed in a graph would cut the gradient off
        wanted = torch.is_grad_enabled() and any(x.requires_grad for x in now.tensors)
        return None if wanted and not self.forces.acceleration.requires_grad else self.forces


def remember(inputs: ForceInputs, forces: Forces) -> RememberedForces | None:
    """Return forces to be recalled later, or None where torch does not count writes (inference mode)."""
    versions = _versions(*inputs.tensors, *forces)
    return None if versions is None else RememberedForces(inputs, forces, versions)


def _versions(*tensors: Tensor) -> tuple[int, ...] | None:
    """Return how often each tensor was written to; None if that is not counted."""
    return None if any(x.is_inference() for x in tensors) else tuple(x._version for x in tensors)
