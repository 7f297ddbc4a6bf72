"""Predicted forces and errors of a network's steps along reference trajectories, differentiable in its weights.

A step h changes the energy by rate h^(p+1). So steps Q(t) cost the integral of dt / Q, and their error is that of rate Q^p dt.
For a time-symmetric method this is the integral of Q^p dH_p, H_p the leading error Hamiltonian, which vanishes over a closed
orbit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...differentiable.adapter import ModelAdapter
from ...differentiable.network import FullyConnectedNN
from ...integrators import SPLITTINGS
from .reference import ReferenceTrajectories

# Largest change of ln Q in a step, and largest change of that from step to step, without a penalty: beyond them steps are not
# time-symmetric.
CHANGE, BEND = 0.45, 0.02
TINY = 1e-9  # added to error over tolerance before its logarithm is taken


class PredictedError(NamedTuple):
    """Prediction for runs along P trajectories with S points."""

    log_forces: Tensor  # (P,) ln of the force evaluations
    log_excess: Tensor  # (P,) ln of the largest relative error over the tolerance, of the total or of a body's own energy
    roughness: Tensor  # (P,) mean square of the changes of ln Q in a step beyond `CHANGE`, and of those of it beyond `BEND`
    error_fraction: Tensor  # (S,) the error of the total energy so far over the tolerance, without a graph


def predict_error(
    network: FullyConnectedNN,
    adapter: ModelAdapter,
    references: ReferenceTrajectories,
    tol: float,
    error_fraction: Tensor,
) -> PredictedError:
    """Return the prediction for runs at `tol`; error_fraction (S,): the error so far over `tol`, an input of the network."""
    return predict_for_steps(
        log_steps(network, adapter, references, tol, error_fraction), references, tol, adapter.config.integrator
    )


def log_steps(
    network: FullyConnectedNN,
    adapter: ModelAdapter,
    references: ReferenceTrajectories,
    tol: float,
    error_fraction: Tensor,
) -> Tensor:
    """Return ln of the step (S,) that the network chooses at every point."""
    tols = torch.full_like(references.time, tol)
    observation = adapter.observe_sums(references.sums, references.features, tols, error_fraction)
    return torch.log(adapter.predict(network, observation).dt)


def predict_for_steps(log_Q: Tensor, references: ReferenceTrajectories, tol: float, integrator: str) -> PredictedError:
    """Return the prediction for runs with any steps exp(log_Q) (S,)."""
    method, trajectory = SPLITTINGS[integrator], references.trajectory
    inside = trajectory[1:] == trajectory[:-1]  # intervals between two points of one trajectory
    owner = trajectory[1:][inside]
    span = (references.time[1:] - references.time[:-1])[inside]
    Q = torch.exp(0.5 * (log_Q[1:] + log_Q[:-1])[inside])
    steps = torch.zeros_like(references.time[: len(references.first)]).index_add(0, owner, span / Q)
    here = inside.nonzero().flatten() + 1

    def integral(rate: Tensor, weight: Tensor) -> Tensor:
        """Return the integral of `weight` (I,) times `rate` (..., S) from the first point of each trajectory on."""
        gained = torch.zeros_like(rate)
        gained[..., here] = (0.5 * (rate[..., 1:] + rate[..., :-1]))[..., inside] * weight
        total = torch.cumsum(gained, -1)
        return total - total[..., references.first[trajectory]]

    total, own, shift = integral(references.rate_at(log_Q), Q**method.order * span) / tol
    slope, drift = references.own
    own = own + slope * (shift + integral(drift * own, span))
    error = torch.maximum(total.abs(), own.abs())
    largest = torch.zeros_like(steps).scatter_reduce(0, trajectory, error, "amax", include_self=False)
    excess = _squared_excess((log_Q[1:] - log_Q[:-1])[inside] * Q / span, owner, Q, span)
    roughness = torch.zeros_like(steps).index_add(0, owner, excess * span / Q) / steps
    log_forces = torch.log(steps) + math.log(method.stages)
    return PredictedError(log_forces, torch.log(largest + TINY), roughness, total.detach())


def _squared_excess(change: Tensor, owner: Tensor, Q: Tensor, span: Tensor) -> Tensor:
    """Return the sum of the squared excesses over `CHANGE` and over `BEND` at each of I intervals, (I,).

    change (I,): change of ln Q in a step at the rate of the interval. owner (I,): the trajectory of the interval. Q (I,): the
    step there. span (I,): the length of the interval in time.
    """
    bend = torch.where(owner[1:] == owner[:-1], change[1:] - change[:-1], 0.0) * Q[1:] / span[1:]  # from step to step
    bend = torch.nn.functional.pad(bend, (1, 0))
    return (change.abs() - CHANGE).clamp_min(0.0) ** 2 + (bend.abs() - BEND).clamp(0.0, 1.0) ** 2


def converged_prediction(
    network: FullyConnectedNN, adapter: ModelAdapter, references: ReferenceTrajectories, tol: float, rounds: int
) -> tuple[PredictedError, Tensor]:
    """Return the prediction, and the error fraction (S,) that was the network's input; they converge with the rounds."""
    shown = torch.zeros_like(references.time)
    with torch.no_grad():
        for _ in range(rounds):
            found = predict_error(network, adapter, references, tol, shown)
            shown = 0.5 * shown + 0.5 * found.error_fraction
    return found, shown
