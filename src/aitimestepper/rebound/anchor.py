"""Who touched the particles, and the place from which the run goes on after an output, compiled.

REBOUND shortens the step before an output time. The run then makes that short step aside: the particles at its start are the
anchor, from which the run goes on with its natural step when it is continued. Any number of outputs therefore leaves the bits
of the run as they are, and its symmetric steps symmetric.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..simulate.kernels.jit import inlined, strict
from . import memory as of
from . import places as reb
from .calls import calloc, halves_at, numbers_at, release, words_at
from .choosing import particles_of

Words = Any
_ODD = np.int64(-7046029254386353131)  # 2^64 over the golden ratio
_NUMBERS = 9  # of each particle at the anchor: position, velocity, acceleration


# ---- who touched the particles ----------------------------------------------------------------------------------------------
@inlined
def quiet(r: int) -> bool:
    """Return whether nothing but our steps can touch the particles between two steps."""
    return (
        words_at(r + reb.HEARTBEAT)[0] == 0
        and words_at(r + reb.BEFORE_STEP)[0] == 0
        and words_at(r + reb.AFTER_STEP)[0] == 0
        and words_at(r + reb.ARCHIVE)[0] == 0
        and halves_at(r + reb.COLLISION)[0] == 0
        and halves_at(r + reb.BOUNDARY)[0] == 0
        and halves_at(r + reb.DID_MODIFY)[0] == 0
    )


@strict
def fingerprint(r: int, n: int) -> int:
    """Return 64 bits that change with positions, velocities and masses of the particles, with G and with softening."""
    p, G, soft = words_at(words_at(r + reb.PARTICLES)[0]), words_at(r + reb.G)[0], words_at(r + reb.SOFTENING)[0]
    total, factor = (G ^ (G >> 32)) * _ODD + (soft ^ (soft >> 32)), _ODD
    for i in range(n):
        q = i * reb.PARTICLE
        for k in range(6):
            bits = p[q + reb.X + k]
            factor += _ODD + _ODD
            total += (bits ^ (bits >> 32)) * factor  # so that the signs of two velocities do not cancel
        factor += _ODD + _ODD
        total += (p[q + reb.M] ^ (p[q + reb.M] >> 32)) * factor
    return total


# ---- anchor -----------------------------------------------------------------------------------------------------------------
@strict
def drop_anchor(r: int, own: Words, numbers: Words, n: int) -> None:
    """Keep the particles, to go on from them after a step aside."""
    if own[of.ANCHOR] != _NUMBERS * n:
        release(own[of.ANCHOR + 1])
        own[of.ANCHOR + 1], own[of.ANCHOR] = calloc(_NUMBERS * n, 8), _NUMBERS * n
    p, kept = particles_of(r), numbers_at(own[of.ANCHOR + 1])
    for i in range(n):
        for k in range(_NUMBERS):
            kept[_NUMBERS * i + k] = p[reb.PARTICLE * i + reb.X + k]
    own[of.ANCHORED], numbers[of.ANCHOR_TIME] = 1, numbers_at(r + reb.T)[0]


@strict
def return_to_anchor(r: int, own: Words, numbers: Words, n: int) -> None:
    """Put the particles back to where the run goes on."""
    p, kept = particles_of(r), numbers_at(own[of.ANCHOR + 1])
    for i in range(n):
        for k in range(_NUMBERS):
            p[reb.PARTICLE * i + reb.X + k] = kept[_NUMBERS * i + k]
    numbers_at(r + reb.T)[0] = numbers[of.ANCHOR_TIME]


@inlined
def leave(r: int, own: Words, n: int, alone: bool) -> None:
    """Note how the particles were left."""
    own[of.STEP_INDEX], own[of.SETTLED] = words_at(r + reb.STEPS_DONE)[0] + 1, 1
    if alone:
        own[of.PRINTED] = 0
    else:
        own[of.PRINT], own[of.PRINTED] = fingerprint(r, n), 1
