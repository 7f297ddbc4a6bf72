"""Mappings and lists with an entry that is missing, of another type, or out of all proportion."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

HUGE = 2**70
ENTRIES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    -(2**40),
    2**62,
    HUGE,
    0.0,
    -0.5,
    1e308,
    -1e-308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "nan",
    "1",
    "kahan_li8",
    "../../etc/passwd",
    "a\nb\x00c",
    "\ud800",
    "x" * 100_000,
    [],
    [[]],
    [1, 2, 3],
    [None],
    ["x"],
    [0.5] * 10_000,
    {},
    {"x": 1},
    {"tol": None},
)


def nodes(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every entry of mappings and lists; of long lists only of the first and the last."""
    items: list[tuple[Any, Any]] = []
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, list):
        items = list(enumerate(tree))
        items = items if len(items) < 8 else [*items[:4], *items[-4:]]
    for key, value in items:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def changed_tree(
    tree: Any, rng: np.random.Generator, entry: Callable[[Any, np.random.Generator], Any] | None = None
) -> tuple[Any, str]:
    """Return a copy with one entry changed, and words for it; `entry` makes a new one from an old one."""
    tree = copy.deepcopy(tree)
    paths = list(nodes(tree))
    if not paths or rng.random() < 0.02:
        value = ENTRIES[rng.integers(len(ENTRIES))]
        return value, f"all of it = {shown(value)}"
    path = paths[rng.integers(len(paths))]
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    return tree, f"{'/'.join(map(str, path))} {_change(holder, path[-1], rng, entry or other_entry)}"


def _change(holder: Any, key: Any, rng: np.random.Generator, entry: Callable[[Any, np.random.Generator], Any]) -> str:
    """Change one entry of a mapping or list in place, and return words for it."""
    way = rng.integers(12)
    if way == 0:
        del holder[key]
        return "is missing"
    if way == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = holder.pop(key)
        return "has another name"
    if way == 2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
        return "is there twice"
    if way == 3 and isinstance(holder, dict):
        name = list(holder)[rng.integers(len(holder))]
        holder[key] = copy.deepcopy(holder[name])
        return f"= that of {name}"
    holder[key] = entry(holder[key], rng)
    return f"= {shown(holder[key])}"


def other_entry(old: Any, rng: np.random.Generator) -> Any:
    """Return an entry of any type, or a number near the old one."""
    if isinstance(old, (int, float)) and not isinstance(old, bool) and rng.random() < 0.3:
        return [old + 1, old * 1000, -old, float(old), str(old), [old]][rng.integers(6)]
    return copy.deepcopy(ENTRIES[rng.integers(len(ENTRIES))])


def shown(value: Any) -> str:
    """Return a value in at most 60 characters."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
