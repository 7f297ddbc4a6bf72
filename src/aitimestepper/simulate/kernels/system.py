"""One system in the kernels: its bodies, its outer field, and the forces of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...constants import ENERGY_FLOOR, TINY
from .elementary import exp, log
from .fields import add_field, from_outside, has_field
from .jit import inlined, strict
from .kinds import Count, Number, Numbers, Place
from .lanes import absolute, first_of, fma, larger, smaller, sqrt, where
from .layout import GM, HEAD, MASS, SCRATCH, U0, U2, U3, VELOCITY
from .pair_sums import ForceSums, accelerations_by_gravity, self_gravity


class SystemView(NamedTuple):
    """One system, or systems of as many bodies side by side, in as few words as possible, since every call passes it."""

    n: Place  # number of bodies
    s: Numbers  # the array of the system, see `layout`
    row_sum: Place  # where the force pass writes its row sums; 0: it computes no sums over pairs
    # a tuple of as many floats as there are systems side by side, whose sums keep the order of the source; of one system by
    # itself, whose loops are vectorized, the number of threads
    lanes: tuple[float, ...] | int


@inlined
def mass_at(w: SystemView) -> Place:
    """Return the offset of the masses."""
    return np.uint64(HEAD) + MASS * w.n


@inlined
def gm_at(w: SystemView) -> Place:
    """Return the offset of G times the masses."""
    return np.uint64(HEAD) + GM * w.n


@inlined
def scratch_at(w: SystemView) -> Place:
    """Return the offset of the scratch space of 12 n numbers."""
    return np.uint64(HEAD) + SCRATCH * w.n


@inlined
def forces(w: SystemView, block: Place, t: Number) -> tuple[Number, ForceSums]:
    """Compute the accelerations of the state in `block`; return (potential energy, `ForceSums`)."""
    sums = self_gravity(w, block)
    if not has_field(w):
        return sums.potential, sums
    return sums.potential + add_field(w, block, t), sums


@strict
def accelerations(w: SystemView, block: Place, t: Number) -> None:
    """Compute the accelerations of the state in `block`, and nothing else."""
    accelerations_by_gravity(w, block)
    if has_field(w):
        add_field(w, block, t)


@strict
def weighted_mean(w: SystemView, start: Place) -> tuple[Number, Number, Number, Number]:
    """Return the mass-weighted mean (x, y, z) of the vector at `start`, and the total mass."""
    n, s = w.n, w.s
    x, y, z, total = 0.0, 0.0, 0.0, 0.0
    masses = mass_at(w)
    for i in range(U0, n):
        m = s[masses + i]
        x = fma(m, s[start + i], x)
        y = fma(m, s[start + n + i], y)
        z = fma(m, s[start + U2 * n + i], z)
        total += m
    return x / total, y / total, z / total, total


@inlined
def kinetic_energy(w: SystemView, block: Place) -> Number:
    """Return the kinetic energy of the state in `block`."""
    n, s = w.n, w.s
    v, m = block + VELOCITY * U3 * n, mass_at(w)
    energy = 0.0
    for i in range(U0, n):
        vx, vy, vz = s[v + i], s[v + n + i], s[v + U2 * n + i]
        energy = fma(s[m + i], fma(vx, vx, fma(vy, vy, vz * vz)), energy)
    return 0.5 * energy


@strict
def inner_kinetic_energy(w: SystemView, block: Place, kinetic: Number) -> Number:
    """Return the kinetic energy about the centre of mass; with a field from outside, all of it, which is `kinetic`."""
    if from_outside(w):
        return kinetic
    n, s = w.n, w.s
    v, m = block + VELOCITY * U3 * n, mass_at(w)
    cx, cy, cz, _ = weighted_mean(w, v)
    energy = 0.0
    for i in range(U0, n):
        x, y, z = s[v + i] - cx, s[v + n + i] - cy, s[v + U2 * n + i] - cz
        energy = fma(s[m + i], fma(x, x, fma(y, y, z * z)), energy)
    return 0.5 * energy


class Advanced(NamedTuple):
    """Results of a step besides the state itself."""

    potential: Number
    sums: ForceSums
    work: Number
    evaluations: Count
    dt: Number  # duration of the step; it differs from the dt asked for only with logh


class StateEnergies(NamedTuple):
    """Energies of a state, and the sums over pairs from `pair_sums.ForceSums`."""

    potential: Number
    kinetic: Number
    rate2_sum: Number
    rate4_sum: Number
    rate8_sum: Number
    binding_sum: Number


@inlined
def root(x: Number, order: Number) -> Number:
    """Return x^(1/order), for the order of an integrator, which is the same for all systems."""
    p = first_of(order)
    if p == 2.0:
        return sqrt(x)
    if p == 4.0:
        return sqrt(sqrt(x))
    if p == 8.0:
        return sqrt(sqrt(sqrt(x)))
    return exp(log(larger(x, TINY)) / p)


@inlined
def energy_scale(kinetic: Number, potential: Number) -> Number:
    """Return S = max(|E|, 1e-4 (K + |U|)), the denominator of relative energy errors, which is positive also for E = 0."""
    return larger(larger(absolute(kinetic + potential), ENERGY_FLOOR * (kinetic + absolute(potential))), TINY)


@inlined
def budget_time(rate4_sum: Number, chi: Number, tol: Number, order: Number, c: Number) -> Number:
    """Return c (tol / chi)^(1/p) tau_4; see `criteria.classical.EnergyBudget`."""
    allowed = where(chi > 0.0, smaller(tol / chi, 1e20), 1e20)
    return c * root(allowed, order) / sqrt(sqrt(rate4_sum))
