"""Time scales of pairs and smooth minima of them, from which step criteria and invariant features are made.

They are stored as rates: two massless bodies have an infinite time, but a rate of exactly 0. Only + - * / and sqrt are used, as
in `gravity`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..constants import MAX_CHANGE, PARABOLIC, TIGHT, TINY
from .conserved import energy_scale
from .gravity import dot, pairs, tree_sum
from .particle import ParticleTorch


class MovingPairs(NamedTuple):
    """All ordered pairs (i, j) of a state, with their motion and their squared rates."""

    dx: Tensor  # (B, N, N, D) x_j - x_i
    dv: Tensor  # (B, N, N, D) v_j - v_i
    r2: Tensor  # (B, N, N) |dx|^2 + softening^2; 1 where (i, j) is no pair
    v2: Tensor  # (B, N, N) |dv|^2
    real: Tensor  # (B, N, N) bool: two different bodies, both present
    freefall_rate2: Tensor  # (B, N, N) G (m_i + m_j) / r^3; 0 where (i, j) is no pair
    flyby_rate2: Tensor  # (B, N, N) v^2 / r^2; 0 where (i, j) is no pair


def moving_pairs(p: ParticleTorch) -> MovingPairs:
    """Return all pairs of a state, in the one pass that everything here is computed from."""
    dx, r2, real = pairs(p.position, p.mask, p.softening)
    dv = p.velocity.unsqueeze(1) - p.velocity.unsqueeze(2)
    v2 = dot(dv, dv)
    freefall_rate2 = p.G * (p.mass.unsqueeze(1) + p.mass.unsqueeze(2)) / (r2 * torch.sqrt(r2))
    rates = torch.where(real, freefall_rate2, 0.0), torch.where(real, v2 / r2, 0.0)
    return MovingPairs(dx, dv, r2, v2, real, *rates)


def over_pairs(x: Tensor) -> Tensor:
    """Return the sum over all ordered pairs, (B, N, N) -> (B,)."""
    return tree_sum(tree_sum(x, 2), 1)


def root(x: Tensor, n: int) -> Tensor:
    """Return x^(1/n), n = 1, 2, 4, 6, 8, ..., 0 <= x <= 1e20, from + * / and sqrt: `pow` gives other bits in a batch."""
    if n % 3 == 0:
        y = torch.sqrt(torch.sqrt(x))
        for _ in range(4):
            y = torch.sqrt(torch.sqrt(x * y))  # its fixed point is the cube root; the logarithm of the error falls 4x
        for _ in range(4):
            y = (y + y + x / (y * y)) / 3.0  # Newton
        x, n = torch.where(x > 0, y, 0.0), n // 3
    while n > 1:
        x, n = torch.sqrt(x), n // 2
    return x


def smooth_minimum_time(squared_rates: Tensor, k: int = 4) -> Tensor:
    """Return tau_k = (sum over pairs of tau^-k)^(-1/k), k = 2, 4, 8, (B, N, N) -> (B,): a minimum without kinks.

    The fastest rate is divided out before the power, so that no unit system overflows.
    """
    fastest = squared_rates.amax((1, 2))
    power = squared_rates / fastest.view(-1, 1, 1)
    for _ in range(k.bit_length() - 2):
        power = power * power
    return 1.0 / (root(0.5 * over_pairs(power), k) * torch.sqrt(fastest))


def binding_energy_ratio(p: ParticleTorch, pair: MovingPairs, scale: Tensor) -> Tensor:
    """Return the potential energy of the tightest pairs (B,) over the energy scale S, `scale` (B,).

    It is sum w G m_i m_j / r / sum w / S over the pairs `pair` of the state, w = tau^-4.
    """
    rate2 = pair.freefall_rate2
    weight = (rate2 / rate2.amax((1, 2)).view(-1, 1, 1)) ** 2  # tau^-4, in units of the tightest pair's
    binding = torch.where(pair.real, p.G * p.mass.unsqueeze(1) * p.mass.unsqueeze(2) / torch.sqrt(pair.r2), 0.0)
    weighted = over_pairs(weight * binding)
    return torch.where(weighted > 0, weighted / over_pairs(weight) / scale, 0.0)


def budget_time(tau_4: Tensor, chi: Tensor, tol: Tensor, order: int, c: float = 1.0) -> Tensor:
    """Return c (tol / chi)^(1/order) tau_4 (B,): the step with a relative energy error of about `tol` at that order."""
    return c * root((tol / chi).clamp_max(1e20), order) * tau_4


class PairSums(NamedTuple):
    """Sums over all pairs, each (B,), for the invariant features, their unit of time and their ceiling.

    With f = freefall_rate2 / F, F = (sum freefall_rate2^4)^(1/4) a smooth maximum, w = max(f - 1/32, 0)^2 is the weight of a
    pair in all terms of the velocities: 0 for all but the few tightest ones.
    """

    chi: Tensor  # potential energy of the tightest pairs over the total energy, or over their own energies
    total_chi: Tensor  # see `binding_energy_ratio`; of massless bodies alone that over their own energies
    massive: Tensor  # bool: two bodies or more have mass
    tau_2: Tensor  # smooth minima of the free-fall times, see `smooth_minimum_time`
    tau_4: Tensor
    flyby_over_freefall: Tensor  # sqrt(sum w flyby_rate2^2 / sum w) / F
    radial: Tensor  # sum w (r.v)^2 / (r^2 v^2) / sum w: 0 on a circle, 1 on a line
    growth: Tensor  # 3/2 sum w (r.v) / r^2 / sum w: about d ln tau_4 / dt, the only sum that is odd in the velocities
    shortest: Tensor  # (sum freefall_rate2^2 + (32/31)^2 sum w flyby_rate2^2)^(-1/4): the dynamical time of the tight pairs
    pulling: Tensor  # sum m |a|^2, an external field included
    energy_scale: Tensor  # S, see `conserved.energy_scale`


class _TightPairs(NamedTuple):
    """All ordered pairs of a state with their weights, in units in which the fastest squared rate is 1."""

    f: Tensor  # (B, N, N) squared free-fall rates
    v: Tensor  # (B, N, N) squared flyby rates
    largest: Tensor  # (B,) F
    w: Tensor  # (B, N, N) weights
    weight: Tensor  # (B,) their sum; 1 if no pair counts as tight, as of more than a million equal pairs

    def mean(self, x: Tensor) -> Tensor:
        """Return the weighted mean of x (B, N, N), (B,)."""
        return 0.5 * over_pairs(self.w * x) / self.weight


def _tight_pairs(pair: MovingPairs) -> _TightPairs:
    fastest = pair.freefall_rate2.amax((1, 2)).view(-1, 1, 1)
    f, v = pair.freefall_rate2 / fastest, pair.flyby_rate2 / fastest
    f2 = f * f
    largest = root(0.5 * over_pairs(f2 * f2), 4)
    tightness = (f / largest.view(-1, 1, 1) - TIGHT).clamp_min(0.0)
    w = tightness * tightness
    weight = 0.5 * over_pairs(w)
    return _TightPairs(f, v, largest, w, torch.where(weight > 0, weight, 1.0))


def _own_chi(tight: _TightPairs) -> Tensor:
    """Return the potential energy of the tightest pairs over their own two-body energies, however light they are, (B,).

    It is 1/|1 - x/2| of a pair, x = r v^2 / G M, and at most 50.
    """
    twice = tight.f + tight.f
    bound, least = tight.v - twice, PARABOLIC * twice
    return tight.mean(twice / torch.sqrt((bound * bound + least * least).clamp_min(TINY)))


def _larger_chi(total: Tensor, own: Tensor) -> Tensor:
    """Return a smooth maximum, (B,): any kink would spoil time-symmetric steps."""
    return torch.sqrt(total * total + own * own)


def pair_sums(p: ParticleTorch, scale: Tensor | None = None) -> PairSums:
    """Return the sums over pairs of every system; scale (B,): S at the start of the run, without it that of the state."""
    pair = moving_pairs(p)
    fastest, tight = pair.freefall_rate2.amax((1, 2)), _tight_pairs(pair)
    v2 = tight.mean(tight.v * tight.v)
    radial, growth = _motion_along(pair)
    scale = energy_scale(p) if scale is None else scale
    own, total_chi = _own_chi(tight), binding_energy_ratio(p, pair, scale)
    massive = total_chi > 0
    total_chi = torch.where(massive, total_chi, own)  # massless bodies alone have what light ones have
    dynamical = 0.5 * over_pairs(tight.f * tight.f) + v2 * tight.weight / (1.0 - TIGHT) ** 2
    return PairSums(
        chi=_larger_chi(total_chi, own),
        total_chi=total_chi,
        massive=massive,
        tau_2=smooth_minimum_time(pair.freefall_rate2, 2),
        tau_4=smooth_minimum_time(pair.freefall_rate2, 4),
        flyby_over_freefall=torch.sqrt(v2) / tight.largest,
        radial=tight.mean(radial),
        growth=1.5 * tight.mean(growth),
        shortest=1.0 / (root(dynamical, 4) * torch.sqrt(fastest)),
        pulling=tree_sum(p.mass * dot(p.get_acceleration(), p.get_acceleration()), 1),
        energy_scale=scale,
    )


def longest_step(sums: PairSums, share: float) -> Tensor:
    """Return the ceiling of a step (B,): a share of the dynamical time, or that in which ln tau_4 changes by `MAX_CHANGE`.

    A step much longer than the time in which tau_4 changes cannot be time-symmetric.
    """
    rate, change = 1.0 / (share * sums.shortest), sums.growth / MAX_CHANGE
    return 1.0 / torch.sqrt(rate * rate + change * change)


def limited(dt: Tensor, ceiling: Tensor) -> Tensor:
    """Return steps (B,) that approach their ceilings (B,) without a kink."""
    ratio = dt / ceiling
    return dt / torch.sqrt(1.0 + ratio * ratio)


def _motion_along(pair: MovingPairs) -> tuple[Tensor, Tensor]:
    """Return (r.v)^2 / (r^2 v^2) and (r.v) / r^2 of every pair, each (B, N, N); the first is 0 also where v = 0."""
    rv = torch.where(pair.real, dot(pair.dx, pair.dv), 0.0)
    moving = pair.real & (pair.v2 > 0)
    return torch.where(moving, rv * rv / (pair.r2 * torch.where(moving, pair.v2, 1.0)), 0.0), rv / pair.r2
