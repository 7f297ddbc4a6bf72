"""Suites of problems to measure with, sampled from families or known by name."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError, InitialConditionError, nearest_name_hint
from ..fields import field_to_plain
from .draws import Family
from .families import STANDARD, family_named, sample, seed_range
from .named import InitialConditions, agekyan, burrau, figure8, kepler, kozai, plummer, solar
from .own_families import as_sample

KM_PER_S = 31_557_600 / 149_597_870.7  # au per year
REINFORCEMENT = range(100)  # seeds of the set `rl`


class Known(NamedTuple):
    """A fact about a problem that a good run reproduces."""

    quantity: str  # position: (N, D) at `time`; closest_approach: (2,) its distance and time
    time: float
    values: np.ndarray


@dataclass(frozen=True)
class Case:
    """One problem: initial conditions, the end time, and known facts about the solution.

    regular: whether the motion is regular, so that the tolerance also holds for every body's own orbit.
    """

    name: str
    family: str
    initial: InitialConditions
    t_end: float  # in the time unit of the initial conditions
    softening: float = 0.0
    known: tuple[Known, ...] = ()
    regular: bool = False
    external_field: Any = None

    @property
    def size(self) -> int:
        """Number of bodies."""
        return len(self.initial.mass)


@dataclass(frozen=True)
class Suite:
    """Problems that are measured together; all have the same number of axes."""

    name: str
    cases: tuple[Case, ...]
    split: str | None = None
    seeds: dict[str, tuple[int, int]] = field(default_factory=dict)  # by family: first number, and last number plus one

    def __len__(self) -> int:
        """Return the number of problems."""
        return len(self.cases)

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families, in order of first appearance."""
        return tuple(dict.fromkeys(case.family for case in self.cases))

    @property
    def family_of(self) -> np.ndarray:
        """Family of every problem as an index into `families`, (P,)."""
        return np.array([self.families.index(case.family) for case in self.cases])

    @property
    def regular(self) -> np.ndarray:
        """Whether the motion of every problem is regular, (P,) bool."""
        return np.array([case.regular for case in self.cases], dtype=bool)

    @property
    def checksum(self) -> int:
        """Checksum of all numbers; suites with the same checksum hold the same problems, whatever their names."""
        found = 0
        for case in self.cases:
            for values in (*case.initial[:3], [case.t_end, case.softening, case.initial.G or 1.0]):
                found = zlib.crc32(np.ascontiguousarray(values, dtype=float).tobytes(), found)
            if case.external_field is not None:
                found = zlib.crc32(json.dumps(field_to_plain(case.external_field)).encode(), found)
        return found

    def batch(self, rows: Sequence[int] | np.ndarray | None = None) -> tuple[Bodies, np.ndarray]:
        """Return all problems, or those with the indices `rows`, and their end times, (P,).

        All must have the same external field; see `by_field`. Velocities and times are in the unit of time in which G = 1, so
        that one batch holds problems of any units.
        """
        chosen = [self.cases[int(i)] for i in (range(len(self)) if rows is None else rows)]
        if any(case.external_field != chosen[0].external_field for case in chosen):
            names = ", ".join(dict.fromkeys(case.family for case in chosen))
            raise ConfigError(
                f"the problems of {names} have different external fields: take them by themselves (`Suite.by_field`)."
            )
        rates = np.array([math.sqrt(case.initial.G or 1.0) for case in chosen])
        return padded(chosen, 1.0, rates), np.array([case.t_end for case in chosen]) * rates

    def by_field(self) -> list[tuple[np.ndarray, Suite]]:
        """Return a suite for each external field, and the indices of its problems here; those without a field come first."""
        rows: list[list[int]] = [[]]
        fields: list[Any] = [None]
        for i, case in enumerate(self.cases):
            if case.external_field not in fields:
                fields.append(case.external_field)
                rows.append([])
            rows[fields.index(case.external_field)].append(i)
        return [(np.array(own), replace(self, cases=tuple(self.cases[i] for i in own))) for own in rows if own]


def padded(cases: Sequence[Case], G: float, rates: np.ndarray | float = 1.0) -> Bodies:
    """Return problems as one batch, padded to the largest, their velocities divided by `rates` (P,).

    They must share the external field and the number of axes.
    """
    shapes = [case.initial.position.shape for case in cases]
    if not cases or len({D for _, D in shapes}) != 1:
        raise InitialConditionError("a batch takes one problem or more, all with the same number of axes.")
    N, D = max(n for n, _ in shapes), shapes[0][1]
    mass, present = np.zeros((len(cases), N)), np.zeros((len(cases), N), dtype=bool)
    position, velocity = np.zeros((len(cases), N, D)), np.zeros((len(cases), N, D))
    for k, (case, (n, _)) in enumerate(zip(cases, shapes, strict=True)):
        mass[k, :n], present[k, :n] = case.initial.mass, True
        position[k, :n], velocity[k, :n] = case.initial.position, case.initial.velocity
    about = {"softening": np.array([case.softening for case in cases]), "external_field": cases[0].external_field}
    return Bodies(mass, position, velocity / np.reshape(rates, (-1, 1, 1)), present=present, G=G, **about)


def make_suite(
    families: Sequence[str] = STANDARD,
    split: str = "test",
    count: int = 24,
    dim: int = 3,
    own: Mapping[str, Family] | None = None,
    first: int = 0,
) -> Suite:
    """Return `count` problems of each family from a split, beginning with its problem `first`.

    `own` holds families by name besides those of the package.
    """
    cases, numbers = [], seed_range(split, count, first)
    for name in dict.fromkeys(families):
        family = (own or {}).get(name) or family_named(name)
        for number in numbers:
            made = as_sample(sample(family, name, number, dim))
            about = {"softening": made.softening, "regular": made.regular, "external_field": made.external_field}
            cases.append(checked(Case(f"{name}-{number}", name, made.initial, made.t_end, **about)))
    seeds = dict.fromkeys(families, (numbers.start, numbers.stop))
    return Suite("+".join(dict.fromkeys(families)), tuple(cases), split, seeds)


def checked(case: Case) -> Case:
    """Return the case, or raise an error that says why it cannot be run."""
    initial = case.initial
    mass, shape, velocity = np.shape(initial.mass), np.shape(initial.position), np.shape(initial.velocity)
    if velocity != shape or len(shape) != 2 or mass != shape[:1] or shape[0] < 2 or shape[1] not in (2, 3):
        raise InitialConditionError(
            f"{case.name}: position {shape}, velocity {velocity} and mass {mass} do not fit; they must be "
            "(N, axes), (N, axes) and (N,) with N >= 2 and 2 or 3 axes."
        )
    for name, values in (("mass", initial.mass), ("position", initial.position), ("velocity", initial.velocity)):
        if not np.isfinite(values).all() or (name == "mass" and (np.asarray(values) < 0).any()):
            raise InitialConditionError(
                f"{case.name}: {name} = {np.asarray(values).tolist()} must be finite, masses at least 0."
            )
    G = 1.0 if initial.G is None else initial.G
    if not (math.isfinite(G) and G > 0 and math.isfinite(case.softening) and case.softening >= 0):
        raise InitialConditionError(f"{case.name}: G = {G} must be above 0, softening = {case.softening} at least 0.")
    if not (math.isfinite(case.t_end) and case.t_end > 0):
        raise InitialConditionError(f"{case.name}: t_end = {case.t_end} must be a positive time.")
    if case.external_field is not None and G != 1.0:
        raise InitialConditionError(f"{case.name}: a problem with an external field must have G = 1, not {G}.")
    return case


def reinforcement_case(seed: int) -> Case:
    """Return three suns in au and years for 30 years: a problem of Saz Ulibarrena & Portegies Zwart 2025 (arXiv 2502.12809)."""
    rng = np.random.RandomState(seed)  # the generator of that paper; a separate stream, the global one stays untouched
    x1, y1 = rng.uniform(5, 20), rng.uniform(0, 10)
    x2, y2 = rng.uniform(0, -10), rng.uniform(5, 20)
    position = np.array([[0.0, 0.0], [x1, y1], [x2, y2]])
    velocity = np.array([[0.0, 10.0], [-10.0, 0.0], [0.0, 0.0]]) * KM_PER_S
    position, velocity = position - position.mean(0), velocity - velocity.mean(0)
    return Case(f"rl-{seed}", "rl", InitialConditions(np.ones(3), position, velocity, None, 4 * math.pi**2), 30.0)


def _ellipse_case(e: float) -> Case:
    """Return 100 orbits of a planet of mass ratio 1e-3, which returns to its start after each orbit."""
    initial = kepler(e, q=1e-3)
    again = Known("position", 2 * math.pi, initial.position)
    return Case(f"kepler{e:g}", "reference", initial, 100 * 2 * math.pi, known=(again,))


def _figure8() -> Case:
    """Return 100 periods of the figure-eight, which returns to its start after each period."""
    initial = figure8()
    assert initial.period is not None
    again = Known("position", initial.period, initial.position)
    return Case("figure8", "reference", initial, 100 * initial.period, known=(again,))


# 320-bit integrations (Szebehely & Peters' problem); y of body 5 at t = 10 has one digit less than in most publications
_BURRAU = {
    10.0: [
        [1.15298573629971, -0.162610887490898],
        [-2.02509247797820, 0.0972193841460581],
        [0.778480410138085, 0.141392300290086],
    ],
    20.0: [
        [-0.691674352009123, 0.0692256991873662],
        [-1.38862653751090, -0.470476050252722],
        [3.00429263669640, 0.511925235024686],
    ],
}


def _burrau() -> Case:
    """Return the Pythagorean problem with its states at t = 10 and 20 and its closest approach."""
    places = tuple(Known("position", t, np.array(x)) for t, x in _BURRAU.items())
    nearest = Known("closest_approach", 20.0, np.array([4.138248e-4, 15.829920]))
    return Case("burrau", "reference", burrau(), 63.0, known=(*places, nearest))


REFERENCES = {
    "kepler0.5": lambda: _ellipse_case(0.5),
    "kepler0.9": lambda: _ellipse_case(0.9),
    "kepler0.99": lambda: _ellipse_case(0.99),
    "figure8": _figure8,
    "burrau": _burrau,
    "kozai": lambda: Case("kozai", "reference", kozai(), 500 * 2 * math.pi),
    "solar": lambda: Case("solar", "reference", solar(), 1e6),
    "plummer64": lambda: Case("plummer64", "reference", plummer(64, seed=64), 4 * math.sqrt(2)),
    "plummer256": lambda: Case("plummer256", "reference", plummer(256, seed=256), 2 * math.sqrt(2)),
    "plummer1024": lambda: Case("plummer1024", "reference", plummer(1024, seed=1024), 0.25 * math.sqrt(2)),
    "agekyan": lambda: Case("agekyan", "reference", agekyan(), 20.0),
}


def reference_case(name: str) -> Case:
    """Return a reference problem by name, with the known facts about it."""
    if name not in REFERENCES:
        raise ConfigError(f"unknown reference problem {name!r}: {nearest_name_hint(name, REFERENCES)}")
    return REFERENCES[name]()


def named_suite(name: str) -> Suite:
    """Return the reinforcement-learning set for the name `rl`, otherwise a suite of one reference problem."""
    if name == "rl":
        return Suite("rl", tuple(reinforcement_case(seed) for seed in REINFORCEMENT), None, {"rl": (0, len(REINFORCEMENT))})
    return Suite(name, (reference_case(name),))
