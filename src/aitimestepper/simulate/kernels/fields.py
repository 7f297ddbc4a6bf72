"""Outer fields, compiled: tides of a mass that stands or circles, and fields of the user's own.

All systems of a run have the same field, each at its own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .callbacks import call_field
from .jit import by_width, inlined, strict
from .kinds import Flag, Number, Numbers, Place
from .lanes import cosine, first_of, fma, like, sine, sqrt, where
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
    HEAD,
    MASS,
    NO_FIELD,
    OWN_FIELD,
    POSITION,
    SCRATCH,
    TIME_SIGN,
    U0,
    U2,
    U3,
)

if TYPE_CHECKING:
    from .system import SystemView

HEAD_U = np.uint64(HEAD)


@inlined
def has_field(w: SystemView) -> bool:
    """Return whether an outer field acts."""
    return first_of(w.s[FIELD_KIND]) != NO_FIELD


@inlined
def field_moves(w: SystemView) -> bool:
    """Return whether the outer field may do work: its source moves, or it is a function of the user."""
    return first_of(w.s[FIELD_KIND]) in (CIRCULAR, OWN_FIELD)


@strict
def source_state(s: Numbers, t: Number) -> tuple[Number, Number, Number, Number, Number]:
    """Return position (x, y, z) and velocity (x, y) of the mass that raises the tide, at time t."""
    if first_of(s[FIELD_KIND]) == CIRCULAR:
        rate = s[FIELD_OMEGA] * s[TIME_SIGN]
        angle = fma(rate, t, s[FIELD_PHASE])
        cos, sin, radius = cosine(angle), sine(angle), s[FIELD_RADIUS]
        speed = rate * radius
        return radius * cos, radius * sin, like(0.0, t), -speed * sin, speed * cos
    return s[FIELD_X], s[FIELD_Y], s[FIELD_Z], like(0.0, t), like(0.0, t)


@strict
def tide(gm: Number, X: Number, Y: Number, Z: Number, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    """Return acceleration and potential at x due to a mass at X, in the frame that falls with the origin; see fields.py."""
    R2 = X * X + Y * Y + Z * Z
    x2 = x * x + y * y + z * z
    u = (x * X + y * Y + z * Z) / R2
    q = x2 / R2 - 2.0 * u
    dx, dy, dz = X - x, Y - y, Z - z
    s = sqrt((dx * dx + dy * dy + dz * dz) / R2)
    s3 = s * s * s
    R = sqrt(R2)
    scale = -gm / (R2 * R * s3)
    w = x2 / R2
    potential = gm / R * ((w + u * q * (2.0 + s) / (1.0 + s)) / (s * (1.0 + s)))
    near: Flag = s < 0.5
    grow = q * (3.0 + q * (3.0 + q)) / (1.0 + s3)
    ax = scale * where(near, X * s3 - dx, x + X * grow)
    ay = scale * where(near, Y * s3 - dy, y + Y * grow)
    az = scale * where(near, Z * s3 - dz, z + Z * grow)
    return ax, ay, az, potential


# ---- a field of the user's own: of one system at a time ------------------------------------------------------------------
@strict
def _own_field_at(w: SystemView, x: Place, t: Number) -> tuple[Place, Place, Place]:
    """Call the user's field for the positions at `x`; return the offsets of its accelerations, potentials and their rates."""
    n, s, a = w.n, w.s, HEAD_U + SCRATCH * w.n
    phi, rate = a + U3 * n, a + np.uint64(4) * n
    for k in range(a, a + np.uint64(5) * n):
        s[k] = 0.0
    call_field(np.float64(s[FIELD_ADDRESS]).view(np.int64), np.int64(n), t * s[TIME_SIGN], s, x, a, phi, rate)
    return a, phi, rate


@strict
def _add_own_field(w: SystemView, x: Place, target: Place, t: Number) -> Number:
    """Add the accelerations of a user's field to those at `target`; return the potential energy in the field."""
    n, s, m, energy = w.n, w.s, HEAD_U + MASS * w.n, 0.0
    a, phi, _ = _own_field_at(w, x, t)
    for k in range(U0, U3 * n):
        s[target + k] += s[a + k]
    for i in range(U0, n):
        energy += s[m + i] * s[phi + i]
    return energy


@strict
def _own_field_power(w: SystemView, x: Place, t: Number) -> Number:
    n, s, m = w.n, w.s, HEAD_U + MASS * w.n
    _, _, rate = _own_field_at(w, x, t)
    power = 0.0
    for i in range(U0, n):
        power += s[m + i] * s[rate + i]
    return power * s[TIME_SIGN]


# ---- the fields of the package -------------------------------------------------------------------------------------------
@strict
def _add_tide(w: SystemView, block: Place, t: Number) -> Number:
    n, s = w.n, w.s
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    X, Y, Z, _, _ = source_state(s, t)
    m, energy = HEAD_U + MASS * w.n, like(0.0, t)
    for i in range(U0, n):
        ax, ay, az, potential = tide(s[FIELD_GM], X, Y, Z, s[x + i], s[x + n + i], s[x + U2 * n + i])
        s[a + i] += ax
        s[a + n + i] += ay
        s[a + U2 * n + i] += az
        energy = fma(s[m + i], potential, energy)
    return energy


@strict
def _tide_power(w: SystemView, block: Place, t: Number) -> Number:
    n, s = w.n, w.s
    if first_of(s[FIELD_KIND]) != CIRCULAR:
        return like(0.0, t)
    m, x0 = HEAD_U + MASS * w.n, block + POSITION * U3 * n
    X, Y, Z, VX, VY = source_state(s, t)
    R2 = X * X + Y * Y + Z * Z
    pull3 = s[FIELD_GM] / (R2 * sqrt(R2))
    power = like(0.0, t)
    for i in range(U0, n):
        x, y, z = s[x0 + i], s[x0 + n + i], s[x0 + U2 * n + i]
        ax, ay, _, _ = tide(s[FIELD_GM], X, Y, Z, x, y, z)
        u3 = 3.0 * (x * X + y * Y + z * Z) / R2
        # dPhi/dR = a + GM (x - 3 (x.R) R / R^2) / R^3
        power = fma(s[m + i], (ax + pull3 * (x - u3 * X)) * VX + (ay + pull3 * (y - u3 * Y)) * VY, power)
    return power


@strict
def _add_any(w: SystemView, block: Place, t: Number) -> Number:
    if w.s[FIELD_KIND] == OWN_FIELD:
        return _add_own_field(w, block + POSITION * U3 * w.n, block + ACCELERATION * U3 * w.n, t)
    return _add_tide(w, block, t)


@strict
def _any_power(w: SystemView, block: Place, t: Number) -> Number:
    if w.s[FIELD_KIND] == OWN_FIELD:
        return _own_field_power(w, block + POSITION * U3 * w.n, t)
    return _tide_power(w, block, t)


# add the accelerations of the outer field to those in a block, and return the potential energy in the field; and the sum of
# m dPhi/dt, the rate at which a moving source changes the energy
add_field = by_width(_add_any, _add_tide, _add_any)
field_power = by_width(_any_power, _tide_power, _any_power)
