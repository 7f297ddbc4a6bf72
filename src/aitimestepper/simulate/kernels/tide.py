"""The tide of a mass outside that stands or circles, compiled; see `fields.tidal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .jit import strict
from .kinds import Flag, Number, Numbers, Place
from .lanes import cosine, first_of, fma, like, sine, sqrt, where
from .layout import (
    ACCELERATION,
    CIRCULAR,
    FIELD_GM,
    FIELD_OMEGA,
    FIELD_PHASE,
    FIELD_RADIUS,
    FIELD_X,
    FIELD_Y,
    FIELD_Z,
    HEAD,
    MASS,
    POSITION,
    TIME_SIGN,
    U0,
    U2,
    U3,
)

if TYPE_CHECKING:
    from .system import SystemView

HEAD_U = np.uint64(HEAD)


@strict
def source_state(s: Numbers, term: Place, t: Number) -> tuple[Number, Number, Number, Number, Number]:
    """Return position (x, y, z) and velocity (x, y) of the mass that raises the tide, at time t."""
    if first_of(s[term]) == CIRCULAR:
        rate = s[term + FIELD_OMEGA] * s[TIME_SIGN]
        angle = fma(rate, t, s[term + FIELD_PHASE])
        cos, sin, radius = cosine(angle), sine(angle), s[term + FIELD_RADIUS]
        speed = rate * radius
        return radius * cos, radius * sin, like(0.0, t), -speed * sin, speed * cos
    return s[term + FIELD_X], s[term + FIELD_Y], s[term + FIELD_Z], like(0.0, t), like(0.0, t)


@strict
def tide(gm: Number, X: Number, Y: Number, Z: Number, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    """Return acceleration and potential at x due to a mass at X, in the frame that falls with the origin; see fields."""
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


@strict
def add_tide(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Add the accelerations of the tide to those in a block; return the potential energy in it."""
    n, s = w.n, w.s
    x, a = block + POSITION * U3 * n, block + ACCELERATION * U3 * n
    X, Y, Z, _, _ = source_state(s, term, t)
    m, gm, energy = HEAD_U + MASS * w.n, s[term + FIELD_GM], like(0.0, t)
    for i in range(U0, n):
        ax, ay, az, potential = tide(gm, X, Y, Z, s[x + i], s[x + n + i], s[x + U2 * n + i])
        s[a + i] += ax
        s[a + n + i] += ay
        s[a + U2 * n + i] += az
        energy = fma(s[m + i], potential, energy)
    return energy


@strict
def tide_power(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Return the sum of m dPhi/dt, the rate at which the moving source changes the energy."""
    n, s = w.n, w.s
    if first_of(s[term]) != CIRCULAR:
        return like(0.0, t)
    m, x0, gm = HEAD_U + MASS * w.n, block + POSITION * U3 * n, s[term + FIELD_GM]
    X, Y, Z, VX, VY = source_state(s, term, t)
    R2 = X * X + Y * Y + Z * Z
    pull3 = gm / (R2 * sqrt(R2))
    power = like(0.0, t)
    for i in range(U0, n):
        x, y, z = s[x0 + i], s[x0 + n + i], s[x0 + U2 * n + i]
        ax, ay, _, _ = tide(gm, X, Y, Z, x, y, z)
        u3 = 3.0 * (x * X + y * Y + z * Z) / R2
        # dPhi/dR = a + GM (x - 3 (x.R) R / R^2) / R^3
        power = fma(s[m + i], (ax + pull3 * (x - u3 * X)) * VX + (ay + pull3 * (y - u3 * Y)) * VY, power)
    return power
