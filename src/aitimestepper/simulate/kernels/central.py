"""Forces of one body on all others and back, besides gravity, compiled; see `fields.between`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .jit import strict
from .kinds import Number, Numbers, Place
from .lanes import first_of, fma, like, sqrt, where
from .layout import (
    ACCELERATION,
    FIELD_AXIS_X,
    FIELD_AXIS_Y,
    FIELD_AXIS_Z,
    FIELD_BODY,
    FIELD_STRENGTH,
    HEAD,
    MASS,
    OBLATENESS,
    POSITION,
    U0,
    U2,
    U3,
)

if TYPE_CHECKING:
    from .system import SystemView

HEAD_U = np.uint64(HEAD)


@strict
def _oblateness(s: Numbers, term: Place, x: Number, y: Number, z: Number, r2: Number) -> tuple[Number, Number, Number, Number]:
    """Return minus the gradient of g, and g, for the energy M m g at a place from the body."""
    X, Y, Z = s[term + FIELD_AXIS_X], s[term + FIELD_AXIS_Y], s[term + FIELD_AXIS_Z]
    inverse2 = 1.0 / r2
    cube = s[term + FIELD_STRENGTH] * inverse2 * sqrt(inverse2)
    height = x * X + y * Y + z * Z
    s2 = height * height * inverse2
    pull, along, up = cube * inverse2, 15.0 * s2 - 3.0, 6.0 * height
    return pull * (x * along - up * X), pull * (y * along - up * Y), pull * (z * along - up * Z), cube * (3.0 * s2 - 1.0)


@strict
def _precession(
    s: Numbers, term: Place, mass: Number, x: Number, y: Number, z: Number, r2: Number
) -> tuple[Number, Number, Number, Number]:
    g = -s[term + FIELD_STRENGTH] * mass / r2
    pull = 2.0 * g / r2
    return pull * x, pull * y, pull * z, g


@strict
def add_central(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Add the accelerations of a force between a body and all others to those in a block; return its potential energy."""
    n, s, kind = w.n, w.s, first_of(w.s[term])
    p, a, m, b = (
        block + POSITION * U3 * n,
        block + ACCELERATION * U3 * n,
        HEAD_U + MASS * w.n,
        np.uint64(first_of(s[term + FIELD_BODY])),
    )
    X, Y, Z, M = s[p + b], s[p + n + b], s[p + U2 * n + b], s[m + b]
    bx, by, bz, energy = like(0.0, t), like(0.0, t), like(0.0, t), like(0.0, t)
    for i in range(U0, n):
        if i == b:
            continue
        x, y, z, mass = s[p + i] - X, s[p + n + i] - Y, s[p + U2 * n + i] - Z, s[m + i]
        r2 = x * x + y * y + z * z
        apart = r2 > 0.0
        r2 = where(apart, r2, 1.0)
        if kind == OBLATENESS:
            ax, ay, az, g = _oblateness(s, term, x, y, z, r2)
        else:
            ax, ay, az, g = _precession(s, term, M, x, y, z, r2)
        ax, ay, az, g = where(apart, ax, 0.0), where(apart, ay, 0.0), where(apart, az, 0.0), where(apart, g, 0.0)
        s[a + i] += M * ax
        s[a + n + i] += M * ay
        s[a + U2 * n + i] += M * az
        bx, by, bz = fma(mass, ax, bx), fma(mass, ay, by), fma(mass, az, bz)
        energy = fma(mass, M * g, energy)
    s[a + b] -= bx
    s[a + n + b] -= by
    s[a + U2 * n + b] -= bz
    return energy
