"""Orbital elements of whole systems, as arrays in and out; the conventions are those of REBOUND.

The reference plane is that of x and y, the reference direction is x, angles are in radians. What an orbit is about, its
`primary`, is by default the centre of mass of all bodies before it ("jacobi"). It may also be the first body ("heliocentric"),
the centre of mass of all bodies ("barycentric"), the body of an index, or of one index for each orbit. Orbits are about
gm = G (m + M), where M is the mass of the body or bodies at the primary; barycentric ones are about G times the total mass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .conics import Shape, conic_of, perifocal_from_f, perifocal_from_mean, placed
from .errors import InitialConditionError, nearest_name_hint, shown
from .sums import tree_sum
from .validation import as_array, expanded

JACOBI, HELIOCENTRIC, BARYCENTRIC = "jacobi", "heliocentric", "barycentric"
ANGLES = ("inc", "Omega", "omega", "f", "M")
# what overflows is NaN or infinite, which `Bodies` refuse; so is what is about no mass
NO_WARNINGS: dict[str, Any] = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}
Primary = str | int | Sequence[int]


class Elements(NamedTuple):
    """Osculating orbital elements, each (B, N-1): of all bodies but the first, or but the one that they are about.

    Lengths and times are in the units of the bodies, angles in radians. NaN: an absent body, or one about no mass.
    """

    a: np.ndarray  # semi-major axis; negative: a hyperbola, infinite: a parabola
    e: np.ndarray
    inc: np.ndarray  # 0 to pi
    Omega: np.ndarray  # longitude of the ascending node; 0 in the reference plane
    omega: np.ndarray  # argument of pericentre; 0 on a circle
    f: np.ndarray  # true anomaly
    M: np.ndarray  # mean anomaly; on a parabola D + D^3/3 with D = tan(f/2)
    q: np.ndarray  # pericentre distance
    period: np.ndarray  # infinite unless bound
    T: np.ndarray  # time of a pericentre: the nearest, of several

    def in_degrees(self) -> Elements:
        """Return the same elements with angles in degrees."""
        return self._replace(**{name: np.degrees(getattr(self, name)) for name in ANGLES})


class Central(NamedTuple):
    """What orbits are about."""

    orbiting: np.ndarray  # (N-1,) indices of the bodies on orbits
    about: np.ndarray | None  # (N-1,) indices of the bodies that they are about; None: centres of mass
    total: bool  # whether those are of all bodies, instead of the bodies before


def central(primary: Primary, bodies: int) -> Central:
    """Return what `primary` means for so many bodies, or raise an error."""
    others = np.arange(1, bodies)
    if isinstance(primary, str):
        known = (JACOBI, HELIOCENTRIC, BARYCENTRIC)
        if primary not in known:
            raise InitialConditionError(
                f"primary = {shown(primary)} is unknown: {nearest_name_hint(primary, known)} It may also be an index."
            )
        return Central(others, np.zeros(bodies - 1, dtype=int) if primary == HELIOCENTRIC else None, primary == BARYCENTRIC)
    index = np.asarray(primary)
    if index.dtype.kind not in "iu" or index.shape not in ((), (bodies - 1,)):
        raise InitialConditionError(
            f"primary = {shown(primary)} must be one index of a body, or one for each of {bodies - 1} orbits."
        )
    if index.ndim == 0:
        others = np.delete(np.arange(bodies), index) if 0 <= index < bodies else others
    allowed = np.full(bodies - 1, bodies) if index.ndim == 0 else others
    if not ((index >= 0) & (index < allowed)).all():
        raise InitialConditionError(
            f"primary = {shown(primary)}: indices are 0 to {bodies - 1}, and an orbit is about a body that comes before it."
        )
    return Central(others, np.broadcast_to(index, (bodies - 1,)), False)


@np.errstate(**NO_WARNINGS)
def elements_of(
    mass: np.ndarray, position: np.ndarray, velocity: np.ndarray, time: np.ndarray, G: float, primary: Primary = JACOBI
) -> Elements:
    """Return the elements of bodies of masses (B, N), positions and velocities (B, N, D) at the times (B,)."""
    missing = [(0, 0), (0, 0), (0, 3 - position.shape[2])]
    x, v = np.pad(position, missing), np.pad(velocity, missing)
    about = central(primary, mass.shape[1])
    total, (x, v) = _relative(mass, (x, v), about)
    a, shape, place = conic_of(G * total, x, v)
    period = np.where(a < 0, np.inf, 2 * math.pi / np.where(np.isinf(a), 0.0, place.n))
    T = time[:, None] - place.M / place.n
    return Elements(a, shape.e, shape.inc, shape.Omega, shape.omega, place.f, place.M, shape.q, period, T)


def _relative(mass: np.ndarray, vectors: tuple[np.ndarray, ...], about: Central) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the masses (B, N-1) at both ends of the orbits, and vectors (B, N, 3) relative to the primaries, (B, N-1, 3)."""
    if about.about is not None:
        return mass[:, about.orbiting] + mass[:, about.about], tuple(y[:, about.orbiting] - y[:, about.about] for y in vectors)
    if about.total:
        total = tree_sum(mass, 1)[:, None, None]
        return np.broadcast_to(total[..., 0], mass[:, 1:].shape), tuple(
            y[:, 1:] - tree_sum(mass[..., None] * y, 1)[:, None] / total for y in vectors
        )
    inside = np.cumsum(mass, axis=1)
    centres = (np.cumsum(mass[..., None] * y, axis=1) / inside[..., None] for y in vectors)
    return np.where(inside[:, :-1] > 0, inside[:, 1:], np.nan), tuple(
        y[:, 1:] - c[:, :-1] for y, c in zip(vectors, centres, strict=True)
    )


@np.errstate(**NO_WARNINGS)
def bodies_on_orbits(
    mass: Any,
    *,
    a: Any = None,
    q: Any = None,
    e: Any = 0.0,
    inc: Any = 0.0,
    Omega: Any = 0.0,
    omega: Any = 0.0,
    f: Any = None,
    M: Any = None,
    T: Any = None,
    time: Any = 0.0,
    G: float = 1.0,
    primary: Primary = JACOBI,
    degrees: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return masses (B, N), positions and velocities (B, N, 3) of bodies on these orbits: see `Bodies.from_elements`."""
    given = {"a": a, "q": q, "e": e, "inc": inc, "Omega": Omega, "omega": omega, "f": f, "M": M, "T": T}
    arrays = {name: as_array(name, value) for name, value in given.items() if value is not None}
    masses, B, N = _sizes(as_array("mass", mass), arrays)
    o = {name: expanded(name, value, (B, N - 1)) for name, value in arrays.items()}
    _refuse_nonfinite(o)
    if degrees:
        o |= {name: np.radians(o[name]) for name in ANGLES if name in o}
    about = central(primary, N)
    gm = G * _relative(masses, (), about)[0]
    shape, one_minus_e = _shape(o)
    _refuse_no_mass(gm, masses, about)
    times = expanded("time", as_array("time", time), (B,))
    x, v = placed(shape, *_in_plane(gm, shape, one_minus_e, o, times))
    x, v = (_centred(masses, _absolute(masses, y, about)) for y in (x, v))
    return masses, x, v


def _sizes(mass: np.ndarray, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, int, int]:
    """Return masses (B, N), B and N; every array is a number, (N-1,), (B, N-1) or (B, 1)."""
    if mass.ndim not in (1, 2) or mass.shape[-1] < 2:
        raise InitialConditionError(f"mass has shape {mass.shape}; give the mass of every body, the first one included: (N,).")
    N = mass.shape[-1]
    B = max([len(x) for x in (mass, *arrays.values()) if x.ndim == 2], default=1)
    return expanded("mass", mass, (B, N)), B, N


def _refuse_nonfinite(o: dict[str, np.ndarray]) -> None:
    for name, values in o.items():
        _refuse(name, values, np.isfinite(values), "must be a finite number")


def _refuse(name: str, values: np.ndarray, fine: np.ndarray, words: str) -> None:
    """Raise an error that shows the first value that is not fine."""
    if not fine.all():
        b, k = np.argwhere(~fine)[0]
        where = f"orbit {k}" if len(values) == 1 else f"orbit {k} of system {b}"
        raise InitialConditionError(f"{name} = {values[b, k]:g} of {where} {words}.")


def _shape(o: dict[str, np.ndarray]) -> tuple[Shape, np.ndarray]:
    """Return size, shape and orientation, and 1 - e; an error says which element is out of range."""
    if ("a" in o) == ("q" in o):
        raise InitialConditionError("orbits need the semi-major axis a or the pericentre distance q, and not both.")
    e, inc = o["e"], o["inc"]
    _refuse("e", e, e >= 0, "must be 0 or more")
    _refuse("inc", inc, (inc >= 0) & (inc <= math.pi), "must be from 0 to pi; for angles in degrees give degrees=True")
    if "q" in o:
        q = o["q"]
        _refuse("q", q, q > 0, "must be above 0")
    else:
        a = o["a"]
        _refuse("a", a, a != 0, "must not be 0")
        _refuse("e", e, e != 1, "is a parabola, which has no semi-major axis: give the pericentre distances q instead of a")
        _refuse("a", a, (a > 0) == (e < 1), "does not fit its e: ellipses (e < 1) have a > 0, hyperbolas (e > 1) have a < 0")
        q = a * (1 - e)
    return Shape(q, e, inc, o["Omega"], o["omega"]), 1 - e


def _in_plane(
    gm: np.ndarray, shape: Shape, w: np.ndarray, o: dict[str, np.ndarray], time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (B, N-1, 2) in the plane of each orbit, at pericentre if no anomaly is given."""
    anomalies = [name for name in ("f", "M", "T") if name in o]
    if len(anomalies) > 1:
        raise InitialConditionError(f"{' and '.join(anomalies)} all say where on its orbit a body is: give one of them.")
    q, e = shape.q, shape.e
    if anomalies in ([], ["f"]):
        f = o.get("f", np.zeros_like(e))
        _refuse("f", f, 1 + e * np.cos(f) > 0, "is beyond the asymptotes of its hyperbola, where cos f = -1/e")
        return perifocal_from_f(gm, q, e, f)
    n = np.where(w == 0, np.sqrt(gm / (2 * q**3)), np.sqrt(gm / q**3) * np.abs(w) ** 1.5)
    M = o["M"] if "M" in o else n * (time[:, None] - o["T"])
    return perifocal_from_mean(gm, q, e, M, w)


def _refuse_no_mass(gm: np.ndarray, mass: np.ndarray, about: Central) -> None:
    wrong = ~(gm > 0)
    if about.total:
        wrong = wrong | ~(mass[:, :1] > 0)  # the first body balances all others
    if wrong.any() or (mass < 0).any() or not np.isfinite(mass).all():
        raise InitialConditionError(
            "masses must be 0 or more, and an orbit needs a mass that it is about; the first body has none."
        )


def _absolute(mass: np.ndarray, y: np.ndarray, about: Central) -> np.ndarray:
    """Return vectors (B, N, 3) of all bodies, from those relative to the primaries (B, N-1, 3); any origin will do."""
    B, N = mass.shape
    out = np.zeros((B, N, 3))
    if about.about is not None:
        for k in range(N - 1):
            out[:, about.orbiting[k]] = out[:, about.about[k]] + y[:, k]
    elif about.total:
        out[:, 1:] = y
        out[:, 0] = -tree_sum(mass[:, 1:, None] * y, 1) / mass[:, :1]
    else:
        share = mass[:, 1:] / np.cumsum(mass, axis=1)[:, 1:]
        centre = np.cumsum(share[..., None] * y, axis=1)  # of the bodies up to each
        out[:, 1], out[:, 2:] = y[:, 0], y[:, 1:] + centre[:, :-1]
    return out


def _centred(mass: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return vectors (B, N, 3) about the centre of mass."""
    return np.asarray(y - (tree_sum(mass[..., None] * y, 1) / tree_sum(mass, 1)[:, None])[:, None])
