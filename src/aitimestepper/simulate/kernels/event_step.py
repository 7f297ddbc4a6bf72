"""A step that was made, as the quick looks at events see it."""

from __future__ import annotations

from typing import NamedTuple

from .kinds import Number, Numbers, Place
from .plan import Floats
from .system import SystemView

JUST = 1.0 + 1e-9  # so that rounding hides no event


class Step(NamedTuple):
    """A step that was made, as an event sees it."""

    w: SystemView
    old: Place  # block of the state before it
    new: Place
    dt: Number  # from time to time, as they are rounded
    numbers: Place  # of the event, in `floats`
    floats: Floats
    of_bodies: Place  # in the numbers of the event for every body
    each: Numbers
