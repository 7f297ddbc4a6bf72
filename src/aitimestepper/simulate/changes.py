"""Changes of the bodies of one system: a body comes, goes, or two become one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bodies import Bodies
from ..errors import InitialConditionError, shown


def body_number(bodies: Bodies, which: Any) -> int:
    """Return the number of the body that a number or a name means."""
    N, names = bodies.mass.shape[1], bodies.names
    if isinstance(which, str):
        if names is None or which not in names:
            known = "the bodies have no names" if names is None else f"they are {', '.join(names[:20])}"
            raise InitialConditionError(f"there is no body {shown(which)}: {known}.")
        return names.index(which)
    if isinstance(which, bool) or not isinstance(which, (int, np.integer)) or not -N <= which < N:
        raise InitialConditionError(f"body {shown(which)}: give its name, or its number from 0 to {N - 1}.")
    return int(which) % N


def with_body(bodies: Bodies, mass: float, position: Any, velocity: Any, name: str | None) -> Bodies:
    """Return the system with one more body, the last one."""
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


def without_body(bodies: Bodies, number: int) -> Bodies:
    """Return the system without one of its bodies."""
    stays = np.arange(bodies.mass.shape[1]) != number
    names = None if bodies.names is None else tuple(np.array(bodies.names, dtype=object)[stays])
    return _made(bodies, bodies.mass[:, stays], bodies.position[:, stays], bodies.velocity[:, stays], names)


def merged(bodies: Bodies, one: int, other: int) -> Bodies:
    """Return the system with two bodies as one at their centre of mass, which keeps their mass and their momentum.

    It takes the place and the name of the heavier one.
    """
    if one == other:
        raise InitialConditionError(f"merge: {one} and {other} are the same body; give two.")
    stays, goes = sorted((one, other), key=lambda k: (-bodies.mass[0, k], k))
    mass, position, velocity = bodies.mass.copy(), bodies.position.copy(), bodies.velocity.copy()
    total = mass[0, stays] + mass[0, goes]
    share = 0.5 if total == 0.0 else mass[0, goes] / total
    for values in (position, velocity):
        values[0, stays] += share * (values[0, goes] - values[0, stays])
    mass[0, stays] = total
    return without_body(_made(bodies, mass, position, velocity, bodies.names), goes)


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
    )
