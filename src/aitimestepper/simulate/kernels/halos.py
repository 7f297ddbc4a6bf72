"""Galaxies, clusters, halos and a uniform field, compiled; see `fields.halos`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .elementary import log
from .jit import inlined, strict
from .kinds import Number, Numbers, Place
from .lanes import fma, like, sqrt, where
from .layout import (
    ACCELERATION,
    FIELD_A,
    FIELD_B,
    FIELD_C,
    FIELD_CENTRE_X,
    FIELD_CENTRE_Y,
    FIELD_CENTRE_Z,
    FIELD_GM,
    FIELD_X,
    FIELD_Y,
    FIELD_Z,
    HEAD,
    MASS,
    POSITION,
    U0,
    U2,
    U3,
)

if TYPE_CHECKING:
    from .system import SystemView

HEAD_U = np.uint64(HEAD)
TINY = float(np.finfo(np.float64).tiny)
SERIES = 12  # as in `fields.halos`


def _of_each_body(one: Callable[..., Any]) -> Any:
    """Make a term of a function of one place, (s, term, x, y, z) -> (ax, ay, az, potential), from its centre."""

    @strict
    def add(w: SystemView, term: Place, block: Place, t: Number) -> Number:
        n, s = w.n, w.s
        p, a, m = block + POSITION * U3 * n, block + ACCELERATION * U3 * n, HEAD_U + MASS * w.n
        X, Y, Z = s[term + FIELD_CENTRE_X], s[term + FIELD_CENTRE_Y], s[term + FIELD_CENTRE_Z]
        energy = like(0.0, t)
        for i in range(U0, n):
            ax, ay, az, potential = one(s, term, s[p + i] - X, s[p + n + i] - Y, s[p + U2 * n + i] - Z)
            s[a + i] += ax
            s[a + n + i] += ay
            s[a + U2 * n + i] += az
            energy = fma(s[m + i], potential, energy)
        return energy

    return add


@inlined
def _plummer(s: Numbers, term: Place, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    s2 = x * x + y * y + z * z + s[term + FIELD_A]
    potential = -s[term + FIELD_GM] / sqrt(s2)
    pull = potential / s2
    return pull * x, pull * y, pull * z, potential


@inlined
def _logarithmic(s: Numbers, term: Place, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    v2, core2 = s[term + FIELD_GM], s[term + FIELD_A]
    y_scaled, z_scaled = y * s[term + FIELD_B], z * s[term + FIELD_C]
    u = (x * x + y * y_scaled + z * z_scaled) / core2
    pull = -v2 / (core2 * (1.0 + u))
    return pull * x, pull * y_scaled, pull * z_scaled, 0.5 * v2 * log(1.0 + u)


@inlined
def _miyamoto_nagai(s: Numbers, term: Place, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    h = sqrt(z * z + s[term + FIELD_B])
    wide = s[term + FIELD_A] + h
    s2 = x * x + y * y + wide * wide
    potential = -s[term + FIELD_GM] / sqrt(s2)
    pull = potential / s2
    return pull * x, pull * y, pull * z * (wide / h), potential


@inlined
def _nfw(s: Numbers, term: Place, x: Number, y: Number, z: Number) -> tuple[Number, Number, Number, Number]:
    gm, scale = s[term + FIELD_GM], s[term + FIELD_A]
    r = sqrt(x * x + y * y + z * z + TINY)
    u = r / scale
    w, above = u / (2.0 + u), 2.0 + u
    w2 = w * w
    terms = like(1.0 / (2 * SERIES + 1), u)
    for k in range(SERIES - 1, 0, -1):
        terms = fma(w2, terms, 1.0 / (2.0 * k + 1.0))
    logarithm = log(1.0 + u)
    near = u < 0.5
    enclosed = where(near, 2.0 / (above * above) * (1.0 / (1.0 + w) + w * terms), (logarithm - u / (1.0 + u)) / (u * u))
    depth = where(near, 2.0 / above * (1.0 + w2 * terms), logarithm / u)
    pull = -gm / (scale * scale) * enclosed / r
    return pull * x, pull * y, pull * z, -gm / scale * depth


add_plummer, add_logarithmic = _of_each_body(_plummer), _of_each_body(_logarithmic)
add_miyamoto_nagai, add_nfw = _of_each_body(_miyamoto_nagai), _of_each_body(_nfw)


@strict
def add_uniform(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Add a uniform acceleration to those in a block; return the potential energy in it."""
    n, s = w.n, w.s
    p, a, m = block + POSITION * U3 * n, block + ACCELERATION * U3 * n, HEAD_U + MASS * w.n
    gx, gy, gz, energy = s[term + FIELD_X], s[term + FIELD_Y], s[term + FIELD_Z], like(0.0, t)
    for i in range(U0, n):
        s[a + i] += gx
        s[a + n + i] += gy
        s[a + U2 * n + i] += gz
        energy = fma(-s[m + i], gx * s[p + i] + gy * s[p + n + i] + gz * s[p + U2 * n + i], energy)
    return energy
