"""The step from a state: the criterion, and the wrappers around it."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import layout as at
from .jit import strict
from .layout import ACCELERATION, POSITION, U0, U3, VELOCITY
from .network import StepChoice, learned_step
from .own import call_criterion
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

HUAYNO_PROBE = 1e-3  # of the step: its rate of change is a central difference over twice that time


@strict
def natural(
    w: Any, block: Any, last: Any, t: Any, own: Any, plan: Any, net: Any, potential: Any, kinetic: Any, sums: Any, work: Any
) -> Any:
    """Return the criterion's step at a state at time t, before any wrapper. `work`: what a moving field has done until then."""
    energies = StateEnergies(potential, kinetic, sums[0], sums[1], sums[2], sums[3])
    if plan.ints[KIND] == LEARNED:
        change = kinetic + potential - work - own.real[at.ENERGY_START]
        return learned_step(w, block, net, own.rule, energies, change, own.window, last)
    if plan.ints[KIND] == OWN_CRITERION:
        d, x = U3 * w.n, block + POSITION * U3 * w.n
        v, a = x + VELOCITY * d, x + ACCELERATION * d
        dt = call_criterion(plan.ints[ADDRESS], np.int64(w.n), t, w.s, mass_at(w), x, v, a, own.rule[VALUE])
        return StepChoice(dt, -np.inf, False, False)
    return StepChoice(classical_step(w, block, plan.ints[KIND], own.rule, energies), -np.inf, False, False)


@strict
def _natural_at(w: Any, block: Any, last: Any, t: Any, own: Any, plan: Any, net: Any) -> Any:
    """Return the criterion's step at a state that has no forces yet."""
    potential, found = forces(w, block, t)
    sums = (found.rate2_sum, found.rate4_sum, found.rate8_sum, found.binding_sum)
    return natural(w, block, last, t, own, plan, net, potential, kinetic_energy(w, block), sums, own.real[at.WORK]).dt


@strict
def _displaced(w: Any, block: Any, target: Any, h: Any) -> None:
    """Write x + h v and v + h a of the state in `block` into `target`."""
    s, d = w.s, U3 * w.n
    x, v, a = block + POSITION * d, block + VELOCITY * d, block + ACCELERATION * d
    for k in range(U0, d):
        s[target + POSITION * d + k] = s[x + k] + h * s[v + k]
        s[target + VELOCITY * d + k] = s[v + k] + h * s[a + k]


@strict
def _huayno(w: Any, block: Any, scratch_block: Any, tau: Any, own: Any, plan: Any, net: Any) -> Any:
    """Return tau / (1 - 1/2 dtau/dt), with the rate as a central difference along the motion, at most 1."""
    h, t = HUAYNO_PROBE * tau, own.real[at.TIME]
    _displaced(w, block, scratch_block, h)
    after = _natural_at(w, scratch_block, block, t + h, own, plan, net)
    _displaced(w, block, scratch_block, -h)
    before = _natural_at(w, scratch_block, block, t - h, own, plan, net)
    rate = (after - before) / (2.0 * h)
    return tau / (1.0 - 0.5 * min(rate, 1.0)) if np.isfinite(rate) else tau


@strict
def _mean_of_both_ends(w: Any, old: Any, scratch_block: Any, tau: Any, own: Any, plan: Any, net: Any) -> Any:
    """Hut, Makino & McMillan: dt = (tau(t) + tau(t + dt)) / 2 by iteration."""
    dt = tau
    for _ in range(plan.ints[TRIALS]):
        done = step(w, old, scratch_block, scratch_block, own, plan, dt, False)
        sums = (done.sums.rate2_sum, done.sums.rate4_sum, done.sums.rate8_sum, done.sums.binding_sum)
        work = own.real[at.WORK] + done.work
        kinetic, t = kinetic_energy(w, scratch_block), own.real[at.TIME] + done.dt
        there = natural(w, scratch_block, old, t, own, plan, net, done.potential, kinetic, sums, work).dt
        if not np.isfinite(there):
            there = tau
        dt = 0.5 * (tau + there)
        own.count[at.FORCES] += done.evaluations
    return dt


@strict
def own_rule(plan: Any) -> Any:
    """Whether the Gauss-Radau method chooses its steps itself, from its own polynomial."""
    kind = plan.ints[KIND]
    return plan.ints[METHOD] == RADAU and kind in (PRS23, LAST_TERM)


@strict
def choose(w: Any, trial: Any, old: Any, new: Any, scratch_block: Any, own: Any, plan: Any, net: Any) -> Any:
    """Return the step from the state in `old`, all wrappers applied; `new` still holds the state before it."""
    r = own.real
    if own_rule(plan):
        dt = r[at.RADAU_DT] if own.count[at.STEPS] > 0 else radau_first_dt(trial, old, own.rule[EPSILON])
        choice = StepChoice(dt, -np.inf, False, False)
    else:
        sums = (r[at.RATE2_SUM], r[at.RATE4_SUM], r[at.RATE8_SUM], r[at.BINDING_SUM])
        choice = natural(w, old, new, r[at.TIME], own, plan, net, r[at.POTENTIAL], r[at.KINETIC], sums, r[at.WORK])
        dt = choice.dt
    if plan.ints[BASE] == HUAYNO:
        dt = _huayno(trial, old, scratch_block, dt, own, plan, net)
    elif plan.ints[BASE] == HMM:
        dt = _mean_of_both_ends(trial, old, scratch_block, dt, own, plan, net)
    return StepChoice(_wrapped(dt, own.memory, plan), choice.log10_error, choice.at_ceiling, choice.out_of_range)


@strict
def _wrapped(dt: Any, memory: Any, plan: Any) -> Any:
    """Apply limits and symmetrizations, inner first; called once a step, since it stores what it was called with."""
    for k in range(plan.ints[WRAP_COUNT]):
        first, second = plan.floats[WRAP_NUMBERS + 2 * k], plan.floats[WRAP_NUMBERS + 2 * k + 1]
        if plan.ints[WRAPS + k] == LIMITED:
            dt = min(max(dt, first), second) if dt == dt else dt
            continue
        mine = WRAP_MEMORY * k
        last, before, earlier = memory[mine], memory[mine + 1], memory[mine + 2]
        memory[mine + 1], memory[mine + 2] = dt, before
        if last > 0.0:
            mirrored = dt * (dt / last)
            bend = dt / before * (earlier / before) if earlier > 0.0 else 1.0
            due = dt * np.sqrt(dt / before * np.sqrt(bend))
            if not (mirrored <= second * due and mirrored * second >= due):
                mirrored = due
            if mirrored <= first * dt and mirrored * first >= dt:
                dt = mirrored
    return dt
