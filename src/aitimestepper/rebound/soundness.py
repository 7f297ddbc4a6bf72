"""Whether the memory of an integrator, which may come from a file, is one that compiled code can work with."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..simulate.kernels import layout as at
from ..simulate.kernels import plan as kernel
from ..simulate.kernels.jit import strict
from . import memory as of
from . import places as reb
from .calls import complaint, halves_at, words_at

Words = Any
_MOST = 100_000  # inputs, or units of a layer, of a network
_LEAST_INPUTS = (11, 23, 11, 9)  # of basic, rich, transitions and invariant

not_attached = complaint(
    "aitimestepper: this integrator has no criterion in this simulation, or one of another version of aitimestepper: call "
    "aitimestepper.rebound.attach."
)
variational = complaint("aitimestepper: variational particles are not supported: use IAS15 or WHFast for them.")
other_gravity = complaint("aitimestepper: only the gravity 'basic' and 'compensated' is supported.")
unsafe = complaint("aitimestepper: WHFast with steps that change needs safe_mode = 1.")


@strict
def _network_fits(own: Words) -> bool:
    """Return whether a network has as many numbers as its widths say."""
    length, shape = own[of.SHAPE], words_at(own[of.SHAPE + 1])
    if length < kernel.WIDTHS:
        return False
    layers, inputs, fourier = shape[kernel.LAYERS], shape[kernel.INPUTS], shape[kernel.FOURIER]
    slot, space = shape[kernel.SLOT], shape[kernel.SCRATCH_SIZE]
    if layers != length - kernel.WIDTHS or shape[kernel.HISTORY] != 0:
        return False
    if not (0 < inputs < _MOST and 0 <= fourier < _MOST and 0 <= slot <= inputs and 0 < space < 8 * _MOST):
        return False
    features = shape[kernel.FEATURES]
    if not kernel.BASIC <= features <= kernel.INVARIANT or inputs < _LEAST_INPUTS[features]:
        return False
    width, widest = inputs + 2 * fourier, np.int64(8)
    first, total = width, kernel.SCALES + slot + 2 * inputs + inputs * fourier
    for layer in range(layers):
        outputs = shape[kernel.WIDTHS + layer]
        if not 0 < outputs < _MOST or outputs % 8 != 0:
            return False
        total += (width + 1) * outputs
        width, widest = outputs, max(widest, outputs)
    return own[of.NET] == total + 2 * (width + 1) and space >= max(first + 2 * widest, 16)


@strict
def _arrays_fit(own: Words, n: int) -> bool:
    """Return whether all arrays have the lengths that the kernels count on."""
    if own[of.FORMAT] != of.FORMAT_NUMBER or own[of.INTS] < kernel.WRAPS or own[of.REAL] != at.REALS:
        return False
    ints = words_at(own[of.INTS + 1])
    wraps, kind = ints[kernel.WRAP_COUNT], ints[kernel.KIND]
    if not 0 <= wraps <= 8 or own[of.INTS] != kernel.WRAPS + wraps:
        return False
    if own[of.FLOATS] != kernel.WRAP_NUMBERS + 2 * wraps or own[of.RULE] != kernel.RULE_NUMBERS:
        return False
    if own[of.MEMORY] != 2 * kernel.WRAP_MEMORY * max(1, wraps) or not 1 <= ints[kernel.STAGES] <= kernel.MOST_STAGES:
        return False
    if not 0 <= kind <= kernel.LAST_TERM or ints[kernel.BASE] != kernel.PLAIN:
        return False
    if own[of.ANCHORED] != 0 and own[of.ANCHOR] != 9 * n and own[of.BODIES] == n:
        return False
    return kind != kernel.LEARNED or _network_fits(own)


@strict
def fits(r: int, state: int, own: Words) -> bool:
    """Return whether a step can be made; if not, REBOUND is told why."""
    if own[of.CHECKED] == 0:
        if not _arrays_fit(own, words_at(r + reb.N)[0]):
            not_attached(r)
            return False
        own[of.CHECKED] = 1
    if words_at(r + reb.N_VARIATIONAL)[0] != 0:
        variational(r)
        return False
    gravity = halves_at(r + reb.GRAVITY)[0]
    if own[of.KIND] == of.SPLITTING and gravity != reb.BASIC and gravity != reb.COMPENSATED:
        other_gravity(r)
        return False
    if own[of.KIND] == of.WHFAST and halves_at(state + reb.SAFE_MODE)[0] != 1:
        unsafe(r)
        return False
    return True
