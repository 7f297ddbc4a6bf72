"""Splittings against each other: the fewest forces that keep a tolerance, with a symmetrized free-fall step.

    python diagnostics/splittings.py [--count 40] [--quick] [--json FILE]

The problems are those of the five families of `validation`. For each problem and method, eta is swept from coarse to fine, and
the fewest force evaluations that keep each tolerance are taken: a choice in hindsight, with which no rule for eta favours a
method. Forces: geometric means over the problems; a problem that no eta within the budget solves counts with the budget.

Candidates are not part of the package. Splittings of kicks and drifts alone are run by the engine. Those with force gradients
are run by the loop of force_gradients.py; so are blanes_moan4 and chin4, whose forces by the engine check the loop. A gradient
is charged at its time in units of that of the forces, measured here, or as one force where it is that at displaced positions. A
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

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper.bench.timing import Effort
from aitimestepper.evaluation.calibration import hindsight_forces
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import SOUND, Systems, measure
from aitimestepper.evaluation.statistics import geometric_mean, interval, resampled
from aitimestepper.evaluation.sweep import GROWTH, ParameterSweep
from aitimestepper.initial.suites import make_suite
from aitimestepper.integrators import SPLITTINGS, Splitting
from force_gradients import GRADIENTS, Gradient, gradient_cost, run
from splitting_coefficients import PUBLISHED, polished

TOLERANCES = tuple(10.0**-k for k in range(2, 9))
LARGEST, RATIO, LENGTH, BUDGET = 6.0, 2.0**0.25, 100, 400_000  # of the sweeps; the first eta is one orbit a step
PATIENCE = 16  # runs of a problem that broke off, after which it is given up
WIN = 0.95  # largest ratio of forces with which a candidate is worth a place
USEFUL = {2: 1e-5}  # smallest tolerance that a method of that order is run for
OF_PACKAGE = tuple(SPLITTINGS)
CANDIDATES = ("blanes_moan6_14", "blanes_casas8")
PAIRS = (
    ("blanes_moan4", "suzuki4"),
    ("blanes_moan6", "kahan_li6"),
    ("blanes_moan6", "blanes_moan4"),
    ("chin4", "blanes_moan4"),
    ("chin4, exact gradient", "blanes_moan4"),
    ("chin4", "chin4, exact gradient"),
)
SEED = 7


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
    start, charge = systems.start, len(method.drifts) + (1.0 if method.displaced else cost) * method.passes
    coefficients = [np.array(values) for values in method[:3]]

    def one(p: int, eta: float) -> tuple[float, float, bool]:
        real = start.present[p]  # smaller systems of a batch are filled up
        gm, x, v = (np.array(values[p][real]) for values in (start.mass, start.position, start.velocity))
        error, steps, finished = run(gm, x, v, systems.ends[p], eta, *coefficients, method.displaced, int(BUDGET / charge))
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
