"""What outer fields and forces need of the Gauss-Radau method: the velocities at its nodes, and their work within a step."""

from __future__ import annotations

from . import radau_tables as table
from .fields import field_moves
from .jit import by_width, nothing, strict
from .kinds import Number, Numbers, Place
from .lanes import fma, like
from .layout import U0, U3, VELOCITY
from .radau_elements import element_count, first_of_element, memory_of, put, take
from .radau_layout import A0, DIFFERENCE, POWER, U4, U7, U8, V0
from .system import SystemView


@strict
def _velocities_at_node(w: SystemView, m: Numbers, new: Place, n: Place, dt: Number) -> None:
    """Write the velocities at node n by the present polynomial, for forces that depend on them."""
    s, v = w.s, new + VELOCITY * U3 * w.n
    for c in range(U0, element_count(w)):
        p = memory_of(w, c)
        gain = table.NODES[n] * take(w, m, p + A0)
        for j in range(U0, U7):
            gain = fma(table.TO_SPEED[n, j], take(w, m, p + DIFFERENCE + U4 * j), gain)
        put(w, s, v + first_of_element(w, c), fma(dt, gain, take(w, m, p + V0)))


# write the velocities at a node; only functions of the user's own need them, which are called for one system at a time
node_velocities = by_width(_velocities_at_node, nothing, _velocities_at_node)


@strict
def radau_work(w: SystemView, memory: Numbers, dt: Number, h: Number) -> Number:
    """Return the work of fields and forces up to the fraction h of the last step; see `fields.field_power`."""
    work = like(0.0, dt)
    if not field_moves(w):
        return work
    for n in range(U0, U8):
        share = like(0.0, dt)
        for down in range(U0, U8):
            share = (share + table.SHARES[n, U7 - down]) * h
        work += dt * share * memory[POWER + n]
    return work
