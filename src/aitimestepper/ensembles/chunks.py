"""Chunks: the systems of an ensemble that run as one batch, and what is known of each before its run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..fields import field_to_plain
from ..initial.suites import Case, padded

# Systems of up to four bodies in a chunk. One of triples at 1e-5 takes 0.4 s of a core, and its set-up, its rows and its file
# take 5 % of that (`benchmarks/ensemble_overhead.py`).
FEW_BODIES, SYSTEMS = 4, 4096
FEWEST = 64


class Group(NamedTuple):
    """Systems of a chunk that share G and the external field, so that one batch holds them."""

    rows: np.ndarray  # (n,) their places in the chunk
    bodies: Bodies
    ends: np.ndarray | None  # (n,) times at which they end; None: the ensemble has one for all


class Chunk(NamedTuple):
    """Systems `first` to `first + systems - 1` of an ensemble."""

    first: int
    systems: int
    groups: tuple[Group, ...]
    columns: dict[str, np.ndarray]  # (systems,) each: what the table says of every system before its run

    def digest(self) -> str:
        """Return a SHA-256 checksum of all initial conditions and end times."""
        found = hashlib.sha256(f"{self.first} {self.systems}".encode())
        for group in self.groups:
            about = (group.bodies.G, field_to_plain(group.bodies.external_field))
            found.update(json.dumps(about, default=str).encode())
            ends = [] if group.ends is None else [group.ends]
            for values in (group.rows, *group.bodies.arrays().values(), *ends):
                found.update(f"{values.dtype.str} {values.shape}".encode())
                found.update(np.ascontiguousarray(values).data)
        return found.hexdigest()


def one_batch(first: int, bodies: Bodies, ends: np.ndarray | None, columns: dict[str, np.ndarray]) -> Chunk:
    """Return a chunk whose systems are one batch."""
    return Chunk(first, len(bodies), (Group(np.arange(len(bodies)), bodies, ends),), columns)


def systems_in_chunk(bodies: int) -> int:
    """Return the number of systems in a chunk, for systems of so many bodies: fewer where each takes longer."""
    return max(FEWEST, min(SYSTEMS, SYSTEMS * FEW_BODIES**2 // max(bodies, 1) ** 2))


def chunk_of_cases(first: int, cases: Sequence[Case]) -> Chunk:
    """Return problems of suites and families as a chunk, each in its own units, with their names and families as columns."""
    keys: list[tuple[object, ...]] = []
    rows: list[list[int]] = []
    for i, case in enumerate(cases):
        key = (case.initial.G or 1.0, case.external_field, case.initial.position.shape[1])
        if key not in keys:
            keys.append(key)
            rows.append([])
        rows[keys.index(key)].append(i)
    columns = {
        "family": np.array([case.family for case in cases], dtype=object),
        "bodies": np.array([case.size for case in cases]),
        "regular": np.array([case.regular for case in cases]),
    }
    return Chunk(first, len(cases), tuple(_group(np.array(own), cases) for own in rows), columns)


def _group(rows: np.ndarray, cases: Sequence[Case]) -> Group:
    """Return the cases of these indices as one batch."""
    chosen = [cases[i] for i in rows.tolist()]
    return Group(rows, padded(chosen, chosen[0].initial.G or 1.0), np.array([case.t_end for case in chosen]))
