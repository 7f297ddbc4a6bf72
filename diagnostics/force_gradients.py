"""Splittings of order 4 with force gradients, and a loop that runs them with a symmetrized free-fall step.

A kick with a gradient adds b dt a + c dt^3 g to the velocities, g = (da/dx) a. Of the two conditions of order 4, the kicks and
drifts meet sum b_i c_i^2 = 1/3 (c_i: the drift done before kick i). The gradients make up for the other one: in total they are
sum a_j B_j^2 - 1/3, with B_j the kick done before drift j. Positions need no softening here.

A displaced kick takes the accelerations at x + (c/b) dt^2 a instead, b dt a(x + (c/b) dt^2 a(x)), which is the same up to dt^5.
A gradient then costs exactly a force. The splitting chin4 of the package is Chin's 4A in this way.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from aitimestepper.bench.timing import Effort, rotate
from aitimestepper.constants import ENERGY_FLOOR

MAX_RATIO = 1.5  # of the symmetrized free-fall step, as in the engine


class Gradient(NamedTuple):
    """A splitting of order 4 some of whose kicks have force gradients; there is one kick more than drifts."""

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    gradients: tuple[float, ...]  # in units of dt^3, one for each kick
    source: str
    displaced: bool = False

    @property
    def passes(self) -> int:
        """The number of gradient evaluations a step."""
        return sum(c != 0 for c in self.gradients)


def gradient4() -> Gradient:
    """Return 4 forces and 1 gradient: a_1 such that sum b c^2 = 1/3, and the gradient that is left to order 4."""
    b1, b2 = 0.07743, 0.26805
    b3 = 1 - 2 * (b1 + b2)
    a1 = (1 - math.sqrt(2 * (1 / 3 - b1 - b3 / 4) / b2 - 1)) / 2
    return with_gradient((b1, b2, b3, b2, b1), (a1, 0.5 - a1, 0.5 - a1, a1), "optimized on gravity")


def with_gradient(kicks: tuple[float, ...], drifts: tuple[float, ...], source: str) -> Gradient:
    """Return the method with the gradient in its middle kick that makes it one of order 4."""
    done = np.cumsum(kicks)[:-1]
    gradients = [0.0] * len(kicks)
    gradients[len(kicks) // 2] = float(np.sum(np.array(drifts) * done**2)) - 1 / 3
    return Gradient(kicks, drifts, tuple(gradients), source)


GRADIENTS = {
    "gradient4": gradient4(),
    "gradient4, displaced": gradient4()._replace(displaced=True),
    "chin4, exact gradient": with_gradient((1 / 6, 2 / 3, 1 / 6), (0.5, 0.5), "Chin 1997, 4A"),
    "chin4, by the loop": with_gradient((1 / 6, 2 / 3, 1 / 6), (0.5, 0.5), "Chin 1997, 4A")._replace(displaced=True),
}


@numba.njit(error_model="numpy")
def forces(gm: Any, x: Any, a: Any) -> Any:
    """Write accelerations to `a`, and return (sum of rate^4, sum of m_i m_j / r without G) over pairs; gm is masses, G = 1."""
    n, rate4, binding = len(gm), 0.0, 0.0
    a[:] = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d0, d1, d2 = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
            inverse2 = 1.0 / (d0 * d0 + d1 * d1 + d2 * d2)
            inverse = math.sqrt(inverse2)
            cube = inverse2 * inverse
            binding += gm[i] * gm[j] * inverse
            rate2 = (gm[i] + gm[j]) * cube
            rate4 += rate2 * rate2
            p, q = gm[j] * cube, gm[i] * cube
            a[i, 0] += p * d0
            a[i, 1] += p * d1
            a[i, 2] += p * d2
            a[j, 0] -= q * d0
            a[j, 1] -= q * d1
            a[j, 2] -= q * d2
    return rate4, binding


@numba.njit(error_model="numpy")
def force_gradients(gm: Any, x: Any, a: Any, g: Any) -> None:
    """Write (da/dx) a, the rate at which the accelerations change if the bodies move along them, to `g`."""
    n = len(gm)
    g[:] = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d0, d1, d2 = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
            e0, e1, e2 = a[j, 0] - a[i, 0], a[j, 1] - a[i, 1], a[j, 2] - a[i, 2]
            inverse2 = 1.0 / (d0 * d0 + d1 * d1 + d2 * d2)
            cube = inverse2 * math.sqrt(inverse2)
            along = 3.0 * (d0 * e0 + d1 * e1 + d2 * e2) * inverse2
            p, q = gm[j] * cube, gm[i] * cube
            g0, g1, g2 = e0 - along * d0, e1 - along * d1, e2 - along * d2
            g[i, 0] += p * g0
            g[i, 1] += p * g1
            g[i, 2] += p * g2
            g[j, 0] -= q * g0
            g[j, 1] -= q * g1
            g[j, 2] -= q * g2


@numba.njit(error_model="numpy")
def kinetic(gm: Any, v: Any) -> Any:
    """Return the kinetic energy."""
    total = 0.0
    for i in range(len(gm)):
        total += 0.5 * gm[i] * (v[i, 0] ** 2 + v[i, 1] ** 2 + v[i, 2] ** 2)
    return total


@numba.njit(error_model="numpy")
def run(gm: Any, x: Any, v: Any, end: Any, eta: Any, kicks: Any, drifts: Any, gradients: Any, displaced: Any, most: Any) -> Any:
    """Advance one system, x and v in place; return its largest relative energy error, its steps and whether it came to its end.

    It does not if it needs more than `most` steps or breaks off. The errors are relative to S, see constants.ENERGY_FLOOR.
    """
    a, g = np.zeros_like(x), np.zeros_like(x)
    rate4, binding = forces(gm, x, a)
    centre = np.zeros(3)
    for i in range(len(gm)):
        centre += gm[i] * v[i] / gm.sum()
    K, E0 = kinetic(gm, v - centre), kinetic(gm, v) - binding
    S = max(abs(E0), ENERGY_FLOOR * (K + binding))
    t, last, largest, steps = 0.0, 0.0, 0.0, 0
    while t < end:
        if steps == most:
            return largest, steps, False
        dt = eta / math.sqrt(math.sqrt(rate4))
        if last > 0.0:
            symmetric = dt * (dt / last)
            if symmetric <= MAX_RATIO * dt and symmetric * MAX_RATIO >= dt:
                dt = symmetric
        last = dt
        h = min(dt, end - t)
        if not h > 0.0:
            return np.inf, steps, False
        for k in range(len(kicks)):
            if k > 0:
                x += drifts[k - 1] * h * v
                rate4, binding = forces(gm, x, a)
            if gradients[k] != 0.0:
                if displaced:
                    forces(gm, x + gradients[k] / kicks[k] * h * h * a, g)
                    a[:] = g
                else:
                    force_gradients(gm, x, a, g)
                    v += gradients[k] * h * h * h * g
            v += kicks[k] * h * a
        t = end if h < dt else t + h
        steps += 1
        error = abs(kinetic(gm, v) - binding - E0) / S
        if not error < np.inf:
            return np.inf, steps, False
        largest = max(largest, error)
    return largest, steps, True


@numba.njit(error_model="numpy")
def many_forces(gm: Any, x: Any, a: Any, g: Any, count: Any) -> None:
    """Evaluate forces `count` times."""
    for _ in range(count):
        forces(gm, x, a)


@numba.njit(error_model="numpy")
def many_gradients(gm: Any, x: Any, a: Any, g: Any, count: Any) -> None:
    """Evaluate force gradients `count` times."""
    for _ in range(count):
        force_gradients(gm, x, a, g)


def gradient_cost(effort: Effort) -> dict[int, float]:
    """Return the time of a gradient evaluation over that of a force evaluation, by number of bodies."""
    found = {}
    for n in (2, 3, 5, 10, 100):
        rng = np.random.default_rng(n)
        system = np.full(n, 1.0 / n), rng.normal(size=(n, 3)), np.zeros((n, 3)), np.zeros((n, 3))
        jobs = {f.__name__: lambda count, f=f, system=system: lambda: f(*system, count) for f in (many_forces, many_gradients)}
        found[n] = rotate(jobs, effort).ratio("many_gradients", "many_forces")
    return found
