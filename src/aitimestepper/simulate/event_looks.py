"""What the compiled loop knows of the events of a run: for each a kind, some numbers, and a number of every body.

It looks quickly at every step, and notes the states around those in which an event may have happened (`kernels/event_look.py`).
Around an event of a user's own it notes all states.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..events import Collision, Crossing, Decided, Encounter, Escape, Event
from ..sums import tree_sum
from .changes import Never
from .kernels import plan as kernel


class EventLooks(NamedTuple):
    """The E events that are looked for between the steps of a run."""

    kinds: np.ndarray  # (E,) see `kernels.plan`
    stops: np.ndarray  # (E,) bool: whether a system pauses where one may have happened
    numbers: np.ndarray  # (E, EVENT_SIZE)
    of_bodies: np.ndarray  # (B, E N), bodies that are present first

    def after(self, ints: np.ndarray, floats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of a plan with those of the events at their ends."""
        ints[kernel.EVENTS], E = len(ints), len(self.kinds)
        own = [E, self.of_bodies.shape[1] // E, len(floats), *np.stack([self.kinds, self.stops], 1).ravel().tolist()]
        return np.concatenate([ints, own]), np.concatenate([floats, self.numbers.ravel()])


def between_steps(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the events of a batch that are looked for between its steps; what is decided is looked at after some of them."""
    return tuple(event for event in events if not isinstance(event, Decided))


def looks_of(events: tuple[Event, ...], start: Bodies, stops: bool = True) -> EventLooks | None:
    """Return what the compiled loop knows of events; stops: whether runs end at those that say so."""
    some = [event for event in events if not isinstance(event, Never)]
    if not some:
        return None
    kinds = np.array([_KINDS.get(type(event), kernel.AFTER_EVERY_STEP) for event in some], dtype=np.int64)
    # where all states are noted, no system could go on for more than a step if it paused
    pauses = np.array([stops and event.stops for event in some], dtype=bool) & (kinds != kernel.AFTER_EVERY_STEP)
    numbers, (B, N) = np.zeros((len(some), kernel.EVENT_SIZE)), start.mass.shape
    of_bodies = np.zeros((B, len(some), N))
    order = np.argsort(~start.present, axis=1, kind="stable")
    for k, event in enumerate(some):
        own = _numbers_of(event)
        numbers[k, : len(own)] = own
        of_bodies[:, k] = np.take_along_axis(_of_bodies(event, start), order, axis=1)
    return EventLooks(kinds, pauses, numbers, of_bodies.reshape(B, -1))


_KINDS = {Encounter: kernel.MEET, Collision: kernel.TOUCH, Escape: kernel.LEAVE, Crossing: kernel.CROSS}


def _numbers_of(event: Event) -> tuple[float, ...]:
    """Return the numbers of an event that the loop needs."""
    match event:
        case Encounter():
            return (event.below,)
        case Escape():
            return (event.beyond,)
        case Crossing():
            return event.x, event.y, event.z, event.offset, float(event.both)
    return ()


def _of_bodies(event: Event, start: Bodies) -> np.ndarray:
    """Return a number of each body for an event, (B, N): its radius, the mass of all others, or whether it counts."""
    mass = np.where(start.present, start.mass, 0.0)
    match event:
        case Collision():
            return np.broadcast_to(event.radii(mass.shape[1]), mass.shape)
        case Escape():
            return np.asarray(tree_sum(mass, 1)[:, None] - mass)  # as in `events`
        case Crossing():
            counts = np.isin(np.arange(mass.shape[1]), event.subjects(start)[:, 0])
            return np.broadcast_to(counts.astype(np.float64), mass.shape)
    return np.zeros_like(mass)


class Steps(NamedTuple):
    """R states of a run around steps in which events may have happened, of one system after the other, in the order of time.

    Times and velocities are those of the motion in the direction of each system.
    """

    system: np.ndarray  # (R,)
    made: np.ndarray  # (R,) number of steps made until then
    time: np.ndarray  # (R,)
    position: np.ndarray  # (R, N, D)
    velocity: np.ndarray  # (R, N, D)

    def where(self, rows: np.ndarray | slice) -> Steps:
        """Return some of the states."""
        return Steps(*(values[rows] for values in self))

    @property
    def begins(self) -> np.ndarray:
        """Whether the next state is that after the step from this one, (R - 1,)."""
        return np.asarray((self.system[1:] == self.system[:-1]) & (self.made[1:] == self.made[:-1] + 1))
