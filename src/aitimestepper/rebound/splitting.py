"""The splittings of the package with REBOUND's forces, compiled: kicks and drifts of REBOUND's particles where they are."""

from __future__ import annotations

from typing import Any

from ..simulate.kernels import plan as kernel
from ..simulate.kernels.jit import inlined, strict
from ..simulate.kernels.lanes import fma
from . import memory as of
from . import places as reb
from .calls import numbers_at, update_acceleration, words_at
from .choosing import particles_of

Words = Any
# Forces of a kick where they depend on velocities. An iteration gains the factor h |da/dv|, which is small for the drags and
# relativistic forces that such forces are: with one of them, an orbit of v/c = 0.03 had an error of 3 % in a after 20 orbits.
_KICK_FORCES = 3


@inlined
def _kick_and_drift(p: Words, n: int, kick: float, drift: float) -> None:
    for i in range(n):
        q = i * reb.PARTICLE
        for k in range(3):
            v = fma(kick, p[q + reb.A + k], p[q + reb.V + k])
            p[q + reb.V + k] = v
            p[q + reb.X + k] = fma(drift, v, p[q + reb.X + k])


@inlined
def _displace(p: Words, n: int, x: Words, h2: float) -> None:
    """Move the particles by h2 times their accelerations; x holds where they were."""
    for i in range(n):
        q = i * reb.PARTICLE
        for k in range(3):
            x[3 * i + k] = p[q + reb.X + k]
            p[q + reb.X + k] = fma(h2, p[q + reb.A + k], p[q + reb.X + k])


@inlined
def _put_back(p: Words, n: int, x: Words) -> None:
    """Put the particles back to x."""
    for i in range(n):
        for k in range(3):
            p[i * reb.PARTICLE + reb.X + k] = x[3 * i + k]


@strict
def split(r: int, own: Words, n: int, t: float, h: float) -> None:
    """Make a step of a splitting with REBOUND's forces up to its last kick; the forces at its start are known."""
    stages, floats = words_at(own[of.INTS + 1])[kernel.STAGES], numbers_at(own[of.FLOATS + 1])
    p, time, passed = particles_of(r), numbers_at(r + reb.T), 0.0
    for k in range(stages):
        displacement = floats[kernel.DISPLACEMENTS + k]
        if k > 0:
            update_acceleration(r)
        if displacement != 0.0:
            _displace(p, n, numbers_at(own[of.SPACE]), displacement * h * h)
            update_acceleration(r)
            _put_back(p, n, numbers_at(own[of.SPACE]))
        _kick_and_drift(p, n, floats[kernel.KICKS + k] * h, floats[kernel.DRIFTS + k] * h)
        passed += floats[kernel.DRIFTS + k]
        time[0] = t + passed * h
    time[0] = t + h


@inlined
def last_kick(r: int, own: Words, n: int, h: float) -> None:
    """End a step of a splitting: the force of its last kick is that of the first kick of the next step."""
    ints, floats, p = words_at(own[of.INTS + 1]), numbers_at(own[of.FLOATS + 1]), particles_of(r)
    update_acceleration(r)
    kick = floats[kernel.KICKS + ints[kernel.STAGES]] * h
    for i in range(n):
        q = i * reb.PARTICLE
        for k in range(3):
            p[q + reb.V + k] = fma(kick, p[q + reb.A + k], p[q + reb.V + k])


@inlined
def _kick(p: Words, n: int, v: Words, h: float) -> None:
    """Write the velocities v, by particle, kicked by a time h."""
    for i in range(n):
        q = i * reb.PARTICLE
        for k in range(3):
            p[q + reb.V + k] = fma(h, p[q + reb.A + k], v[3 * i + k])


@strict
def _implicit_kick(r: int, p: Words, n: int, v: Words, h: float) -> None:
    """Kick by forces that depend on velocities: those at the mean of the velocities before and after, found by iteration."""
    for i in range(n):
        for k in range(3):
            v[3 * i + k] = p[i * reb.PARTICLE + reb.V + k]
    for _ in range(_KICK_FORCES):
        update_acceleration(r)
        _kick(p, n, v, 0.5 * h)
    _kick(p, n, v, h)


@strict
def split_with_velocities(r: int, own: Words, n: int, t: float, h: float) -> None:
    """Make a whole step of a splitting with forces that depend on velocities; it stays time-reversible and of its order."""
    stages, floats = words_at(own[of.INTS + 1])[kernel.STAGES], numbers_at(own[of.FLOATS + 1])
    p, time, passed = particles_of(r), numbers_at(r + reb.T), 0.0
    x, v = numbers_at(own[of.SPACE]), numbers_at(own[of.SPACE] + 24 * n)
    for k in range(stages + 1):
        kick, displacement = floats[kernel.KICKS + k] * h, floats[kernel.DISPLACEMENTS + k]
        if displacement != 0.0:
            update_acceleration(r)
            _displace(p, n, x, displacement * h * h)
        _implicit_kick(r, p, n, v, kick)
        if displacement != 0.0:
            _put_back(p, n, x)
        if k < stages:
            _kick_and_drift(p, n, 0.0, floats[kernel.DRIFTS + k] * h)
            passed += floats[kernel.DRIFTS + k]
            time[0] = t + passed * h
