"""Fields and forces of the user's own, called by address: of one system at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .callbacks import call_field, call_velocity_force
from .jit import strict
from .kinds import Number, Place
from .layout import (
    ACCELERATION,
    FIELD_ADDRESS,
    HEAD,
    MASS,
    POSITION,
    SCRATCH,
    TIME_SIGN,
    U0,
    U3,
    VELOCITY,
    VELOCITY_FORCE,
)

if TYPE_CHECKING:
    from .system import SystemView

HEAD_U, U4, U5 = np.uint64(HEAD), np.uint64(4), np.uint64(5)


@strict
def _call(w: SystemView, term: Place, block: Place, t: Number) -> Place:
    """Call the user's function for the state in a block.

    Return the offset of its accelerations, its potentials and their rates; of a velocity-dependent force the latter are zero.
    """
    n, s, a = w.n, w.s, HEAD_U + SCRATCH * w.n
    for k in range(a, a + U5 * n):
        s[k] = 0.0
    address, x = np.float64(s[term + FIELD_ADDRESS]).view(np.int64), block + POSITION * U3 * n
    sign, v, given = s[TIME_SIGN], block + VELOCITY * U3 * n, a + U5 * n
    if s[term] == VELOCITY_FORCE:
        for k in range(U0, U3 * n):  # those of the motion, also in a run backward in time
            s[given + k] = sign * s[v + k]
        call_velocity_force(address, np.int64(n), sign * t, s, HEAD_U + MASS * n, x, given, a)
    else:
        call_field(address, np.int64(n), sign * t, s, x, a, a + U3 * n, a + U4 * n)
    return a


@strict
def add_own(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Add the accelerations by a user's function to those in a block; return the potential energy."""
    n, s, m, target, energy = w.n, w.s, HEAD_U + MASS * w.n, block + ACCELERATION * U3 * w.n, 0.0
    a = _call(w, term, block, t)
    phi = a + U3 * n
    for k in range(U0, U3 * n):
        s[target + k] += s[a + k]
    for i in range(U0, n):
        energy += s[m + i] * s[phi + i]
    return energy


@strict
def own_power(w: SystemView, term: Place, block: Place, t: Number) -> Number:
    """Return the rate at which a user's function changes the energy: m dPhi/dt, or of a velocity-dependent force m a.v."""
    n, s, m, power = w.n, w.s, HEAD_U + MASS * w.n, 0.0
    a = _call(w, term, block, t)
    if s[term] == VELOCITY_FORCE:
        v = block + VELOCITY * U3 * n
        for i in range(U0, n):
            for k in range(U0, U3):
                power += s[m + i] * (s[a + k * n + i] * s[v + k * n + i])
        return power
    rate = a + U4 * n
    for i in range(U0, n):
        power += s[m + i] * s[rate + i]
    return s[TIME_SIGN] * power
