"""Choosing the step from a state: the criterion, then the wrappers around it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...constants import HUAYNO_PROBE
from . import layout as at
from .callbacks import call_criterion
from .jit import strict
from .layout import ACCELERATION, POSITION, U0, U3, VELOCITY
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
)
from .radau_dt import radau_first_dt
from .rules import classical_step
from .stepping import step
from .system import StateEnergies, forces, kinetic_energy, mass_at

# fraction of the step; the rate of change of the step is a central difference over twice that time


@strict
def base_step(
    w: Any, block: Any, last: Any, t: Any, row: Any, plan: Any, net: Any, potential: Any, kinetic: Any, sums: Any, work: Any
) -> Any:
    """Return the criterion's step at a state at time t, before any wrapper; `work` is the work of a moving field so far."""
    energies = StateEnergies(potential, kinetic, sums[0], sums[1], sums[2], sums[3])
    if plan.ints[KIND] == LEARNED:
        change = kinetic + potential - work - row.real[at.ENERGY_START]
        return learned_step(w, block, net, row.rule, energies, change, row.window, last)
    if plan.ints[KIND] == OWN_CRITERION:
        d, x = U3 * w.n, block + POSITION * U3 * w.n
        v, a = x + VELOCITY * d, x + ACCELERATION * d
        dt = call_criterion(plan.ints[ADDRESS], np.int64(w.n), t, w.s, mass_at(w), x, v, a, row.rule[VALUE])
        return StepChoice(dt, -np.inf, False, False)
    return StepChoice(classical_step(w, block, plan.ints[KIND], row.rule, energies), -np.inf, False, False)


@strict
def _base_step_at(w: Any, block: Any, last: Any, t: Any, row: Any, plan: Any, net: Any) -> Any:
    """Compute the forces of the state in `block`, and return the criterion's step there."""
    potential, found = forces(w, block, t)
    sums = (found.rate2_sum, found.rate4_sum, found.rate8_sum, found.binding_sum)
    return base_step(w, block, last, t, row, plan, net, potential, kinetic_energy(w, block), sums, row.real[at.WORK]).dt


@strict
def _displaced(w: Any, block: Any, target: Any, h: Any) -> None:
    """Write x + h v and v + h a of the state in `block` into `target`."""
    s, d = w.s, U3 * w.n
    x, v, a = block + POSITION * d, block + VELOCITY * d, block + ACCELERATION * d
    for k in range(U0, d):
        s[target + POSITION * d + k] = s[x + k] + h * s[v + k]
        s[target + VELOCITY * d + k] = s[v + k] + h * s[a + k]


@strict
def _huayno(w: Any, block: Any, scratch_block: Any, tau: Any, row: Any, plan: Any, net: Any) -> Any:
    """Return tau / (1 - 1/2 dtau/dt); the rate dtau/dt is a central difference along the motion, limited to at most 1."""
    h, t = HUAYNO_PROBE * tau, row.real[at.TIME]
    _displaced(w, block, scratch_block, h)
    after = _base_step_at(w, scratch_block, block, t + h, row, plan, net)
    _displaced(w, block, scratch_block, -h)
    before = _base_step_at(w, scratch_block, block, t - h, row, plan, net)
    rate = (after - before) / (2.0 * h)
    return tau / (1.0 - 0.5 * min(rate, 1.0)) if np.isfinite(rate) else tau


@strict
def _mean_of_both_ends(w: Any, old: Any, scratch_block: Any, tau: Any, row: Any, plan: Any, net: Any) -> Any:
    """Return dt = (tau(t) + tau(t + dt)) / 2, found by iteration (Hut, Makino & McMillan)."""
    dt = tau
    for _ in range(plan.ints[TRIALS]):
        done = step(w, old, scratch_block, scratch_block, row, plan, dt, False)
        sums = (done.sums.rate2_sum, done.sums.rate4_sum, done.sums.rate8_sum, done.sums.binding_sum)
        work = row.real[at.WORK] + done.work
        kinetic, t = kinetic_energy(w, scratch_block), row.real[at.TIME] + done.dt
        tau_end = base_step(w, scratch_block, old, t, row, plan, net, done.potential, kinetic, sums, work).dt
        if not np.isfinite(tau_end):
            tau_end = tau
        dt = 0.5 * (tau + tau_end)
        row.count[at.FORCES] += done.evaluations
    return dt


@strict
def method_chooses_step(plan: Any) -> Any:
    """Return whether the Gauss-Radau method chooses its steps itself, from its own polynomial."""
    kind = plan.ints[KIND]
    return plan.ints[METHOD] == RADAU and kind in (PRS23, LAST_TERM)


@strict
def choose(w: Any, trial: Any, old: Any, new: Any, scratch_block: Any, row: Any, plan: Any, net: Any) -> Any:
    """Return the step from the state in `old` with all wrappers applied; `new` still holds the state before `old`."""
    r = row.real
    if method_chooses_step(plan):
        dt = r[at.RADAU_DT] if r[at.RADAU_DT] > 0.0 else radau_first_dt(trial, old, row.rule[EPSILON])
        choice = StepChoice(dt, -np.inf, False, False)
    else:
        sums = (r[at.RATE2_SUM], r[at.RATE4_SUM], r[at.RATE8_SUM], r[at.BINDING_SUM])
        choice = base_step(w, old, new, r[at.TIME], row, plan, net, r[at.POTENTIAL], r[at.KINETIC], sums, r[at.WORK])
        dt = choice.dt
    if plan.ints[BASE] == HUAYNO:
        dt = _huayno(trial, old, scratch_block, dt, row, plan, net)
    elif plan.ints[BASE] == HMM:
        dt = _mean_of_both_ends(trial, old, scratch_block, dt, row, plan, net)
    return StepChoice(_wrapped(dt, row.memory, plan), choice.log10_error, choice.at_ceiling, choice.out_of_range)


@strict
def _wrapped(dt: Any, memory: Any, plan: Any) -> Any:
    """Apply limits and symmetrizations, the innermost first. Call it once a step, since it stores its arguments in `memory`."""
    for k in range(plan.ints[WRAP_COUNT]):
        first, second = plan.floats[WRAP_NUMBERS + 2 * k], plan.floats[WRAP_NUMBERS + 2 * k + 1]
        if plan.ints[WRAPS + k] == LIMITED:
            dt = min(max(dt, first), second) if dt == dt else dt
            continue
        first_number = WRAP_MEMORY * k
        last, before, earlier = memory[first_number], memory[first_number + 1], memory[first_number + 2]
        memory[first_number + 1], memory[first_number + 2] = dt, before
        if last > 0.0:
            symmetric = dt * (dt / last)
            curvature = dt / before * (earlier / before) if earlier > 0.0 else 1.0
            extrapolated = dt * np.sqrt(dt / before * np.sqrt(curvature))
            if not (symmetric <= second * extrapolated and symmetric * second >= extrapolated):
                symmetric = extrapolated
            if symmetric <= first * dt and symmetric * first >= dt:
                dt = symmetric
    return dt
