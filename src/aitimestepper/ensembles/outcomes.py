"""Outcomes: who is bound to whom at the end of a run, and what that is called relative to its start.

Both ends are joined to trees (see `binding.py`): by self-gravity alone, without an outer field. In the notation of a hierarchy,
`[x y]` are two bodies or groups that are bound, what stands side by side is not, and groups are in the order of their smallest
numbers: `[0 1] 2` is a binary and a single body, `[[0 1] 2]` a hierarchical triple. `0+2` is a body that took up another one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..binding import Joins, joins_of
from ..bodies import Bodies
from ..conics import axis_and_eccentricity
from ..decided import verdict_on
from ..events import Collision, Decided
from ..simulate.result import ENDED, SimulationResult

AT_ONCE = 2**16  # pairs of bodies, so that no array takes more than some megabytes

MERGER, IONIZATION, FLYBY, STABLE = "merger", "ionization", "flyby", "stable"
EXCHANGE, DISRUPTION, CAPTURE, REARRANGEMENT = "exchange", "disruption", "capture", "rearrangement"
# what each outcome means, in the order in which they are looked for
OUTCOMES = {
    MERGER: "bodies merged or touched during the run",
    FLYBY: "the hierarchy is that of the start, of two or more parts",
    STABLE: "the hierarchy is that of the start, all of it bound",
    IONIZATION: "something was bound at the start, and nothing is",
    EXCHANGE: "bodies are bound that were not, and others no longer",
    DISRUPTION: "bodies are no longer bound to others, but some pairs are left",
    CAPTURE: "bodies are bound that were not, as in a temporary triple",
    REARRANGEMENT: "the same bodies are bound in another hierarchy",
}
SIZES = ("", "single", "binary", "triple", "quadruple", "quintuple", "sextuple")


class Orbits(NamedTuple):
    """Semi-major axis and eccentricity of the joins of B systems, each (B, J); NaN where there are fewer."""

    a: np.ndarray
    e: np.ndarray


def outcomes_of(start: Bodies, result: SimulationResult) -> dict[str, np.ndarray]:
    """Return columns about the outcome of every system of a run that began with `start`, each (B,).

    `outcome`: one of `OUTCOMES`. `hierarchy`, `hierarchy_start`: in the notation above. `parts`: what there is at the end, such
    as `binary+single`. `decided`: whether it stays so (see `decided.py`). `bodies_left`: their number.

    `inner_first`, `inner_second`: the members of the innermost binary, that of the smallest semi-major axis; -1 without one.
    `inner_a`, `inner_e`: its orbit. `next_a`, `next_e`: that of what is joined next: the outer orbit of a triple, or a second
    binary. `escaper`: the leader of the part that is fastest relative to all others, of two equally fast ones that of fewer
    bodies, then of less mass; -1 where all is bound. `v_inf`: its speed at infinity. Units are those of the bodies.
    """
    parts = [_columns(start.select(s), result.final.select(s)) for s in _chunks(len(start), start.mass.shape[1])]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    touched = _touched(result)
    for b, bodies in touched.items():
        columns["outcome"][b] = MERGER
        columns["hierarchy"][b] = _renamed(str(columns["hierarchy"][b]), bodies)
    ended = np.isin(np.array(result.status), ENDED)
    by_event = np.zeros(len(start), bool)
    for one in result.events:
        by_event[one.system] |= one.kind == Decided.name
    columns["decided"] = ended & (columns["decided"] | by_event)
    return columns


def hierarchies_of(bodies: Bodies) -> np.ndarray:
    """Return the hierarchy of every system in the notation of this module, (B,)."""
    found = [_notation(_joins(bodies.select(s))) for s in _chunks(len(bodies), bodies.mass.shape[1])]
    return np.concatenate(found)


def _chunks(systems: int, bodies: int) -> list[slice]:
    """Return parts of a batch whose pairs of bodies stay in the cache."""
    length = max(1, AT_ONCE // bodies**2)
    return [slice(first, first + length) for first in range(0, systems, length)]


def _joins(bodies: Bodies) -> Joins:
    arrays = bodies.mass, bodies.position, bodies.velocity
    return joins_of(*arrays, bodies.G, bodies.softening, bodies.present)


def _columns(start: Bodies, final: Bodies) -> dict[str, np.ndarray]:
    """Return the columns of some systems, without what only the events of the run tell."""
    before, after = _joins(start), _joins(final)
    first, last = _notation(before), _notation(after)
    sizes = _sizes(after)
    orbits, (escaper, speed) = _orbits(after), _escapers(after, sizes, final.G)
    pair = after.pair[:, :1] if after.pair.shape[1] else np.full((len(final), 1, 2), -1)
    return {
        "outcome": _names(before, after, first == last, start.body_count != final.body_count),
        "hierarchy": last.astype(object),
        "hierarchy_start": first.astype(object),
        "parts": _parts(sizes),
        "decided": (verdict_on(after, final.G, final.softening).slack >= 0.0) | (final.body_count < 2),
        "bodies_left": final.body_count,
        "inner_first": pair[:, 0].min(1),
        "inner_second": pair[:, 0].max(1),
        "inner_a": orbits.a[:, 0],
        "inner_e": orbits.e[:, 0],
        "next_a": orbits.a[:, 1],
        "next_e": orbits.e[:, 1],
        "escaper": escaper,
        "v_inf": speed,
    }


# ---- names -----------------------------------------------------------------------------------------------------------------
def _names(before: Joins, after: Joins, same: np.ndarray, fewer: np.ndarray) -> np.ndarray:
    """Return the outcome of every system. same: whether both hierarchies are; fewer: whether bodies are gone, each (B,)."""
    was, now = (_together(joins) for joins in (before, after))
    joined, left = (now & ~was).any((1, 2)), (was & ~now).any((1, 2))
    whole = (after.root >= 0) & (after.root != after.root.max(1, keepdims=True))
    several = whole.any(1)
    tests = [
        (fewer, MERGER),
        (same & several, FLYBY),
        (same, STABLE),
        (left & ~now.any((1, 2)), IONIZATION),
        (joined & left, EXCHANGE),
        (left, DISRUPTION),
        (joined, CAPTURE),
    ]
    return np.select([test for test, _ in tests], [np.array(name, object) for _, name in tests], REARRANGEMENT)


def _together(joins: Joins) -> np.ndarray:
    """Return whether two different bodies are in one group, (B, n, n)."""
    root = joins.root
    found = (root[:, :, None] == root[:, None]) & (root >= 0)[:, :, None]
    diagonal = np.arange(root.shape[1])
    found[:, diagonal, diagonal] = False
    return np.asarray(found)


def _notation(joins: Joins) -> np.ndarray:
    """Return the hierarchy of each system as text, (B,): once for all systems whose joins are the same."""
    B = len(joins.root)
    rows = np.concatenate([joins.pair.reshape(B, -1), joins.root], 1).astype(np.int16)
    return _of_distinct(rows, lambda row: _text(row[: -joins.root.shape[1]].reshape(-1, 2), row[-joins.root.shape[1] :]))


def _sizes(joins: Joins) -> np.ndarray:
    """Return the number of bodies in the part of each number, (B, n)."""
    B, n = joins.root.shape
    place = np.where(joins.root >= 0, joins.root, n) + (n + 1) * np.arange(B)[:, None]
    return np.bincount(place.ravel(), minlength=B * (n + 1)).reshape(B, n + 1)[:, :n]


def _parts(sizes: np.ndarray) -> np.ndarray:
    """Return what each system is made of, the largest parts first, (B,)."""

    def text(row: np.ndarray) -> str:
        return "+".join(SIZES[k] if k < len(SIZES) else f"group of {k}" for k in row.tolist() if k)

    return _of_distinct(np.sort(sizes, axis=1)[:, ::-1].astype(np.int16), text)


def _of_distinct(rows: np.ndarray, text: Any) -> np.ndarray:
    """Return the text of each row (B, k), made once for all rows that are the same."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return np.array([text(rows[k]) for k in first], object)[number]


def _text(pairs: np.ndarray, root: np.ndarray) -> str:
    """Return the notation for the joins (J, 2) and the parts (n,) of one system."""
    groups = {k: (k, str(k)) for k in range(len(root)) if root[k] >= 0}  # smallest number, and text
    for i, j in pairs.tolist():
        if i >= 0:
            both = sorted((groups[i], groups.pop(j)))
            groups[i] = (both[0][0], f"[{both[0][1]} {both[1][1]}]")
    return " ".join(text for _, text in sorted(groups.values()))


# ---- orbits ----------------------------------------------------------------------------------------------------------------
def _orbits(joins: Joins) -> Orbits:
    """Return the orbits of the first two joins, (B, 2)."""
    B, J, D = joins.x.shape
    a, e = np.full((B, 2), np.nan), np.full((B, 2), np.nan)
    some = min(J, 2)
    missing = [(0, 0), (0, 0), (0, 3 - D)]
    x, v = (np.pad(y[:, :some], missing) for y in (joins.x, joins.v))
    if some:
        a[:, :some], e[:, :some] = axis_and_eccentricity(joins.gm[:, :some], x, v)
    return Orbits(a, e)


def _escapers(joins: Joins, size: np.ndarray, G: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the leader of the part that is fastest at infinity relative to all others, and its speed, each (B,)."""
    n = joins.root.shape[1]
    is_root, m = joins.root == np.arange(n), joins.root_mass
    total = np.where(is_root, m, 0.0).sum(1, keepdims=True)
    with np.errstate(all="ignore"):
        x, v = (y - _centre_of_others(m, y, is_root, total) for y in (joins.root_x, joins.root_v))
        r, v2 = np.sqrt((x * x).sum(-1)), (v * v).sum(-1)
        speed2 = v2 - 2.0 * G * total / r
    free = is_root & (is_root.sum(1, keepdims=True) > 1)
    speed = np.where(free & (speed2 > 0.0), np.sqrt(np.maximum(speed2, 0.0)), np.where(free, 0.0, -1.0))
    fastest = speed >= speed.max(1, keepdims=True) * (1.0 - 1e-9)
    order = np.where(free & fastest, size + 0.5 * m / np.maximum(total, np.finfo(float).tiny), np.inf)
    who = order.argmin(1)
    there = free.any(1)
    return np.where(there, who, -1), np.where(there, speed[np.arange(len(who)), who], np.nan)


def _centre_of_others(m: np.ndarray, y: np.ndarray, is_root: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the centre of mass of all parts but each one, (B, n, D)."""
    own = np.where(is_root, m, 0.0)
    weighed = [own * np.where(is_root, y[..., axis], 0.0) for axis in range(y.shape[2])]
    return np.moveaxis(np.array([(one.sum(1, keepdims=True) - one) / (total - own) for one in weighed]), 0, -1)


# ---- mergers ---------------------------------------------------------------------------------------------------------------
def _touched(result: SimulationResult) -> dict[int, list[tuple[int, ...]]]:
    """Return the pairs of bodies of each system that merged, or whose touch ended the run, in their order."""
    found: dict[int, list[tuple[int, ...]]] = {}
    last = {one.system: one for one in result.events}
    present = result.final.present
    for one in result.events:
        if one.kind != Collision.name:
            continue
        merged = not present[one.system, list(one.bodies)].all()
        if merged or (one is last[one.system] and result.status[one.system] == "event"):
            found.setdefault(one.system, []).append(one.bodies)
    return found


def _renamed(text: str, pairs: list[tuple[int, ...]]) -> str:
    """Return the notation of a hierarchy with the bodies that others took up: `0` becomes `0+2`."""
    names: dict[str, str] = {}
    words = text.replace("[", "[ ").replace("]", " ]").split()
    for pair in pairs:
        gone = [str(k) for k in pair if str(k) not in words]
        stays = [str(k) for k in pair if str(k) in words]
        for k in gone if stays else []:
            names[stays[0]] = f"{names.get(stays[0], stays[0])}+{names.get(k, k)}"
    return " ".join(names.get(word, word) for word in words).replace("[ ", "[").replace(" ]", "]")
