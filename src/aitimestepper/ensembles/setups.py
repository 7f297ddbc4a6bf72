"""Set-ups: how columns of masses and orbital elements become bodies.

A hierarchy has body k + 1 on orbit k about all bodies before it. A scattering set-up has a binary, and a single body that comes
from infinity. Angles are in radians; lengths, masses and times are in any units in which G is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError, nearest_name_hint
from ..initial.scattering import FAR, encounters
from .distributions import ANY_INCLINATION, TURN, Constant, Distribution, Range

MASS, SIZE, SHAPE = Range(0.0), Range(0.0, open_low=True), Range(0.0, 1.0, open_high=True)
ANGLE, INCLINATION = Range(), Range(0.0, math.pi)
MOST_BODIES = 100
Columns = Mapping[str, np.ndarray]


class Column(NamedTuple):
    """A number of every system."""

    allowed: Range
    default: Distribution | None = None  # None: it has to be given


class Setup(NamedTuple):
    """What columns there are, and what they make."""

    columns: Callable[[Iterable[str]], dict[str, Column]]  # from the names that are given
    bodies: Callable[..., Bodies]  # of the columns, G, and what else `Bodies` takes
    period: Callable[[Columns, float], np.ndarray]  # the unit of `periods`, (B,)


def orbit_columns(suffix: str) -> dict[str, Column]:
    """Return the elements of an orbit that have a default."""
    zero = Constant(0.0, 0.0)
    return {
        f"e{suffix}": Column(SHAPE, zero),
        f"inc{suffix}": Column(INCLINATION, ANY_INCLINATION),
        f"Omega{suffix}": Column(ANGLE, TURN),
        f"omega{suffix}": Column(ANGLE, TURN),
        f"M{suffix}": Column(ANGLE, TURN),
    }


def hierarchy_columns(names: Iterable[str]) -> dict[str, Column]:
    """Return the columns of a hierarchy with as many bodies as masses are named."""
    numbers = [int(match[1]) for name in names if (match := re.fullmatch(r"m([1-9]\d{0,2})", name))]
    bodies = max([2, *numbers])
    if bodies > MOST_BODIES:
        raise ConfigError(f"m{bodies}: a hierarchy has at most {MOST_BODIES} bodies.")
    found = {f"m{k}": Column(MASS) for k in range(1, bodies + 1)}
    for k in range(1, bodies):
        found |= {f"a{k}": Column(SIZE)} | orbit_columns(str(k))
    return found


def hierarchy_bodies(columns: Columns, **more: Any) -> Bodies:
    """Return hierarchies, with the centre of mass at rest."""
    bodies = len([name for name in columns if re.fullmatch(r"m\d+", name)])
    mass = np.stack([columns[f"m{k}"] for k in range(1, bodies + 1)], 1)
    elements: dict[str, Any] = {
        name: np.stack([columns[f"{name}{k}"] for k in range(1, bodies)], 1)
        for name in ("a", "e", "inc", "Omega", "omega", "M")
    }
    return Bodies.from_elements(mass, **elements, **more)


def hierarchy_period(columns: Columns, G: float) -> np.ndarray:
    """Return the period of the outermost orbit, (B,)."""
    bodies = len([name for name in columns if re.fullmatch(r"m\d+", name)])
    mass = sum(columns[f"m{k}"] for k in range(1, bodies + 1))
    return np.asarray(2 * math.pi * np.sqrt(columns[f"a{bodies - 1}"] ** 3 / (G * mass)))


def scattering_columns(_: Iterable[str]) -> dict[str, Column]:
    """Return the columns of a binary and a single body."""
    masses = {"m1": Column(SIZE), "m2": Column(SIZE), "m3": Column(SIZE)}
    encounter = {"v": Column(SIZE), "b": Column(Range(0.0)), "distance": Column(SIZE, Constant(FAR, FAR))}
    return masses | {"a": Column(SIZE, Constant(1.0, 1.0))} | orbit_columns("") | encounter


def scattering_masses(columns: Columns) -> np.ndarray:
    """Return the masses of the binary and of the single body, (B, 3)."""
    return np.stack([columns[f"m{k}"] for k in (1, 2, 3)], 1)


def scattering_bodies(columns: Columns, **more: Any) -> Bodies:
    """Return binaries, and single bodies on their way to them; see `encounters`."""
    orbit = {name: columns[name] for name in ("a", "e", "inc", "Omega", "omega", "M")}
    return encounters(scattering_masses(columns), columns["v"], columns["b"], orbit, columns["distance"], **more)


def scattering_period(columns: Columns, G: float) -> np.ndarray:
    """Return the period of the binary, (B,)."""
    return np.asarray(2 * math.pi * np.sqrt(columns["a"] ** 3 / (G * (columns["m1"] + columns["m2"]))))


SETUPS = {
    "hierarchy": Setup(hierarchy_columns, hierarchy_bodies, hierarchy_period),
    "scattering": Setup(scattering_columns, scattering_bodies, scattering_period),
}


def refuse_unknown(setup: str, names: Iterable[str], known: Mapping[str, Column]) -> None:
    """Raise an error for a column that a set-up does not have."""
    for name in names:
        if name in known:
            continue
        orbit = re.fullmatch(r"(?:a|e|inc|Omega|omega|M)(\d{1,3})", name)
        if orbit and setup == "hierarchy":
            raise ConfigError(f"[{setup}] {name} is of orbit {orbit[1]}, which has no body: give m{int(orbit[1]) + 1}.")
        raise ConfigError(f"[{setup}] has no {name!r}: {nearest_name_hint(name, known)}")
