"""Choosing the step from a state: the criterion, then the wrappers around it."""

from __future__ import annotations

import numpy as np

from ...constants import HUAYNO_PROBE
from . import layout as at
from .callbacks import call_criterion
from .jit import by_width, inlined, strict
from .kinds import Flag, Number, Numbers, Place
from .lanes import any_of, flag_like, fma, is_finite, larger, like, no, smaller, sqrt, where
from .layout import ACCELERATION, POSITION, TIME_SIGN, U0, U3, VELOCITY
from .network import StepChoice, learned_step
from .plan import (
    ADDRESS,
    BASE,
    EPSILON,
    HMM,
    HUAYNO,
    KIND,
    LAST_TERM,
    LEARNED,
    LIMITED,
    METHOD,
    OWN_CRITERION,
    PRS23,
    RADAU,
    TRIALS,
    VALUE,
    WRAP_COUNT,
    WRAP_MEMORY,
    WRAP_NUMBERS,
    WRAPS,
    Net,
    Plan,
    SystemRow,
)
from .radau_dt import radau_first_dt
from .rules import classical_step
from .stepping import step
from .system import StateEnergies, SystemView, forces, kinetic_energy, mass_at


@inlined
def plain_choice(dt: Number) -> StepChoice:
    """Return a step that was chosen without a network."""
    never = flag_like(False, dt)
    return StepChoice(dt, like(-np.inf, dt), never, never)


@strict
def _known_step(
    w: SystemView,
    block: Place,
    last: Place,
    t: Number,
    row: SystemRow,
    plan: Plan,
    net: Net,
    energies: StateEnergies,
    work: Number,
) -> StepChoice:
    """Return the step of a criterion of the package at a state, before any wrapper; `work`: that of a moving field so far."""
    if plan.ints[KIND] == LEARNED:
        change = energies.kinetic + energies.potential - work - row.real[at.ENERGY_START]
        return learned_step(w, block, net, row.rule, energies, change, row.real[at.ENERGY_SCALE], row.window, last)
    return plain_choice(classical_step(w, block, plan.ints[KIND], row.rule, energies, row.real[at.ENERGY_SCALE]))


@strict
def _any_step(
    w: SystemView,
    block: Place,
    last: Place,
    t: Number,
    row: SystemRow,
    plan: Plan,
    net: Net,
    energies: StateEnergies,
    work: Number,
) -> StepChoice:
    if plan.ints[KIND] == OWN_CRITERION:  # a function of the user's own is called for one system at a time
        d, x = U3 * w.n, block + POSITION * U3 * w.n
        v, a = x + VELOCITY * d, x + ACCELERATION * d
        dt = call_criterion(plan.ints[ADDRESS], np.int64(w.n), t * w.s[TIME_SIGN], w.s, mass_at(w), x, v, a, row.rule[VALUE])
        return plain_choice(dt)
    return _known_step(w, block, last, t, row, plan, net, energies, work)


base_step = by_width(_any_step, _known_step, _any_step)


@inlined
def _base_step_at(w: SystemView, block: Place, last: Place, t: Number, row: SystemRow, plan: Plan, net: Net) -> Number:
    """Compute the forces of the state in `block`, and return the criterion's step there."""
    potential, sums = forces(w, block, t)
    energies = StateEnergies(
        potential, kinetic_energy(w, block), sums.rate2_sum, sums.rate4_sum, sums.rate8_sum, sums.binding_sum
    )
    return base_step(w, block, last, t, row, plan, net, energies, row.real[at.WORK]).dt


@strict
def _displaced(w: SystemView, block: Place, target: Place, h: Number) -> None:
    """Write x + h v and v + h a of the state in `block` into `target`."""
    s, d = w.s, U3 * w.n
    x, v, a = block + POSITION * d, block + VELOCITY * d, block + ACCELERATION * d
    for k in range(U0, d):
        s[target + POSITION * d + k] = fma(h, s[v + k], s[x + k])
        s[target + VELOCITY * d + k] = fma(h, s[a + k], s[v + k])


@strict
def _huayno(w: SystemView, block: Place, scratch_block: Place, tau: Number, row: SystemRow, plan: Plan, net: Net) -> Number:
    """Return tau / (1 - 1/2 dtau/dt); the rate dtau/dt is a central difference along the motion, limited to at most 1."""
    h, t = HUAYNO_PROBE * tau, row.real[at.TIME]
    before, after = tau, tau
    for side in range(2):
        shift = h if side == 0 else -h
        _displaced(w, block, scratch_block, shift)
        before, after = after, _base_step_at(w, scratch_block, block, t + shift, row, plan, net)
    rate = (before - after) / (2.0 * h)  # the first of the two was ahead
    return where(is_finite(rate), tau / (1.0 - 0.5 * smaller(rate, 1.0)), tau)


@strict
def _mean_of_both_ends(
    w: SystemView, old: Place, scratch_block: Place, tau: Number, row: SystemRow, plan: Plan, net: Net, fresh: Flag
) -> Number:
    """Return dt = (tau(t) + tau(t + dt)) / 2, found by iteration (Hut, Makino & McMillan)."""
    dt = tau
    for _ in range(plan.ints[TRIALS]):
        done = step(w, old, scratch_block, scratch_block, row, plan, dt, False)
        work = row.real[at.WORK] + done.work
        energies = StateEnergies(
            done.potential,
            kinetic_energy(w, scratch_block),
            done.sums.rate2_sum,
            done.sums.rate4_sum,
            done.sums.rate8_sum,
            done.sums.binding_sum,
        )
        tau_end = base_step(w, scratch_block, old, row.real[at.TIME] + done.dt, row, plan, net, energies, work).dt
        dt = 0.5 * (tau + where(is_finite(tau_end), tau_end, tau))
        row.count[at.FORCES] += where(fresh, done.evaluations, 0)
    return dt


@inlined
def method_chooses_step(plan: Plan) -> bool:
    """Return whether the Gauss-Radau method chooses its steps itself, from its own polynomial."""
    kind = plan.ints[KIND]
    return plan.ints[METHOD] == RADAU and kind in (PRS23, LAST_TERM)


@strict
def _first_choice(w: SystemView, trial: SystemView, old: Place, new: Place, row: SystemRow, plan: Plan, net: Net) -> StepChoice:
    """Return the step before any wrapper: of the method, if it chooses its steps itself, else of the criterion."""
    r = row.real
    if method_chooses_step(plan):
        dt = r[at.RADAU_DT]
        if any_of(no(dt > 0.0)):
            dt = where(dt > 0.0, dt, radau_first_dt(trial, old, row.rule[EPSILON]))
        return plain_choice(dt)
    energies = StateEnergies(
        r[at.POTENTIAL], r[at.KINETIC], r[at.RATE2_SUM], r[at.RATE4_SUM], r[at.RATE8_SUM], r[at.BINDING_SUM]
    )
    return base_step(w, old, new, r[at.TIME], row, plan, net, energies, r[at.WORK])


@strict
def choose(
    w: SystemView,
    trial: SystemView,
    old: Place,
    new: Place,
    scratch_block: Place,
    row: SystemRow,
    plan: Plan,
    net: Net,
    fresh: Flag,
) -> StepChoice:
    """Return the step from the state in `old` with all wrappers applied; `new` still holds the state before `old`.

    fresh: where no step from this state was rejected; there the wrappers remember what they are told.
    """
    choice = _first_choice(w, trial, old, new, row, plan, net)
    dt = choice.dt
    if plan.ints[BASE] == HUAYNO:
        dt = _huayno(trial, old, scratch_block, dt, row, plan, net)
    elif plan.ints[BASE] == HMM:
        dt = _mean_of_both_ends(trial, old, scratch_block, dt, row, plan, net, fresh)
    if plan.ints[WRAP_COUNT] > 0:
        dt = wrapped(dt, row.memory, plan, fresh)
    return StepChoice(dt, choice.log10_error, choice.at_ceiling, choice.out_of_range)


@strict
def wrapped(dt: Number, memory: Numbers, plan: Plan, fresh: Flag) -> Number:
    """Apply limits and symmetrizations, the innermost first."""
    for k in range(plan.ints[WRAP_COUNT]):
        first, second = plan.floats[WRAP_NUMBERS + 2 * k], plan.floats[WRAP_NUMBERS + 2 * k + 1]
        if plan.ints[WRAPS + k] == LIMITED:
            dt = where(dt == dt, smaller(larger(dt, first), second), dt)
        else:
            dt = _symmetrized(dt, memory, WRAP_MEMORY * k, first, second, fresh)
    return dt


@inlined
def _symmetrized(dt: Number, memory: Numbers, place: int, max_ratio: float, smoothness: float, fresh: Flag) -> Number:
    """Return Q^2 over the last step, where both agree well enough; see `criteria.wrappers.Symmetrized`."""
    last, before, earlier = memory[place], memory[place + 1], memory[place + 2]
    memory[place + 1], memory[place + 2] = where(fresh, dt, before), where(fresh, before, earlier)
    symmetric = dt * (dt / last)
    curvature = where(earlier > 0.0, dt / before * (earlier / before), 1.0)
    extrapolated = dt * sqrt(dt / before * sqrt(curvature))
    smooth = (symmetric <= smoothness * extrapolated) & (symmetric * smoothness >= extrapolated)
    symmetric = where(smooth, symmetric, extrapolated)
    near = (symmetric <= max_ratio * dt) & (symmetric * max_ratio >= dt)
    return where(near & (last > 0.0), symmetric, dt)
