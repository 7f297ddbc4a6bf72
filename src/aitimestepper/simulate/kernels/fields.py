"""Outer fields, compiled: tides of a mass that stands or circles, and fields of the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from .callbacks import call_field
from .jit import inlined, strict
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
    OWN_FIELD,
    POSITION,
    SCRATCH,
    U2,
    U3,
)

HEAD_U = np.uint64(HEAD)


@inlined
def field_moves(w: Any) -> Any:
    """Return whether the outer field may do work: its source moves, or it is a function of the user."""
    return w.s[FIELD_KIND] == CIRCULAR or w.s[FIELD_KIND] == OWN_FIELD


@strict
def source_state(s: Any, t: Any) -> Any:
    """Return position (x, y, z) and velocity (x, y) of the mass that raises the tide, at time t."""
    if s[FIELD_KIND] == CIRCULAR:
        angle = s[FIELD_OMEGA] * t + s[FIELD_PHASE]
        cos, sin, radius = np.cos(angle), np.sin(angle), s[FIELD_RADIUS]
        speed = s[FIELD_OMEGA] * radius
        return radius * cos, radius * sin, 0.0, -speed * sin, speed * cos
    return s[FIELD_X], s[FIELD_Y], s[FIELD_Z], 0.0, 0.0


@strict
def tide(gm: Any, X: Any, Y: Any, Z: Any, x: Any, y: Any, z: Any) -> Any:
    """Return acceleration and potential at x due to a mass at X, in the frame that falls with the origin; see fields.py."""
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
    """Call the user's field for the positions at `x`; return the offsets of its accelerations, potentials and their rates."""
    n, s, a = w.n, w.s, HEAD_U + SCRATCH * w.n
    phi, rate = a + U3 * n, a + np.uint64(4) * n
    for k in range(a, a + np.uint64(5) * n):
        s[k] = 0.0
    call_field(np.float64(s[FIELD_ADDRESS]).view(np.int64), np.int64(n), t, s, x, a, phi, rate)
    return a, phi, rate


@strict
def _add_own_field(w: Any, x: Any, target: Any, t: Any) -> Any:
    """Add the accelerations of a user's field to those at `target`; return the potential energy in the field."""
    n, s, m, energy = w.n, w.s, HEAD_U + MASS * w.n, 0.0
    a, phi, _ = _own_field_at(w, x, t)
    for k in range(np.uint64(0), U3 * n):
        s[target + k] += s[a + k]
    for i in range(np.uint64(0), n):
        energy += s[m + i] * s[phi + i]
    return energy


@strict
def add_field(w: Any, block: Any, t: Any) -> Any:
    """Add the accelerations of the outer field to those in `block`; return the potential energy in the field."""
    n, s = w.n, w.s
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    if s[FIELD_KIND] == OWN_FIELD:
        return _add_own_field(w, x, a, t)
    X, Y, Z, _, _ = source_state(s, t)
    m, energy = HEAD_U + MASS * w.n, 0.0
    for i in range(np.uint64(0), n):
        ax, ay, az, potential = tide(s[FIELD_GM], X, Y, Z, s[x + i], s[x + n + i], s[x + U2 * n + i])
        s[a + i] += ax
        s[a + n + i] += ay
        s[a + U2 * n + i] += az
        energy += s[m + i] * potential
    return energy


@strict
def field_power(w: Any, block: Any, t: Any) -> Any:
    """Return the sum of m dPhi/dt, the rate at which a moving source changes the energy."""
    n, s = w.n, w.s
    m, x0 = HEAD_U + MASS * w.n, block + POSITION * U3 * n
    if s[FIELD_KIND] == OWN_FIELD:
        _, _, rate = _own_field_at(w, x0, t)
        power = 0.0
        for i in range(np.uint64(0), n):
            power += s[m + i] * s[rate + i]
        return power
    if s[FIELD_KIND] != CIRCULAR:
        return 0.0
    X, Y, Z, VX, VY = source_state(s, t)
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
