"""Time scales of pairs, and smooth minima of them: what the step criteria and the invariant features are made of.

Rates, not times: two massless bodies have an infinite time, but a rate of exactly 0. Only + - * / and sqrt, as in `gravity`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .gravity import dot, pairs, tree_sum
from .particle import ParticleTorch

# c_ij of a pair that stands alone is 1 - TIGHT: pairs below this share of the fastest rate have no say in terms of v
TIGHT = 1.0 / 32.0
NEGLIGIBLE = 1e-20  # an energy that is smaller than this part of another one counts as this part of it


def pair_rates(p: ParticleTorch) -> tuple[Tensor, Tensor, Tensor]:
    """(freefall_rate2, flyby_rate2, real), each (B, N, N): squared rates G(m_i+m_j)/r^3 and v^2/r^2 of every pair; 0 where there is none."""
    _, r2, real = pairs(p.position, p.mask, p.softening)
    dv = p.velocity.unsqueeze(1) - p.velocity.unsqueeze(2)
    freefall_rate2 = p.G * (p.mass.unsqueeze(1) + p.mass.unsqueeze(2)) / (r2 * torch.sqrt(r2))
    return torch.where(real, freefall_rate2, 0.0), torch.where(real, dot(dv, dv) / r2, 0.0), real


def over_pairs(x: Tensor) -> Tensor:
    """Sum over all ordered pairs, (B, N, N) -> (B,)."""
    return tree_sum(tree_sum(x, 2), 1)


def root(x: Tensor, n: int) -> Tensor:
    """x^(1/n), n = 1, 2, 4, 6, 8, ..., 0 <= x <= 1e20, from + * / and sqrt: `pow` gives other bits in a batch than alone."""
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
    """tau_k = (sum over pairs of tau^-k)^(-1/k), k = 2, 4, 8, (B, N, N) -> (B,): a minimum without kinks.

    The fastest rate is divided out before the power, so that no unit system overflows.
    """
    fastest = squared_rates.amax((1, 2))
    power = squared_rates / fastest.view(-1, 1, 1)
    for _ in range(k.bit_length() - 2):
        power = power * power
    return 1.0 / (root(0.5 * over_pairs(power), k) * torch.sqrt(fastest))


def binding_energy_ratio(p: ParticleTorch, freefall_rate2: Tensor, energy: Tensor) -> Tensor:
    """(B,) chi: potential energy of the tightest pairs over |energy|: sum w G m_i m_j / r / sum w, w = tau^-4."""
    _, r2, real = pairs(p.position, p.mask, p.softening)
    weight = (freefall_rate2 / freefall_rate2.amax((1, 2)).view(-1, 1, 1)) ** 2  # tau^-4, in units of the tightest pair's
    bond = torch.where(real, p.G * p.mass.unsqueeze(1) * p.mass.unsqueeze(2) / torch.sqrt(r2), 0.0)
    bound = over_pairs(weight * bond)
    return torch.where(bound > 0, bound / over_pairs(weight) / energy.abs(), 0.0)


def budget_time(tau_4: Tensor, chi: Tensor, tol: Tensor, order: int, c: float = 1.0, most: float = 0.5) -> Tensor:
    """(B,) c (tol / chi)^(1/order) tau_4: the step after which a method of that order errs by about `tol`, relative."""
    share = c * root((tol / chi).clamp_max(1e20), order)
    # a bond without energy (test particles: chi = 0) would allow any step; 12 a revolution still follow its orbit
    return share.clamp_max(most) * tau_4


class PairSums(NamedTuple):
    """One look at all pairs, each (B,): what the invariant features, their unit of time and their ceiling need.

    With f = freefall_rate2 / F, F = (sum freefall_rate2^4)^(1/4) a smooth maximum, w = max(f - 1/32, 0)^2 is the weight of a pair in all terms
    of v: 0 for all but the few tightest ones.
    """

    chi: Tensor  # see `binding_energy_ratio`
    tau_2: Tensor  # smooth minima of the free-freefall_rate2 times, see `smooth_minimum_time`
    tau_4: Tensor
    tau_8: Tensor
    flyby_over_freefall: Tensor  # sqrt(sum w flyby_rate2^2 / sum w) / F
    radial: Tensor  # sum w (r.v)^2 / (r^2 v^2) / sum w: 0 on a circle, 1 on a line
    growth: Tensor  # 3/2 sum w (r.v) / r^2 / sum w: about d ln tau_4 / dt; the only one that is odd in the velocities
    shortest: Tensor  # (sum freefall_rate2^2 + (32/31)^2 sum w flyby_rate2^2)^(-1/4): the dynamical time of the tight pairs
    pulling: Tensor  # sum m |a|^2, an outer field included
    energy: Tensor  # |K + U|, K about the centre of mass unless there is an outer field; at least 1e-20 of both


def pair_sums(p: ParticleTorch) -> PairSums:
    """The sums over pairs of every system."""
    freefall_rate2, flyby_rate2, real = pair_rates(p)
    fastest = freefall_rate2.amax((1, 2))

    def total(x: Tensor) -> Tensor:
        return 0.5 * over_pairs(x)

    unit = fastest.view(-1, 1, 1)
    f, v = freefall_rate2 / unit, flyby_rate2 / unit
    f2 = f * f
    largest = root(total(f2 * f2), 4)
    tightness = (f / largest.view(-1, 1, 1) - TIGHT).clamp_min(0.0)
    w = tightness * tightness
    weight = total(w)
    weight = torch.where(weight > 0, weight, 1.0)  # more than a million pairs, all alike: none is tight
    wv2 = total(w * v * v)
    radial, growth = _motion_along(p, real)
    energy = _energy(p)
    return PairSums(
        chi=binding_energy_ratio(p, freefall_rate2, energy),
        tau_2=smooth_minimum_time(freefall_rate2, 2),
        tau_4=smooth_minimum_time(freefall_rate2, 4),
        tau_8=smooth_minimum_time(freefall_rate2, 8),
        flyby_over_freefall=torch.sqrt(wv2 / weight) / largest,
        radial=total(w * radial) / weight,
        growth=1.5 * total(w * growth) / weight,
        shortest=1.0 / (root(total(f2) + wv2 / (1.0 - TIGHT) ** 2, 4) * torch.sqrt(fastest)),
        pulling=tree_sum(p.mass * dot(p.get_acceleration(), p.get_acceleration()), 1),
        energy=energy,
    )


def _motion_along(p: ParticleTorch, real: Tensor) -> tuple[Tensor, Tensor]:
    """(r.v)^2 / (r^2 v^2) and (r.v) / r^2 of every pair, each (B, N, N); 0 where there is none, the first at v = 0 too."""
    dx, r2, _ = pairs(p.position, p.mask, p.softening)
    dv = p.velocity.unsqueeze(1) - p.velocity.unsqueeze(2)
    rv, v2 = torch.where(real, dot(dx, dv), 0.0), dot(dv, dv)
    moving = real & (v2 > 0)
    return torch.where(moving, rv * rv / (r2 * torch.where(moving, v2, 1.0)), 0.0), rv / r2


def _energy(p: ParticleTorch) -> Tensor:
    """(B,) |K + U|, large enough to divide by.

    Isolated systems have no place and no speed: theirs is about the centre of mass. With an outer field it is as it is.
    """
    tiny = torch.finfo(p.time.dtype).tiny
    potential = p.potential_energy()
    if p.external_field is None:
        mass = p.mass.unsqueeze(-1)
        centre = tree_sum(mass * p.velocity, 1) / tree_sum(p.mass, 1).unsqueeze(-1)
        moving = p.velocity - centre.unsqueeze(1)
        kinetic = 0.5 * tree_sum(p.mass * dot(moving, moving), 1)
    else:
        kinetic = p.kinetic_energy()
    depth = torch.maximum(potential.abs(), NEGLIGIBLE * kinetic).clamp_min(tiny)
    return torch.maximum((kinetic + potential).abs(), NEGLIGIBLE * depth).clamp_min(tiny)
