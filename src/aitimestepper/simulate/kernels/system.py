"""One system as the kernels see it: its bodies, its outer field, and the forces of both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...features import ENERGY_FLOOR
from .forces import pull
from .jit import inlined, reassociated, strict
from .layout import (
    ACCELERATION,
    CIRCULAR,
    FIELD_ADDRESS,
    FIELD_GM,
    FIELD_KIND,
    FIELD_OMEGA,
    FIELD_PHASE,
    FIELD_RADIUS,
    FIELD_X,
    FIELD_Y,
    FIELD_Z,
    GM,
    HEAD,
    MASS,
    NO_FIELD,
    OWN_FIELD,
    POSITION,
    SCRATCH,
    TINY,
    U2,
    U3,
    VELOCITY,
)
from .own import call_field


class SystemView(NamedTuple):
    """One system, as small as a call can pass it."""

    n: Any  # bodies, unsigned
    s: Any  # everything about the system, see `layout`
    row_sum: Any  # where the pair sum puts its row sums; 0: it makes no sums over pairs
    threads: Any


@inlined
def field_moves(w: Any) -> Any:
    """Return whether the outer field may do work: it moves, or is one of the user's own."""
    return w.s[FIELD_KIND] == CIRCULAR or w.s[FIELD_KIND] == OWN_FIELD


@inlined
def mass_at(w: Any) -> Any:
    """Return where the masses lie."""
    return np.uint64(HEAD) + MASS * w.n


@inlined
def gm_at(w: Any) -> Any:
    """Return where G times the masses lies."""
    return np.uint64(HEAD) + GM * w.n


@inlined
def work_at(w: Any) -> Any:
    """Return where the scratch space of 12 n numbers begins."""
    return np.uint64(HEAD) + SCRATCH * w.n


@strict
def place_of_source(s: Any, t: Any) -> Any:
    """Return where the mass is that raises the tide, and how fast it moves."""
    if s[FIELD_KIND] == CIRCULAR:
        angle = s[FIELD_OMEGA] * t + s[FIELD_PHASE]
        cos, sin, radius = np.cos(angle), np.sin(angle), s[FIELD_RADIUS]
        speed = s[FIELD_OMEGA] * radius
        return radius * cos, radius * sin, 0.0, -speed * sin, speed * cos
    return s[FIELD_X], s[FIELD_Y], s[FIELD_Z], 0.0, 0.0


@strict
def tide(gm: Any, X: Any, Y: Any, Z: Any, x: Any, y: Any, z: Any) -> Any:
    """Return (acceleration, potential) at x of a mass at X, in the frame that falls with the origin; see fields.py."""
    R2 = X * X + Y * Y + Z * Z
    x2 = x * x + y * y + z * z
    u = (x * X + y * Y + z * Z) / R2
    q = x2 / R2 - 2.0 * u
    dx, dy, dz = X - x, Y - y, Z - z
    s = np.sqrt((dx * dx + dy * dy + dz * dz) / R2)
    s3 = s * s * s
    R = np.sqrt(R2)
    scale = -gm / (R2 * R * s3)
    w = x2 / R2
    potential = gm / R * ((w + u * q * (2.0 + s) / (1.0 + s)) / (s * (1.0 + s)))
    if s < 0.5:
        return scale * (X * s3 - dx), scale * (Y * s3 - dy), scale * (Z * s3 - dz), potential
    grow = q * (3.0 + q * (3.0 + q)) / (1.0 + s3)
    return scale * (x + X * grow), scale * (y + Y * grow), scale * (z + Z * grow), potential


@strict
def _own_field_at(w: Any, x: Any, t: Any) -> Any:
    """Ask the user's field about the positions at `x`: (where its accelerations, its potentials, their rates lie)."""
    n, s, a = w.n, w.s, work_at(w)
    phi, rate = a + U3 * n, a + np.uint64(4) * n
    for k in range(a, a + np.uint64(5) * n):
        s[k] = 0.0
    call_field(np.float64(s[FIELD_ADDRESS]).view(np.int64), np.int64(n), t, s, x, a, phi, rate)
    return a, phi, rate


@strict
def _add_own_field(w: Any, x: Any, target: Any, t: Any) -> Any:
    """Add accelerations by a field of the user's own to those at `target`; return the potential energy in it."""
    n, s, m, energy = w.n, w.s, mass_at(w), 0.0
    a, phi, _ = _own_field_at(w, x, t)
    for k in range(np.uint64(0), U3 * n):
        s[target + k] += s[a + k]
    for i in range(np.uint64(0), n):
        energy += s[m + i] * s[phi + i]
    return energy


@strict
def add_field(w: Any, block: Any, t: Any) -> Any:
    """Add accelerations by the outer field to those in `block`; return the potential energy in it."""
    n, s = w.n, w.s
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    if s[FIELD_KIND] == OWN_FIELD:
        return _add_own_field(w, x, a, t)
    X, Y, Z, _, _ = place_of_source(s, t)
    m, energy = mass_at(w), 0.0
    for i in range(np.uint64(0), n):
        ax, ay, az, potential = tide(s[FIELD_GM], X, Y, Z, s[x + i], s[x + n + i], s[x + U2 * n + i])
        s[a + i] += ax
        s[a + n + i] += ay
        s[a + U2 * n + i] += az
        energy += s[m + i] * potential
    return energy


@strict
def field_power(w: Any, block: Any, t: Any) -> Any:
    """Return the sum of m dPhi/dt: the rate at which a moving source changes the energy."""
    n, s = w.n, w.s
    m, x0 = mass_at(w), block + POSITION * U3 * n
    if s[FIELD_KIND] == OWN_FIELD:
        _, _, rate = _own_field_at(w, x0, t)
        power = 0.0
        for i in range(np.uint64(0), n):
            power += s[m + i] * s[rate + i]
        return power
    if s[FIELD_KIND] != CIRCULAR:
        return 0.0
    X, Y, Z, VX, VY = place_of_source(s, t)
    R2 = X * X + Y * Y + Z * Z
    pull3 = s[FIELD_GM] / (R2 * np.sqrt(R2))
    power = 0.0
    for i in range(np.uint64(0), n):
        x, y, z = s[x0 + i], s[x0 + n + i], s[x0 + U2 * n + i]
        ax, ay, _, _ = tide(s[FIELD_GM], X, Y, Z, x, y, z)
        u3 = 3.0 * (x * X + y * Y + z * Z) / R2
        # dPhi/dR = a + GM (x - 3 (x.R) R / R^2) / R^3
        power += s[m + i] * ((ax + pull3 * (x - u3 * X)) * VX + (ay + pull3 * (y - u3 * Y)) * VY)
    return power


@strict
def forces(w: Any, block: Any, t: Any) -> Any:
    """Compute all accelerations of the state in `block`; return (potential energy, sums over pairs)."""
    sums = pull(w.n, w.s, block, w.row_sum, w.threads)
    if w.s[FIELD_KIND] == NO_FIELD:
        return sums.potential, sums
    return sums.potential + add_field(w, block, t), sums


@reassociated
def weighted_mean(w: Any, start: Any) -> Any:
    """Return the mean of the vector at `start`, weighted with mass, and the total mass."""
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
    """Return the kinetic energy about the centre of mass; with an outer field `kinetic`, all of it."""
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
    """What a step leaves behind besides the state itself."""

    potential: float
    sums: Any
    work: float
    evaluations: int
    dt: float  # the step in time: what was asked for, but for logh


class StateEnergies(NamedTuple):
    """What is known of a state after its forces: the sums of `forces.ForceSums`, and energies."""

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
    """Return S = max(|E|, 1e-4 (K + |U|)), which energy errors are relative to: an energy of zero is an ordinary one."""
    return max(max(abs(kinetic + potential), ENERGY_FLOOR * (kinetic + abs(potential))), TINY)


@strict
def budget_time(energies: Any, scale: Any, tol: Any, order: Any, c: Any, most: Any) -> Any:
    """Return c (tol / chi)^(1/p) tau_4, at most `most` tau_4, for the energy scale S: `criteria.classical.EnergyBudget`."""
    tau = 1.0 / np.sqrt(np.sqrt(energies.rate4_sum))
    chi = energies.binding_sum / energies.rate4_sum / scale
    allowed = 1e20
    if energies.binding_sum > 0.0:
        allowed = min(tol / chi, 1e20)
    return min(c * root(allowed, order), most) * tau
