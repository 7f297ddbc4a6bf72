"""The same system in other units and axes, numbered in another way, seen from a moving place: its steps are the same."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from isolated import WrongError
from stress_draws import METHODS, Arrays, criterion_of, ordinary

from aitimestepper import Constant, LastTerm, SimulationResult, simulate
from aitimestepper.criteria.base import Criterion
from aitimestepper.errors import UserError

MOST = 400  # steps of a run
ROUNDING = 1e-12  # of the last term of Gauss-Radau


class Turned(NamedTuple):
    """A case: an ordinary system, and the same one in other words."""

    system: Arrays
    other: Arrays
    time_unit: float
    criterion: Criterion | None
    integrator: str
    change: str
    backward: bool

    def __str__(self) -> str:
        return f"{self.change}, {self.criterion!r} with {self.integrator}: {self.system}; {self.other}"


def turned_request(rng: np.random.Generator) -> Turned:
    """Draw a case."""
    n, dim = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    system, criterion = ordinary(rng, n, dim), criterion_of(rng)
    change = ("units", "axes", "numbers", "boost", "mirror")[rng.integers(5)]
    other, unit = _changed(system, change, rng)
    method = "auto" if criterion is None else str(rng.choice(METHODS))
    return Turned(system, other, unit, criterion, method, change, bool(rng.random() < 0.3))


def _changed(one: Arrays, change: str, rng: np.random.Generator) -> tuple[Arrays, float]:
    """Return the system in other words, and the factor of its times."""
    x, v = one.position, one.velocity
    if change == "units":
        mass, length, time = (float(2.0 ** rng.integers(-30, 31)) for _ in range(3))
        G = length**3 / (mass * time**2)
        return Arrays(one.mass * mass, x * length, v * length / time, one.softening * length, G, 0.0), time
    if change == "axes":
        turn = np.roll(np.arange(x.shape[1]), 1)
        sign = np.array([-1.0, *[1.0] * (x.shape[1] - 1)])
        return one._replace(position=x[:, turn] * sign, velocity=v[:, turn] * sign), 1.0
    if change == "numbers":
        order = rng.permutation(len(x))
        return one._replace(mass=one.mass[order], position=x[order], velocity=v[order]), 1.0
    if change == "boost":
        return one._replace(velocity=v + rng.normal(0, 1, v.shape[1])), 1.0
    return one._replace(position=-x, velocity=-v), 1.0


def check_same(case: Turned) -> str:
    """Run both, and hold their numbers of steps against each other."""
    try:
        one = _run(case, case.system, 1.0)
    except UserError:
        return "same: no such run"
    other = _run(case, case.other, case.time_unit)
    same = (one.status, one.steps.tolist()) == (other.status, other.steps.tolist())
    if not same and isinstance(case.criterion, LastTerm) and case.criterion.epsilon < ROUNDING:
        return "same: below rounding"  # the last term of a step is one of rounding then, and so is the step
    if not same:
        raise WrongError(f"{case.change}: {one.status[0]} after {one.steps[0]} steps, {other.status[0]} after {other.steps[0]}")
    a, b = float(one.max_energy_error[0]), float(other.max_energy_error[0])
    if case.change in ("units", "mirror") and a != b:
        raise WrongError(f"{case.change}: energy errors {a!r} and {b!r}")
    return f"same: {case.change}"


def _run(case: Turned, system: Arrays, unit: float) -> SimulationResult:
    criterion: Any = case.criterion
    if isinstance(criterion, Constant):
        criterion = Constant(criterion.dt * unit)
    end = (-1.0 if case.backward else 1.0) * unit
    given = {"t_end": end, "max_steps": MOST, "integrator": case.integrator, "threads": 1}
    return simulate(system.bodies(), criterion=criterion, tol=1e-5 if criterion is None else None, **given)
