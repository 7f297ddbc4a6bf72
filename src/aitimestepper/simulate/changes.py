"""Changes of the bodies of one system: a body comes, goes, or two become one."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from ..bodies import Bodies
from ..errors import InitialConditionError, shown
from ..events import Collision, Crossing, Event, States
from ..fields import field_without_body
from ..measured import in_one_system
from .merging import merged_radius, together


def one_system(bodies: Bodies) -> Bodies:
    """Return a batch of one system, without absent bodies."""
    if len(bodies) != 1:
        raise InitialConditionError(
            f"a Simulation is of one system, and these are {len(bodies)}: select one of them (bodies.select), or use simulate."
        )
    present, field = bodies.present[0], bodies.external_field
    if present.all():
        return bodies
    for number in np.flatnonzero(~present)[::-1].tolist():
        field = field_without_body(field, number)
    return bodies.replace(
        external_field=field,
        mass=bodies.mass[:, present],
        position=bodies.position[:, present],
        velocity=bodies.velocity[:, present],
        present=None,
        names=None if bodies.names is None else tuple(n for n, p in zip(bodies.names, present, strict=True) if p),
    )


def body_number(bodies: Bodies, which: Any) -> int:
    """Return the number of the body that a number or a name means."""
    N, names = bodies.mass.shape[1], bodies.names
    if isinstance(which, str):
        if names is None or which not in names:
            known = "the bodies have no names" if names is None else f"they are {', '.join(names[:20])}"
            raise InitialConditionError(f"there is no body {shown(which)}: {known}.")
        if names.count(which) > 1:
            raise InitialConditionError(f"there are {names.count(which)} bodies with the name {shown(which)}: give a number.")
        return names.index(which)
    if isinstance(which, bool) or not isinstance(which, (int, np.integer)) or not -N <= which < N:
        raise InitialConditionError(f"body {shown(which)}: give its name, or its number from 0 to {N - 1}.")
    return int(which) % N


def with_body(bodies: Bodies, mass: float, position: Any, velocity: Any, name: str | None) -> Bodies:
    """Return the system with one more body, the last one."""
    given, units = in_one_system({"mass": mass, "position": position, "velocity": velocity}, bodies.units)
    if units != bodies.units:
        raise InitialConditionError(f"add: mass = {shown(mass)} has a unit, but the bodies have none.")
    mass, position, velocity = given["mass"], given["position"], given["velocity"]
    try:
        place = [np.asarray(x, dtype=np.float64).reshape(1, 1, bodies.position.shape[2]) for x in (position, velocity)]
        more = np.asarray(mass, dtype=np.float64).reshape(1, 1)
    except (TypeError, ValueError):
        raise InitialConditionError(
            f"add: mass = {shown(mass)}, position = {shown(position)}, velocity = {shown(velocity)} must be one number and "
            f"twice {bodies.position.shape[2]} numbers."
        ) from None
    names = bodies.names
    if name is not None or names is not None:
        count = bodies.mass.shape[1]
        old = [f"body {k}" for k in range(count)] if names is None else list(names)
        names = (*old, f"body {count}" if name is None else name)
    return _made(
        bodies,
        np.concatenate([bodies.mass, more], 1),
        np.concatenate([bodies.position, place[0]], 1),
        np.concatenate([bodies.velocity, place[1]], 1),
        names,
    )


ELEMENTS = ("a", "q", "e", "inc", "Omega", "omega", "f", "M", "T", "degrees")


def on_orbit(bodies: Bodies, mass: Any, about: int | None, elements: dict[str, Any]) -> list[np.ndarray]:
    """Return position and velocity of a body on an orbit about another one, or about the centre of mass of all."""
    for word in elements:
        if word not in ELEMENTS:
            raise InitialConditionError(f"add: {shown(word)} is no element of an orbit; known: {', '.join(ELEMENTS)}.")
    total = bodies.mass[0].sum() if about is None else bodies.mass[0, about]
    light = in_one_system({"mass": mass}, bodies.units)[0]["mass"]
    pair = Bodies.from_elements([total, light], G=bodies.G, units=bodies.units, time=bodies.time, **elements)
    found, D = [], bodies.position.shape[2]
    for name in ("position", "velocity"):
        values, relative = getattr(bodies, name)[0], np.diff(getattr(pair, name)[0], axis=0)[0]
        centre = bodies.mass[0] @ values / total if about is None else values[about]
        if relative[D:].any():
            raise InitialConditionError("the bodies are in the plane, and the orbit is inclined: leave inc out.")
        found.append(centre + relative[:D])
    return found


def without_body(bodies: Bodies, number: int) -> Bodies:
    """Return the system without one of its bodies."""
    bodies = bodies._with(external_field=field_without_body(bodies.external_field, number))
    stays = np.arange(bodies.mass.shape[1]) != number
    names = None if bodies.names is None else tuple(n for n, kept in zip(bodies.names, stays, strict=True) if kept)
    return _made(bodies, bodies.mass[:, stays], bodies.position[:, stays], bodies.velocity[:, stays], names)


def merged(bodies: Bodies, one: int, other: int, events: tuple[Event, ...] = ()) -> tuple[Bodies, tuple[Event, ...]]:
    """Return the system with two bodies as one, which keeps their mass, momentum and centre of mass; and its events.

    It takes the place and the name of the heavier one. In events its volume is that of both.
    """
    if one == other:
        raise InitialConditionError(f"merge: {one} and {other} are the same body; give two.")
    both, stays, goes = together(bodies, one, other)
    grown = tuple(without_radius(merged_radius(e, both.mass.shape[1], stays, goes), goes) for e in events)
    return without_body(both, goes), grown


def without_radius(event: Event, number: int) -> Event:
    """Return an event for a system that lost a body: radii and bodies that it names are those that stay."""
    if isinstance(event, Collision) and isinstance(event.radius, tuple):
        return dataclasses.replace(event, radius=tuple(r for k, r in enumerate(event.radius) if k != number))
    if isinstance(event, Crossing) and event.body is not None and event.body >= number:
        return Never() if event.body == number else dataclasses.replace(event, body=event.body - 1)
    return event


def with_radius(event: Event, bodies: int, radius: Any) -> Event:
    """Return an event for a system that got a body after so many; a collision needs its radius if each body has its own."""
    if not isinstance(event, Collision) or radius is None:
        return event
    return dataclasses.replace(event, radius=(*event.radii(bodies).tolist(), radius))


@dataclasses.dataclass(frozen=True)
class Never(Event):
    """In place of an event of a body that is gone, so that other events keep their numbers."""

    name: ClassVar[str] = "never"

    def subjects(self, bodies: Bodies) -> np.ndarray:
        """Return no subject."""
        return np.zeros((0, 2), dtype=np.int64)

    def measure(self, states: States, subjects: np.ndarray) -> np.ndarray:
        """Return the measure of no subject, (K, B, 0)."""
        return np.zeros((*states.time.shape, 0))

    value = measure


def _made(bodies: Bodies, mass: Any, position: Any, velocity: Any, names: Any) -> Bodies:
    return Bodies(
        mass,
        position,
        velocity,
        time=bodies.time,
        softening=bodies.softening,
        G=bodies.G,
        names=names,
        external_field=bodies.external_field,
        units=bodies.units,
    )
