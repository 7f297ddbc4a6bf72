"""A run that is not run: what forces and errors a network's steps would come to along tracks, differentiable in its weights.

A step h changes the energy by rate h^(p+1), so that steps Q(t) cost the integral of dt / Q and err by that of rate Q^p dt: for
a time-symmetric method the integral of Q^p dH_p, H_p the leading error Hamiltonian, which comes back to 0 where the orbit does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...differentiable.adapter import ModelAdapter
from ...integrators import COMPOSITIONS
from ...differentiable.network import FullyConnectedNN
from .reference import ReferenceTrajectories

# of ln Q in a step, and of that from step to step: more is not time-symmetric, and costs
CHANGE, BEND = 0.45, 0.02
TINY = 1e-9


class PredictedError(NamedTuple):
    """Of every track, (P,) each, and `spent` (S,) of every point: the error over the tolerance."""

    log_forces: Tensor
    log_excess: Tensor
    roughness: Tensor  # mean square of what ln Q changes in a step beyond `CHANGE`, and that beyond `BEND`
    spent: Tensor


def predict_error(model: FullyConnectedNN, adapter: ModelAdapter, tracks: ReferenceTrajectories, tol: float, spent: Tensor) -> PredictedError:
    """What runs at `tol` would come to; `spent` (S,): of the tolerance at every point, as far as known from the last guess."""
    return predict_for_steps(log_steps(model, adapter, tracks, tol, spent), tracks, tol, adapter.config.integrator)


def log_steps(model: FullyConnectedNN, adapter: ModelAdapter, tracks: ReferenceTrajectories, tol: float, spent: Tensor) -> Tensor:
    """(S,) ln of the step that the network chooses at every point."""
    seen = adapter.observe_sums(tracks.sums, tracks.features, torch.full_like(tracks.time, tol), spent)
    return torch.log(adapter.predict(model, seen).dt)


def predict_for_steps(log_Q: Tensor, tracks: ReferenceTrajectories, tol: float, integrator: str) -> PredictedError:
    """The same for any steps exp(log_Q) (S,), wherever they come from."""
    method = COMPOSITIONS[integrator]
    inside = tracks.track[1:] == tracks.track[:-1]  # intervals between two points of one track
    of = tracks.track[1:][inside]
    span = (tracks.time[1:] - tracks.time[:-1])[inside]
    mean_log_Q = 0.5 * (log_Q[1:] + log_Q[:-1])[inside]
    Q = torch.exp(mean_log_Q)
    P = len(tracks.first)
    steps = torch.zeros_like(tracks.time[:P]).index_add(0, of, span / Q)
    rates = tracks.rate_at(log_Q)
    rate = 0.5 * (rates[1:] + rates[:-1])[inside]
    gained = torch.zeros_like(tracks.time).index_put((inside.nonzero().flatten() + 1,), Q**method.order * rate * span)
    total = torch.cumsum(gained, 0)
    error = (total - total[tracks.first][tracks.track]) / tol
    largest = torch.zeros_like(steps).scatter_reduce(0, tracks.track, error.abs(), "amax", include_self=False)
    change = (log_Q[1:] - log_Q[:-1])[inside] * Q / span  # in a step, if it goes on as between these two points
    bend = torch.nn.functional.pad(torch.where(of[1:] == of[:-1], change[1:] - change[:-1], 0.0) * Q[1:] / span[1:], (1, 0))
    beyond = (change.abs() - CHANGE).clamp_min(0.0) ** 2 + (bend.abs() - BEND).clamp(0.0, 1.0) ** 2
    rough = torch.zeros_like(steps).index_add(0, of, beyond * span / Q) / steps
    log_forces = torch.log(steps) + math.log(len(method.fractions))
    return PredictedError(log_forces, torch.log(largest + TINY), rough, error.detach())


def converged_prediction(
    model: FullyConnectedNN, adapter: ModelAdapter, tracks: ReferenceTrajectories, tol: float, rounds: int
) -> tuple[PredictedError, Tensor]:
    """(the guess, the error so far over the tolerance at every point), which go together better with every round."""
    spent = torch.zeros_like(tracks.time)
    with torch.no_grad():
        for _ in range(rounds):
            found = predict_error(model, adapter, tracks, tol, spent)
            spent = 0.5 * spent + 0.5 * found.spent
    return found, spent
