"""Random systems and random requests for runs of them, from ordinary to absurd: what `stress.py` tries."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from aitimestepper import (
    PRS23,
    Aarseth,
    Bodies,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    Huayno,
    HutMakino,
    HutMakinoMcMillan,
    LastTerm,
    LearnedStep,
    Symmetrized,
    Tidal,
)
from aitimestepper.criteria.base import Criterion
from aitimestepper.integrators import INTEGRATORS

STEPS = 30  # of a run
MANY_STEPS = 300  # of a run that ends when its outcome is decided, which is looked at after 64 steps
METHODS = (*INTEGRATORS, "hermite4:n=2")
LAST_METHOD_SHARE = 0.25  # of requests that leave the integrator to the program


class Arrays(NamedTuple):
    """One system as it is given to `Bodies`."""

    mass: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    softening: float
    G: float
    time: float

    def bodies(self) -> Bodies:
        """Return the system as bodies."""
        return Bodies(self.mass, self.position, self.velocity, softening=self.softening, G=self.G, time=self.time)


class Request(NamedTuple):
    """A case: some systems of equal shape, and how they run."""

    systems: list[Arrays]
    criterion: Criterion | None
    integrator: str
    given: dict[str, Any]  # further arguments of `simulate`
    way: str  # simulate, batch, simulation, ensemble

    @property
    def most_steps(self) -> int:
        """Number of steps after which it ends at the latest."""
        return int(self.given.get("max_steps", STEPS))

    def __str__(self) -> str:
        one = self.systems[0]
        numbers = f"m = {one.mass.tolist()}, x = {one.position.tolist()}, v = {one.velocity.tolist()}"
        about = f"softening = {one.softening}, G = {one.G}, time = {one.time}"
        return f"{self.way} of {len(self.systems)}: {self.criterion!r} with {self.integrator}, {self.given}; {numbers}, {about}"


def _power(rng: np.random.Generator, most: float) -> float:
    """Return 10 to a random power up to `most`, of either sign; in half of the cases near 1."""
    return float(10.0 ** rng.uniform(-1, 1) if rng.random() < 0.5 else 10.0 ** rng.uniform(-most, most))


def _masses(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return masses between 0 and 1e30, often very unequal, and some of them 0."""
    m = _power(rng, 30) * 10.0 ** (-rng.uniform(0, (0.5, 3, 30)[rng.integers(3)], n))
    m[rng.random(n) < (0.0, 0.0, 0.4)[rng.integers(3)]] = 0.0
    return np.minimum(m, 1e30)


def ordinary(rng: np.random.Generator, n: int, dim: int) -> Arrays:
    """Return a bound system whose numbers are near 1."""
    m, x, v = rng.uniform(0.3, 1, n), rng.normal(0, 1, (n, dim)), rng.normal(0, 0.3, (n, dim))
    m[rng.random(n) < 0.15] *= 1e-6
    return Arrays(m, x, v, float(rng.choice([0.0, 0.0, 0.05])), 1.0, 0.0)


def absurd(rng: np.random.Generator, n: int, dim: int) -> Arrays:
    """Return a system with any masses, separations, speeds, softening, G and time."""
    m, G, L = _masses(rng, n), _power(rng, 30), _power(rng, 200)
    spread = 10.0 ** (-rng.uniform(0, (0.5, 4, 20)[rng.integers(3)], (n, 1)))
    with np.errstate(all="ignore"):
        x = rng.normal(0, 1, (n, dim)) * spread * L
        speed = math.sqrt(G) * math.sqrt(float(m.max())) / math.sqrt(L)
        v = rng.normal(0, 1, (n, dim)) * speed * rng.choice([0.0, 0.5, 1.0, 3.0, 1e5, _power(rng, 150)])
        if rng.random() < 0.1:
            x = x + L * 10.0 ** rng.uniform(0, 14)
        if rng.random() < 0.1:
            v = v + speed * 10.0 ** rng.uniform(0, 14)
        orbit = min(L * math.sqrt(L) / math.sqrt(G) / math.sqrt(max(float(m.max()), 1e-300)), 1e300)
    if rng.random() < 0.05:
        x[-1] = x[0]
    soft = float(rng.choice([0.0, 0.0, 0.0, 0.01 * L, 1e3 * L, _power(rng, 200)]))
    time = float(rng.choice([0.0, 0.0, 10 * orbit, -1e10 * orbit, _power(rng, 300)]))
    return Arrays(m, x, np.nan_to_num(v), soft, G, time if math.isfinite(time) else 0.0)


def _number(rng: np.random.Generator, usual: float) -> float:
    return usual * float(10.0 ** (rng.uniform(-1, 1) if rng.random() < 0.8 else rng.uniform(-300, 300)))


def criterion_of(rng: np.random.Generator, unit: float = 1.0) -> Criterion | None:
    """Return a criterion with a number that is usual, or anything; None: the one of the package. unit: of time."""
    plain = (FreeFall, HutMakino, Aarseth, PRS23, Boekholt, Tidal, EnergyBudget, LastTerm)
    usual = (0.05, 0.05, 0.02, 0.1, 0.05, 1e-3, 1e-4, 1e-6)
    k = int(rng.integers(13))
    if k < 8:
        return plain[k](_number(rng, usual[k]))
    if k == 8:
        return Constant(min(max(_number(rng, 0.01) * unit, 1e-300), 1e300))
    inner = plain[(0, 1, 6)[rng.integers(3)]](0.03)
    wrappers: list[Any] = [Symmetrized, Huayno, HutMakinoMcMillan]
    return wrappers[k - 9](inner) if k < 12 else (LearnedStep(tol=1e-4) if rng.random() < 0.5 else None)


def _orbit(one: Arrays) -> float:
    """Return a time in which something happens, (0, 1e300)."""
    with np.errstate(all="ignore"):
        size = float(np.abs(one.position - one.position[0]).max()) + one.softening
        found = size * math.sqrt(size) / math.sqrt(one.G) / math.sqrt(max(float(one.mass.max()), 1e-300))
    return min(max(found, 1e-300), 1e300) if math.isfinite(found) else 1e300


def _ending(rng: np.random.Generator, one: Arrays) -> dict[str, Any]:
    """Return when a run ends, always after `STEPS` steps at the latest, and what is wanted on the way."""
    unit = _orbit(one)
    if rng.random() < 0.3:
        return {"steps": STEPS}
    length = unit * (_power(rng, 20) if rng.random() < 0.2 else float(10.0 ** rng.uniform(-2, 0)))
    length *= -1.0 if rng.random() < 0.3 else 1.0
    given: dict[str, Any] = {"t_end": one.time + length, "max_steps": STEPS}
    if rng.random() < 0.2:
        given["times"] = np.unique(one.time + length * np.sort(rng.random(4)))[:: 1 if length > 0 else -1]
    if rng.random() < 0.2:
        size = float(np.abs(one.position).max())
        found = [f"encounter:below={_number(rng, max(size, 1e-300))}", f"escape:beyond={_number(rng, max(size, 1e-300))}"]
        found += [f"collision:radius={_number(rng, max(size * 1e-2, 1e-300))},action={('log', 'stop')[rng.integers(2)]}"]
        given["events"] = [found[rng.integers(3)], "crossing:x=1"]
    if rng.random() < 0.1:
        given |= {"events": [f"decided:tide={_number(rng, 1e-2)},stop={('yes', 'no')[rng.integers(2)]}"]}
        given |= {"max_steps": MANY_STEPS, "t_end": one.time + 30.0 * length}
    return given


def _without(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def request(rng: np.random.Generator) -> Request:
    """Draw a case."""
    n, dim = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    way = ("simulate", "simulate", "batch", "simulation", "ensemble")[rng.integers(5)]
    draw = ordinary if rng.random() < 0.25 else absurd
    systems = [draw(rng, n, dim)]
    if way in ("batch", "ensemble"):
        first = systems[0]
        scale = [float(2.0 ** rng.integers(-3, 4)) for _ in range(rng.integers(1, 9))]
        systems += [first._replace(velocity=first.velocity * s) for s in scale]
    method = "auto" if rng.random() < LAST_METHOD_SHARE else str(rng.choice(METHODS))
    given = _ending(rng, systems[0])
    if way == "ensemble":  # its table has the end of each system only
        given = {"t_end": systems[0].time + _orbit(systems[0]), "max_steps": STEPS, **_without(given, "steps", "times")}
    if rng.random() < 0.1:
        given |= {"guard": True}
    criterion = criterion_of(rng, _orbit(systems[0]))
    if criterion is None or (given.get("guard") and rng.random() < 0.5):
        given["tol"] = float(10.0 ** rng.uniform(-17, 3))
    if rng.random() < 0.1:
        given["dt_max" if rng.random() < 0.5 else "dt_min"] = _number(rng, 0.01 * _orbit(systems[0]))
    return Request(systems, criterion, method, given, way)
