"""The network's own estimate of the energy error of a step, which is fitted after the step itself is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...differentiable.adapter import ModelAdapter
from ...differentiable.network import FullyConnectedNN
from ...integrators import SPLITTINGS
from .predicted import converged_prediction
from .reference import ReferenceTrajectories

STRIDE = 7  # every so many points are fitted: neighbouring ones are nearly alike
ROUNDS = 3  # iterations of the prediction, after which the error so far has about converged
SMALLEST = 1e-20  # lower limit of errors, before their logarithm is taken


def fit_error_estimate(
    network: FullyConnectedNN, adapter: ModelAdapter, references: ReferenceTrajectories, tolerances: Sequence[float]
) -> float:
    """Fit the head that estimates log10 of the relative energy error of a step, in place, by least squares.

    Return the root-mean-square deviation that is left, in decades.
    """
    order = SPLITTINGS[adapter.config.integrator].order
    rows, targets = [], []
    with torch.no_grad():
        for tol in tolerances:
            _, shown = converged_prediction(network, adapter, references, tol, ROUNDS)
            observation = adapter.observe_sums(references.sums, references.features, torch.full_like(shown, tol), shown)
            log_Q = torch.log(adapter.predict(network, observation).dt)
            error = references.rate_at(log_Q)[0].abs() * torch.exp((order + 1) * log_Q)
            hidden = network.last_hidden(observation.features[::STRIDE])
            rows.append(torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1))
            targets.append(torch.log10(error[::STRIDE].clamp_min(SMALLEST)))
        inputs, target = torch.cat(rows).cpu(), torch.cat(targets).cpu()
        solution = torch.linalg.lstsq(inputs, target.unsqueeze(1), driver="gelsd").solution.squeeze(1)
        network.log_error.weight.copy_(solution[:-1].unsqueeze(0))
        network.log_error.bias.copy_(solution[-1:])
        return math.sqrt((inputs @ solution - target).square().mean().item())
