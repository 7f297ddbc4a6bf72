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


class _Nodes(NamedTuple):
    """The nodes of B systems. The systems are the last axis here: so a step for all of them takes an eighth of the time."""

    m: np.ndarray  # (n, B)
    x: np.ndarray  # (D, n, B)
    v: np.ndarray  # (D, n, B)
    alive: np.ndarray  # (n, B) whether a node is not part of another one

    def at(self, place: np.ndarray) -> list[np.ndarray]:
        """Return mass (b,), position and velocity (D, b) of some nodes. place: (b,) number of the node * B + system."""
        return [y.reshape(*y.shape[:-2], -1).take(place, axis=-1) for y in self[:3]]

    def join(self, first: np.ndarray, second: np.ndarray, *centre: np.ndarray) -> None:
        """Write mass, position and velocity of both together to the first nodes, and take away the second ones, in place."""
        for y, values in zip(self[:3], centre, strict=True):
            y.reshape(*y.shape[:-2], -1)[..., first] = values
        self.m.reshape(-1)[second], self.alive.reshape(-1)[second] = 0.0, False

    def select(self, s: np.ndarray) -> _Nodes:
        """Return the nodes of some systems."""
        return self if len(s) == self.m.shape[1] else _Nodes(*(y[..., s] for y in self))


class _Pairs(NamedTuple):
    """All pairs of n numbers; P of them."""

    first: np.ndarray  # (P,)
    second: np.ndarray  # (P,)
    number: np.ndarray  # (n, n) of each pair; P of a number with itself

    @classmethod
    def of(cls, n: int) -> _Pairs:
        first, second = np.triu_indices(n, 1)
        number = np.full((n, n), len(first))
        number[first, second] = number[second, first] = np.arange(len(first))
        return cls(first, second, number)


def joins_of(
    mass: np.ndarray, x: np.ndarray, v: np.ndarray, G: float, softening: np.ndarray, present: np.ndarray | None = None
) -> Joins:
    """Return how the bodies of each system are joined.

    mass, present: (B, n), x, v: (B, n, D), softening: (B,). A body without mass may be joined to one that has some.
    """
    B, n, D = x.shape
    there, softening = np.ones((n, B), bool) if present is None else present.T, np.broadcast_to(softening, B)
    nodes = _Nodes(*(np.array(y, order="C") for y in (np.where(there, mass.T, 0.0), x.T, v.T, there)))
    pairs, root = _Pairs.of(n), np.where(there, np.arange(n)[:, None], -1)
    pair, numbers, vectors = np.full((2, n - 1, B), -1), np.full((2, n - 1, B), np.nan), np.full((4, D, n - 1, B), np.nan)
    binding, s = _bindings(nodes, pairs, G, softening), np.arange(B)  # s: systems in which two nodes are bound
    for k in range(n - 1):
        best = binding.argmax(0)
        axis = binding[best, np.arange(len(s))]
        bound = axis > 0
        if not bound.all():
            s, best, axis, binding = s[bound], best[bound], axis[bound], binding[:, bound]
        if not len(s):
            break
        own = s if len(s) < B else slice(None)  # all of them without an index, which takes a third of the time
        i, j = _heavier_first(pairs.first[best], pairs.second[best], nodes.m, s)
        (m_i, x_i, v_i), (m_j, x_j, v_j) = nodes.at(i * B + s), nodes.at(j * B + s)
        total = m_i + m_j
        mine, other = m_i / total, m_j / total
        centre = x_i * mine + x_j * other, v_i * mine + v_j * other
        pair[:, k, own], numbers[:, k, own] = (i, j), (axis, G * total)
        vectors[:, :, k, own] = x_j - x_i, v_j - v_i, *centre
        nodes.join(i * B + s, j * B + s, total, *centre)
        root[:, own] = np.where(root[:, own] == j, i, root[:, own])
        if k < n - 2:
            _join(binding, pairs, i, j, nodes.select(s), G, softening[own])
    return Joins(*map(np.transpose, (pair, *numbers, *vectors, root, *nodes[:3])))


def _heavier_first(i: np.ndarray, j: np.ndarray, m: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes i and j of the systems s, (b,) each, in the order of their masses; m: (n, B)."""
    swap = m[j, s] > m[i, s]
    return np.where(swap, j, i), np.where(swap, i, j)


def _bindings(nodes: _Nodes, pairs: _Pairs, G: float, softening: np.ndarray) -> np.ndarray:
    """Return 1/a of all pairs, (P + 1, B): -infinity where there is none, as of the last one."""
    i, j = pairs.first, pairs.second
    apart, speed = (np.moveaxis(y[:, j] - y[:, i], 0, -1) for y in (nodes.x, nodes.v))
    gm = np.where(nodes.alive[i] & nodes.alive[j], G * (nodes.m[i] + nodes.m[j]), 0.0)
    return np.concatenate([inverse_axis(gm, apart, speed, softening), np.full((1, gm.shape[1]), -np.inf)])


def _join(
    binding: np.ndarray, pairs: _Pairs, i: np.ndarray, j: np.ndarray, nodes: _Nodes, G: float, softening: np.ndarray
) -> None:
    """Write the 1/a (P + 1, b) of node i of each system, which has taken up j, in place."""
    b = np.arange(len(i))
    m, x, v = nodes.at(i * len(b) + b)
    gm = np.where(nodes.alive, G * (nodes.m + m), 0.0)
    apart, speed = (np.moveaxis(y, 0, -1) for y in (nodes.x - x[:, None], nodes.v - v[:, None]))
    closer = inverse_axis(gm, apart, speed, softening)
    closer[i, b] = -np.inf
    binding[pairs.number[j].T, b] = -np.inf
    binding[pairs.number[i].T, b] = closer
