"""The classical step criteria: each a baseline, each a row in the table below.

`eta`, `tol` and `dt` may be a number or one per system (B,): a sweep is one batch. Pair criteria look at self-gravity
only; those made of accelerations and their derivatives (Aarseth, PRS23) see what every body feels from the others.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from ..differentiable.gravity import dot, pairs, taylor_accelerations, tree_sum
from ..differentiable.particle import ParticleTorch
from ..differentiable.timescales import binding_energy_ratio, budget_time, over_pairs, pair_rates, root, smooth_minimum_time
from ..errors import ConfigError
from ..integrators import COMPOSITIONS
from .base import AbstractStepCriterion, Lowered


class _Parametrized(AbstractStepCriterion):
    """A criterion with one positive number, called `parameter`; dt goes with its power `exponent`."""

    parameter: ClassVar[str] = "eta"
    exponent: float = 1.0

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
        freefall_rate2, flyby_rate2, _ = pair_rates(particle)
        return self._number(memory, particle.time) / torch.sqrt(torch.maximum(freefall_rate2, flyby_rate2).amax((1, 2)))


class Boekholt(_Parametrized):
    """h^2 = eta^2 sum Q^2 / sum Q^(5/2), Q = (GM)^2/r^6 + v^4/r^4 over pairs (arXiv 2212.09745): smooth."""

    name = "boekholt"

    def __init__(self, eta: float | Tensor = 0.02) -> None:
        super().__init__(eta)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        freefall_rate2, flyby_rate2, _ = pair_rates(particle)
        Q = freefall_rate2**2 + flyby_rate2**2
        largest = Q.amax((1, 2))
        share = Q / largest.view(-1, 1, 1)
        share2 = share * share
        h = torch.sqrt(over_pairs(share2) / over_pairs(share2 * torch.sqrt(share))) / root(largest, 4)
        return self._number(memory, h) * h


class Tidal(_Parametrized):
    """Smallest over bodies of sqrt(eta / (||T||_F / sqrt 6)), T the tidal tensor (Grudic & Hopkins, arXiv 1910.06349)."""

    name = "tidal"
    exponent = 0.5

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
        return torch.sqrt(self._number(memory, r2) * math.sqrt(6.0)) / root(norm2.amax(1), 4)


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
    exponent = 0.5

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


class LastTerm(_Parametrized):
    """The rule of IAS15 before PRS23: b6, the last term of the Gauss-Radau polynomial, at epsilon times the acceleration.

    The polynomial is known to radau15 alone; from a state as such the step is that of PRS23, eta = (5040 epsilon)^(1/7).
    """

    name, parameter, integrator = "lastterm", "epsilon", "radau15"
    exponent = 1.0 / 7.0

    def __init__(self, epsilon: float | Tensor = 1e-9) -> None:
        super().__init__(epsilon)

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        a, j, s = _squared_norms(particle, 3)
        return (5040.0 * self._number(memory, a)) ** (1.0 / 7.0) * _smallest(2.0 * a, j + torch.sqrt(a * s))


BUDGET_CONSTANTS = {2: 0.44, 4: 0.7, 6: 0.9, 8: 1.0}


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
        self.exponent, self.run_tolerance = 1.0 / self.order, tol
        self.c = BUDGET_CONSTANTS[self.order] if c is None else c

    def step_size(self, particle: ParticleTorch, memory: Tensor | None) -> Tensor:
        """(B,)."""
        freefall_rate2 = pair_rates(particle)[0]
        chi = binding_energy_ratio(particle, freefall_rate2, particle.total_energy())
        return budget_time(smooth_minimum_time(freefall_rate2), chi, self._number(memory, freefall_rate2), self.order, self.c)

    def lower(self) -> Lowered:
        """Tolerance, order, constant."""
        return Lowered(self.name, (*super().lower().parameters, float(self.order), self.c))
