"""One step of a simulation of REBOUND, compiled: a splitting of the package, or REBOUND's own step with a length of ours."""

from __future__ import annotations

from typing import Any

from ..simulate.kernels.jit import inlined, strict
from ..simulate.kernels.lanes import is_finite
from . import memory as of
from . import places as reb
from .anchor import drop_anchor, fingerprint, leave, quiet, return_to_anchor
from .calls import complaint, halves_at, ias15_step, leapfrog_step, numbers_at, update_acceleration, whfast_step, words_at
from .choosing import AGAIN, NEXT, RESTART, TURNED, choose_by_positions, choose_step, looks_at_positions, make_space, remember
from .soundness import fits
from .splitting import last_kick, split, split_with_velocities

Words = Any

no_number = complaint(
    "aitimestepper: the step is no positive number; two particles are at the same place, or a position is not finite."
)


@strict
def _rescale(state: int, n: int, ratio: float) -> None:
    """Predict the polynomials of IAS15 for a step `ratio` times as long as the last one.

    IAS15 did so at the end of that step for one of the same length. This is its own extrapolation (Everhart 1985), from which
    the iterations of a step start: the better it is, the fewer there are.
    """
    inner = words_at(state)
    if inner[reb.IAS15_LENGTH // 8] < 3 * n:
        return
    m = 3 * n
    b, e = numbers_at(inner[reb.B // 8]), numbers_at(inner[reb.E // 8])
    b0, e0 = numbers_at(inner[reb.B_BEFORE // 8]), numbers_at(inner[reb.E_BEFORE // 8])
    for k in range(m):
        power = 1.0
        for i in range(7):
            power *= ratio
            predicted, binomial = 0.0, 1.0
            for j in range(i, 7):  # sum over j of (j + 1 choose i + 1) b_j
                predicted += binomial * b0[m * j + k]
                binomial = binomial * (j + 2) / (j + 1 - i)
            predicted *= power
            off = b0[m * i + k] - e0[m * i + k]
            e[m * i + k] = predicted if ratio <= 20.0 else 0.0
            b[m * i + k] = predicted + off if ratio <= 20.0 else 0.0


@strict
def _keep(r: int, state: int, own: Words, numbers: Words, n: int, h: float, how: int) -> None:
    """Make a step of `h` with the integrator of REBOUND that is kept."""
    kind = own[of.KIND]
    numbers_at(r + reb.DT)[0] = h
    if kind == of.LEAPFROG:
        leapfrog_step(r, state)
    elif kind == of.WHFAST:
        whfast_step(r, state)
    else:
        if numbers[of.LAST_DONE] != 0.0 and how != RESTART:
            _rescale(state, n, h / numbers[of.LAST_DONE])
        ias15_step(r, state)
        numbers[of.LAST_DONE] = h


@inlined
def _how(r: int, own: Words, numbers: Words, n: int, unknown: bool) -> int:
    """Return how the next step is to be chosen: NEXT where it is known already."""
    if n != own[of.BODIES]:
        return RESTART
    if unknown and own[of.PRINTED] != 0 and fingerprint(r, n) != own[of.PRINT]:
        return AGAIN
    return TURNED if numbers_at(r + reb.DT)[0] * numbers[of.NATURAL] < 0.0 else NEXT


@strict
def _make(r: int, state: int, own: Words, numbers: Words, n: int, how: int, unknown: bool) -> None:
    """Make the natural step, or the shorter one to where REBOUND asks for, and choose the next."""
    time, dt, splits = numbers_at(r + reb.T), numbers_at(r + reb.DT), own[of.KIND] == of.SPLITTING
    of_velocities = halves_at(r + reb.VELOCITY_DEPENDENT)[0] != 0 and words_at(r + reb.EXTRA_FORCES)[0] != 0
    before, target, natural = time[0], time[0] + dt[0], numbers[of.NATURAL]
    if own[of.ANCHORED] != 0:
        return_to_anchor(r, own, numbers, n)
    start = time[0]
    whole = (start + natural - target) * natural <= 0.0
    h, early = natural if whole else target - start, looks_at_positions(own)
    if splits and not of_velocities and (unknown or how != NEXT):
        update_acceleration(r)
    if not whole and own[of.KIND] != of.IAS15 and own[of.ANCHORED] == 0:
        drop_anchor(r, own, numbers, n)
    if whole:
        own[of.ANCHORED] = 0
        remember(own, natural)
    if not splits:
        _keep(r, state, own, numbers, n, h, how)
    elif of_velocities:
        split_with_velocities(r, own, n, start, h)
    else:
        split(r, own, n, start, h)
        if whole and early:  # while the processor waits for the divisions of the last force
            choose_by_positions(r, own, numbers, n, NEXT, natural)
        last_kick(r, own, n, h)
    time[0] = start + natural if whole else target
    if whole and not (early and splits and not of_velocities):
        choose_step(r, own, numbers, n, NEXT, natural)
    elif not whole and own[of.KIND] == of.IAS15:  # its errors are those of rounding, so that it needs no anchor
        choose_step(r, own, numbers, n, AGAIN, natural)
    dt[0], numbers_at(r + reb.DT_LAST_DONE)[0] = numbers[of.NATURAL], time[0] - before
    if whole and halves_at(r + reb.STATUS)[0] == reb.LAST_STEP:
        halves_at(r + reb.STATUS)[0] = reb.RUNNING  # it was shorter than REBOUND allowed for


@strict
def step(r: int, state: int) -> None:
    """Make a step of a simulation, or only choose its first one."""
    own, numbers = words_at(state + 8 * of.BASE), numbers_at(state + 8 * of.BASE)
    status, dt = halves_at(r + reb.STATUS), numbers_at(r + reb.DT)
    if not fits(r, state, own):
        status[0] = reb.ERROR
        return
    n, alone = words_at(r + reb.N)[0], quiet(r)
    unknown = own[of.SETTLED] == 0 or not alone
    halves_at(r + reb.IGNORED_TERMS)[0] = 0
    make_space(own, n)
    how = _how(r, own, numbers, n, unknown)
    if how != NEXT:
        own[of.ANCHORED], own[of.BODIES] = 0, n
        choose_step(r, own, numbers, n, how, dt[0])
    natural = numbers[of.NATURAL]
    if own[of.ONLY_CHOOSE] != 0:
        dt[0] = natural
    elif is_finite(natural) and natural != 0.0:
        _make(r, state, own, numbers, n, how, unknown)
    else:
        no_number(r)
        status[0] = reb.ERROR
        return
    leave(r, own, n, alone)
