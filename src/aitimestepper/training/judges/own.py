"""The orbits of single bodies: their errors in a step, of the own energy and of the phase, against the exact motion.

A body's own energy is that of the two-body orbit about its host. Others perturb it, so it is not conserved, and it is compared
at the same time. A body that is late by -s is where it was s earlier, and so is its energy: an error of the phase counts, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...constants import ENERGY_FLOOR
from ...differentiable.gravity import dot
from ...differentiable.particle import ParticleTorch
from ...differentiable.stepping import step
from ...integrators import SPLITTINGS


class OwnMotion(NamedTuple):
    """The motion of M bodies, or of groups that move together, about the centres of mass of their hosts, at S states."""

    x: Tensor  # (S, M, D)
    v: Tensor  # (S, M, D)
    a: Tensor  # (S, M, D) acceleration relative to that of the host
    gm: Tensor  # (M,) G times the mass of group and host
    softening: Tensor  # (S, 1)

    @classmethod
    def of(cls, p: ParticleTorch, host: Tensor, group: Tensor) -> OwnMotion:
        """Return the motion about each host of the bodies that move together; host, group (M, N) bool: members of both."""
        mass = p.mass[0]  # all states are those of one system
        of_host, of_group = torch.where(host, mass, 0.0), torch.where(group, mass, 0.0)
        light = of_group.sum(1, keepdim=True) == 0  # a massless body alone: any weight will do
        share = torch.where(light, group.to(mass), of_group)
        weight = share / share.sum(1, keepdim=True) - of_host / of_host.sum(1, keepdim=True)
        x, v, a = (torch.einsum("mn,snd->smd", weight, y) for y in (p.position, p.velocity, p.get_acceleration()))
        return cls(x, v, a, p.G * (of_host + of_group).sum(1), p.softening.unsqueeze(1))

    @property
    def distance(self) -> Tensor:
        """Softened distances (S, M)."""
        return torch.sqrt(dot(self.x, self.x) + self.softening**2)

    @property
    def energy(self) -> Tensor:
        """Two-body energies (S, M) per unit mass."""
        return 0.5 * dot(self.v, self.v) - self.gm / self.distance

    @property
    def scale(self) -> Tensor:
        """What errors of the energies are relative to, (S, M)."""
        terms = 0.5 * dot(self.v, self.v) + self.gm / self.distance
        return torch.maximum(self.energy.abs(), ENERGY_FLOOR * terms)

    @property
    def slope(self) -> Tensor:
        """The rate at which others change the energies, (S, M)."""
        return dot(self.v, self.a + self.x * (self.gm / self.distance**3).unsqueeze(-1))

    @property
    def mean_motion(self) -> Tensor:
        """The mean motion (S, M); 0 where a body is unbound."""
        bound = (-2.0 * self.energy).clamp_min(0.0)
        return bound * torch.sqrt(bound) / self.gm

    @property
    def _equation_of_centre(self) -> Tensor:
        """True less mean anomaly (S, M), without a singularity at e = 0."""
        bound = -2.0 * self.energy
        e_cos = 1.0 - self.distance * bound / self.gm
        e_sin = dot(self.x, self.v) * torch.sqrt(bound.clamp_min(0.0)) / self.gm
        beta = 1.0 / (1.0 + torch.sqrt((1.0 - e_cos**2 - e_sin**2).clamp_min(0.0)))
        return 2.0 * torch.atan2(beta * e_sin, 1.0 - beta * e_cos) + e_sin

    def time_shift(self, other: OwnMotion) -> Tensor:
        """Return by how much time `other` is ahead on about the same orbits, from the mean longitudes, (S, M)."""
        size = torch.sqrt(dot(self.x, self.x))
        radial = self.x / size.unsqueeze(-1)
        ahead = self.v - dot(self.v, radial).unsqueeze(-1) * radial
        length = torch.sqrt(dot(ahead, ahead))
        angle = torch.atan2(dot(other.x, ahead) / torch.where(length > 0, length, 1.0), dot(other.x, radial))
        longitude = angle - other._equation_of_centre + self._equation_of_centre
        n = self.mean_motion
        return torch.where(n > 0, longitude / torch.where(n > 0, n, 1.0), 0.0)


class OwnErrors(NamedTuple):
    """What errors of steps do to the own energy of one body, along a trajectory of S points.

    With e, the relative error of the energy, and s, the time by which the body is ahead, de/dt = energy_rate Q^p,
    ds/dt = shift_rate Q^p + drift e; at the same time the energy is off by e + slope s.
    """

    energy_rate: Tensor  # (K, S)
    shift_rate: Tensor  # (K, S)
    slope: Tensor  # (S,)
    drift: Tensor  # (S,)


def own_errors(
    p: ParticleTorch, steps: Sequence[Tensor], after: Sequence[ParticleTorch], integrator: str, host: Tensor, group: Tensor
) -> OwnErrors:
    """Return the errors of that of M bodies which suffers most: that with the largest error in a run with the middle steps.

    steps: K tensors (S,). after: the states at which they end, see `centred_step`. host, group (M, N) bool: what each body
    orbits, and what moves with it.
    """
    here, order = OwnMotion.of(p, host, group), SPLITTINGS[integrator].order
    scale, slope = here.scale[0], here.slope
    drift = torch.where(here.mean_motion > 0, 1.5 * scale / here.energy, 0.0)
    rates = []
    for h, end in zip(steps, after, strict=True):
        exact, found = (OwnMotion.of(q, host, group) for q in (accurately(p, 0.5 * h, integrator), end))
        power = (h ** (order + 1)).unsqueeze(1)
        shift = exact.time_shift(found) / power
        rates.append((((found.energy - exact.energy) / power - slope * shift) / scale, shift))
    energy, shift = (torch.stack(x) for x in zip(*rates, strict=True))  # (K, S, M)
    slope, k = slope / scale, len(steps) // 2
    Qp = (steps[k] ** order).unsqueeze(1)
    error = accumulated(p.time, Qp * energy[k])
    off = error + slope * accumulated(p.time, Qp * shift[k] + drift * error)
    i = int(off.abs().amax(0).argmax())
    return OwnErrors(energy[:, :, i], shift[:, :, i], slope[:, i], drift[:, i])


def accumulated(time: Tensor, rate: Tensor) -> Tensor:
    """Return the integral over time (S,) from the first point on, of `rate` (S, M)."""
    gained = 0.5 * (rate[1:] + rate[:-1]) * (time[1:] - time[:-1]).unsqueeze(1)
    return torch.cat([torch.zeros_like(rate[:1]), torch.cumsum(gained, 0)])


def centred_step(p: ParticleTorch, h: Tensor, integrator: str) -> tuple[ParticleTorch, ParticleTorch]:
    """Return the states at which steps h (S,) begin and end whose middles are the given states.

    A step in the middle of which a state is says more of the errors there than one that begins there: over h^p they differ from
    their limit by a term h^2 that is a quarter as large.
    """
    before = accurately(p, -0.5 * h, integrator)
    return before, step(before, h, integrator)


def accurately(p: ParticleTorch, h: Tensor, integrator: str) -> ParticleTorch:
    """Return the states a time h (S,) later, half a step at most, far more accurately than by `integrator`."""
    return step(p, h, "kahan_li8" if SPLITTINGS[integrator].order == 8 else "blanes_moan6")
