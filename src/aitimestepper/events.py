"""Events during a run, as data: close encounters, collisions, escapes, crossings of a plane, and functions of one's own.

An event happens where a measure of the system changes its sign from minus to plus, between two steps; it is located there by
steps of the run's own integrator. Measures are arrays (K, B, P) over K states of B systems and P subjects: pairs, or bodies.
In a run backward in time, everything is as in the motion with all velocities reversed.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .bodies import Bodies
from .decided import TIDE, Verdict, slack_and_speed
from .errors import ConfigError, shown
from .specs import build
from .sums import dot, tree_sum


class States(NamedTuple):
    """K states of each of B systems; NaN where a system has fewer."""

    mass: np.ndarray  # (B, N)
    present: np.ndarray  # (B, N)
    time: np.ndarray  # (K, B)
    position: np.ndarray  # (K, B, N, D)
    velocity: np.ndarray  # (K, B, N, D)
    G: float


@dataclass(frozen=True)
class Event:
    """Something that happens between two steps. stop: whether the run of its system ends there."""

    name: ClassVar[str] = ""
    pairs: ClassVar[bool] = False  # whether its subjects are pairs of bodies

    def subjects(self, bodies: Bodies) -> np.ndarray:
        """Return the numbers of the bodies of each subject, (P, 2); -1 where it has only one, or is the whole system."""
        N = bodies.mass.shape[1]
        if self.pairs:
            return np.stack(np.triu_indices(N, 1), 1)
        return np.stack([np.arange(N), np.full(N, -1)], 1)

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return what changes its sign from minus to plus at the event, (K, B, P)."""
        raise NotImplementedError

    def value(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the number that is logged with the event, (K, B, P)."""
        raise NotImplementedError

    def counts(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return whether it is an event where the measure vanishes, (K, B, P) bool."""
        return np.ones((*states.time.shape, len(subjects)), bool)

    def may_count(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return whether it may be an event between each state and the next, (K - 1, B, P) or less: a quick look."""
        return np.ones((1, 1, 1), bool)

    @property
    def stops(self) -> bool:
        """Whether the run of its system ends there."""
        return bool(getattr(self, "stop", False))


@dataclass(frozen=True)
class Encounter(Event):
    """Closest approach of two bodies to less than `below`."""

    name: ClassVar[str] = "encounter"
    pairs: ClassVar[bool] = True
    below: float
    stop: bool = False

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, "below")

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return r . v of each pair, which changes its sign at the closest approach; see `Event`."""
        return dot(*_relative(states, subjects))

    def value(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the distance of each pair."""
        x, _ = _relative(states, subjects)
        return np.sqrt(dot(x, x))

    def counts(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return whether the bodies are closer than `below`."""
        return np.asarray(self.value(states, subjects) < self.below)

    def may_count(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return whether the bodies come near enough if they fly at each other at twice their speed, from either end on."""
        x, v = _relative(states, subjects)
        r, reach = np.sqrt(dot(x, x)), np.sqrt(dot(v, v))
        path = 2.0 * np.maximum(reach[:-1], reach[1:]) * np.diff(states.time, axis=0)[..., None]
        return np.asarray(np.minimum(r[:-1], r[1:]) - path < self.below)


@dataclass(frozen=True)
class Collision(Event):
    """Touch of two bodies: their distance falls below the sum of their radii.

    radius: of every body, one number or (N,). action: `log`, `stop`, or `merge`: both become one body with their mass and
    momentum, and the run goes on.
    Bodies that overlap from the start on touch when they come together again.
    """

    name: ClassVar[str] = "collision"
    pairs: ClassVar[bool] = True
    radius: float | Sequence[float]
    action: str = "stop"

    def __post_init__(self) -> None:
        if self.action not in ("log", "stop", "merge"):
            raise ConfigError(f"collision: action = {shown(self.action)} must be log, stop or merge.")
        try:
            radii = np.atleast_1d(np.asarray(self.radius, dtype=np.float64))
        except (TypeError, ValueError):
            radii = np.full(1, np.nan)
        if radii.ndim != 1 or not (np.isfinite(radii) & (radii >= 0.0)).all() or not radii.any():
            raise ConfigError(f"collision: radius = {shown(self.radius)} must be positive, or one number for each body.")
        object.__setattr__(self, "radius", float(radii[0]) if len(radii) == 1 else tuple(radii.tolist()))

    @property
    def stops(self) -> bool:
        """Whether the run of its system ends there, for a merger only for a moment."""
        return self.action != "log"

    def radii(self, bodies: int) -> np.ndarray:
        """Return the radius of every body, (N,)."""
        radii = np.asarray(self.radius, dtype=np.float64)
        if radii.ndim and len(radii) != bodies:
            raise ConfigError(f"collision: {len(radii)} radii for {bodies} bodies; give one for each, or one for all.")
        return np.broadcast_to(radii, (bodies,))

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return by how much each pair overlaps; see `Event`."""
        x, _ = _relative(states, subjects)
        return self.radii(states.mass.shape[1])[subjects].sum(1) - np.sqrt(dot(x, x))

    def value(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the relative speed of each pair."""
        _, v = _relative(states, subjects)
        return np.sqrt(dot(v, v))


@dataclass(frozen=True)
class Escape(Event):
    """Escape of a body: farther than `beyond` from the centre of mass of the others, unbound from it, and moving outward."""

    name: ClassVar[str] = "escape"
    beyond: float
    stop: bool = False

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, "beyond")

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the least of distance less `beyond`, radial velocity and two-body energy, each over its own scale."""
        x, v, mass = _about_others(states)
        r, v2 = np.sqrt(dot(x, x)), dot(v, v)
        with np.errstate(all="ignore"):
            pull = states.G * mass / r
            energy = (0.5 * v2 - pull) / (0.5 * v2 + pull)
            outward = dot(x, v) / (r * np.sqrt(v2))
            return np.fmin(np.fmin(r / self.beyond - 1.0, energy), outward)

    def value(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the speed that each body would keep infinitely far away."""
        x, v, mass = _about_others(states)
        with np.errstate(all="ignore"):  # a body may be where the centre of mass of the others is
            return np.sqrt(np.maximum(dot(v, v) - 2.0 * states.G * mass / np.sqrt(dot(x, x)), 0.0))


@dataclass(frozen=True)
class Crossing(Event):
    """Crossing of the plane n . x = offset by a body, in the direction of its normal n = (x, y, z), or in both.

    body: its number; without it every body counts.
    """

    name: ClassVar[str] = "crossing"
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    offset: float = 0.0
    both: bool = False
    body: int | None = None
    stop: bool = False

    def __post_init__(self) -> None:
        normal = (self.x, self.y, self.z)
        numbers = [*normal, self.offset]
        if not all(isinstance(v, (int, float, np.number)) and math.isfinite(v) for v in numbers) or not any(normal):
            raise ConfigError(
                f"crossing: normal {shown(normal)}, offset {shown(self.offset)}: all must be finite, the normal not 0."
            )

    def subjects(self, bodies: Bodies) -> np.ndarray:
        """Return the bodies that count."""
        every, axes = super().subjects(bodies), bodies.position.shape[-1]
        if not any((self.x, self.y, self.z)[:axes]):
            raise ConfigError("crossing: the bodies are in the plane, and so never cross one with the normal z: give x or y.")
        if self.body is None:
            return every
        if not isinstance(self.body, (int, np.integer)) or not 0 <= self.body < len(every):
            raise ConfigError(f"crossing: body = {shown(self.body)} must be a number from 0 to {len(every) - 1}.")
        return every[[self.body]]

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the height of each body above the plane."""
        D = states.position.shape[-1]
        normal = np.array((self.x, self.y, self.z))[:D]
        return dot(states.position[:, :, subjects[:, 0]], normal) - self.offset

    value = measure


@dataclass(frozen=True)
class Decided(Event):
    """The outcome of an encounter is decided: two or more parts, bodies or binaries, leave each other for good (`decided.py`).

    tide: the largest tide on a binary, relative to the attraction in it. `value` is the largest relative speed of two parts at
    infinity. Nothing is decided while three or more bodies are bound to each other: such a run ends at its end time.
    """

    name: ClassVar[str] = "decided"
    tide: float = TIDE
    stop: bool = True

    def __post_init__(self) -> None:
        _refuse_unless_positive(self, "tide")

    def subjects(self, bodies: Bodies) -> np.ndarray:
        """Return the system as the only subject."""
        return np.full((1, 2), -1)

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return by how much the criterion is met, (K, B, 1); see `Event`."""
        return self._verdict(states).slack[..., None]

    def value(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the largest relative speed at infinity of two parts."""
        return self._verdict(states).speed[..., None]

    def _verdict(self, states: States) -> Verdict:
        return slack_and_speed(states.mass, states.present, states.position, states.velocity, states.G, self.tide)


@dataclass(frozen=True)
class OwnEvent(Event):
    """An event where a function of one's own changes its sign, from minus to plus, or both ways.

    function: `f(time, mass, position, velocity) -> number` of arrays (N,) and (N, D); or a C function, such as a numba `cfunc`,
    `double f(int64 n, double t, const double* mass, const double* x, const double* v)`, of n masses and of 3 n positions and
    velocities, axis after axis. It is called once a step from Python, which takes a microsecond or two. `label` names it in the
    log.
    """

    name: ClassVar[str] = "own"
    function: Callable[..., Any]
    label: str = "own"
    both: bool = False
    stop: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function) and getattr(self.function, "address", None) is None:
            raise ConfigError(f"own event: {shown(self.function)} is neither a function nor a numba cfunc.")

    def subjects(self, bodies: Bodies) -> np.ndarray:
        """Return the system as the only subject."""
        return np.full((1, 2), -1)

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the value of the function in each state, (K, B, 1)."""
        call, found = self._call(), np.full(states.time.shape, np.nan)
        for k, b in zip(*np.nonzero(np.isfinite(states.time)), strict=True):
            who = states.present[b]
            state = states.position[k, b, who], states.velocity[k, b, who]
            value = call(float(states.time[k, b]), states.mass[b, who], *state)
            try:
                found[k, b] = float(value)
            except (TypeError, ValueError):
                raise ConfigError(
                    f"own event {shown(self.label)}: its function returned {shown(value)}, not a number."
                ) from None
        return found[..., None]

    def _call(self) -> Callable[..., Any]:
        """Return the function of arrays."""
        address = getattr(self.function, "address", None)
        if address is None:
            return self.function
        pointer = ctypes.POINTER(ctypes.c_double)
        call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double, pointer, pointer, pointer)(int(address))

        def of_arrays(t: float, mass: np.ndarray, *vectors: np.ndarray) -> float:
            n, D = vectors[0].shape
            rows = [np.zeros((3, n)) for _ in vectors]
            for row, vector in zip(rows, vectors, strict=True):
                row[:D] = vector.T
            arrays = (np.ascontiguousarray(mass), *rows)
            return float(call(n, t, *(a.ctypes.data_as(pointer) for a in arrays)))

        return of_arrays

    value = measure


class Occurrence(NamedTuple):
    """An event in the log of a run."""

    system: int
    time: float
    kind: str  # name of the event, or the label of one's own
    bodies: tuple[int, ...]  # numbers of the bodies that it is about
    value: float  # distance of an encounter, relative speed of a collision, speed at infinity of an escape, height, own value
    position: np.ndarray  # (N, D) of all bodies of the system then
    velocity: np.ndarray  # (N, D)
    number: int  # of the event among those of the run

    def __repr__(self) -> str:
        who = "-".join(map(str, self.bodies)) or "system"
        return f"<{self.kind} of {who} at t = {self.time:.10g}: {self.value:.4g}>"


EVENTS = {kind.name: kind for kind in (Encounter, Collision, Escape, Crossing, Decided)}


def event_named(text: str) -> Event:
    """Return the event that a text such as `encounter:below=0.01,stop=yes` describes."""
    made: Event = build(text, EVENTS, "event", ConfigError)
    return made


def as_events(given: Any) -> tuple[Event, ...]:
    """Return events as a tuple: of values, of texts, or one of either."""
    if given is None:
        return ()
    each = (given,) if isinstance(given, (Event, str)) else given
    try:
        found = tuple(event_named(one) if isinstance(one, str) else one for one in each)
    except TypeError:
        found = (given,)
    for one in found:
        if not isinstance(one, Event):
            raise ConfigError(
                f"events: {shown(one)} is none; give one such as Encounter(below=0.01), its text 'encounter:below=0.01', or an "
                "OwnEvent(f)."
            )
    return found


OWN = "own"  # in files, in place of an event that only the user can give again
FEW_PAIRS = 100


def event_to_plain(event: Event) -> dict[str, Any] | str:
    """Return an event as plain values, from which `event_from_plain` makes it; `OWN` for a function of one's own."""
    if isinstance(event, OwnEvent):
        return OWN
    return {"kind": event.name, **dataclasses.asdict(event)}


def event_from_plain(plain: Any) -> Event:
    """Return the event that plain values describe, or raise an error of the kind that wrong arguments do."""
    values = dict(plain)
    kind = EVENTS[values.pop("kind")]
    if set(values) != {f.name for f in dataclasses.fields(kind)}:
        raise ConfigError(f"event {kind.name} has the numbers {sorted(values)}, which are not its own.")
    made: Event = kind(**values)
    return made


def _relative(states: States, subjects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return separation and relative velocity of each pair, (K, B, P, D); NaN with an absent body."""
    i, j = subjects[:, 0], subjects[:, 1]
    x, v = (_differences(a, i, j) for a in (states.position, states.velocity))
    if not states.present.all():
        x[:, ~(states.present[:, i] & states.present[:, j])] = np.nan
    return x, v


def _differences(a: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return a[:, :, j] - a[:, :, i] of vectors (K, B, N, D): of few pairs in a third of the time that it takes like this."""
    (K, B, _, D), P = a.shape, len(i)
    if P > FEW_PAIRS:
        return np.asarray(a[:, :, j] - a[:, :, i])
    found = np.empty((D, P, K, B))
    for p, (one, other) in enumerate(zip(i.tolist(), j.tolist(), strict=True)):
        np.subtract(a[:, :, other].transpose(2, 0, 1), a[:, :, one].transpose(2, 0, 1), out=found[:, p])
    return found.transpose(2, 3, 1, 0)


def _about_others(states: States) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position and velocity of each body about the centre of mass of all others, (K, B, N, D), and the total mass."""
    mass = np.where(states.present, states.mass, 0.0)
    total = tree_sum(mass, 1)[:, None]
    found = []
    for a in (states.position, states.velocity):
        # not `einsum`, which rounds in another way where only one system is looked at (as `@` does)
        whole = tree_sum(mass[..., None] * np.where(states.present[..., None], a, 0.0), 2)[:, :, None]
        with np.errstate(all="ignore"):
            found.append(a - (whole - mass[..., None] * a) / (total - mass)[..., None])
    found[0][:, ~states.present] = np.nan
    return found[0], found[1], np.broadcast_to(total, mass.shape)


def _refuse_unless_positive(event: Event, field: str) -> None:
    value = getattr(event, field)
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0.0 < value < math.inf:
        raise ConfigError(f"{event.name}: {field} = {shown(value)} must be a positive number.")
