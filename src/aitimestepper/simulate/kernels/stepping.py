"""One step with the integrator of the run."""

from __future__ import annotations

from typing import Any

from . import layout as at
from .jit import strict
from .methods import hermite, log_hamiltonian, log_hamiltonian_for, split
from .plan import CONSTANT, HERMITE, KIND, METHOD, RADAU, SPLITTING, STAGES
from .radau import radau_step


@strict
def step(w: Any, old: Any, new: Any, scratch_block: Any, row: Any, plan: Any, dt: Any, exactly: Any) -> Any:
    """Make one step of `dt` with the integrator of the run. Unless `exactly`, logh may take a time near `dt` instead."""
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
