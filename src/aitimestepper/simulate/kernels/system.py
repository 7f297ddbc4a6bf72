"""One system in the kernels: its bodies, its outer field, and the forces of both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...constants import ENERGY_FLOOR
from .fields import add_field
from .jit import inlined, reassociated, strict
from .layout import FIELD_KIND, GM, HEAD, MASS, NO_FIELD, SCRATCH, TINY, U2, U3, VELOCITY
from .pair_sums import self_gravity


class SystemView(NamedTuple):
    """One system, in as few words as possible, since every call passes it."""

    n: Any  # number of bodies, unsigned
    s: Any  # pointer to the array of the system, see `layout`
    row_sum: Any  # where the force pass writes its row sums; 0: it computes no sums over pairs
    threads: Any


@inlined
def mass_at(w: Any) -> Any:
    """Return the offset of the masses."""
    return np.uint64(HEAD) + MASS * w.n


@inlined
def gm_at(w: Any) -> Any:
    """Return the offset of G times the masses."""
    return np.uint64(HEAD) + GM * w.n


@inlined
def scratch_at(w: Any) -> Any:
    """Return the offset of the scratch space of 12 n numbers."""
    return np.uint64(HEAD) + SCRATCH * w.n


@strict
def forces(w: Any, block: Any, t: Any) -> Any:
    """Compute the accelerations of the state in `block`; return (potential energy, `ForceSums`)."""
    sums = self_gravity(w.n, w.s, block, w.row_sum, w.threads)
    if w.s[FIELD_KIND] == NO_FIELD:
        return sums.potential, sums
    return sums.potential + add_field(w, block, t), sums


@reassociated
def weighted_mean(w: Any, start: Any) -> Any:
    """Return the mass-weighted mean (x, y, z) of the vector at `start`, and the total mass."""
    n, s = w.n, w.s
    x, y, z, total = 0.0, 0.0, 0.0, 0.0
    masses = mass_at(w)
    for i in range(np.uint64(0), n):
        m = s[masses + i]
        x += m * s[start + i]
        y += m * s[start + n + i]
        z += m * s[start + U2 * n + i]
        total += m
    return x / total, y / total, z / total, total


@reassociated
def kinetic_energy(w: Any, block: Any) -> Any:
    """Return the kinetic energy of the state in `block`."""
    n, s = w.n, w.s
    v, m = block + VELOCITY * U3 * n, mass_at(w)
    energy = 0.0
    for i in range(np.uint64(0), n):
        vx, vy, vz = s[v + i], s[v + n + i], s[v + U2 * n + i]
        energy += s[m + i] * (vx * vx + vy * vy + vz * vz)
    return 0.5 * energy


@reassociated
def inner_kinetic_energy(w: Any, block: Any, kinetic: Any) -> Any:
    """Return the kinetic energy about the centre of mass; with an outer field, all of it, which is `kinetic`."""
    if w.s[FIELD_KIND] != NO_FIELD:
        return kinetic
    n, s = w.n, w.s
    v, m = block + VELOCITY * U3 * n, mass_at(w)
    cx, cy, cz, _ = weighted_mean(w, v)
    energy = 0.0
    for i in range(np.uint64(0), n):
        x, y, z = s[v + i] - cx, s[v + n + i] - cy, s[v + U2 * n + i] - cz
        energy += s[m + i] * (x * x + y * y + z * z)
    return 0.5 * energy


class Advanced(NamedTuple):
    """Results of a step besides the state itself."""

    potential: float
    sums: Any
    work: float
    evaluations: int
    dt: float  # duration of the step; it differs from the dt asked for only with logh


class StateEnergies(NamedTuple):
    """Energies of a state, and the sums over pairs from `pair_sums.ForceSums`."""

    potential: float
    kinetic: float
    rate2_sum: float
    rate4_sum: float
    rate8_sum: float
    binding_sum: float


@strict
def root(x: Any, order: Any) -> Any:
    """Return x^(1/order)."""
    if order == 2.0:
        return np.sqrt(x)
    if order == 4.0:
        return np.sqrt(np.sqrt(x))
    if order == 8.0:
        return np.sqrt(np.sqrt(np.sqrt(x)))
    return x ** (1.0 / order)


@inlined
def energy_scale(kinetic: Any, potential: Any) -> Any:
    """Return S = max(|E|, 1e-4 (K + |U|)), the denominator of relative energy errors, which is positive also for E = 0."""
    return max(max(abs(kinetic + potential), ENERGY_FLOOR * (kinetic + abs(potential))), TINY)


@strict
def budget_time(energies: Any, scale: Any, tol: Any, order: Any, c: Any, largest: Any) -> Any:
    """Return c (tol / chi)^(1/p) tau_4, at most `largest` tau_4, for energy scale S; see `criteria.classical.EnergyBudget`."""
    tau = 1.0 / np.sqrt(np.sqrt(energies.rate4_sum))
    chi = energies.binding_sum / energies.rate4_sum / scale
    allowed = 1e20
    if energies.binding_sum > 0.0:
        allowed = min(tol / chi, 1e20)
    return min(c * root(allowed, order), largest) * tau
