"""Hierarchy: what every body of a system orbits, and whether that orbit is regular enough to be promised a tolerance.

The massive bodies are joined to a tree: of all pairs of nodes (bodies, or groups that are joined already, each at its centre of
mass) the one with the smallest semi-major axis of a bound two-body orbit is joined next, until no two nodes are bound. Every
join is one two-body orbit, and belongs to the lightest body that leads one of its sides. Massless bodies orbit a node, but are
none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .binding import Joins, apsides, inverse_axis, joins_of
from .bodies import Bodies
from .constants import ENERGY_FLOOR
from .fields import acceleration_by, outside_part
from .sums import dot
from .validation import TINY

AT_ONCE = 2**14  # pairs of bodies
MOST_MASSIVE = 300  # largest number of massive bodies of a system for which the tree, of a cost like N^3, is made
# An outer mass X at distance d or beyond leaves an orbit of total mass M and apocentre Q regular up to this (X / M) (Q / d)^3.
# It is 0.39 Hill radii of a moon, and 0.27 of the distance of an equal companion, as found for planets in binaries.
TIDE = 0.02
# The quadrupole of an inner pair, m1 m2 / (m1 + m2)^2 (Q / q)^2, up to which an outer orbit of pericentre q is regular: 0.043
# is the limit of stability for planets about two equal stars, at e = 0 and e = 0.5.
QUADRUPOLE = 0.03
HILL_RADII = 3.5  # that neighbouring orbits about one primary have to be apart: 2 sqrt(3) of them make two planets Hill-stable
PLANETARY = 0.01  # largest mass relative to the primary for which a Hill radius means something
NO_PERTURBER = 1e-7  # bodies lighter than this, relative to the mass of an orbit, do not disturb it even if they cross it
# Bodies below this fraction of the mass of an orbit need not be on regular orbits themselves, if these now stay away from it.
MINOR = 1e-4


class OwnOrbits(NamedTuple):
    """The orbit of every body about that which it is most tightly bound to.

    The leader of a group, a planet with moons, has the orbit of the group: its energy is that of the group's centre of mass.
    """

    host: np.ndarray  # (B, N, N) bool, host[b, i, j]: body j belongs to what body i orbits; no j: body i orbits nothing
    covered: np.ndarray  # (B, N) bool: body i is bound to its host, and no other body comes so close that chaos sets in
    group: np.ndarray  # (B, N, N) bool, group[b, i, j]: body j moves with body i on its orbit; i itself always does


def own_orbits(bodies: Bodies) -> OwnOrbits:
    """Return what every body orbits, as of the positions and velocities given.

    The primary of a system shares the orbit of the heaviest companion that it joins. Nothing is covered in systems of more than
    `MOST_MASSIVE` massive bodies, which are clusters.
    """
    B, N = bodies.mass.shape
    host, group = np.zeros((B, N, N), bool), np.repeat(np.eye(N, dtype=bool)[None], B, 0)
    covered = np.zeros((B, N), bool)
    for b, system in _systems(bodies, range(B)):
        _write_members(system, host[b], group[b])
        _write_covered(system, covered[b])
    return OwnOrbits(host, covered, group)


def covered_bodies(bodies: Bodies) -> np.ndarray:
    """Return `own_orbits(bodies).covered`, (B, N), in less time for pairs, and without arrays of N^2 numbers a system."""
    covered = np.zeros(bodies.mass.shape, bool)
    pairs = (bodies.present & (bodies.mass > 0)).sum(1) == 2
    pairs &= (bodies.body_count == 2) & (bodies.external_field is None)
    covered[pairs] = _bound_pairs(bodies.select(pairs))[:, None] & bodies.present[pairs] if pairs.any() else False
    for b, system in _systems(bodies, np.flatnonzero(~pairs).tolist()):
        _write_covered(system, covered[b])
    return covered


def own_energy(bodies: Bodies, host: np.ndarray, group: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the specific two-body energy E of every body about its host, and the scale of its errors, each (B, N).

    E = v^2 / 2 - G M / r of the centre of mass of the body's group (without `group` the body alone) relative to that of its
    host, M the mass of both, r softened. The scale is max(|E|, 1e-4 (v^2 / 2 + G M / r)). Both are NaN without a host.
    host, group: (B, N, N), or (1, N, N) for many states of one system.
    """
    mass, x, v = _centres(bodies, host)
    if group is None:
        lighter, x, v = bodies.mass, bodies.position - x, bodies.velocity - v
    else:
        lighter, x1, v1 = _centres(bodies, group, at_least_self=True)
        x, v = x1 - x, v1 - v
    r = np.sqrt(dot(x, x) + (bodies.softening**2)[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):  # two bodies at the same place, states of runs that broke off
        kinetic, potential = 0.5 * dot(v, v), bodies.G * (mass + lighter) / r
        energy = kinetic - potential
        return energy, np.maximum(np.maximum(np.abs(energy), ENERGY_FLOOR * (kinetic + potential)), TINY)


def _centres(bodies: Bodies, member: np.ndarray, at_least_self: bool = False) -> tuple[np.ndarray, ...]:
    """Return mass (B, N), position and velocity (B, N, D) of the centre of mass of the bodies that `member` (B, N, N) names.

    A massless body alone is its own centre with `at_least_self`; other centres without mass are NaN.
    """
    share, m = member.astype(float), bodies.mass[..., None]
    mass = np.matmul(share, m)[..., 0]
    found = []
    for values in (bodies.position, bodies.velocity):
        with np.errstate(divide="ignore", invalid="ignore"):
            centre = np.matmul(share, m * values) / mass[..., None]
        found.append(np.where(mass[..., None] > 0, centre, values) if at_least_self else centre)
    return mass, found[0], found[1]


# ---- the tree --------------------------------------------------------------------------------------------------------------
class _Tree(NamedTuple):
    """The nodes of a system of n massive bodies, K = n + J of them for J joins: the bodies first, then the groups."""

    member: np.ndarray  # (K, n) bool
    mass: np.ndarray  # (K,)
    x: np.ndarray  # (K, D)
    v: np.ndarray  # (K, D)
    pair: np.ndarray  # (J, 2) the nodes that a join makes one of, the one with the lighter leader second
    born: np.ndarray  # (K,) semi-major axis at which a node is made
    died: np.ndarray  # (K,) semi-major axis at which it is joined, infinite for those that never are
    owner: np.ndarray  # (J,) the body that a join is the orbit of
    leader: np.ndarray  # (K,) the body of a node that no join within the node belongs to


class _Orbits(NamedTuple):
    """Two-body orbits, each array (O,)."""

    node: np.ndarray  # the node that the orbit is in
    q: np.ndarray  # pericentre distance
    Q: np.ndarray  # apocentre distance
    mass: np.ndarray  # of both sides
    light: np.ndarray  # mass of the lighter side


def _tree(mass: np.ndarray, x: np.ndarray, v: np.ndarray, joins: Joins) -> _Tree:
    """Return the tree of n massive bodies, with arrays (n,) and (n, D), and the joins of this one system."""
    n = len(mass)
    pairs = joins.pair[0][joins.pair[0, :, 0] >= 0]
    member, masses, leader = [*np.eye(n, dtype=bool)], [*mass], [*range(n)]
    node = list(range(n))  # that has each number now
    pair: list[tuple[int, int]] = []
    for i, j in pairs.tolist():
        pair.append((node[i], node[j]))
        member.append(member[node[i]] | member[node[j]])
        masses.append(masses[node[i]] + masses[node[j]])
        leader.append(i)
        node[i] = len(member) - 1
    J = len(pairs)
    joined, reached = np.array(pair, int).reshape(-1, 2), np.maximum.accumulate(1.0 / joins.inverse_axis[0, :J])
    born, died = np.concatenate([np.zeros(n), reached]), np.full(len(masses), np.inf)
    died[joined.ravel()] = np.repeat(reached, 2)
    places, speeds = np.concatenate([x, joins.centre_x[0, :J]]), np.concatenate([v, joins.centre_v[0, :J]])
    return _Tree(np.array(member), np.array(masses), places, speeds, joined, born, died, pairs[:, 1], np.array(leader))


class _System(NamedTuple):
    """The tree of one system of N bodies, and its orbits: the J joins, then the P massless bodies that are bound."""

    tree: _Tree
    massive: np.ndarray  # (n,) numbers of the massive bodies
    massless: np.ndarray  # (P,) numbers of the massless ones
    node: np.ndarray  # (P,) what they orbit
    regular: np.ndarray  # (J + P,) bool


def _systems(bodies: Bodies, which: Iterable[int]) -> Iterator[tuple[int, _System]]:
    """Yield the systems of some numbers in which there is mass, and not too many bodies with it, those of one size together."""
    rows = np.array(list(which), int)
    massive = bodies.present[rows] & (bodies.mass[rows] > 0)
    sizes = massive.sum(1)
    for n in np.unique(sizes[(sizes > 0) & (sizes <= MOST_MASSIVE)]).tolist():
        for some in _parts(np.flatnonzero(sizes == n), n):
            b, k = rows[some], np.nonzero(massive[some])[1].reshape(-1, n)
            m, x, v = (values[b[:, None], k] for values in (bodies.mass, bodies.position, bodies.velocity))
            joins = joins_of(m, x, v, bodies.G, bodies.softening[b])
            for one, own in enumerate(b.tolist()):
                yield own, _system(bodies, own, k[one], joins.select(slice(one, one + 1)))


def _parts(rows: np.ndarray, n: int) -> list[np.ndarray]:
    """Return rows of systems of n bodies in parts whose pairs stay in the cache."""
    return np.split(rows, range(AT_ONCE // n**2 + 1, len(rows), AT_ONCE // n**2 + 1))


def _system(bodies: Bodies, b: int, massive: np.ndarray, joins: Joins) -> _System:
    """Return the tree and the orbits of system `b`. joins: of it alone."""
    G, softening = bodies.G, float(bodies.softening[b])
    tree = _tree(bodies.mass[b, massive], bodies.position[b, massive], bodies.velocity[b, massive], joins)
    massless = np.flatnonzero(bodies.present[b] & (bodies.mass[b] == 0))
    x, v = bodies.position[b, massless], bodies.velocity[b, massless]
    node = _hosts_of_massless(tree, x, v, G, softening)
    bound = node >= 0
    massless, node, x, v = massless[bound], node[bound], x[bound], v[bound]
    inner, outer = tree.pair.T
    apart = np.concatenate([tree.x[outer] - tree.x[inner], x - tree.x[node]])
    speed = np.concatenate([tree.v[outer] - tree.v[inner], v - tree.v[node]])
    mass = np.concatenate([tree.mass[outer] + tree.mass[inner], tree.mass[node]])
    light = np.concatenate([tree.mass[outer], np.zeros(len(node))])
    nodes = np.concatenate([len(massive) + np.arange(len(inner)), node])
    orbits = _Orbits(nodes, *apsides(G * mass, apart, speed, softening), mass, light)
    regular = _regular(tree, orbits, G, softening)
    if outside_part(bodies.external_field) is not None:
        centre = np.concatenate([tree.x[inner], tree.x[node]])
        regular &= _regular_in_field(bodies, b, centre, centre + apart, orbits)
    return _System(tree, massive, massless, node, regular)


def _write_members(system: _System, host: np.ndarray, group: np.ndarray) -> None:
    """Write hosts and groups of a system, each (N, N), in place."""
    tree, massive, massless, node, _ = system
    for s, body in _owned_joins(tree):
        inner, outer = tree.pair[s]
        mine, other = (outer, inner) if tree.owner[s] == body else (inner, outer)
        host[massive[body], massive] = tree.member[other]
        group[massive[body], massive] = tree.member[mine]
    host[massless[:, None], massive] = tree.member[node]


def _write_covered(system: _System, covered: np.ndarray) -> None:
    """Write which bodies of a system are covered, (N,), in place."""
    for s, body in _owned_joins(system.tree):
        covered[system.massive[body]] = system.regular[s]
    covered[system.massless] = system.regular[len(system.tree.pair) :]


def _bound_pairs(pairs: Bodies) -> np.ndarray:
    """Return whether two bodies with mass, the only ones of each system, are bound, (B,)."""
    first, last = pairs.present.argmax(1), pairs.present.shape[1] - 1 - pairs.present[:, ::-1].argmax(1)
    rows = np.arange(len(pairs))
    x, v = (values[rows, last] - values[rows, first] for values in (pairs.position, pairs.velocity))
    return inverse_axis(pairs.G * pairs.mass.sum(1), x, v, pairs.softening) > 0


def _owned_joins(tree: _Tree) -> list[tuple[int, int]]:
    """Return every join with the body that it is the orbit of, and for each primary its join with the heaviest companion."""
    found = list(enumerate(tree.owner.tolist()))
    companions = tree.mass[tree.pair[:, 1]]
    for body in set(tree.leader[~np.isfinite(tree.died)].tolist()):
        joins = np.flatnonzero(tree.leader[tree.pair[:, 0]] == body)
        if len(joins):
            found.append((int(joins[companions[joins].argmax()]), body))
    return found


def _hosts_of_massless(tree: _Tree, x: np.ndarray, v: np.ndarray, G: float, softening: float) -> np.ndarray:
    """Return the node that each massless body, (P, D), is joined to when the tree is made; -1: to none."""
    binding = inverse_axis(G * tree.mass, x[:, None] - tree.x, v[:, None] - tree.v, softening)
    with np.errstate(divide="ignore"):
        axis = np.where(binding > 0, 1.0 / binding, np.inf)
    joined = np.where(axis < tree.died, np.maximum(axis, tree.born), np.inf)
    return np.where(np.isfinite(joined.min(1)), joined.argmin(1), -1)


# ---- regular motion --------------------------------------------------------------------------------------------------------
def _regular(tree: _Tree, orbits: _Orbits, G: float, softening: float) -> np.ndarray:
    """Return whether each orbit is so far from all massive bodies that are not part of it that its motion is regular, (O,)."""
    J, size = len(tree.pair), tree.member.sum(1)
    first = tree.member.argmax(1)[orbits.node]

    def inside(nodes: np.ndarray, which: slice) -> np.ndarray:
        return tree.member[nodes][:, first[which]] & (size[orbits.node[which]] <= size[nodes][:, None])

    joins, every = slice(0, J), slice(None)
    sides, others = tree.pair.T.ravel(), tree.pair[:, ::-1].T.ravel()  # (2 J,) a side of each join, and the other side
    q, within = np.tile(orbits.q[joins], 2), inside(sides, every)
    massless = inside(orbits.node[J:], joins)
    alone = ~(within & _disturbs_inner(orbits, tree.mass[others][:, None], q[:, None])).any(0)
    wrong = within[:, joins] & _disturbs_outer(_part(orbits, joins), tree.mass[others][:, None], q[:, None])
    alone[joins] &= ~wrong.any(1).reshape(2, J).any(0)
    alone[J:] &= ~(massless & _disturbs_outer(_part(orbits, joins), 0.0, orbits.q[J:, None])).any(1)
    alone &= ~_disturbed_by_other_trees(tree, orbits, first, G, softening)
    # what an orbit is made of, and what it is part of, has to be regular too, unless the bodies are light
    heavy = orbits.light[joins] > MINOR * orbits.mass[joins]
    shaky = within[:, joins] & (heavy & ~alone[joins])
    regular = alone.copy()
    regular[joins] &= ~shaky.any(1).reshape(2, J).any(0)
    regular[J:] &= ~(massless & (heavy & ~alone[joins])).any(1)
    shaken = within & (tree.mass[others][:, None] > MINOR * orbits.mass) & ~np.tile(alone[joins], 2)[:, None]
    return regular & ~shaken.any(0)


def _part(orbits: _Orbits, which: slice) -> _Orbits:
    return _Orbits(*(values[which] for values in orbits))


def _too_near(inner: _Orbits, mass: np.ndarray | float, q: np.ndarray) -> np.ndarray:
    """Return whether an outer body of some mass comes within `HILL_RADII` of the apocentres of the inner orbits."""
    share = np.minimum((inner.light + mass) / inner.mass, PLANETARY)
    half = 0.5 * HILL_RADII * np.cbrt(share / 3.0)
    return q * (1.0 - half) < inner.Q * (1.0 + half)


def _disturbs_inner(inner: _Orbits, mass: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return whether masses that come as near as q disturb the inner orbits."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tide = mass / inner.mass * (inner.Q / q) ** 3
        return (mass > NO_PERTURBER * inner.mass) & (_too_near(inner, mass, q) | ~(tide < TIDE))


def _disturbs_outer(inner: _Orbits, mass: np.ndarray | float, q: np.ndarray) -> np.ndarray:
    """Return whether the inner orbits disturb that of an outer body of some mass with pericentre q about them."""
    share = inner.light / inner.mass
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        quadrupole = share * (1.0 - share) * (inner.Q / q) ** 2
        return (share > NO_PERTURBER) & (_too_near(inner, mass, q) | ~(quadrupole < QUADRUPOLE))


def _disturbed_by_other_trees(tree: _Tree, orbits: _Orbits, first: np.ndarray, G: float, softening: float) -> np.ndarray:
    """Return whether nodes that are not bound to the one of each orbit come too near: at pericentre, or now if they leave."""
    disturbed = np.zeros(len(first), bool)
    roots = np.flatnonzero(~np.isfinite(tree.died))
    for root in roots:
        mine, others = tree.member[root][first], roots[roots != root]
        x, v = tree.x[others] - tree.x[root], tree.v[others] - tree.v[root]
        q, _ = apsides(G * (tree.mass[others] + tree.mass[root]), x, v, softening)
        q = np.where(dot(x, v) < 0, q, np.sqrt(dot(x, x)))
        part = _Orbits(*(values[mine] for values in orbits))
        disturbed[mine] = _disturbs_inner(part, tree.mass[others][:, None], q[:, None]).any(0)
    return disturbed


def _regular_in_field(bodies: Bodies, b: int, x: np.ndarray, y: np.ndarray, orbits: _Orbits) -> np.ndarray:
    """Return whether the external field, as it is now, pulls so evenly on both sides of each orbit that its motion is regular.

    x, y: (O, D) places of the two sides. The difference of the accelerations, taken to grow with the distance up to apocentre,
    may be 2 `TIDE` of the attraction there.
    """
    if not len(x):
        return np.zeros(0, bool)
    with np.errstate(all="ignore"):
        pull = [_outside(bodies, z, b) for z in (x, y)]
        apart = np.sqrt(dot(y - x, y - x))
        difference = np.sqrt(dot(pull[1] - pull[0], pull[1] - pull[0])) * orbits.Q / apart
        return np.asarray(difference * orbits.Q**2 < 2.0 * TIDE * bodies.G * orbits.mass)


def _outside(bodies: Bodies, x: np.ndarray, b: int) -> np.ndarray:
    """Return the acceleration (O, D) by what acts from outside on a system, at places x (O, D)."""
    one = np.zeros((1, len(x)))
    return np.asarray(acceleration_by(outside_part(bodies.external_field), x[None], bodies.time[b : b + 1], one, None))[0]
