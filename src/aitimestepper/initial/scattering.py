"""Scattering experiments: a binary, and a single body that comes from far away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..bodies import Bodies

FAR = 30.0  # semi-major axes at which the single body starts: of equal masses its tide there is 7e-5


def critical_speed(mass: Any, a: Any = 1.0, G: float = 1.0) -> np.ndarray:
    """Return the relative speed at infinity with which the total energy of bodies 0 and 1, a binary, and 2 is zero.

    mass: (..., 3), a: the semi-major axis, (...).
    """
    m0, m1, m2 = np.moveaxis(np.asarray(mass, float), -1, 0)
    return np.asarray(np.sqrt(G * m0 * m1 * (m0 + m1 + m2) / (m2 * (m0 + m1) * a)))


def encounters(
    mass: np.ndarray,
    v: Any,
    b: np.ndarray,
    orbit: Mapping[str, np.ndarray],
    distance: Any = FAR,
    *,
    G: float | None = None,
    units: Any = None,
    softening: float = 0.0,
) -> Bodies:
    """Return B systems in which body 2 comes to the binary of bodies 0 and 1, with the centre of mass at rest.

    mass: (B, 3). v: the relative speed at infinity over `critical_speed`; b: the impact parameter. orbit: elements of the
    binary, (B,) each, with its semi-major axis `a`. distance: of body 2 at the start along the direction from which it comes,
    in semi-major axes; it moves in the plane of x and y.
    """
    elements: dict[str, Any] = {name: x[:, None] for name, x in orbit.items()}
    binary = Bodies.from_elements(mass[:, :2], **elements, G=G, units=units)
    total = mass.sum(1)
    at_infinity = v * critical_speed(mass, orbit["a"], binary.G)
    r = np.hypot(distance * orbit["a"], b)
    across = b * at_infinity / r  # angular momentum is conserved, and so is energy
    inward = np.sqrt(at_infinity**2 + 2 * binary.G * total / r - across**2)
    x = np.stack([r, np.zeros_like(r), np.zeros_like(r)], 1)
    u = np.stack([-inward, across, np.zeros_like(r)], 1)
    share = (mass[:, 2] / total)[:, None]
    position, velocity = (
        np.concatenate([own - (share * far)[:, None], ((1 - share) * far)[:, None]], 1)
        for own, far in ((binary.position, x), (binary.velocity, u))
    )
    return Bodies(mass, position, velocity, G=G, units=units, softening=softening)


def binary_meets_single(
    rng: np.random.Generator,
    b: np.ndarray,
    v: float,
    mass: tuple[float, float, float] = (1.0, 1.0, 1.0),
    a: float = 1.0,
    e: float = 0.0,
    distance: float = FAR,
) -> Bodies:
    """Return `encounters` of the impact parameters b (B,) with a binary of random orientation and phase, with G = 1.

    v: the relative speed at infinity over `critical_speed`. a, e: of the binary. distance: in its semi-major axes.
    """
    b = np.asarray(b, float)
    M, Omega, omega = rng.uniform(0.0, 2.0 * np.pi, (3, len(b)))
    inc = np.arccos(rng.uniform(-1.0, 1.0, len(b)))
    orbit = {"a": np.full(len(b), a), "e": np.full(len(b), e), "inc": inc, "Omega": Omega, "omega": omega, "M": M}
    return encounters(np.tile(np.asarray(mass, float), (len(b), 1)), v, b, orbit, distance)
