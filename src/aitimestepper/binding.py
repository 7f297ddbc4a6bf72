"""Who is bound to whom: the bodies of many systems, joined pair by pair to trees.

Of all pairs of nodes of a system (bodies, or groups that are joined already, each at its centre of mass) the one with the
smallest semi-major axis of a bound two-body orbit is joined next, until no two nodes are bound.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .sums import dot


class Joins(NamedTuple):
    """The joins of B systems of n bodies, in order: J of them at most; -1 and NaN where a system has fewer.

    A node has the number of its heaviest member's node, and in the end that of its leader: the first of the two stays.
    """

    pair: np.ndarray  # (B, J, 2) numbers of the nodes that are joined, the lighter one second
    inverse_axis: np.ndarray  # (B, J) 1/a of their orbit
    gm: np.ndarray  # (B, J) G times the mass of both
    x: np.ndarray  # (B, J, D) position of the second node relative to the first one
    v: np.ndarray  # (B, J, D) their relative velocity
    centre_x: np.ndarray  # (B, J, D) centre of mass of both
    centre_v: np.ndarray  # (B, J, D)
    root: np.ndarray  # (B, n) number of the node that each body belongs to in the end; that of an absent body is -1
    root_mass: np.ndarray  # (B, n) mass of the node of each number, as it is in the end
    root_x: np.ndarray  # (B, n, D)
    root_v: np.ndarray  # (B, n, D)

    def select(self, index: Any) -> Joins:
        """Return the joins of some systems."""
        return Joins(*(values[index] for values in self))


def inverse_axis(gm: np.ndarray, x: np.ndarray, v: np.ndarray, softening: float | np.ndarray) -> np.ndarray:
    """Return 1/a of the orbits with separations x and relative velocities v (..., D); -infinity without mass."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = 2.0 / np.sqrt(dot(x, x) + softening**2) - dot(v, v) / gm
    return np.where((gm > 0) & ~np.isnan(found), found, -np.inf)


def apsides(gm: np.ndarray, x: np.ndarray, v: np.ndarray, softening: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances of pericentre and apocentre, infinite for an unbound orbit."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        binding, xv = inverse_axis(gm, x, v, softening), dot(x, v)
        latus = np.maximum(dot(x, x) * dot(v, v) - xv * xv, 0.0) / gm
        e = np.sqrt(np.maximum(1.0 - latus * binding, 0.0))
        return latus / (1.0 + e), np.where(binding > 0, (1.0 + e) / binding, np.inf)


def joins_of(
    mass: np.ndarray, x: np.ndarray, v: np.ndarray, G: float, softening: np.ndarray, present: np.ndarray | None = None
) -> Joins:
    """Return how the bodies of each system are joined.

    mass, present: (B, n), x, v: (B, n, D), softening: (B,). A body without mass may be joined to one that has some.
    """
    B, n, D = x.shape
    there = np.ones((B, n), bool) if present is None else present
    m, x, v, root = np.where(there, mass, 0.0), x.copy(), v.copy(), np.where(there, np.arange(n), -1)
    alive = there.copy()  # nodes that are not part of another one
    pair, vectors = np.full((B, n - 1, 2), -1), np.full((4, B, n - 1, D), np.nan)
    axis, gm = np.full((B, n - 1), np.nan), np.full((B, n - 1), np.nan)
    binding = _bindings(m, x, v, G, softening, there)
    s = np.arange(B)  # systems in which two nodes are bound
    for k in range(n - 1):
        rows = np.arange(len(s))
        best = binding.reshape(len(s), n * n).argmax(1)
        bound = binding.reshape(len(s), n * n)[rows, best] > 0
        if not bound.all():
            s, best, binding = s[bound], best[bound], binding[bound]
            rows = np.arange(len(s))
        if not len(s):
            break
        i, j = best // n, best % n
        swap = (m[s, j] > m[s, i]) | ((m[s, j] == m[s, i]) & (j < i))  # the lighter one second
        i, j = np.where(swap, j, i), np.where(swap, i, j)
        total = m[s, i] + m[s, j]
        pair[s, k, 0], pair[s, k, 1], axis[s, k], gm[s, k] = i, j, binding[rows, i, j], G * total
        vectors[0, s, k], vectors[1, s, k] = x[s, j] - x[s, i], v[s, j] - v[s, i]
        mine, other = (m[s, i] / total)[:, None], (m[s, j] / total)[:, None]
        x[s, i], v[s, i] = x[s, i] * mine + x[s, j] * other, v[s, i] * mine + v[s, j] * other
        vectors[2, s, k], vectors[3, s, k] = x[s, i], v[s, i]
        m[s, i], m[s, j] = total, 0.0
        root[s] = np.where(root[s] == j[:, None], i[:, None], root[s])
        alive[s, j] = False
        _join(binding, i, j, (m[s], x[s], v[s]), alive[s], G, softening[s])
    return Joins(pair, axis, gm, vectors[0], vectors[1], vectors[2], vectors[3], root, m, x, v)


def _bindings(m: np.ndarray, x: np.ndarray, v: np.ndarray, G: float, softening: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return 1/a of all pairs, (B, n, n); -infinity where there is none."""
    apart, speed = (y[:, None] - y[:, :, None] for y in (x, v))
    binding = inverse_axis(G * (m[:, :, None] + m[:, None]), apart, speed, softening[:, None, None])
    diagonal = np.arange(m.shape[1])
    binding[:, diagonal, diagonal] = -np.inf
    if not there.all():
        binding[~(there[:, :, None] & there[:, None])] = -np.inf
    return binding


def _join(
    binding: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    nodes: tuple[np.ndarray, ...],
    alive: np.ndarray,
    G: float,
    softening: np.ndarray,
) -> None:
    """Write the 1/a (B, n, n) of node i of each system, which has taken up j, in place. nodes: masses, places, velocities."""
    rows = np.arange(len(i))
    m, x, v = nodes
    binding[rows, j] = binding[rows, :, j] = -np.inf
    gm = np.where(alive, G * (m + m[rows, i][:, None]), 0.0)
    closer = inverse_axis(gm, x - x[rows, i][:, None], v - v[rows, i][:, None], softening[:, None])
    closer[rows, i] = -np.inf
    binding[rows, i] = binding[rows, :, i] = closer
