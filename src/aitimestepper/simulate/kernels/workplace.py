"""Everything that a step needs, of one system or of systems side by side; and the state before the first step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import layout as at
from .jit import by_width, inlined, nothing, strict
from .kinds import Flag, Numbers, Place
from .lane_rows import Held, hold, release
from .lanes import larger, like, no, sqrt, where
from .layout import ACCELERATION, U0, U3
from .methods import accelerations_and_jerks
from .nearest import nearest_pair, store_pair
from .output import Rows
from .pair_sums import ForceSums, first_of_pair, second_of_pair
from .plan import HERMITE, METHOD, Net, Plan, SystemRow
from .system import SystemView, energy_scale, forces, inner_kinetic_energy, kinetic_energy


class Workplace(NamedTuple):
    """Everything that a step needs: of one system, or of systems side by side."""

    w: SystemView
    trial: SystemView  # the same, with another place for row sums over pairs, so that those of the state stay
    row: SystemRow
    plan: Plan
    net: Net
    rows: Rows
    noted: Rows  # states around the steps in which events may be
    held: Held
    scratch_block: Place


@inlined
def _jerks_of_one(w: SystemView, block: Place, plan: Plan) -> None:
    if plan.ints[METHOD] == HERMITE:
        accelerations_and_jerks(w, block)


_first_jerks = by_width(_jerks_of_one, nothing)


@inlined
def store_sums(r: Numbers, sums: ForceSums) -> None:
    """Store the sums over pairs of the current state, for the criterion."""
    r[at.RATE2_SUM], r[at.RATE4_SUM] = sums.rate2_sum, sums.rate4_sum
    r[at.RATE8_SUM], r[at.BINDING_SUM] = sums.rate8_sum, sums.binding_sum


@strict
def begin(here: Workplace, block: Place, fresh: Flag) -> None:
    """Compute forces, energies and the nearest pair of the initial state of the systems that are `fresh`."""
    w, r, c = here.w, here.row.real, here.row.count
    s, a, kept = w.s, block + ACCELERATION * U3 * w.n, here.scratch_block + ACCELERATION * U3 * w.n
    for k in range(U0, U3 * w.n):
        s[kept + k] = s[a + k]
    hold(w, here.held)
    potential, sums = forces(w, block, r[at.TIME])
    _first_jerks(w, block, here.plan)
    kinetic = kinetic_energy(w, block)
    r[at.POTENTIAL], r[at.KINETIC] = potential, kinetic
    store_sums(r, sums)
    r[at.ENERGY_START] = r[at.ENERGY] = potential + kinetic
    r[at.ENERGY_SCALE] = energy_scale(inner_kinetic_energy(w, block, kinetic), potential)
    r[at.TIME_BEFORE], r[at.POTENTIAL_BEFORE] = r[at.TIME], potential
    r[at.DT_MIN] = like(np.inf, potential)
    code = nearest_pair(w, block, sums.nearest)
    i, j = first_of_pair(code), second_of_pair(code)
    store_pair(w, block, r, c, i, j)
    r[at.CLOSEST], r[at.CLOSEST_TIME] = sqrt(larger(sums.nearest2 - s[at.SOFTENING2], 0.0)), r[at.TIME]
    c[at.CLOSEST_I], c[at.CLOSEST_J], c[at.FORCES] = i, j, 1
    release(w, here.held, no(fresh))
    for k in range(U0, U3 * w.n):
        s[a + k] = where(fresh, s[a + k], s[kept + k])
