"""The classical step rules, each a function of a state and of one number for every system: (state, (B,)) -> dt (B,).

Pair rules depend on self-gravity only; those made of accelerations and their derivatives (Aarseth, PRS23) take what every body
feels from all others. The values that stand for them are in `criteria.classical`, the compiled form in `kernels.rules`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..constants import BUDGET_CEILING
from .gravity import dot, pairs, taylor_accelerations, tree_sum
from .particle import ParticleTorch
from .timescales import budget_time, limited, longest_step, moving_pairs, over_pairs, pair_sums, root, smooth_minimum_time

Rule = Callable[[ParticleTorch, Tensor], Tensor]


def constant(p: ParticleTorch, dt: Tensor) -> Tensor:
    """Return dt itself."""
    return dt


def freefall(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return eta times the smooth minimum over pairs of sqrt(r^3 / G M)."""
    return eta * smooth_minimum_time(moving_pairs(p).freefall_rate2)


def hutmakino(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return eta times the smallest of r/v and sqrt(r^3 / G M) over pairs."""
    pair = moving_pairs(p)
    return eta / torch.sqrt(torch.maximum(pair.freefall_rate2, pair.flyby_rate2).amax((1, 2)))


def boekholt(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return eta sqrt(sum Q^2 / sum Q^(5/2)), Q = (GM)^2/r^6 + v^4/r^4 over pairs."""
    pair = moving_pairs(p)
    Q = pair.freefall_rate2**2 + pair.flyby_rate2**2
    largest = Q.amax((1, 2))
    ratio = Q / largest.view(-1, 1, 1)
    ratio2 = ratio * ratio
    h = torch.sqrt(over_pairs(ratio2) / over_pairs(ratio2 * torch.sqrt(ratio))) / root(largest, 4)
    return eta * h


def tidal(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return the smallest over bodies of sqrt(eta / (||T||_F / sqrt 6)), T the tidal tensor.

    The tensor has three axes also in the plane, so that a pair gives the same step in 2D and in 3D.
    """
    dx, r2, real = pairs(p.position, p.mask, p.softening)
    weight = torch.where(real, (p.G * p.mass).unsqueeze(1) / (r2 * torch.sqrt(r2)), 0.0)
    dx = torch.nn.functional.pad(dx, (0, 3 - dx.shape[-1]))
    outer = 3.0 * dx.unsqueeze(-1) * dx.unsqueeze(-2) / r2.unsqueeze(-1).unsqueeze(-1)
    identity = torch.eye(3, dtype=r2.dtype, device=r2.device)
    T = tree_sum(weight.unsqueeze(-1).unsqueeze(-1) * (outer - identity), 2)  # (B, N, 3, 3)
    norm2 = tree_sum(tree_sum(T * T, -1), -1)
    return torch.sqrt(eta * math.sqrt(6.0)) / root(norm2.amax(1), 4)


def _squared_norms(p: ParticleTorch, order: int) -> list[Tensor]:
    """Return the first `order` of |a|^2, |jerk|^2, |snap|^2, |crackle|^2, each (B, N); absent bodies get 0."""
    series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, order)
    return [torch.where(p.mask, dot(d, d), 0.0) for d in series]


def _smallest(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the smallest over bodies of sqrt(numerator/denominator), (B, N) -> (B,).

    A body without any acceleration does not count.
    """
    ratio = torch.where((numerator > 0) & (denominator > 0), numerator / denominator, torch.inf)
    return torch.sqrt(ratio.amin(1))


def aarseth(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return the smallest over bodies of sqrt(eta (|a||s| + |j|^2) / (|j||c| + |s|^2))."""
    a, j, s, c = _squared_norms(p, 4)
    return torch.sqrt(eta) * _smallest(torch.sqrt(a * s) + j, torch.sqrt(j * c) + s)


def prs23(p: ParticleTorch, eta: Tensor) -> Tensor:
    """Return eta times the smallest over bodies of sqrt(2 |a|^2 / (|j|^2 + |a||s|))."""
    a, j, s = _squared_norms(p, 3)
    return eta * _smallest(2.0 * a, j + torch.sqrt(a * s))


def lastterm(p: ParticleTorch, epsilon: Tensor) -> Tensor:
    """Return the step of `prs23` with eta = (5040 epsilon)^(1/7), since only radau15 has the last term itself."""
    return prs23(p, (5040.0 * epsilon) ** (1.0 / 7.0))


def energy_budget(p: ParticleTorch, tol: Tensor, order: int, c: float, scale: Tensor | None = None) -> Tensor:
    """Return c (tol / chi)^(1/order) tau_4, at most half the dynamical time of the tightest pairs.

    scale (B,): S at the start of the run; without it that of the state.
    """
    sums = pair_sums(p, scale)
    return limited(budget_time(sums.tau_4, sums.chi, tol, order, c), longest_step(sums, BUDGET_CEILING))


RULES: dict[str, Rule] = {
    "constant": constant,
    "freefall": freefall,
    "hutmakino": hutmakino,
    "boekholt": boekholt,
    "tidal": tidal,
    "aarseth": aarseth,
    "prs23": prs23,
    "lastterm": lastterm,
}
