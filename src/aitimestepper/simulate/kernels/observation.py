"""What a network looks at, for whole batches: the invariant features of the present states, without a network or a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import layout as at
from .jit import entry
from .lanes import pointer
from .layout import HEAD, ROW_SUM, U0, U3, VECTORS
from .observe import observe_invariants
from .plan import Net
from .system import StateEnergies, SystemView
from .tight_pairs import limited

FEATURES = np.uint64(9)  # features of a state; column 9 of the result is the analytic step


@entry
def observe_systems(order: Any, store: Any, rule: Any, net: Any, out: Any) -> None:
    """Write the invariant features and the analytic step of each system of `order` to its row of out, (B, 10).

    rule: (B, RULE_NUMBERS) of EnergyBudget, and the logarithm of its tolerance. The forces of the states must be known.
    """
    one, single = (0,), (0.0,)
    net_at = Net(pointer(net.shape, 0, one), pointer(net.numbers, 0, one), pointer(net.scratch, 0, one))
    for k in range(len(order)):
        b = order[k]
        n, row = np.uint64(store.bodies[b]), pointer(out, b, one)
        real, count = pointer(store.real, b, one), pointer(store.count, b, one)
        block = np.uint64(HEAD) + np.uint64(count[at.CURRENT]) * np.uint64(VECTORS) * U3 * n
        view = SystemView(n, pointer(store.states, b, one), np.uint64(HEAD) + ROW_SUM * n, single)
        energies = StateEnergies(
            real[at.POTENTIAL],
            real[at.KINETIC],
            real[at.RATE2_SUM],
            real[at.RATE4_SUM],
            real[at.RATE8_SUM],
            real[at.BINDING_SUM],
        )
        change = energies.kinetic + energies.potential - real[at.WORK] - real[at.ENERGY_START]
        unit, longest = observe_invariants(view, block, net_at, pointer(rule, b, one), energies, change, real[at.ENERGY_SCALE])
        for f in range(U0, FEATURES):
            row[f] = net.scratch[f]
        row[FEATURES] = limited(unit, longest)
