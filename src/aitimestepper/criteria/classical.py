"""The classical step criteria: each a baseline, each a row in the table below.

`eta`, `tol` and `dt` may be a number or one per system (B,): a sweep is one batch. Pair criteria look at self-gravity
only; those made of accelerations and their derivatives (Aarseth, PRS23) see what every body feels from the others.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import ConfigError
from ..integrators import COMPOSITIONS
from ..physics.gravity import dot, pairs, taylor_accelerations, tree_sum
from ..physics.particle import ParticleTorch
from .base import AbstractStepCriterion, Lowered


class _Parametrized(AbstractStepCriterion):
    """A criterion with one positive number, called `parameter`."""

    parameter: ClassVar[str] = "eta"

    def __init__(self, value: float | Tensor) -> None:
        number = torch.as_tensor(value, dtype=torch.float64)
        if not (torch.isfinite(number).all() and (number > 0).all()):
            raise ConfigError(f"{self.name}: {self.parameter} = {value} must be a positive number.")
        self.value = number

    def init(self, particle: ParticleTorch) -> Tensor:
        """(B,) the number of every system: memory, so that a sweep stays with its systems when others have ended."""
        if self.value.ndim > 1 or self.value.numel() not in (1, len(particle)):
            given = f"{self.name}: {self.value.numel()} values of {self.parameter}"
            raise ConfigError(f"{given} do not fit {len(particle)} systems; give one, or one for each.")
        return self.value.to(particle.time).expand(len(particle))

    def _number(self, memory: Tensor | None, like: Tensor) -> Tensor:
        return self.value.to(like) if memory is None else memory

    def lower(self) -> Lowered:
        """Its number (the first one of a sweep)."""
        return Lowered(self.name, (float(self.value.reshape(-1)[0]),))


class Constant(_Parametrized):
    """The same dt always."""

    name, parameter = "constant", "dt"

    def __init__(self, dt: float | Tensor) -> None:
        super().__init__(dt)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        return self._number(memory, particle.time).expand(len(particle))


def pair_rates(p: ParticleTorch) -> tuple[Tensor, Tensor, Tensor]:
    """(fall, fly, real), each (B, N, N): squared rates G(m_i+m_j)/r^3 and v^2/r^2 of every pair; 0 where there is none.

    Rates, not times: two massless bodies have an infinite time, but a rate of exactly 0.
    """
    _, r2, real = pairs(p.position, p.mask, p.softening)
    dv = p.velocity.unsqueeze(1) - p.velocity.unsqueeze(2)
    fall = p.G * (p.mass.unsqueeze(1) + p.mass.unsqueeze(2)) / (r2 * torch.sqrt(r2))
    return torch.where(real, fall, 0.0), torch.where(real, dot(dv, dv) / r2, 0.0), real


def _over_pairs(x: Tensor) -> Tensor:
    """Sum over all ordered pairs, (B, N, N) -> (B,)."""
    return tree_sum(tree_sum(x, 2), 1)


def _root(x: Tensor, n: int) -> Tensor:
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
    return 1.0 / (_root(0.5 * _over_pairs(power), k) * torch.sqrt(fastest))


class FreeFall(_Parametrized):
    """eta times the smooth minimum over pairs of sqrt(r^3 / G M)."""

    name = "freefall"

    def __init__(self, eta: float | Tensor = 0.02) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        return self._number(memory, particle.time) * smooth_minimum_time(pair_rates(particle)[0])


class HutMakino(_Parametrized):
    """eta times the smallest of r/v and sqrt(r^3 / G M) over pairs (eta = 0.03: AMUSE's default for Hermite)."""

    name = "hutmakino"

    def __init__(self, eta: float | Tensor = 0.03) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        fall, fly, _ = pair_rates(particle)
        return self._number(memory, particle.time) / torch.sqrt(torch.maximum(fall, fly).amax((1, 2)))


class Boekholt(_Parametrized):
    """h^2 = eta^2 sum Q^2 / sum Q^(5/2), Q = (GM)^2/r^6 + v^4/r^4 over pairs (arXiv 2212.09745): smooth."""

    name = "boekholt"

    def __init__(self, eta: float | Tensor = 0.02) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        fall, fly, _ = pair_rates(particle)
        Q = fall**2 + fly**2
        largest = Q.amax((1, 2))
        share = Q / largest.view(-1, 1, 1)
        share2 = share * share
        h = torch.sqrt(_over_pairs(share2) / _over_pairs(share2 * torch.sqrt(share))) / _root(largest, 4)
        return self._number(memory, h) * h


class Tidal(_Parametrized):
    """Smallest over bodies of sqrt(eta / (||T||_F / sqrt 6)), T the tidal tensor (Grudic & Hopkins, arXiv 1910.06349)."""

    name = "tidal"

    def __init__(self, eta: float | Tensor = 4e-4) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,). The tensor has three axes also in the plane, so that a pair gives the same step in 2D and in 3D."""
        p = particle
        dx, r2, real = pairs(p.position, p.mask, p.softening)
        weight = torch.where(real, (p.G * p.mass).unsqueeze(1) / (r2 * torch.sqrt(r2)), 0.0)
        dx = torch.nn.functional.pad(dx, (0, 3 - dx.shape[-1]))
        outer = 3.0 * dx.unsqueeze(-1) * dx.unsqueeze(-2) / r2.unsqueeze(-1).unsqueeze(-1)
        identity = torch.eye(3, dtype=r2.dtype, device=r2.device)
        T = tree_sum(weight.unsqueeze(-1).unsqueeze(-1) * (outer - identity), 2)  # (B, N, 3, 3)
        norm2 = tree_sum(tree_sum(T * T, -1), -1)
        return torch.sqrt(self._number(memory, r2) * math.sqrt(6.0)) / _root(norm2.amax(1), 4)


def _squared_norms(p: ParticleTorch, order: int) -> list[Tensor]:
    """[|a|^2, |jerk|^2, ...] (B, N); absent bodies get 0."""
    series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, order)
    return [torch.where(p.mask, dot(d, d), 0.0) for d in series]


def _smallest(numerator: Tensor, denominator: Tensor) -> Tensor:
    """(B,) smallest over bodies of sqrt(numerator/denominator); a body that feels exactly nothing has no say."""
    ratio = torch.where((numerator > 0) & (denominator > 0), numerator / denominator, torch.inf)
    return torch.sqrt(ratio.amin(1))


class Aarseth(_Parametrized):
    """Smallest over bodies of sqrt(eta (|a||s| + |j|^2) / (|j||c| + |s|^2)): acceleration, jerk, snap, crackle."""

    name = "aarseth"

    def __init__(self, eta: float | Tensor = 0.02) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        a, j, s, c = _squared_norms(particle, 4)
        dt = _smallest(torch.sqrt(a * s) + j, torch.sqrt(j * c) + s)
        return torch.sqrt(self._number(memory, dt)) * dt


class PRS23(_Parametrized):
    """eta times the smallest over bodies of sqrt(2 |a|^2 / (|j|^2 + |a||s|)) (Pham, Rein & Spiegel, arXiv 2401.02849).

    It collapses where an acceleration passes through zero (figure-eight: 4x the steps of the older rule).
    """

    name = "prs23"

    def __init__(self, eta: float | Tensor = 0.02) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        a, j, s = _squared_norms(particle, 3)
        return self._number(memory, a) * _smallest(2.0 * a, j + torch.sqrt(a * s))


BUDGET_CONSTANTS = {2: 0.44, 4: 0.7, 6: 0.9, 8: 1.0}
# The cheapest order for a tolerance, by the force evaluations of that study: 1e-2: 1400 (2); 1e-3: 4500 (2), 2100 (4);
# 1e-4: 2300 (6); 1e-6: 4900 (6), 4500 (8); 1e-8: 10500 (6), 8100 (8).
CHEAPEST = ((3e-3, "leapfrog"), (3e-4, "order4"), (3e-6, "order6"), (0.0, "order8"))


def cheapest_integrator(tol: float) -> str:
    """The composition that reaches an energy error of `tol` with the fewest forces under `EnergyBudget`."""
    return next((name for above, name in CHEAPEST if tol > above), CHEAPEST[-1][1])


class EnergyBudget(_Parametrized):
    """dt = c tol^(1/p) tau_4 chi^(-1/p) for a method of order p: a step that knows what a tolerance means.

    chi is the potential of the tightest pairs against the total energy: sum w m_i m_j / r / |E| / sum w, w = tau^-4. The
    constant c of each order keeps the largest error of 90 % of two-body, three-body and cluster runs below tol, for
    tolerances from 1e-2 (order 2) to 1e-10 (order 8): diagnostics/energy_budget_constant.py (89 to 100 % on fresh seeds).
    """

    name, parameter = "energybudget", "tol"

    def __init__(self, tol: float | Tensor = 1e-4, integrator: str = "leapfrog", c: float | None = None) -> None:
        super().__init__(tol)
        if integrator not in COMPOSITIONS:
            raise ConfigError(f"energybudget: integrator = {integrator!r} must be one of {', '.join(COMPOSITIONS)}.")
        if c is not None and not (math.isfinite(c) and c > 0):
            raise ConfigError(f"energybudget: c = {c} must be a positive number.")
        self.integrator, self.order = integrator, COMPOSITIONS[integrator].order
        self.c = BUDGET_CONSTANTS[self.order] if c is None else c

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        p = particle
        _, r2, real = pairs(p.position, p.mask, p.softening)
        fall = pair_rates(p)[0]
        weight = (fall / fall.amax((1, 2)).view(-1, 1, 1)) ** 2  # tau^-4, in units of the tightest pair's
        bond = torch.where(real, p.G * p.mass.unsqueeze(1) * p.mass.unsqueeze(2) / torch.sqrt(r2), 0.0)
        bound = _over_pairs(weight * bond)
        chi = bound / _over_pairs(weight) / p.total_energy().abs()
        allowed = torch.where(bound > 0, self._number(memory, r2) / chi, torch.inf).clamp_max(1e20)
        share = self.c * _root(allowed, self.order)
        # a bond without energy (test particles: chi = 0) would allow any step; 12 a revolution still follow its orbit
        return share.clamp_max(0.5) * smooth_minimum_time(fall)

    def lower(self) -> Lowered:
        """Tolerance, order, constant."""
        return Lowered(self.name, (*super().lower().parameters, float(self.order), self.c))
