"""The range of a network's inputs in its training, outside of which they are clipped and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...differentiable.features import requested_features
from .reference import ReferenceTrajectories
from .tolerances import FARTHEST

MARGIN = 0.05  # inputs may exceed their range in training by this fraction of it
LARGEST = 3.0  # in units of the tolerance: larger errors so far are clipped to this


def input_ranges(references: ReferenceTrajectories, tolerances: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest value (11,) of every input, with a margin, for the tolerances to calibrate for."""
    low, high = references.features.amin(0), references.features.amax(0)
    margin = MARGIN * (high - low) + 1e-6
    beyond = (1.0 + MARGIN) * math.exp(FARTHEST)  # calibration may ask for so much less or more
    corners = [(-LARGEST, min(tolerances) / beyond), (LARGEST, max(tolerances) * beyond)]  # (error over tolerance, tolerance)
    ends = [requested_features(low.new_tensor([s]), low.new_tensor([t]))[0] for s, t in corners]
    requested_low, requested_high = torch.stack(ends).amin(0), torch.stack(ends).amax(0)
    return torch.cat([low - margin, requested_low]), torch.cat([high + margin, requested_high])
