"""Energies in extended precision (80 bits, exponents to 4932), to hold reported energy errors against."""

from __future__ import annotations

import numpy as np

from aitimestepper.bodies import Bodies
from aitimestepper.constants import ENERGY_FLOOR

LONG = np.longdouble
EPS = LONG(np.finfo(np.float64).eps)
ROUNDINGS = 64.0  # of each term that a run makes and that its sums keep; the largest seen are near 10


def energies(bodies: Bodies) -> tuple[LONG, LONG, LONG]:
    """Return kinetic energy, potential energy, and kinetic energy about the centre of mass, of one system."""
    m, v = bodies.mass[0].astype(LONG), bodies.velocity[0].astype(LONG)
    own = v - (m[:, None] * v).sum(0) / m.sum()
    kinetic, about = (LONG(0.5) * (m * (u * u).sum(1)).sum() for u in (v, own))
    return kinetic, -_pair_terms(bodies)[0].sum() / 2, about


def _pair_terms(bodies: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Return G m m / d (N, N), and by which share each of them changes when coordinates are rounded."""
    m, x = bodies.mass[0].astype(LONG), bodies.position[0].astype(LONG)
    d2 = ((x[:, None] - x[None]) ** 2).sum(-1)
    soft2 = d2 + LONG(bodies.softening[0]) ** 2
    away = ~np.eye(len(m), dtype=bool)
    with np.errstate(all="ignore"):
        terms = np.where(away, LONG(bodies.G) * m[:, None] * m[None] / np.sqrt(soft2), 0)
        sensitivity = np.where(away, np.sqrt(d2) * np.abs(x).max() / soft2, 0)
    return terms, sensitivity


def _rounding(bodies: Bodies) -> LONG:
    """Return the energy that rounding of positions, velocities and sums is worth, in units of the epsilon of doubles."""
    m, v = bodies.mass[0].astype(LONG), bodies.velocity[0].astype(LONG)
    terms, sensitivity = _pair_terms(bodies)
    with np.errstate(all="ignore"):
        share = np.where(terms > 0, terms * (1 + sensitivity), 0).sum()
    return (m * (v * v).sum(1)).sum() + share


def exact_error(start: Bodies, final: Bodies) -> tuple[float, float]:
    """Return the relative energy error of one system, and by how much one computed in doubles may differ from it."""
    (K0, U0, own), (K1, U1, _) = energies(start), energies(final)
    scale = max(abs(own + U0), LONG(ENERGY_FLOOR) * (own + abs(U0)), LONG(np.finfo(np.float64).tiny))
    error = abs((K1 + U1) - (K0 + U0)) / scale
    slack = LONG(ROUNDINGS) * EPS * (_rounding(start) + _rounding(final)) / scale
    return float(error), float(slack + (1e-6 + _doubt_of_scale(start) / scale) * error)


def _doubt_of_scale(start: Bodies) -> LONG:
    """Return by how much the energy scale may differ where a system moves fast as a whole, and its own motion is slow."""
    m, v = start.mass[0].astype(LONG), start.velocity[0].astype(LONG)
    own = np.sqrt(((v - (m[:, None] * v).sum(0) / m.sum()) ** 2).sum(1))
    lost = LONG(8.0) * EPS * np.sqrt((v * v).sum(1)).max()
    return (m * (own * lost + lost * lost)).sum()
