"""Splittings against each other: the fewest forces that keep a tolerance, with a symmetrized free-fall step.

    python diagnostics/splittings.py [--count 40] [--quick] [--json FILE]

The problems are those of the five families of `validation`. For each problem and method, eta is swept from coarse to fine, and
the fewest force evaluations that keep each tolerance are taken: a choice in hindsight, with which no rule for eta favours a
method. Forces: geometric means over the problems; a problem that no eta within the budget solves counts with the budget.

Candidates are not part of the package. Splittings of kicks and drifts alone are run by the engine. Those with force gradients
are run by the loop below; so is blanes_moan4, whose forces by the engine check the loop. A kick with a gradient adds
b dt a + c dt^3 g to the velocities, g = (da/dx) a; g is charged at its time in units of that of the forces, measured here. A
splitting that begins with a drift needs the forces at the end of the step for the criterion, and is charged for them.

A candidate is worth a place if it needs 5 % fewer forces than the best splitting of the package, in a range of tolerances.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper.bench.timing import Effort, rotate
from aitimestepper.constants import ENERGY_FLOOR
from aitimestepper.evaluation.calibration import hindsight_forces
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import SOUND, Systems, measure
from aitimestepper.evaluation.statistics import geometric_mean, interval, resampled
from aitimestepper.evaluation.sweep import GROWTH, ParameterSweep
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import SPLITTINGS, Splitting
from splitting_coefficients import PUBLISHED, polished

TOLERANCES = tuple(10.0**-k for k in range(2, 9))
LARGEST, RATIO, LENGTH, BUDGET = 6.0, 2.0**0.25, 100, 400_000  # of the sweeps; the first eta is one orbit a step
PATIENCE = 16  # runs of a problem that broke off, after which it is given up
WIN = 0.95  # largest ratio of forces with which a candidate is worth a place
USEFUL = {2: 1e-5}  # smallest tolerance that a method of that order is run for
MAX_RATIO = 1.5  # of the symmetrized free-fall step
OF_PACKAGE = tuple(SPLITTINGS)
CANDIDATES = ("blanes_moan6_14", "blanes_casas8")
PAIRS = (("blanes_moan4", "suzuki4"), ("blanes_moan6", "kahan_li6"), ("blanes_moan6", "blanes_moan4"))
SEED = 7


# ---- force gradients -------------------------------------------------------------------------------------------------
class Gradient(NamedTuple):
    """A splitting of order 4 some of whose kicks have force gradients; there is one kick more than drifts."""

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    gradients: tuple[float, ...]  # in units of dt^3, one for each kick
    source: str

    @property
    def passes(self) -> int:
        """The number of gradient evaluations a step."""
        return sum(c != 0 for c in self.gradients)


def gradient4() -> Gradient:
    """Return 4 forces and 1 gradient: a_1 such that sum b c^2 = 1/3, and the gradient that is left to order 4."""
    b1, b2 = 0.07743, 0.26805
    b3 = 1 - 2 * (b1 + b2)
    a1 = (1 - math.sqrt(2 * (1 / 3 - b1 - b3 / 4) / b2 - 1)) / 2
    return with_gradient((b1, b2, b3, b2, b1), (a1, 0.5 - a1, 0.5 - a1, a1), "optimized on gravity")


def with_gradient(kicks: tuple[float, ...], drifts: tuple[float, ...], source: str) -> Gradient:
    """Return the method with the gradient in its middle kick that makes it one of order 4."""
    done = np.cumsum(kicks)[:-1]
    gradients = [0.0] * len(kicks)
    gradients[len(kicks) // 2] = float(np.sum(np.array(drifts) * done**2)) - 1 / 3
    return Gradient(kicks, drifts, tuple(gradients), source)


GRADIENTS = {
    "gradient4": gradient4(),
    "chin4": with_gradient((1 / 6, 2 / 3, 1 / 6), (0.5, 0.5), "Chin 1997, 4A"),
}


@numba.njit(error_model="numpy")
def forces(gm: Any, x: Any, a: Any) -> Any:
    """Write accelerations to `a`, and return (sum of rate^4, sum of m_i m_j / r without G) over pairs; gm is masses, G = 1."""
    n, rate4, binding = len(gm), 0.0, 0.0
    a[:] = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d0, d1, d2 = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
            inverse2 = 1.0 / (d0 * d0 + d1 * d1 + d2 * d2)
            inverse = math.sqrt(inverse2)
            cube = inverse2 * inverse
            binding += gm[i] * gm[j] * inverse
            rate2 = (gm[i] + gm[j]) * cube
            rate4 += rate2 * rate2
            p, q = gm[j] * cube, gm[i] * cube
            a[i, 0] += p * d0
            a[i, 1] += p * d1
            a[i, 2] += p * d2
            a[j, 0] -= q * d0
            a[j, 1] -= q * d1
            a[j, 2] -= q * d2
    return rate4, binding


@numba.njit(error_model="numpy")
def force_gradients(gm: Any, x: Any, a: Any, g: Any) -> None:
    """Write (da/dx) a, the rate at which the accelerations change if the bodies move along them, to `g`."""
    n = len(gm)
    g[:] = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d0, d1, d2 = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
            e0, e1, e2 = a[j, 0] - a[i, 0], a[j, 1] - a[i, 1], a[j, 2] - a[i, 2]
            inverse2 = 1.0 / (d0 * d0 + d1 * d1 + d2 * d2)
            cube = inverse2 * math.sqrt(inverse2)
            along = 3.0 * (d0 * e0 + d1 * e1 + d2 * e2) * inverse2
            p, q = gm[j] * cube, gm[i] * cube
            g0, g1, g2 = e0 - along * d0, e1 - along * d1, e2 - along * d2
            g[i, 0] += p * g0
            g[i, 1] += p * g1
            g[i, 2] += p * g2
            g[j, 0] -= q * g0
            g[j, 1] -= q * g1
            g[j, 2] -= q * g2


@numba.njit(error_model="numpy")
def kinetic(gm: Any, v: Any) -> Any:
    """Return the kinetic energy."""
    total = 0.0
    for i in range(len(gm)):
        total += 0.5 * gm[i] * (v[i, 0] ** 2 + v[i, 1] ** 2 + v[i, 2] ** 2)
    return total


@numba.njit(error_model="numpy")
def run(gm: Any, x: Any, v: Any, end: Any, eta: Any, kicks: Any, drifts: Any, gradients: Any, most: Any) -> Any:
    """Advance one system, x and v in place; return its largest relative energy error, its steps and whether it came to its end.

    It does not if it needs more than `most` steps or breaks off. The errors are relative to S, see constants.ENERGY_FLOOR.
    """
    a, g = np.zeros_like(x), np.zeros_like(x)
    rate4, binding = forces(gm, x, a)
    centre = np.zeros(3)
    for i in range(len(gm)):
        centre += gm[i] * v[i] / gm.sum()
    K, E0 = kinetic(gm, v - centre), kinetic(gm, v) - binding
    S = max(abs(E0), ENERGY_FLOOR * (K + binding))
    t, last, largest, steps = 0.0, 0.0, 0.0, 0
    while t < end:
        if steps == most:
            return largest, steps, False
        dt = eta / math.sqrt(math.sqrt(rate4))
        if last > 0.0:
            symmetric = dt * (dt / last)
            if symmetric <= MAX_RATIO * dt and symmetric * MAX_RATIO >= dt:
                dt = symmetric
        last = dt
        h = min(dt, end - t)
        if not h > 0.0:
            return np.inf, steps, False
        for k in range(len(kicks)):
            if k > 0:
                x += drifts[k - 1] * h * v
                rate4, binding = forces(gm, x, a)
            v += kicks[k] * h * a
            if gradients[k] != 0.0:
                force_gradients(gm, x, a, g)
                v += gradients[k] * h * h * h * g
        t = end if h < dt else t + h
        steps += 1
        error = abs(kinetic(gm, v) - binding - E0) / S
        if not error < np.inf:
            return np.inf, steps, False
        largest = max(largest, error)
    return largest, steps, True


@numba.njit(error_model="numpy")
def many_forces(gm: Any, x: Any, a: Any, g: Any, count: Any) -> None:
    """Evaluate forces `count` times."""
    for _ in range(count):
        forces(gm, x, a)


@numba.njit(error_model="numpy")
def many_gradients(gm: Any, x: Any, a: Any, g: Any, count: Any) -> None:
    """Evaluate force gradients `count` times."""
    for _ in range(count):
        force_gradients(gm, x, a, g)


def gradient_cost(effort: Effort) -> dict[int, float]:
    """Return the time of a gradient evaluation over that of a force evaluation, by number of bodies."""
    found = {}
    for n in (2, 3, 5, 10, 100):
        rng = np.random.default_rng(n)
        system = np.full(n, 1.0 / n), rng.normal(size=(n, 3)), np.zeros((n, 3)), np.zeros((n, 3))
        jobs = {f.__name__: lambda count, f=f, system=system: lambda: f(*system, count) for f in (many_forces, many_gradients)}
        found[n] = rotate(jobs, effort).ratio("many_gradients", "many_forces")
    return found


# ---- sweeps ----------------------------------------------------------------------------------------------------------
class Runs(NamedTuple):
    """Runs of some problems, each array (R,)."""

    error: np.ndarray  # largest relative energy error; infinite if the run did not reach its end
    forces: np.ndarray  # force evaluations, gradients charged
    dear: np.ndarray  # bool: the run was still sound when the budget stopped it, or a finer one would not be affordable


class Method(NamedTuple):
    """A method of the study, and how its runs are made."""

    name: str
    order: int
    charge: float  # force evaluations a step
    runs: Callable[[np.ndarray, float], Runs]  # of the problems of these indices, with one eta


def by_engine(name: str, systems: Systems) -> Method:
    """Return a splitting of `SPLITTINGS`, run by the engine."""
    contender = Contender(rule_named("freefall"), "symmetrized", name)

    def runs(rows: np.ndarray, eta: float) -> Runs:
        done = measure(systems.rows(rows), contender, eta, BUDGET, threads=1)
        return Runs(done.error, done.forces, done.sound & (done.unfinished | (done.forces * GROWTH > BUDGET)))

    return Method(name, SPLITTINGS[name].order, SPLITTINGS[name].stages, runs)


def by_loop(name: str, method: Gradient, cost: float, systems: Systems) -> Method:
    """Return a method of order 4 that is run by the loop above, each gradient charged as `cost` forces."""
    start, charge = systems.start, len(method.drifts) + cost * method.passes
    coefficients = [np.array(values) for values in method[:3]]

    def one(p: int, eta: float) -> tuple[float, float, bool]:
        real = start.present[p]  # smaller systems of a batch are filled up
        gm, x, v = (np.array(values[p][real]) for values in (start.mass, start.position, start.velocity))
        error, steps, finished = run(gm, x, v, systems.ends[p], eta, *coefficients, int(BUDGET / charge))
        forces = charge * steps
        return error if finished else math.inf, forces, error < SOUND and (not finished or forces * GROWTH > BUDGET)

    def runs(rows: np.ndarray, eta: float) -> Runs:
        return Runs(*map(np.array, zip(*(one(int(p), eta) for p in rows), strict=True)))

    return Method(name, 4, charge, runs)


def swept(method: Method, problems: int) -> ParameterSweep:
    """Run every problem with ever smaller eta until two consecutive runs keep the smallest tolerance, or the budget ends."""
    smallest = USEFUL.get(method.order, TOLERANCES[-1])
    active, before, broken = np.ones(problems, bool), np.full(problems, np.inf), np.zeros(problems, int)
    etas: list[float] = []
    errors, forces = [], []
    while active.any() and len(etas) < LENGTH:
        rows = np.flatnonzero(active)
        etas.append(LARGEST / RATIO ** len(etas))
        found, done = np.full((2, problems), np.nan), method.runs(rows, etas[-1])
        found[:, rows] = done.error, done.forces
        broken[rows] += ~np.isfinite(done.error)
        kept = np.maximum(done.error, before[rows]) <= smallest
        active[rows] = ~(kept | done.dear | (broken[rows] > PATIENCE))
        before[rows] = done.error
        errors.append(found[0])
        forces.append(found[1])
    return ParameterSweep(np.array(etas), np.array(errors).T, np.array(forces).T, BUDGET)


# ---- what comes of it ------------------------------------------------------------------------------------------------
class Costs(NamedTuple):
    """The fewest forces of a method, (P,) for every tolerance; problems without a solution count with the budget."""

    method: Method
    by_tolerance: dict[float, np.ndarray]
    unsolved: dict[float, int]


def costs(method: Method, problems: int) -> Costs:
    """Return the fewest forces that keep each tolerance that the method is useful for."""
    sweep, found, unsolved = swept(method, problems), {}, {}
    for tol in (tol for tol in TOLERANCES if tol >= USEFUL.get(method.order, 0.0)):
        forces = hindsight_forces(sweep, tol)
        found[tol], unsolved[tol] = np.minimum(forces, BUDGET), int(np.isinf(forces).sum())
    return Costs(method, found, unsolved)


def table_of(rows: list[Costs]) -> Table:
    """Return a table of forces, with the number of unsolved problems in brackets."""
    made = Table("method", "forces a step", *(f"{tol:.0e}" for tol in TOLERANCES), title="fewest forces, geometric mean")
    for row in rows:
        cells = [
            f"{geometric_mean(row.by_tolerance[tol]):.0f}" + (f" ({row.unsolved[tol]})" if row.unsolved[tol] else "")
            if tol in row.by_tolerance
            else "-"
            for tol in TOLERANCES
        ]
        made.add_row(row.method.name, f"{row.method.charge:.3g}", *cells)
    return made


def ratios(above: Costs, below: Costs, draws: np.ndarray) -> Iterator[tuple[float, float, list[float]]]:
    """Yield (tolerance, ratio of the geometric means, its 95 % interval) at the tolerances that both are useful for."""
    for tol, forces in above.by_tolerance.items():
        if tol in below.by_tolerance:
            logs = np.log(forces / below.by_tolerance[tol])
            yield tol, float(np.exp(logs.mean())), interval(np.exp(logs[draws].mean(1)))


def verdict(candidate: Costs, package: list[Costs], draws: np.ndarray) -> dict[str, Any]:
    """Return the ratios of a candidate to the cheapest splitting of the package at each tolerance, and where it wins."""
    found: dict[str, Any] = {"candidate": candidate.method.name, "ratios": {}, "wins": []}
    for tol in candidate.by_tolerance:
        known = [one for one in package if tol in one.by_tolerance]
        best = min(known, key=lambda one: geometric_mean(one.by_tolerance[tol]))
        ratio, ends = next((r, ends) for t, r, ends in ratios(candidate, best, draws) if t == tol)
        found["ratios"][f"{tol:.0e}"] = (best.method.name, ratio, ends)
        if ratio < WIN:
            found["wins"].append(f"{tol:.0e}")
    return found


def added(names: tuple[str, ...]) -> None:
    """Add candidates to the table of splittings of this process."""
    for name in names:
        order, half, source = PUBLISHED[name]
        kicks, drifts = (tuple(map(float, values)) for values in polished(half, order).splitting())
        SPLITTINGS[name] = Splitting(order, kicks, drifts, source)


def main() -> None:
    """Measure all methods, and print tables and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="problems of each family")
    parser.add_argument("--quick", action="store_true", help="6 problems of each family")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    console, began = Console(width=130), time.perf_counter()
    cost = gradient_cost(Effort(5, 0.1))
    console.print("a gradient costs, in forces:", {n: round(c, 2) for n, c in cost.items()})
    suite = make_suite(split="validation", count=6 if options.quick else options.count)
    systems = Systems.of(suite)
    added(CANDIDATES)
    check = Gradient(*SPLITTINGS["blanes_moan4"][1:3], (0.0,) * 7, "")
    methods = [by_engine(name, systems) for name in (*OF_PACKAGE, *CANDIDATES)]
    methods += [by_loop(name, method, cost[5], systems) for name, method in GRADIENTS.items()]
    methods.append(by_loop("blanes_moan4, by the loop", check, 0.0, systems))
    found: list[Costs] = []
    for k, method in enumerate(methods, 1):
        found.append(costs(method, len(suite)))
        console.print(f"{k} of {len(methods)}: {method.name}, {time.perf_counter() - began:.0f} s since the start")
    console.print(table_of(found))
    draws = resampled(suite.family_of, np.random.default_rng(SEED))
    by_name = {one.method.name: one for one in found}
    for above, below in PAIRS:
        for tol, ratio, ends in ratios(by_name[above], by_name[below], draws):
            console.print(f"{above} / {below} at {tol:.0e}: {ratio:.3f} ({ends[0]:.3f} to {ends[1]:.3f})")
    package = [by_name[name] for name in OF_PACKAGE]
    verdicts = [verdict(by_name[name], package, draws) for name in (*CANDIDATES, *GRADIENTS)]
    for one in verdicts:
        console.print(f"{one['candidate']} wins by more than 5 % at: {', '.join(one['wins']) or 'no tolerance'}")
        for tol, (name, ratio, ends) in one["ratios"].items():
            console.print(f"  {tol}: {ratio:.3f} ({ends[0]:.3f} to {ends[1]:.3f}) of the forces of {name}")
    if options.json:
        forces = {one.method.name: {f"{t:.0e}": geometric_mean(x) for t, x in one.by_tolerance.items()} for one in found}
        options.json.write_text(json.dumps({"gradient_cost": cost, "forces": forces, "verdicts": verdicts}, indent=1))


if __name__ == "__main__":
    main()
