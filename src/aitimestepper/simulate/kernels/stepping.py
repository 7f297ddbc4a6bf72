"""One step with the integrator of the run."""

from __future__ import annotations

from . import layout as at
from .jit import by_width, inlined, strict
from .kinds import Number, Place
from .methods import hermite, log_hamiltonian, log_hamiltonian_for, split
from .plan import CONSTANT, HERMITE, KIND, METHOD, RADAU, SPLITTING, STAGES, Plan, SystemRow
from .radau import radau_step
from .system import Advanced, SystemView


@strict
def _step_of_one(
    w: SystemView, old: Place, new: Place, scratch_block: Place, row: SystemRow, plan: Plan, dt: float, exactly: bool
) -> Advanced:
    r = row.real
    t = r[at.TIME]
    if plan.ints[METHOD] == SPLITTING:
        return split(w, old, new, t, dt, plan.floats, plan.ints[STAGES])
    if plan.ints[METHOD] == HERMITE:
        return hermite(w, old, new, scratch_block, t, dt, plan.ints[STAGES])
    if plan.ints[METHOD] == RADAU:
        return radau_step(w, old, new, t, dt, row.radau)
    ds = -dt * r[at.POTENTIAL]
    if exactly:
        return log_hamiltonian_for(w, old, new, t, dt, ds, -r[at.ENERGY_START])
    if plan.ints[KIND] == CONSTANT and dt == row.rule[0]:  # not a step that the guard shortened
        ds = r[at.LOGH_STEP]
    return log_hamiltonian(w, old, new, t, ds, -r[at.ENERGY_START], 0.0)


@inlined
def _step_of_lanes(
    w: SystemView, old: Place, new: Place, scratch_block: Place, row: SystemRow, plan: Plan, dt: Number, exactly: bool
) -> Advanced:
    if plan.ints[METHOD] == RADAU:
        return radau_step(w, old, new, row.real[at.TIME], dt, row.radau)
    return split(w, old, new, row.real[at.TIME], dt, plan.floats, plan.ints[STAGES])


# Make one step of `dt` with the integrator of the run, a splitting or Gauss-Radau for systems side by side. Unless
# `exactly`, logh may take a time near `dt` instead.
step = by_width(_step_of_one, _step_of_lanes)
