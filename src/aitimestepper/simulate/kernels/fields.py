"""Outer fields and extra forces, compiled: the terms that the head of a system lists.

All systems of a run have the same terms, each at its own time. Here alone they get their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .central import add_central
from .halos import add_logarithmic, add_miyamoto_nagai, add_nfw, add_plummer, add_uniform
from .jit import by_width, inlined, strict, strict_apart
from .kinds import Number, Place
from .lanes import first_of, like
from .layout import (
    CIRCULAR,
    FIELD_OUTSIDE,
    FIELD_SPEEDS,
    FIELD_TERMS,
    FIELD_WORKS,
    FIRST_TERM,
    FIXED,
    LOGARITHMIC,
    MIYAMOTO_NAGAI,
    NFW,
    OWN_FIELD,
    OWN_MOVING,
    PLUMMER,
    TERM,
    U0,
    UNIFORM,
    VELOCITY_FORCE,
)
from .own_forces import add_own, own_power
from .tide import add_tide, tide_power

if TYPE_CHECKING:
    from .system import SystemView

FIRST, SIZE = np.uint64(FIRST_TERM), np.uint64(TERM)


@inlined
def has_field(w: SystemView) -> bool:
    """Return whether an outer field or an extra force acts."""
    return first_of(w.s[FIELD_TERMS]) > 0.0


@inlined
def from_outside(w: SystemView) -> bool:
    """Return whether something outside acts on the system."""
    return first_of(w.s[FIELD_OUTSIDE]) > 0.0


@inlined
def field_moves(w: SystemView) -> bool:
    """Return whether a field or a force may do work that is not in its potential: it moves, or depends on velocities."""
    return first_of(w.s[FIELD_WORKS]) > 0.0


@inlined
def field_uses_velocities(w: SystemView) -> bool:
    """Return whether a velocity-dependent force acts."""
    return first_of(w.s[FIELD_SPEEDS]) > 0.0


@strict_apart
def _add_known(w: SystemView, kind: Number, term: Place, block: Place, t: Number) -> Number:
    """Add the accelerations of a term of the package; return the potential energy in it."""
    if kind in (FIXED, CIRCULAR):
        return add_tide(w, term, block, t)
    if kind == PLUMMER:
        return add_plummer(w, term, block, t)
    if kind == LOGARITHMIC:
        return add_logarithmic(w, term, block, t)
    if kind == MIYAMOTO_NAGAI:
        return add_miyamoto_nagai(w, term, block, t)
    if kind == NFW:
        return add_nfw(w, term, block, t)
    if kind == UNIFORM:
        return add_uniform(w, term, block, t)
    return add_central(w, term, block, t)


def _make_add(with_own: bool) -> Any:
    def add(w: SystemView, block: Place, t: Number) -> Number:
        """Add the accelerations of all terms to those in a block; return the potential energy in them."""
        energy = like(0.0, t)
        for k in range(U0, np.uint64(first_of(w.s[FIELD_TERMS]))):
            term = FIRST + k * SIZE
            kind = first_of(w.s[term])
            if with_own and kind in (OWN_FIELD, OWN_MOVING, VELOCITY_FORCE):
                energy += add_own(w, term, block, t)
            else:
                energy += _add_known(w, kind, term, block, t)
        return energy

    return strict(add)


def _make_power(with_own: bool) -> Any:
    def power_of(w: SystemView, block: Place, t: Number) -> Number:
        """Return the rate at which the terms change the energy."""
        power = like(0.0, t)
        for k in range(U0, np.uint64(first_of(w.s[FIELD_TERMS]))):
            term = FIRST + k * SIZE
            kind = first_of(w.s[term])
            if with_own and kind in (OWN_MOVING, VELOCITY_FORCE):
                power += own_power(w, term, block, t)
            elif kind == CIRCULAR:
                power += tide_power(w, term, block, t)
        return power

    return strict(power_of)


_add_any, _add_of_lanes = _make_add(True), _make_add(False)
_any_power, _power_of_lanes = _make_power(True), _make_power(False)
# add the accelerations of fields and forces to those in a block, and return the potential energy in them; and the rate at which
# a moving source or a force without potential changes the energy
add_field = by_width(_add_any, _add_of_lanes, _add_any)
field_power = by_width(_any_power, _power_of_lanes, _any_power)
