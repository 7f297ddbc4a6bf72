"""Whether the outcome of an encounter is decided: its parts leave each other for good.

The bodies are joined to a tree (see `binding.py`). The outcome is decided if there are two or more parts, single bodies or
binaries, of which each pair

1. recedes;
2. is unbound by a margin: the kinetic energy of its relative motion exceeds `MARGIN` times the potential energy. Of three or
   more parts it exceeds `MUTUAL` times the potential energy that all the mass of the system would have at their distance, so
   that the others cannot bind them again;
3. is so far apart that neither disturbs a binary in the other: at apocentre the tide is below a fraction `tide` of the
   attraction within the binary, 2 m / M (Q / r)^3 < tide, and they are farther than `NEAR` apocentres, so that the binary
   pulls on the other one like a point.

A group of three or more bodies that are bound decides nothing, however hierarchical it is: it may break up later.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .binding import Joins, apsides, joins_of
from .constants import MARGIN, MUTUAL, NEAR
from .sums import dot

TIDE = 1e-4  # of two equal masses a third one has to be farther than 22 apocentres
LIGHT = 0.02  # of the mass of a system
SLACK = 1.3  # of squares of distances, so that the measure has no jump where it changes its sign
AT_ONCE = 2**12  # states, whose arrays stay in the cache


class Verdict(NamedTuple):
    """Whether the outcome is decided in each of M states of systems."""

    slack: np.ndarray  # (M,) from -1 to 1: by how much the criterion is met; not below 0: the outcome is decided
    speed: np.ndarray  # (M,) largest relative speed at infinity of two parts; NaN where there is one part only


def verdict_on(joins: Joins, G: float, softening: np.ndarray, tide: float = TIDE) -> Verdict:
    """Return whether the outcome of systems with these joins is decided. softening: (M,)."""
    n = joins.root.shape[1]
    i, j = np.triu_indices(n, 1)
    reach, size, small = _reach(joins, softening, tide)
    is_root = joins.root == np.arange(n)
    count = is_root.sum(1)
    both = is_root[:, i] & is_root[:, j]
    x, v = (y[:, j] - y[:, i] for y in (joins.root_x, joins.root_v))
    m = joins.root_mass
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        r, kinetic = np.sqrt(dot(x, x)), 0.5 * dot(v, v)
        mutual = count > 2
        held = np.where(mutual[:, None], MUTUAL * m.sum(1)[:, None], MARGIN * (m[:, i] + m[:, j])) * G / r
        far = np.maximum(reach[:, i] * np.cbrt(m[:, j]), reach[:, j] * np.cbrt(m[:, i]))
        far = np.maximum(far, NEAR * np.maximum(size[:, i], size[:, j]))
        receding = dot(x, v) / (r * np.sqrt(2.0 * kinetic))
        slack = np.minimum(np.minimum((kinetic - held) / (kinetic + held), receding), (r - far) / (r + far))
        speed2 = 2.0 * (kinetic - G * (m[:, i] + m[:, j]) / r)
    slack = np.where(both, np.where(np.isnan(slack), -1.0, slack), 1.0).min(1, initial=1.0)
    fastest = np.where(both, speed2, -np.inf).max(1, initial=-np.inf)
    speed = np.where(count > 1, np.sqrt(np.maximum(fastest, 0.0)), np.nan)
    return Verdict(np.where((count > 1) & small, slack, -1.0), speed)


def _reach(joins: Joins, softening: np.ndarray, tide: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far a unit mass has to be from the node of each number, (M, n), and the apocentre in it, 0 for a body alone.

    The last is whether all groups are binaries, (M,).
    """
    M, J, _ = joins.pair.shape
    n, rows = joins.root.shape[1], np.arange(M)
    reach, size, small = np.zeros((M, n)), np.zeros((M, n)), np.ones(M, bool)
    for k in range(J):
        i = joins.pair[:, k, 0]
        some = rows[i >= 0]
        if not len(some):
            break
        i = i[some]
        small[some] &= (joins.root[some] == joins.root[some, i][:, None]).sum(1) == 2
        gm = joins.gm[some, k]
        _, apocentre = apsides(gm, joins.x[some, k], joins.v[some, k], softening[some])
        with np.errstate(divide="ignore", over="ignore"):
            size[some, i], reach[some, i] = apocentre, apocentre * np.cbrt(2.0 / (tide * joins.root_mass[some, i]))
    return reach, size, small


def slack_and_speed(
    mass: np.ndarray,
    present: np.ndarray,
    x: np.ndarray,
    v: np.ndarray,
    G: float,
    tide: float = TIDE,
) -> Verdict:
    """Return the verdict on states x, v (K, B, N, D) of systems with masses and bodies (B, N), as arrays (K, B).

    States in which a quick look shows that nothing is decided have the slack -1, and speeds of NaN.
    """
    K, B, N, D = x.shape
    slack, speed = np.full(K * B, -1.0), np.full(K * B, np.nan)
    x, v, system = x.reshape(K * B, N, D), v.reshape(K * B, N, D), np.tile(np.arange(B), K)
    for first in range(0, K * B, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        b = system[part]
        some = first + np.flatnonzero(_may_be_decided(mass, present, b, x[part], v[part], tide))
        if len(some):
            b = system[some]
            none = np.zeros(len(some))
            joins = joins_of(mass[b], x[some], v[some], G, none, present[b])
            slack[some], speed[some] = verdict_on(joins, G, none, tide)
    return Verdict(slack.reshape(K, B), speed.reshape(K, B))


def _may_be_decided(
    mass: np.ndarray, present: np.ndarray, b: np.ndarray, x: np.ndarray, v: np.ndarray, tide: float
) -> np.ndarray:
    """Return whether the outcome of states (M, N, D) may be decided, by a quick look at their pairs.

    The moment of inertia grows, where no body is so light that it hardly counts. Either the farthest two bodies are as far
    apart as is asked for of a binary, whose apocentre is at least the smallest distance now, or all pairs recede.
    """
    N = x.shape[1]
    i, j = np.triu_indices(N, 1)
    real = present[:, i] & present[:, j]
    lightest = np.where(present, mass, np.inf).min(1) / np.maximum(mass.sum(1), np.finfo(float).tiny)
    weight = np.where(real & (lightest > LIGHT)[:, None], mass[:, i] * mass[:, j], 0.0)
    least = np.maximum(np.cbrt(2.0 * lightest / tide), NEAR)
    apart = x[:, j] - x[:, i]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        xv = np.einsum("mpd,mpd->mp", apart, v[:, j] - v[:, i])
        r2 = np.einsum("mpd,mpd->mp", apart, apart)
        grows = (weight[b] * xv).sum(1) >= 0.0
        if real.all():
            far, recede = r2.max(1, initial=0.0) / r2.min(1, initial=np.inf), (xv > 0.0).all(1)
        else:
            far = np.where(real[b], r2, 0.0).max(1, initial=0.0) / np.where(real[b], r2, np.inf).min(1, initial=np.inf)
            recede = ((xv > 0.0) | ~real[b]).all(1)
        return np.asarray(grows & ((SLACK * far > (least * least)[b]) | recede))
