"""The network's own estimate of what a step does to the energy: fitted to the tracks, after the step itself is settled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...differentiable.adapter import ModelAdapter
from ...integrators import COMPOSITIONS
from ...differentiable.network import FullyConnectedNN
from .predicted import converged_prediction
from .reference import ReferenceTrajectories

EVERY = 7  # points: neighbours say the same
ROUNDS = 3  # guesses until the error so far is about right
LEAST = 1e-20  # a smaller error counts as that


def fit_error_estimate(model: FullyConnectedNN, adapter: ModelAdapter, tracks: ReferenceTrajectories, tolerances: Sequence[float]) -> float:
    """Least squares for the head that reads log10 of the relative energy error of a step, in place; the deviation left."""
    order = COMPOSITIONS[adapter.config.integrator].order
    rows, targets = [], []
    with torch.no_grad():
        for tol in tolerances:
            _, spent = converged_prediction(model, adapter, tracks, tol, ROUNDS)
            seen = adapter.observe_sums(tracks.sums, tracks.features, torch.full_like(spent, tol), spent)
            log_Q = torch.log(adapter.predict(model, seen).dt)
            error = tracks.rate_at(log_Q).abs() * torch.exp((order + 1) * log_Q)
            hidden = model.last_hidden(seen.features[::EVERY])
            rows.append(torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1))
            targets.append(torch.log10(error[::EVERY].clamp_min(LEAST)))
        inputs, target = torch.cat(rows), torch.cat(targets)
        solved = torch.linalg.lstsq(inputs, target.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        model.log_error.weight.copy_(solved[:-1].unsqueeze(0))
        model.log_error.bias.copy_(solved[-1:])
        return math.sqrt((inputs @ solved - target).square().mean().item())
