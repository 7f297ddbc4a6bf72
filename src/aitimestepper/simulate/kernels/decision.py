"""A quick look at a system that pauses in its lane: whether its outcome may be decided, or its run goes on at once.

The criterion is that of `aitimestepper.decided`, which alone decides. Where it is met, every binary is a pair of bodies that
are nearest to each other and bound, for all others are farther than `NEAR` times its apocentre. So its conditions can be tested
without a tree of all joins.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...constants import MARGIN, MUTUAL, NEAR
from . import layout as at
from .jit import inlined, strict
from .kinds import Numbers, Place
from .lanes import scalars, width_of
from .layout import POSITION, U0, U1, U2, U3, VELOCITY
from .plan import FIRST_LOOK, LOOKS, TIDE
from .system import gm_at, scratch_at
from .workplace import Workplace

JUST = 1.0 + 1e-9  # so that rounding hides no decision
# what is known of a part: G times its mass, centre, velocity, apocentre of the binary in it, each for every body
GM, X, V, APOCENTRE = U0, U1, np.uint64(4), np.uint64(7)


class Lane(NamedTuple):
    """The numbers of the system in one lane, as if it were alone."""

    n: Place
    s: Numbers
    width: Place
    lane: Place
    block: Place  # of its state
    gm: Place
    parts: Place  # space for what is known of the parts


@inlined
def _get(w: Lane, k: Place) -> float:
    return w.s[k * w.width + w.lane]


@inlined
def _known(w: Lane, what: Place, part: Place) -> float:
    return _get(w, w.parts + what * w.n + part)


@inlined
def _note(w: Lane, what: Place, part: Place, value: float) -> None:
    w.s[(w.parts + what * w.n + part) * w.width + w.lane] = value


@strict
def _distance2(w: Lane, i: Place, j: Place) -> float:
    x, total = w.block + POSITION * U3 * w.n, 0.0
    for axis in range(U3):
        d = _get(w, x + axis * w.n + j) - _get(w, x + axis * w.n + i)
        total += d * d
    return total


@strict
def _nearest(w: Lane, i: Place) -> Place:
    """Return the body that is nearest to body i."""
    found, least = i, np.inf
    for j in range(U0, w.n):
        if j != i:
            d2 = _distance2(w, i, j)
            if d2 < least:
                found, least = j, d2
    return found


@strict
def _apocentre(w: Lane, i: Place, j: Place) -> float:
    """Return the apocentre of the orbit of two bodies, negative where they are not bound."""
    gm = _get(w, w.gm + i) + _get(w, w.gm + j)
    x, v = w.block + POSITION * U3 * w.n, w.block + VELOCITY * U3 * w.n
    r2, v2, rv = 0.0, 0.0, 0.0
    for axis in range(U3):
        dx = _get(w, x + axis * w.n + j) - _get(w, x + axis * w.n + i)
        dv = _get(w, v + axis * w.n + j) - _get(w, v + axis * w.n + i)
        r2, v2, rv = r2 + dx * dx, v2 + dv * dv, rv + dx * dv
    binding = 2.0 / math.sqrt(r2) - v2 / gm  # 1/a
    if not (gm > 0.0 and binding > 0.0):
        return -1.0
    latus = max(r2 * v2 - rv * rv, 0.0) / gm
    return (1.0 + math.sqrt(max(1.0 - latus * binding, 0.0))) / binding


@strict
def _note_part(w: Lane, part: Place, i: Place, j: Place, apocentre: float) -> None:
    """Note the part of the bodies i and j, or of one of them if they are the same."""
    first, second = _get(w, w.gm + i), _get(w, w.gm + j) if i != j else 0.0
    gm = first + second
    share = second / gm if gm > 0.0 else 0.0
    _note(w, GM, part, gm)
    _note(w, APOCENTRE, part, apocentre)
    for axis in range(U3):
        for what, vector in ((X, POSITION), (V, VELOCITY)):
            start = w.block + vector * U3 * w.n + axis * w.n
            one = _get(w, start + i)
            _note(w, what + axis, part, one + share * (_get(w, start + j) - one))


@strict
def _note_parts(w: Lane) -> Place:
    """Note all parts, binaries and single bodies, and return their number."""
    count = U0
    for i in range(U0, w.n):
        j = _nearest(w, i)
        apocentre = _apocentre(w, i, j) if j != i and _nearest(w, j) == i else -1.0
        if apocentre < 0.0:
            _note_part(w, count, i, i, 0.0)
            count += U1
        elif i < j:
            _note_part(w, count, i, j, apocentre)
            count += U1
    return count


@strict
def _leave_each_other(w: Lane, i: Place, j: Place, mutual: bool, total: float, tide: float) -> bool:
    """Return whether two parts may leave each other for good; see `decided.verdict_on`."""
    r2, v2, rv = 0.0, 0.0, 0.0
    for axis in range(U3):
        dx, dv = _known(w, X + axis, j) - _known(w, X + axis, i), _known(w, V + axis, j) - _known(w, V + axis, i)
        r2, v2, rv = r2 + dx * dx, v2 + dv * dv, rv + dx * dv
    r, gm_i, gm_j = JUST * math.sqrt(r2), _known(w, GM, i), _known(w, GM, j)
    held = MUTUAL * total if mutual else MARGIN * (gm_i + gm_j)
    own, other = _known(w, APOCENTRE, i), _known(w, APOCENTRE, j)
    apart = r >= NEAR * max(own, other)
    for apocentre, mine, its in ((own, gm_i, gm_j), (other, gm_j, gm_i)):
        apart = apart and (tide * mine * r**3 >= 2.0 * its * apocentre**3)
    return apart and rv >= 0.0 and 0.5 * v2 * r >= held


@strict
def may_be_decided(w: Lane, tide: float) -> bool:
    """Return whether the outcome of a system may be decided: True wherever `decided.verdict_on` says so."""
    count, total = _note_parts(w), 0.0
    for k in range(U0, w.n):
        total += _get(w, w.gm + k)
    for i in range(U0, count):
        for j in range(i + U1, count):
            if not _leave_each_other(w, i, j, count > U2, total, tide):
                return False
    return count > U1


@strict
def next_look(steps: int) -> int:
    """Return after how many steps a system that has made so many is looked at next."""
    unit = FIRST_LOOK
    while 2 * LOOKS * unit <= steps:
        unit *= 2
    return (steps // unit + 1) * unit


@strict
def goes_on(here: Workplace, block: Place, lane: Place, look_until: float) -> bool:
    """Let a system that pauses to be looked at go on until the next look, unless its outcome may be decided.

    block: of its state. look_until: number of steps up to which it pauses only to be looked at.
    """
    view, counts, system = here.w, scalars(here.row.count), scalars(here.row.system)
    width = width_of(view.s)
    steps = counts[np.uint64(at.STEPS) * width + lane]
    if steps >= look_until:
        return False
    w = Lane(view.n, scalars(view.s), width, lane, block, gm_at(view), scratch_at(view))
    if may_be_decided(w, here.plan.floats[TIDE]):
        return False
    system[np.uint64(at.STEP_LIMIT) * width + lane] = min(look_until, np.float64(next_look(steps)))
    counts[np.uint64(at.STATUS) * width + lane] = at.RUNNING
    return True
