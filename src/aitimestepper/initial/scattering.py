"""Scattering experiments: a binary and a single body that come from far away, with random angles and phases."""

from __future__ import annotations

import numpy as np

from ..bodies import Bodies
from ..errors import InitialConditionError

FAR = 30.0  # semi-major axes at which the single body starts: of equal masses its tide there is 7e-5


def critical_speed(mass: tuple[float, float, float], a: float = 1.0, G: float = 1.0) -> float:
    """Return the relative speed at infinity with which the total energy of bodies 0 and 1, a binary, and 2 is zero."""
    m0, m1, m2 = mass
    return float(np.sqrt(G * m0 * m1 * (m0 + m1 + m2) / (m2 * (m0 + m1) * a)))


def binary_meets_single(
    rng: np.random.Generator,
    b: np.ndarray,
    v: float,
    mass: tuple[float, float, float] = (1.0, 1.0, 1.0),
    a: float = 1.0,
    e: float = 0.0,
    distance: float | None = None,
) -> Bodies:
    """Return systems in which body 2 comes to the binary of bodies 0 and 1 with impact parameters b (B,), with G = 1.

    v: the relative speed at infinity over `critical_speed`. a, e: of the binary, whose orientation and phase are random.
    distance: of the start, on the hyperbola about the centre of mass of the binary (`FAR` a).
    """
    speed, total, start = v * critical_speed(mass, a), sum(mass), FAR * a if distance is None else distance
    b = np.asarray(b, float)[:, None]
    size = total / speed**2
    excess = (b / size) ** 2 / (1.0 + np.sqrt(1.0 + (b / size) ** 2))  # of the eccentricity over 1
    q = np.maximum(size * excess, 1e-9 * a)  # a hyperbola of b = 0 has no direction
    if not (q < start).all():
        raise InitialConditionError(f"b = {b.max():g} never comes nearer than distance = {start:g}; start farther away.")
    arrival = 1.0 + q / size
    f = -np.arccos(np.clip((q * (1.0 + arrival) / start - 1.0) / arrival, -1.0, 1.0))
    count = len(b)
    centres = Bodies.from_elements(np.tile([mass[0] + mass[1], mass[2]], (count, 1)), q=q, e=arrival, f=f)
    M, Omega, omega = rng.uniform(0.0, 2.0 * np.pi, (3, count, 1))
    inc = np.arccos(rng.uniform(-1.0, 1.0, (count, 1)))
    pair = Bodies.from_elements(np.tile(mass[:2], (count, 1)), a=a, e=e, inc=inc, Omega=Omega, omega=omega, M=M)
    x, u = (np.concatenate([c[:, :1] + p, c[:, 1:]], 1) for c, p in _vectors(centres, pair))
    return Bodies(mass, x, u)


def _vectors(centres: Bodies, pair: Bodies) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(centres.position, pair.position), (centres.velocity, pair.velocity)]
