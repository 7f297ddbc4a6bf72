"""What the network looks at: a state as a vector, a transition between two states as a vector, the scales of both.

Every feature type is a table of (name, dimension); the dimension (powers of mass, length, time) decides its scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .gravity import dot, pairs, tree_sum
from .particle import ParticleTorch
from .timescales import NEGLIGIBLE, PairSums, pair_sums

NUMBER, MASS, LENGTH, SPEED, ACCELERATION, TIME = (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, -1), (0, 1, -2), (0, 0, 1)

BASIC = (
    ("bodies", NUMBER),
    ("axes", NUMBER),
    ("total mass", MASS),
    ("mean radius", LENGTH),
    ("max radius", LENGTH),
    ("mean speed", SPEED),
    ("max speed", SPEED),
    ("mean acceleration", ACCELERATION),
    ("max acceleration", ACCELERATION),
    ("min pair distance", LENGTH),
    ("mean pair distance", LENGTH),
)
RICH = (
    *BASIC,
    ("mean mass", MASS),
    ("min mass", MASS),
    ("max mass", MASS),
    ("mass deviation", MASS),
    ("min radius", LENGTH),
    ("rms radius", LENGTH),
    ("min speed", SPEED),
    ("rms speed", SPEED),
    ("min acceleration", ACCELERATION),
    ("rms acceleration", ACCELERATION),
    ("max pair distance", LENGTH),
    ("softening", LENGTH),
)
TRANSITION = (
    *((f"{kind} |dx|", LENGTH) for kind in ("mean", "max", "rms")),
    *((f"{kind} |dv|", SPEED) for kind in ("mean", "max", "rms")),
    *((f"{kind} |da|", ACCELERATION) for kind in ("mean", "max", "rms")),
    ("dt", TIME),
)
INVARIANT = (
    ("radial part of the motion of the tightest pairs", NUMBER),
    ("ln chi, the tightest pairs' potential energy over the total energy", NUMBER),
    ("ln(1 + flyby rate over free-fall rate of the tightest pairs)", NUMBER),
    ("ln(tau_2/tau_4): how many pairs matter", NUMBER),
    ("ln(tau_8/tau_4)", NUMBER),
    ("ln(0.001 + pericentre distance over distance) of the tightest pairs, as if each were alone", NUMBER),
    ("ln(1 + eccentricity^2) of their orbits", NUMBER),
    ("ln(sum m a^2 tau_4^2 over the total energy)", NUMBER),
    ("ln(1 + (10 times the energy error so far over the tolerance)^2) / 2, with its sign", NUMBER),
    ("ln tolerance", NUMBER),
    ("ln order of the method", NUMBER),
)
NEAREST = 1e-3  # distances: pericentres that are nearer count as so near
ERROR_FRACTION = 8  # which of them says how much of the tolerance is used up


@dataclass(frozen=True)
class Scales:
    """Length, speed, acceleration and time of the training set, measured once; (1, 1, 1, 1) leaves features as they are."""

    L0: float = 1.0
    V0: float = 1.0
    A0: float = 1.0
    T0: float = 1.0
    M0: float = 1.0

    @classmethod
    def measure(cls, particle: ParticleTorch) -> Scales:
        """From the mean radius and total mass: a system at rest has no speed to measure, but it has a free-fall speed."""
        description = describe(particle, "basic").detach()
        mass = description[:, 2].mean().item()
        # softened bodies may all be in one place: then the softening is the only length there is
        length = description[:, 3].mean().item() or particle.softening.mean().item()
        speed = (particle.G * mass / length) ** 0.5
        return cls(L0=length, V0=speed, A0=speed**2 / length, T0=length / speed, M0=mass)

    def of(self, table: tuple[tuple[str, tuple[int, int, int]], ...], like: Tensor) -> Tensor:
        """(F,) the scale of every feature of `table`."""
        by_dimension = {
            NUMBER: 1.0,
            MASS: self.M0,
            LENGTH: self.L0,
            SPEED: self.V0,
            ACCELERATION: self.A0,
            TIME: self.T0,
        }
        return torch.tensor([by_dimension[d] for _, d in table], dtype=like.dtype, device=like.device)


class _Statistics(NamedTuple):
    mean: Tensor
    max: Tensor
    min: Tensor
    rms: Tensor


def _statistics(x: Tensor, present: Tensor) -> _Statistics:
    """Mean, max, min and rms of non-negative x over all axes but the first, where `present`."""
    axes = tuple(range(1, x.ndim))

    def total(y: Tensor) -> Tensor:
        for _ in axes:  # one axis after the other: absent bodies are at the end of each, not of all pairs in a row
            y = tree_sum(y, -1)
        return y

    n = present.sum(axes).to(x.dtype)
    kept = torch.where(present, x, 0.0)
    low = torch.where(present, x, torch.inf).amin(axes)
    return _Statistics(total(kept) / n, kept.amax(axes), low, torch.sqrt(total(kept * kept) / n))


def _norms(x: Tensor) -> Tensor:
    return torch.sqrt(dot(x, x))


def describe(p: ParticleTorch, kind: str) -> Tensor:
    """(B, 11) for `basic`, (B, 23) for `rich`: in the units of the particle, about its centre of mass.

    (B, 8) for `invariant`: all but what is asked for, which is no part of the state.
    """
    if kind == "invariant":
        return invariant_features(pair_sums(p))
    total = tree_sum(p.mass, 1)

    def about_centre(x: Tensor) -> Tensor:
        centre = tree_sum(p.mass.unsqueeze(-1) * x, 1) / total.unsqueeze(-1)
        return x - centre.unsqueeze(1)

    radius = _statistics(_norms(about_centre(p.position)), p.mask)
    speed = _statistics(_norms(about_centre(p.velocity)), p.mask)
    pull = _statistics(_norms(p.get_acceleration()), p.mask)
    dx, _, real = pairs(p.position, p.mask, p.softening)
    pair = _statistics(_norms(dx), real)
    axes = torch.full_like(total, p.position.shape[-1])
    basic = [
        p.body_count,
        axes,
        total,
        radius.mean,
        radius.max,
        speed.mean,
        speed.max,
        pull.mean,
        pull.max,
        pair.min,
        pair.mean,
    ]
    if kind == "basic":
        return torch.stack(basic, dim=-1)
    mass = _statistics(p.mass, p.mask)
    deviation = _statistics((p.mass - mass.mean.unsqueeze(-1)).abs(), p.mask).rms
    more = [mass.mean, mass.min, mass.max, deviation, radius.min, radius.rms, speed.min, speed.rms, pull.min, pull.rms]
    return torch.stack([*basic, *more, pair.max, p.softening], dim=-1)


def invariant_features(sums: PairSums) -> Tensor:
    """(B, 8) numbers without units that do not depend on the observer and are even in the velocities.

    What could vanish is kept above 1e-20: test particles have no bond energy at all, and pull on nothing.
    """
    pericentre, eccentricity2 = _orbit(sums.flyby_over_freefall, sums.radial)
    columns = [
        sums.radial,
        torch.log(sums.chi.clamp_min(NEGLIGIBLE)),
        torch.log1p(sums.flyby_over_freefall),
        torch.log(sums.tau_2 / sums.tau_4),
        torch.log(sums.tau_8 / sums.tau_4),
        torch.log(pericentre + NEAREST),
        torch.log1p(eccentricity2),
        torch.log((sums.pulling * sums.tau_4 * sums.tau_4 / sums.energy).clamp_min(NEGLIGIBLE)),
    ]
    return torch.stack(columns, dim=-1)


def _orbit(x: Tensor, radial: Tensor) -> tuple[Tensor, Tensor]:
    """(pericentre over distance, e^2) of two bodies: x = r v^2 / G M, radial = (r.v)^2 / (r v)^2."""
    parameter = x * (1.0 - radial)
    e2 = (1.0 + (x - 2.0) * parameter).clamp_min(0.0)
    return parameter / (1.0 + torch.sqrt(e2)), e2


def asked_features(spent: Tensor, tol: Tensor, order: int) -> Tensor:
    """(B, 3) from the energy error with its sign over the tolerance (B,), the tolerance (B,), and the order of the method.

    The energy of a run at its start does not change along it, so this is even in the velocities like the others: a
    time-symmetric step may shrink while the error is large, and still come back the way it went.
    """
    part = 10.0 * spent
    size = 0.5 * torch.log1p(part * part)
    return torch.stack([torch.copysign(size, spent), torch.log(tol), torch.full_like(tol, math.log(order))], dim=-1)


def transition(before: ParticleTorch, after: ParticleTorch, dt: Tensor) -> Tensor:
    """(B, 10) how far positions, velocities and accelerations moved in the step `dt` (B,) between two states."""
    size = max(before.mask.shape[1], after.mask.shape[1])
    before, after = before.padded_to(size), after.padded_to(size)
    columns: list[Tensor] = []
    for change in (
        after.position - before.position,
        after.velocity - before.velocity,
        after.get_acceleration() - before.get_acceleration(),
    ):
        s = _statistics(_norms(change), after.mask)
        columns += [s.mean, s.max, s.rms]
    return torch.stack([*columns, dt], dim=-1)


def slot_table(feature_type: str, history_len: int) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """The features of one slot: `delta_mag` describes transitions when there is history, else it is `basic`."""
    if feature_type == "delta_mag":
        return TRANSITION if history_len else BASIC
    return {"rich": RICH, "invariant": INVARIANT}.get(feature_type, BASIC)


def feature_count(feature_type: str, history_len: int) -> int:
    """Length of the whole vector: (K+1) F for `basic` and `rich`, 10 K for `delta_mag` with history, 11 for `invariant`."""
    slots = history_len if feature_type == "delta_mag" and history_len else history_len + 1
    return slots * len(slot_table(feature_type, history_len))
