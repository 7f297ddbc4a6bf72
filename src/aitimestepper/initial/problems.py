"""Problems from the settings: a batch of systems ready to run, one by name or many sampled from a family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies, free_fall_time
from ..config import Config
from ..errors import ConfigError, InitialConditionError
from ..fields import field_named
from ..specs import build, computed, converted
from ..sums import squared_differences, tree_sum
from .named import MAKERS, InitialConditions, eccentric_anomaly, from_file, two_body
from .own_families import families_named
from .suites import Case, make_suite


class Problem(NamedTuple):
    """A batch of systems ready to run."""

    bodies: Bodies
    period: float  # longest period of the batch


def make_problem(config: Config) -> Problem:
    """Return the batch that `ic`, `num_orbits`, `e_min`, ... describe, with the physics settings of `config`.

    With `ic_family` it is `num_orbits` problems of the split `train` of each family; for judge `run`, which samples problems
    itself, one of each.
    """
    if config.ic_family is not None:
        return _problem_of(_of_families(config), config)
    return as_problem([_system(config, number) for number in range(config.num_orbits)], config)


def _of_families(config: Config) -> tuple[Case, ...]:
    families, own = families_named(config.ic_family or ())
    if config.judge != "run":
        return make_suite(families, "train", config.num_orbits, 3, own).cases
    return make_suite(families, "train", 1, 3, own).by_field()[0][1].cases  # examples, as one batch


def family_ends(config: Config) -> list[float]:
    """Return the end times that the families `ic_family` have for their problems, in the order of `make_problem`."""
    cases = _of_families(config)
    G = _problem_of(cases, config).bodies.G
    return [case.t_end * math.sqrt((case.initial.G or 1.0) / G) for case in cases]  # in the unit of time of that batch


def _problem_of(cases: Sequence[Case], config: Config) -> Problem:
    """Return problems of families as one batch, with the softening and the external field of the settings or their own."""
    families, own = " ".join(config.ic_family or ()), [case.external_field for case in cases]
    if any(field != own[0] for field in own):
        raise ConfigError(f"ic_family = {families}: its problems have different external fields; run each family alone.")
    for name, given in (("external_field", own[0] is not None), ("softening", any(case.softening for case in cases))):
        if given and getattr(config, name):
            raise ConfigError(f"ic_family = {families} has its own {name}; leave {name} = {getattr(config, name)} out.")
    softening = [case.softening or config.softening for case in cases]
    return as_problem([case.initial for case in cases], config, softening, own[0])


def as_problem(
    systems: Sequence[InitialConditions], config: Config, softening: Sequence[float] | None = None, external_field: Any = None
) -> Problem:
    """Return one batch of all systems, with the softening, the G and the external field of `config` unless they are given.

    A problem made for another G than that of the settings is run as the same problem in another unit of time.
    """
    G = config.G
    own = {s.G for s in systems if s.G is not None} - {1.0}
    if own and G == 1.0 and config.units is None:
        G = own.pop()
    faster = [1.0 if s.G is None else math.sqrt(G / s.G) for s in systems]
    outer = field_named(config.external_field, G) if external_field is None else external_field
    shared: dict[str, Any] = {"G": G, "external_field": outer, "units": config.units}
    lengths = [config.softening] * len(systems) if softening is None else softening
    batches = [
        Bodies(s.mass, s.position, s.velocity * f, softening=length, **shared)
        if s.bodies is None
        else as_bodies(s.bodies, external_field=outer)
        for s, f, length in zip(systems, faster, lengths, strict=True)
    ]
    periods = [_period(s, b) if s.period is None else s.period / f for s, b, f in zip(systems, batches, faster, strict=True)]
    return Problem(Bodies.stack(batches), max(periods))


# ---- periods ---------------------------------------------------------------------------------------------------------------
def period_of(bodies: Bodies) -> np.ndarray:
    """Return the orbital period of two bound bodies, else the crossing time G M^2.5 / (2 |E|)^1.5, (B,).

    E is the energy about the centre of mass, without an external field.
    """
    alone = bodies.replace(external_field=None)
    orbit = np.where(bodies.body_count == 2, shortest_period(bodies), np.inf)
    with np.errstate(over="ignore", divide="ignore"):  # the energy of test particles alone is zero
        crossing = bodies.G * tree_sum(bodies.mass, 1) ** 2.5 / (2 * alone.energy_scale()) ** 1.5
    crossing = np.where(np.isfinite(crossing), crossing, 2 * math.pi * free_fall_time(bodies))
    return np.where(np.isfinite(orbit), orbit, crossing)


def shortest_period(bodies: Bodies) -> np.ndarray:
    """Return the period of the tightest bound pair, (B,), on the orbit of the two without the other bodies.

    It is infinite where no two bodies are bound.
    """
    shortest = np.full(len(bodies), np.inf)
    for systems, rows, r2, real in bodies.pair_blocks():
        mass = bodies.mass[systems]
        gm = bodies.G * (mass[:, None, :] + mass[:, rows, None])
        binding = 2 * gm / np.sqrt(r2) - squared_differences(bodies.velocity[systems], rows)  # G (m1 + m2) / a
        bound = real & (binding > 0)
        binding = np.where(bound, binding, 1.0)
        period = np.where(bound, 2 * math.pi * gm / (binding * np.sqrt(binding)), np.inf)
        shortest[systems] = np.minimum(shortest[systems], period.min((1, 2)))
    return shortest


def _period(system: InitialConditions, bodies: Bodies) -> float:
    """Return the period of a system that comes without one.

    For bodies from a file it is that of the tightest pair, since ten crossing times of a planet with a distant companion could
    be millions of orbits.
    """
    from_file = system.G is None or system.bodies is not None
    tightest = float(shortest_period(bodies)[0]) if from_file else math.inf
    return tightest if math.isfinite(tightest) else float(period_of(bodies)[0])


# ---- systems ---------------------------------------------------------------------------------------------------------------
def _system(config: Config, number: int) -> InitialConditions:
    """Return system `number` of the batch.

    A single system is exactly as `ic` describes it. In a batch of two-body systems each has its own random orbit.
    """
    name, _, given = config.ic.partition(":")
    extra: dict[str, Any] = {"G": config.G}
    if config.num_orbits == 1:
        made: InitialConditions = build(config.ic, _makers(config), "initial conditions", InitialConditionError, **extra)
        return made
    if name == "kepler":
        family: _Family = build(config.ic, {"kepler": _Family}, "initial conditions", InitialConditionError)
        return _sampled_orbit(config, number, family)
    if name in ("plummer", "random"):
        first = _seed_in(given, config)
        rest = ",".join(item for item in given.split(",") if item and not item.startswith("seed="))
        sampled: InitialConditions = build(
            f"{name}:{rest}", MAKERS, "initial conditions", InitialConditionError, seed=first + number
        )
        return sampled
    raise ConfigError(
        f"num_orbits = {config.num_orbits} needs a family to sample from: ic = kepler, plummer or random, not {config.ic!r}."
    )


def _makers(config: Config) -> dict[str, Callable[..., InitialConditions]]:
    """Return the makers of initial conditions; bodies in a file have the G, the units and the softening of the settings."""

    def file(path: str) -> InitialConditions:
        G = None if config.G == 1.0 else config.G  # 1 unless it was given
        return from_file(path, G=G, units=config.units, softening=config.softening or None)

    return MAKERS | {"file": file}


def _seed_in(given: str, config: Config) -> int:
    """Return the seed that the arguments of `ic` name, else that of the settings."""
    for item in given.split(","):
        if item.startswith("seed="):
            return int(converted(item[5:], int, f"{config.ic}: seed", InitialConditionError))
    return config.seed or 0


@dataclass(frozen=True)
class _Family:
    """The arguments of `ic = kepler:...` for a batch, in which e and q are sampled."""

    e: float | None = None
    q: float | None = None
    a: float = 1.0
    dim: int = 2


def _sampled_orbit(config: Config, number: int, family: _Family) -> InitialConditions:
    """Draw a two-body orbit of random eccentricity, mass ratio and phase (in 3D also orientation) from its own stream."""
    for name, value in (("e", family.e), ("q", family.q)):
        if value is not None:
            raise ConfigError(
                f"ic = {config.ic!r} fixes {name}, but num_orbits = {config.num_orbits} samples it: "
                f"give --{name}-min and --{name}-max instead."
            )
    rng = np.random.default_rng([config.seed or 0, number])
    e = rng.uniform(config.e_min, config.e_max)
    q = math.exp(rng.uniform(math.log(config.q_min), math.log(config.q_max)))
    mean_anomaly = rng.uniform(0, 2 * math.pi)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0] if family.dim == 3 else None
    place = family.a, eccentric_anomaly(mean_anomaly, e), config.G, family.dim, rotation
    return computed(config.ic, InitialConditionError, lambda: two_body(e, q, *place))
