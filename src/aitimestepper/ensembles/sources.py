"""Where the systems of an ensemble come from: arrays, a family with seeds, a suite, or a stream that is read once.

A source either knows its systems by number, so that any process can make any chunk of it, or it is a `Stream`.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import ConfigError, nearest_name_hint, shown
from ..files import path_shown
from ..initial.draws import Family
from ..initial.families import FAMILIES, family_named, sample
from ..initial.own_families import families_named
from ..initial.suite_file import load_suite
from ..initial.suites import Case, Suite, checked
from ..units import UnitSystem
from .chunks import Chunk, chunk_of_cases, one_batch, systems_in_chunk
from .streams import Stream, is_stream

LOOKED_AT = 16  # problems of a family from which the size of its chunks is told
SEEDS = re.compile(r"(?P<family>.+):(?P<first>\d+)-(?P<stop>\d+)")
HDF5 = (".h5", ".hdf5")


class Source:
    """Systems by number: chunk after chunk in any order, by any process."""

    portable = True  # whether another machine makes the same chunks from a copy of this

    @property
    def count(self) -> int:
        """Number of systems."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of systems in a chunk, unless the user says another."""
        raise NotImplementedError

    def plain(self) -> dict[str, Any]:
        """Return what says which systems these are, for JSON."""
        raise NotImplementedError

    def chunk(self, first: int, count: int) -> Chunk:
        """Return systems `first` to `first + count - 1`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Arrays(Source):
    """A batch that is there already."""

    portable = False  # a worker is sent the systems of its chunk alone
    bodies: Bodies
    ends: np.ndarray | None = None  # (B,)

    @property
    def count(self) -> int:
        """Number of systems."""
        return len(self.bodies)

    @property
    def size(self) -> int:
        """Number of systems in a chunk."""
        return systems_in_chunk(self.bodies.mass.shape[1])

    def plain(self) -> dict[str, Any]:
        """Return the checksum of all numbers."""
        found = hashlib.sha256()
        for first in range(0, self.count, self.size):
            found.update(self.chunk(first, min(self.size, self.count - first)).digest().encode())
        return {"kind": "arrays", "systems": self.count, "sha256": found.hexdigest()}

    def chunk(self, first: int, count: int) -> Chunk:
        """Return systems `first` to `first + count - 1`."""
        rows = np.arange(first, first + count)
        own = self.bodies.select(rows)
        return one_batch(first, own, None if self.ends is None else self.ends[rows], {"bodies": own.body_count})


@dataclass(frozen=True)
class Problems(Source):
    """Problems of a family, by seed: those numbers of `initial.families.sample`."""

    name: str
    seeds: range
    dim: int = 3
    own: Family | None = None  # a function from a file

    @property
    def portable(self) -> bool:  # type: ignore[override]
        """Whether it is a family of the package; a file of the user's may be on this machine alone."""
        return self.own is None

    @property
    def count(self) -> int:
        """Number of problems."""
        return len(self.seeds)

    @property
    def size(self) -> int:
        """Number of systems in a chunk, from the largest of the first problems."""
        return systems_in_chunk(max(self._case(seed).size for seed in self.seeds[:LOOKED_AT]))

    def plain(self) -> dict[str, Any]:
        """Return family and seeds."""
        return {"kind": "family", "name": self.name, "first": self.seeds.start, "stop": self.seeds.stop, "dim": self.dim}

    def chunk(self, first: int, count: int) -> Chunk:
        """Return systems `first` to `first + count - 1`, with their seeds as a column."""
        seeds = self.seeds[first : first + count]
        made = chunk_of_cases(first, [self._case(seed) for seed in seeds])
        return made._replace(columns={"seed": np.arange(seeds.start, seeds.stop)} | made.columns)

    def _case(self, seed: int) -> Case:
        made = sample(self.own or family_named(self.name), self.name, seed, self.dim)
        about = {"softening": made.softening, "regular": made.regular, "external_field": made.external_field}
        case = Case(f"{self.name}-{seed}", self.name, made.initial, made.t_end, **about)
        return case if self.own is None else checked(case)


@dataclass(frozen=True)
class Cases(Source):
    """The problems of a suite."""

    portable = False
    suite: Suite

    @property
    def count(self) -> int:
        """Number of problems."""
        return len(self.suite)

    @property
    def size(self) -> int:
        """Number of systems in a chunk."""
        return systems_in_chunk(max(case.size for case in self.suite.cases))

    def plain(self) -> dict[str, Any]:
        """Return the name and the checksum of all numbers."""
        return {"kind": "suite", "name": self.suite.name, "systems": self.count, "checksum": self.suite.checksum}

    def chunk(self, first: int, count: int) -> Chunk:
        """Return systems `first` to `first + count - 1`, with their names as a column."""
        cases = self.suite.cases[first : first + count]
        made = chunk_of_cases(first, cases)
        return made._replace(columns={"name": np.array([case.name for case in cases], dtype=object)} | made.columns)


def source_of(
    thing: Any,
    dim: int = 3,
    ends: np.ndarray | None = None,
    *,
    G: Any = None,
    softening: Any = None,
    external_field: Any = None,
    units: str | UnitSystem | None = None,
) -> Source | Stream:
    """Return the source that a user gave in any of its forms; see `ensemble`."""
    settings = {"G": G, "softening": softening, "external_field": external_field, "units": units}
    given = {name: value for name, value in settings.items() if value is not None}
    found = _named(thing, dim)
    if found is not None:
        if given:
            raise ConfigError(f"{next(iter(given))} is given, but the problems of {shown(thing)} have their own: leave it out.")
        return found
    if is_stream(thing):
        return Stream(thing, given)
    bodies = as_bodies(Path(thing) if isinstance(thing, str) else thing, **given)
    return Arrays(bodies, ends)


def _named(thing: Any, dim: int) -> Source | None:
    """Return the source that is one already, a family, or a suite; None if it is none of them."""
    if isinstance(thing, Source):
        return thing
    if isinstance(thing, Suite):
        return Cases(thing)
    if isinstance(thing, str) and (match := SEEDS.fullmatch(thing)):
        return problems(match["family"], range(int(match["first"]), int(match["stop"])), dim)
    if isinstance(thing, tuple) and len(thing) == 2 and isinstance(thing[0], str) and isinstance(thing[1], range):
        return problems(thing[0], thing[1], dim)
    if isinstance(thing, str) and "." not in thing and not os.path.exists(thing):  # False for names that no system takes
        hint = nearest_name_hint(thing.partition(":")[0], FAMILIES)
        raise ConfigError(f"source = {shown(thing)} is no file, and no family with its seeds, such as 'triple:0-1000': {hint}")
    if isinstance(thing, (str, Path)) and Path(thing).suffix == ".toml":
        raise ConfigError(f"source = {shown(str(thing))} is a specification: give read_spec(...).source of ensembles.spec.")
    if isinstance(thing, (str, Path)) and Path(thing).suffix in HDF5:
        return Cases(load_suite(thing))
    return None


def problems(name: str, seeds: range, dim: int = 3) -> Problems:
    """Return the problems of a family of the package, or of `FILE.py:NAME`, with these seeds."""
    names, own = families_named([name])
    if len(names) != 1:
        raise ConfigError(
            f"{path_shown(name)} holds several families, {', '.join(names)}: name one as {path_shown(name)}:NAME."
        )
    if not len(seeds) or seeds.step != 1 or seeds.start < 0:
        raise ConfigError(f"the seeds of {name} are {seeds.start}-{seeds.stop}: give FIRST-STOP with 0 <= FIRST < STOP.")
    return Problems(names[0], seeds, dim, own.get(names[0]))
