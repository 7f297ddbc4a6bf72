"""One system as the kernels see it: its bodies, its outer field, and the forces of both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .forces import pull
from .jit import inlined, reassociated, strict
from .layout import (
    ACCELERATION,
    CIRCULAR,
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
    POSITION,
    SCRATCH,
    U2,
    U3,
    VELOCITY,
)


class SystemView(NamedTuple):
    """One system, as small as a call can pass it."""

    n: Any  # bodies, unsigned
    s: Any  # everything about the system, see `layout`
    row_sum: Any  # where the pair sum puts its row sums; 0: it makes no sums over pairs
    threads: Any


@inlined
def mass_at(w: Any) -> Any:
    """Where the masses lie."""
    return np.uint64(HEAD) + MASS * w.n


@inlined
def gm_at(w: Any) -> Any:
    """Where G times the masses lies."""
    return np.uint64(HEAD) + GM * w.n


@inlined
def work_at(w: Any) -> Any:
    """Where 12 n numbers of scratch lie."""
    return np.uint64(HEAD) + SCRATCH * w.n


@strict
def place_of_source(s: Any, t: Any) -> Any:
    """Where the mass is that raises the tide, and how fast it moves."""
    if s[FIELD_KIND] == CIRCULAR:
        angle = s[FIELD_OMEGA] * t + s[FIELD_PHASE]
        cos, sin, radius = np.cos(angle), np.sin(angle), s[FIELD_RADIUS]
        speed = s[FIELD_OMEGA] * radius
        return radius * cos, radius * sin, 0.0, -speed * sin, speed * cos
    return s[FIELD_X], s[FIELD_Y], s[FIELD_Z], 0.0, 0.0


@strict
def tide(gm: Any, X: Any, Y: Any, Z: Any, x: Any, y: Any, z: Any) -> Any:
    """(acceleration, potential) at x of a mass at X, in the frame that falls with the origin; see physics.external."""
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
def add_field(w: Any, block: Any, t: Any) -> Any:
    """Accelerations by the outer field added to those in `block`; returns the potential energy in it."""
    n, s = w.n, w.s
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
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
    """Sum of m dPhi/dt: the rate at which a moving source changes the energy."""
    n, s = w.n, w.s
    if s[FIELD_KIND] != CIRCULAR:
        return 0.0
    m = mass_at(w)
    x0 = block + POSITION * U3 * n
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
    """All accelerations of the state in `block`; (potential energy, sums over pairs)."""
    sums = pull(w.n, w.s, block, w.row_sum, w.threads)
    if w.s[FIELD_KIND] == NO_FIELD:
        return sums.potential, sums
    return sums.potential + add_field(w, block, t), sums


@reassociated
def kinetic_energy(w: Any, block: Any) -> Any:
    """Of the state in `block`."""
    n, s = w.n, w.s
    v, m = block + VELOCITY * U3 * n, mass_at(w)
    energy = 0.0
    for i in range(np.uint64(0), n):
        vx, vy, vz = s[v + i], s[v + n + i], s[v + U2 * n + i]
        energy += s[m + i] * (vx * vx + vy * vy + vz * vz)
    return 0.5 * energy
