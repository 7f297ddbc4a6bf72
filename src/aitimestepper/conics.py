"""Two bodies on a conic: position and velocity from orbital elements and back, for ellipses, parabolas and hyperbolas.

Angles are in radians, the reference plane is that of x and y, and the x axis is the reference direction. The inclination is
from 0 to pi, all other angles are from -pi to pi. All functions work on arrays of any shape that fit each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .sums import dot

MOST_ITERATIONS = 100  # Newton's iteration takes below 10; each bound it starts from is at most 2^(1/3) times the root
PARABOLA = 4 * float(np.finfo(np.float64).eps)  # distance of e from 1 within which rounding hides the energy
CIRCLE = 1e-14  # eccentricity and inclination below which rounding hides the direction of pericentre and node
SERIES = 1.0  # argument below which x - sin x is summed as a series, for it would cancel


class Shape(NamedTuple):
    """Size, shape and orientation of orbits; each array has the same shape."""

    q: np.ndarray  # pericentre distance
    e: np.ndarray
    inc: np.ndarray
    Omega: np.ndarray  # longitude of the ascending node
    omega: np.ndarray  # argument of pericentre


class Place(NamedTuple):
    """Where on its orbit a body is."""

    f: np.ndarray  # true anomaly
    M: np.ndarray  # mean anomaly n (t - T); on a parabola that of Barker's equation, D + D^3/3 with D = tan(f/2)
    n: np.ndarray  # mean motion sqrt(gm/|a|^3); on a parabola sqrt(gm/(2 q^3))


def perifocal_from_f(gm: np.ndarray, q: np.ndarray, e: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (..., 2) in the plane of the orbit, whose first axis points to the pericentre."""
    p, cos, sin = q * (1 + e), np.cos(f), np.sin(f)
    x = (p / (1 + e * cos))[..., None] * np.stack([cos, sin], -1)
    return x, np.sqrt(gm / p)[..., None] * np.stack([-sin, e + cos], -1)


def perifocal_from_mean(
    gm: np.ndarray, q: np.ndarray, e: np.ndarray, M: np.ndarray, one_minus_e: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (..., 2) in the plane of the orbit at a mean anomaly; see `perifocal_from_f`.

    one_minus_e: 1 - e, which may be known to more digits than e. Distances are sums of positive terms, so that no digits are
    lost near pericentre and at e near 1.
    """
    gm, q, e, M, w = np.broadcast_arrays(gm, q, e, M, one_minus_e)
    x, v = np.empty((*e.shape, 2)), np.empty((*e.shape, 2))
    for kind, solve in ((w > 0, _on_ellipse), (w < 0, _on_hyperbola), (w == 0, _on_parabola)):
        if kind.any():
            x[kind], v[kind] = solve(gm[kind], q[kind], e[kind], M[kind], w[kind])
    return x, v


def _on_ellipse(gm: np.ndarray, q: np.ndarray, e: np.ndarray, M: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    E, a = eccentric_anomaly(M, e, w), q / w
    half2 = 2 * np.sin(0.5 * E) ** 2  # 1 - cos E
    r = q + a * e * half2
    x = np.stack([q - a * half2, np.sqrt(a * q * (1 + e)) * np.sin(E)], -1)
    v = np.stack([-np.sqrt(gm * a) * np.sin(E), np.sqrt(gm * q * (1 + e)) * np.cos(E)], -1)
    return x, v / r[:, None]


def _on_hyperbola(gm: np.ndarray, q: np.ndarray, e: np.ndarray, M: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    H, a = hyperbolic_anomaly(M, e, -w), q / -w
    half2 = 2 * np.sinh(0.5 * H) ** 2  # cosh H - 1
    r = q + a * e * half2
    x = np.stack([q - a * half2, np.sqrt(a * q * (1 + e)) * np.sinh(H)], -1)
    v = np.stack([-np.sqrt(gm * a) * np.sinh(H), np.sqrt(gm * q * (1 + e)) * np.cosh(H)], -1)
    return x, v / r[:, None]


def _on_parabola(gm: np.ndarray, q: np.ndarray, e: np.ndarray, M: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    D = 2 * np.sinh(np.arcsinh(1.5 * M) / 3)  # the real root of D + D^3/3 = M
    x = q[:, None] * np.stack([1 - D * D, 2 * D], -1)
    v = np.sqrt(2 * gm / q)[:, None] * np.stack([-D, np.ones_like(D)], -1)
    return x, v / (1 + D * D)[:, None]


def eccentric_anomaly(M: np.ndarray, e: np.ndarray, one_minus_e: np.ndarray | None = None) -> np.ndarray:
    """Solve Kepler's equation M = E - e sin E for E from -pi to pi, for 0 <= e < 1, to rounding.

    Newton's iteration from above the root converges monotonically, since E - e sin E is convex from 0 to pi. As a sum of
    (1 - e) E and e (E - sin E) it keeps its digits for e up to 1 - 1e-16.
    """
    w = 1 - e if one_minus_e is None else one_minus_e
    M = wrapped(M)
    size = np.abs(M)
    with np.errstate(divide="ignore", invalid="ignore"):  # e = 0
        E = np.fmin(np.minimum(np.minimum(size / w, size + e), np.pi), np.cbrt(12 * size / e))
    settled = np.zeros(E.shape, dtype=bool)
    for _ in range(MOST_ITERATIONS):
        slope = w + 2 * e * np.sin(0.5 * E) ** 2
        step = (w * E + e * less_sine(E) - size) / slope
        E = np.where(settled, E, np.maximum(E - step, 0.0))  # so that no number depends on the others
        settled |= np.abs(step) <= 4e-16 * E
        if settled.all():
            break
    return np.copysign(E, M)


def hyperbolic_anomaly(M: np.ndarray, e: np.ndarray, e_minus_one: np.ndarray | None = None) -> np.ndarray:
    """Solve M = e sinh H - H for H, for e > 1 and any M, to rounding."""
    w, size = e - 1 if e_minus_one is None else e_minus_one, np.abs(M)
    H = np.minimum(np.arcsinh(size / w), np.cbrt(6 * size / e))  # both are above the root
    H = np.minimum(H, np.arcsinh((size + H) / e))
    settled = np.zeros(H.shape, dtype=bool)
    for _ in range(MOST_ITERATIONS):
        slope = w + 2 * e * np.sinh(0.5 * H) ** 2
        step = (w * H + e * sinh_less(H) - size) / slope
        H = np.where(settled, H, np.maximum(H - step, 0.0))
        settled |= np.abs(step) <= 4e-16 * H
        if settled.all():
            break
    return np.copysign(H, M)


def less_sine(x: np.ndarray) -> np.ndarray:
    """Return x - sin x without cancellation."""
    return np.where(np.abs(x) < SERIES, _series(x, -1.0), x - np.sin(x))


def sinh_less(x: np.ndarray) -> np.ndarray:
    """Return sinh x - x without cancellation."""
    return np.where(np.abs(x) < SERIES, _series(x, 1.0), np.sinh(x) - x)


def _series(x: np.ndarray, sign: float) -> np.ndarray:
    """Return the sum of x^3/3! + sign x^5/5! + x^7/7! + ..., which is exact to rounding for |x| <= 1."""
    x = np.clip(x, -SERIES, SERIES)
    x2, total = x * x, np.zeros_like(x)
    for k in range(19, 1, -2):
        total = x2 / ((k - 1) * k) * (1 + sign * total)
    return x * total


def placed(shape: Shape, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (..., 3) of what has (..., 2) in the plane of its orbit."""
    towards, across = _basis(shape.inc, shape.Omega, shape.omega)
    return x[..., :1] * towards + x[..., 1:] * across, v[..., :1] * towards + v[..., 1:] * across


def _basis(inc: np.ndarray, Omega: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors (..., 3) in the plane of the orbit at the angles omega and omega + pi/2 from the node."""
    cos_node, sin_node, cos_inc, sin_inc = np.cos(Omega), np.sin(Omega), np.cos(inc), np.sin(inc)
    node = np.stack([cos_node, sin_node, np.zeros_like(cos_node)], -1)
    across = np.stack([-sin_node * cos_inc, cos_node * cos_inc, sin_inc], -1)
    c, s = np.cos(omega)[..., None], np.sin(omega)[..., None]
    return c * node + s * across, c * across - s * node


def conic_of(gm: np.ndarray, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, Shape, Place]:
    """Return semi-major axis, shape and place of bodies at x with velocities v, (..., 3), about gm = G (m1 + m2).

    a: negative on hyperbolas, infinite on parabolas. Where gm is not positive, everything is NaN.
    """
    gm = np.where(gm > 0, gm, np.nan)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a, e, (p, h, binding, e_cos, e_sin) = _size_and_eccentricity(gm, x, v)
        q, radial, f = p / (1 + e), dot(x, v), np.arctan2(e_sin, e_cos)
        inc, Omega, along = _orientation(h, x, gm)
        round_orbit = e < CIRCLE
        f = np.where(round_orbit, along, f)
        omega = np.where(round_orbit, 0.0, wrapped(along - f))
        place = _place(gm, q, e, binding, f, radial)
    return a, Shape(q, e, inc, Omega, omega), place


def axis_and_eccentricity(gm: np.ndarray, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return semi-major axis and eccentricity as `conic_of` does, in a third of the time."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a, e, _ = _size_and_eccentricity(np.where(gm > 0, gm, np.nan), x, v)
    return a, e


def _size_and_eccentricity(
    gm: np.ndarray, x: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Return a, e, and (semi-latus rectum, x cross v, 1/a, e cos f, e sin f)."""
    r, h = np.sqrt(dot(x, x)), np.cross(x, v)
    h_size = np.sqrt(dot(h, h))
    p = h_size * h_size / gm
    binding = 2 / r - dot(v, v) / gm  # 1/a
    e_cos, e_sin = p / r - 1, h_size * dot(x, v) / (gm * r)
    e = np.hypot(e_cos, e_sin)
    parabola = (np.abs(e - 1) <= PARABOLA) & (p > 0)
    e, binding = np.where(parabola, 1.0, e), np.where(parabola, 0.0, binding)
    return 1 / np.abs(binding) * np.where(binding < 0, -1, 1), e, (p, h, binding, e_cos, e_sin)


def wrapped(angle: np.ndarray) -> np.ndarray:
    """Return an angle from -pi to pi; one that is there already keeps all its digits."""
    return np.where(np.abs(angle) <= np.pi, angle, np.remainder(angle + np.pi, 2 * np.pi) - np.pi)


def _orientation(h: np.ndarray, x: np.ndarray, gm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inclination and node of the plane across h, and the angle of x from the node."""
    tilt, size = np.hypot(h[..., 0], h[..., 1]), np.sqrt(dot(h, h))
    flat = tilt <= CIRCLE * size
    inc = np.where(flat, np.where(h[..., 2] < 0, np.pi, 0.0), np.arctan2(tilt, h[..., 2]))
    Omega = np.where(flat, 0.0, np.arctan2(h[..., 0], -h[..., 1]))
    node, across = _basis(inc, Omega, np.zeros_like(inc))
    return inc + 0 * gm, Omega + 0 * gm, np.arctan2(dot(x, across), dot(x, node))


def _place(gm: np.ndarray, q: np.ndarray, e: np.ndarray, binding: np.ndarray, f: np.ndarray, radial: np.ndarray) -> Place:
    """Return where on the conic of 1/a = `binding` a body is that has the true anomaly f and x.v = `radial`."""
    w = np.abs(q * binding)  # |1 - e|, to more digits
    half = np.sqrt(w / (1 + e))
    E = 2 * np.arctan2(half * np.sin(0.5 * f), np.cos(0.5 * f))
    H = np.arcsinh(radial * np.sqrt(np.abs(binding) / gm) / e)
    D = np.tan(0.5 * f)
    M = np.where(binding > 0, w * E + e * less_sine(E), w * H + e * sinh_less(H))
    M = np.where(binding == 0, D + D**3 / 3, M)
    n = np.where(binding == 0, np.sqrt(gm / (2 * q**3)), np.sqrt(gm * np.abs(binding) ** 3))
    return Place(f, M, n)
