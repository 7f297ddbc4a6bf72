"""The numbers of a vector that a loop of the Gauss-Radau method takes at once, its elements.

The method treats every coordinate of every body alike. Of one system an element is a group of four coordinates, of several
systems side by side one coordinate of each. The bits are the same, since only forces and fields mix coordinates.
"""

from __future__ import annotations

from .jit import by_width, inlined, nothing
from .kinds import Flag, Number, Numbers, Place
from .lanes import bits_of, four, largest, like, load, same, store, where
from .layout import U0, U2, U3
from .radau_layout import A0, GROUP, GROUPS, U4, offset_of
from .system import SystemView


# ---- four coordinates of one system -------------------------------------------------------------------------------------
@inlined
def _groups(w: SystemView) -> Place:
    return (U3 * w.n + U3) >> U2


@inlined
def _memory_of_group(w: SystemView, c: Place) -> Place:
    return GROUPS + c * GROUP


@inlined
def _first_of_group(w: SystemView, c: Place) -> Place:
    return U4 * c


@inlined
def _take_group(w: SystemView, numbers: Numbers, place: Place) -> Number:
    return load(numbers, place)


@inlined
def _put_group(w: SystemView, numbers: Numbers, place: Place, value: Number) -> None:
    store(numbers, place, value)


@inlined
def _put_active_group(w: SystemView, numbers: Numbers, place: Place, active: Flag, value: Number) -> None:
    store(numbers, place, value)


@inlined
def _zero_group(w: SystemView) -> Number:
    return four(0.0)


@inlined
def _same_group(w: SystemView, x: Number, y: Number) -> Flag:
    return same(x, y)


@inlined
def _largest_of_group(w: SystemView, x: Number) -> Number:
    return largest(x)


@inlined
def _clear_past_end(w: SystemView, memory: Numbers) -> None:
    d, groups = U3 * w.n, _groups(w)
    for k in range(d, U4 * groups):
        memory[GROUPS + (k >> U2) * GROUP + A0 + (k & U3)] = 0.0


# ---- one coordinate of systems side by side -----------------------------------------------------------------------------
@inlined
def _coordinates(w: SystemView) -> Place:
    return U3 * w.n


@inlined
def _memory_of_coordinate(w: SystemView, c: Place) -> Place:
    return offset_of(c)


@inlined
def _itself(w: SystemView, c: Place) -> Place:
    return c


@inlined
def _take_lanes(w: SystemView, numbers: Numbers, place: Place) -> Number:
    return numbers[place]


@inlined
def _put_lanes(w: SystemView, numbers: Numbers, place: Place, value: Number) -> None:
    numbers[place] = value


@inlined
def _put_active_lanes(w: SystemView, numbers: Numbers, place: Place, active: Flag, value: Number) -> None:
    numbers[place] = where(active, value, numbers[place])


@inlined
def _zero_lanes(w: SystemView) -> Number:
    return like(0.0, w.s[U0])


@inlined
def _same_lanes(w: SystemView, x: Number, y: Number) -> Flag:
    return bits_of(x) == bits_of(y)


@inlined
def _largest_of_lanes(w: SystemView, x: Number) -> Number:
    return x


# the number of elements of a vector; where element c begins in the memory of the method; where in a vector
element_count = by_width(_groups, _coordinates, _groups)
memory_of = by_width(_memory_of_group, _memory_of_coordinate, _memory_of_group)
first_of_element = by_width(_first_of_group, _itself, _first_of_group)
# read and write an element; write it only of the systems that are `active`, of one system in any case
take = by_width(_take_group, _take_lanes, _take_group)
put = by_width(_put_group, _put_lanes, _put_group)
put_active = by_width(_put_active_group, _put_active_lanes, _put_active_group)
zero = by_width(_zero_group, _zero_lanes, _zero_group)
# whether all coordinates of two elements agree in all bits; the largest coordinate; of systems side by side in every lane
same_bits = by_width(_same_group, _same_lanes, _same_group)
largest_of = by_width(_largest_of_group, _largest_of_lanes, _largest_of_group)
# groups extend past the ends of vectors by up to three numbers; without acceleration these have no effect
clear_past_end = by_width(_clear_past_end, nothing, _clear_past_end)
