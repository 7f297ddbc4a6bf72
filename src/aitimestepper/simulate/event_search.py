"""Where events are: between which steps, and at which time inside the step, found by steps of the run's own integrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.classical import FreeFall
from ..events import Collision, Encounter, Event, Occurrence, States
from ..integrators import Integrator
from .batch import Batch
from .callbacks import OwnFunctions
from .event_looks import Steps
from .program import Program, program_of

AT_ONCE = 2**15  # numbers of a measure at once: with arrays that leave the cache it takes ten times as long
ITERATIONS, USUAL = 60, 8  # at most, and what most events take
RESOLUTION = 2.0**-42  # of a fraction of a step
TO_END = 1e12  # eta of a criterion that always asks for a step to the end
MOST = 1e6  # steps to it


class Change(NamedTuple):
    """C changes of the sign of a measure."""

    row: np.ndarray  # (C,) number of the state before
    subject: np.ndarray  # (C,)
    before: np.ndarray  # (C,) measure in that state
    after: np.ndarray  # (C,) measure at the fraction `until` of the step
    until: np.ndarray  # (C,)


class Search:
    """Search for the events of a run in its steps."""

    def __init__(
        self,
        events: tuple[Event, ...],
        start: Bodies,
        integrator: Integrator,
        direction: np.ndarray,
        some: Sequence[int] | None = None,
    ) -> None:
        """some: the numbers of the events that are looked for; None: all."""
        self.events, self.start, self.direction = events, start, direction
        self.subjects = subjects_of(events, start)
        self._some = range(len(events)) if some is None else some
        self._own, self._integrator = OwnFunctions(), integrator
        self._program: Program = program_of(FreeFall(TO_END), integrator, start, self._own)

    def __call__(self, steps: Steps) -> list[Occurrence]:
        """Return the events in steps, by system and time."""
        found = []
        for number in self._some:
            changes = list(self._changes(steps, self.events[number], self.subjects[number]))
            if changes:
                with np.errstate(all="ignore"):  # a part of the last step of a run may be as extreme as that is
                    found += self._located(steps, number, Change(*map(np.concatenate, zip(*changes, strict=True))))
        return sorted(found, key=lambda one: (one.system, self.direction[one.system] * one.time, one.number))

    def _changes(self, steps: Steps, event: Event, subjects: np.ndarray) -> Iterator[Change]:
        """Yield the changes of sign of a measure, part by part."""
        length = max(2, AT_ONCE // max(1, len(subjects)))
        for first in range(0, len(steps.time) - 1, length - 1):
            with np.errstate(all="ignore"):
                for change in self._changes_in(steps.where(slice(first, first + length)), event, subjects):
                    yield change._replace(row=change.row + first)

    def _changes_in(self, steps: Steps, event: Event, subjects: np.ndarray) -> Iterator[Change]:
        """Yield the changes of sign of a measure in so few steps that its numbers stay in the cache."""
        value, begins = event.measure(self._states(steps, np.arange(len(steps.time))[None]), subjects)[0], steps.begins[:, None]
        changes = begins & (value[:-1] < 0.0) & (value[1:] >= 0.0)
        k, p = np.nonzero(changes)
        may_count = event.may_count(self._states(steps, np.stack([k, k + 1])), subjects)
        changes[k, p] = np.broadcast_to(may_count, (1, len(k), len(subjects)))[0, np.arange(len(k)), p]
        if getattr(event, "both", False):
            changes |= begins & (value[:-1] > 0.0) & (value[1:] <= 0.0)
        k, p = np.nonzero(changes)
        if len(k):
            yield Change(k, p, value[k, p], value[k + 1, p], np.ones(len(k)))
        if isinstance(event, Collision):
            yield from self._grazes(steps, event, subjects, value)

    def _states(self, steps: Steps, rows: np.ndarray) -> States:
        """Return rows (K, C) of steps as K states of each of C systems."""
        b = steps.system[rows[0]]
        mass, present = self.start.mass[b], self.start.present[b]
        return States(mass, present, steps.time[rows], steps.position[rows], steps.velocity[rows], self.start.G)

    def _grazes(self, steps: Steps, event: Collision, subjects: np.ndarray, value: np.ndarray) -> Iterator[Change]:
        """Yield the touches of bodies that part again inside the same step: until their closest approach."""
        near = Encounter(1.0)
        radial = near.measure(self._states(steps, np.arange(len(steps.time))[None]), subjects)[0]
        apart = np.maximum(value[:-1], value[1:]) < 0.0
        k, p = np.nonzero(steps.begins[:, None] & (radial[:-1] < 0.0) & (radial[1:] >= 0.0) & apart)
        some = _may_touch(steps, value, k, p)
        k, p = k[some], p[some]
        if not len(k):
            return
        inside = _Inside(self, steps, k)
        q = root(lambda q, some: _of_own(near.measure(inside.at(q, some), subjects), p[some]), radial[k, p], radial[k + 1, p])
        overlap = _of_own(event.measure(inside.at(q), subjects), p)
        touch = overlap >= 0.0
        if touch.any():
            k, p = k[touch], p[touch]
            yield Change(k, p, value[k, p], overlap[touch], q[touch])

    def _located(self, steps: Steps, number: int, change: Change) -> list[Occurrence]:
        """Return the events among changes of sign, each at its time."""
        event, subjects, b, p = self.events[number], self.subjects[number], steps.system[change.row], change.subject
        inside = _Inside(self, steps, change.row)

        def measure(s: np.ndarray, some: np.ndarray) -> np.ndarray:
            return _of_own(event.measure(inside.at(s * change.until[some], some), subjects), p[some])

        there = inside.at(root(measure, change.before, change.after) * change.until)
        counts, value = _of_own(event.counts(there, subjects), p), _of_own(event.value(there, subjects), p)
        sign, label = self.direction[b], getattr(event, "label", event.name)
        return [
            Occurrence(
                int(b[c]),
                float(sign[c] * there.time[0, c]) + 0.0,
                label,
                tuple(int(i) for i in subjects[p[c]] if i >= 0),
                float(value[c]),
                there.position[0, c].copy(),
                sign[c] * there.velocity[0, c],
                number,
            )
            for c in np.flatnonzero(counts)
        ]


def subjects_of(events: tuple[Event, ...], start: Bodies) -> list[np.ndarray]:
    """Return the subjects of each event, or raise a `ConfigError` for one that does not fit the bodies."""
    for event in events:
        if isinstance(event, Collision):
            event.radii(start.mass.shape[1])
    return [event.subjects(start) for event in events]


class _Inside:
    """States inside some steps: C systems, each at the state k before its step."""

    def __init__(self, search: Search, steps: Steps, k: np.ndarray) -> None:
        b = steps.system[k]
        self.search, self.sign = search, search.direction[b]
        self.begin, self.length = steps.time[k], steps.time[k + 1] - steps.time[k]
        x, v = steps.position[k], steps.velocity[k]
        self.program, self.rule = search._program, search._program.arrays["rule"][b]
        self.systems = search.start.select(b).moved(x, self.sign[:, None, None] * v, self.sign * self.begin)

    def at(self, q: np.ndarray, some: np.ndarray | None = None) -> States:
        """Return states at fractions q of `some` of the steps, (1, c, ...), as those of the motion in the direction of each."""
        some = np.arange(len(self.begin)) if some is None else some
        sign, due = self.sign[some], self.begin[some] + q * self.length[some]
        program = self.program._replace(arrays={**self.program.arrays, "rule": self.rule[some]})
        batch = Batch.begin(self.systems.select(some), program, self.search._own, sign * due, MOST, None, threads=1)
        batch.run([])
        final = batch.final()
        velocity = sign[:, None, None] * final.velocity
        return States(final.mass, final.present, due[None], final.position[None], velocity[None], final.G)


def _of_own(values: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return of values (1, C, P) that of the subject p of each, (C,)."""
    return np.asarray(values[0, np.arange(len(p)), p])


def _may_touch(steps: Steps, value: np.ndarray, k: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return whether pairs may touch inside a step: whether they would if they flew towards each other at twice their speed."""
    gap = -np.maximum(value[k, p], value[k + 1, p])
    speed = np.zeros(len(k))
    for row in (k, k + 1):
        v = np.sqrt((steps.velocity[row] ** 2).sum(-1))
        speed = np.maximum(speed, 2.0 * np.nanmax(v, 1, initial=0.0))
    return np.asarray(gap <= 2.0 * speed * (steps.time[k + 1] - steps.time[k]))


def root(function: Callable[[np.ndarray, np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the fractions, from 0 to 1, at which the measures of C events vanish, to rounding.

    function: of the fractions (c,) and the numbers (c,) of the events that are still looked for. low, high: the measures at 0
    and 1, of different signs.
    """
    b = Bracket(np.ones_like(low), np.zeros_like(low), high.copy(), low.copy(), np.zeros_like(low), low.copy())
    t, found = np.full_like(low, 0.5), np.ones_like(low)
    open_ = np.arange(len(low))
    for iteration in range(ITERATIONS):
        x = b.newest + t * (b.other - b.newest)
        b = b.narrowed(x, function(x, open_))
        # rounding in the measure may hide the root: the longer it takes, the less is asked for
        t, done = b.next_step(RESOLUTION * 2.0 ** max(0, iteration - USUAL))
        found[open_] = np.where(np.abs(b.f_newest) < np.abs(b.f_other), b.newest, b.other)
        if done.all():
            break
        b, t, open_ = Bracket(*(values[~done] for values in b)), t[~done], open_[~done]
    return found


class Bracket(NamedTuple):
    """Where roots are: between the newest estimate and the end where the sign is another one; after Chandrupatla (1997)."""

    newest: np.ndarray
    other: np.ndarray
    f_newest: np.ndarray
    f_other: np.ndarray
    third: np.ndarray  # an older estimate
    f_third: np.ndarray

    def narrowed(self, x: np.ndarray, f: np.ndarray) -> Bracket:
        """Return the bracket with a new estimate x between its ends."""
        a, b, fa, fb, _, _ = self
        same = np.sign(f) == np.sign(fa)
        return Bracket(x, np.where(same, b, a), f, np.where(same, fb, fa), np.where(same, a, b), np.where(same, fa, fb))

    def next_step(self, resolution: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of the next estimate as a fraction of the bracket, and which brackets are as small as `resolution`.

        The place is that of inverse quadratic interpolation where this is safe, else the middle.
        """
        a, b, fa, fb, c, fc = self
        width, nearest = np.abs(b - a), np.where(np.abs(fa) < np.abs(fb), a, b)
        least_width = resolution * np.maximum(np.abs(nearest), 0.1)
        done = (width <= 2.0 * least_width) | (fa == 0.0) | (fb == 0.0) | ~np.isfinite(fa)
        with np.errstate(all="ignore"):
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            safe = (1.0 - np.sqrt(1.0 - xi) < phi) & (phi < np.sqrt(xi))
            t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            least = np.minimum(np.where(width > 0, least_width / width, 0.5), 0.5)
        return np.clip(np.where(safe & np.isfinite(t), t, 0.5), least, 1.0 - least), done
