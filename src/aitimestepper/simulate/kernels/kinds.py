"""The names of what kernels compute with. A kernel is written once, as formulas over one number of one system.

It is compiled for one system at a time, where a `Number` is a float64, and for several systems side by side, where it is one
register with a float64 of each (`lanes.Lanes`). A `Flag` is then a condition for each system, and a `Count` an integer of each.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

Number: TypeAlias = float
Flag: TypeAlias = bool
Count: TypeAlias = int
Place: TypeAlias = np.uint64  # where something lies in an array; the same for all systems side by side
Kind: TypeAlias = int  # one of the integers that `plan` names; the same for all systems


class Numbers(Protocol):
    """A pointer to numbers, as kernels pass it to each other; see `lanes.pointer`."""

    def __getitem__(self, place: Place | int) -> Number:
        """Return a number."""
        ...

    def __setitem__(self, place: Place | int, value: Number) -> None:
        """Write a number."""
        ...


class Counts(Protocol):
    """A pointer to integers."""

    def __getitem__(self, place: Place | int) -> Count:
        """Return an integer."""
        ...

    def __setitem__(self, place: Place | int, value: Count) -> None:
        """Write an integer."""
        ...
