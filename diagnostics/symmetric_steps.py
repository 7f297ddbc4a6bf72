"""Benefit of time-symmetric steps: every rule at the same number of force evaluations, beside figures measured before.

    python diagnostics/symmetric_steps.py [--orbits 1000] [--json FILE]

"theirs" are throw-away experiments from before this package; only their numbers remain, not the place on its orbit where a run
began. "ours" begins at apocentre (the figure-eight as it is usually given), then again at 8 places along the orbit. A rule's
number is found by bisection: the whole run must take the wanted force evaluations, as the engine counts them. Trial steps are
counted, the two further passes over the pairs that Huayno makes are not. The verdicts: "same", both figures within a factor of
1.5; "phase", theirs is within that factor of the range over the 8 places; "chance", it is within that factor of the range that
numbers up to 2 % away give (rules with kinks jump, and a final error is one draw); "rounding", ours is the smaller one of two
below 1e-10 (its sums are compensated); "differs".
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import (
    PRS23,
    Bodies,
    Boekholt,
    Constant,
    Criterion,
    EnergyBudget,
    FreeFall,
    Huayno,
    HutMakino,
    HutMakinoMcMillan,
    SimulationResult,
    Symmetrized,
    Tidal,
    simulate,
)
from aitimestepper.bodies import as_bodies
from aitimestepper.evaluation.matched import bisected
from aitimestepper.initial.named import figure8, two_body
from aitimestepper.integrators import SPLITTINGS

FORCES = 500  # an orbit
PHASES = 8
CLOSE = 1.5  # figures within this factor are the same
ROUNDING = 1e-10
NEARBY = tuple(1 + 0.005 * k for k in range(-4, 5) if k)
MASS_RATIO = 1e-3
E90, E99, EIGHT = "e = 0.9", "e = 0.99", "figure-eight"

Rule = Callable[[float, Bodies], Criterion]  # every step is proportional to the number it is given
RULES: dict[str, Rule] = {
    "constant": lambda p, _: Constant(p),
    "HutMakino": lambda p, _: HutMakino(p),
    "PRS23": lambda p, _: PRS23(p),
    "Tidal": lambda p, _: Tidal(p * p),
    "HutMakino symmetrized": lambda p, _: Symmetrized(HutMakino(p)),
    "PRS23 symmetrized": lambda p, _: Symmetrized(PRS23(p)),
    "Boekholt symmetrized": lambda p, _: Symmetrized(Boekholt(p)),
    "Tidal symmetrized": lambda p, _: Symmetrized(Tidal(p * p)),
    "LogH": lambda p, start: Constant(p / np.abs(start.potential_energy())),  # the first step: ds = p
    "FreeFall symmetrized": lambda p, _: Symmetrized(FreeFall(p)),
    "EnergyBudget symmetrized": lambda p, _: Symmetrized(EnergyBudget(1e-3, "leapfrog", p)),
    "Huayno(FreeFall)": lambda p, _: Huayno(FreeFall(p)),
    "HMM(FreeFall), 3 trials": lambda p, _: HutMakinoMcMillan(FreeFall(p), 3),
}
THEIRS: dict[str, dict[str, tuple[float, ...]]] = {  # (max, final) over 1000 orbits; max over 100 periods
    "constant": {E90: (3.5e-1, 2.4e-5), E99: (541,), EIGHT: (9.5e-5,)},
    "HutMakino": {E90: (5.9e-2, 5.8e-2), E99: (0.48, 0.46), EIGHT: (1.5e-3,)},
    "PRS23": {E90: (3.2e-2, 3.1e-2), E99: (0.39, 0.37), EIGHT: (2.8e-2,)},
    "Tidal": {E90: (4.9e-2, 4.7e-2), E99: (0.51, 0.49), EIGHT: (8.1e-4,)},
    "HutMakino symmetrized": {E90: (1.2e-2, 1.2e-2), E99: (0.22, 0.22), EIGHT: (9.1e-5,)},
    "PRS23 symmetrized": {E90: (1.1e-3, 5.0e-8), E99: (3.2e-2, 5.6e-6), EIGHT: (6.6e-4,)},
    "Boekholt symmetrized": {E90: (1.5e-3, 3.3e-8), E99: (3.8e-2, 4.2e-8), EIGHT: (9.1e-5,)},
    "Tidal symmetrized": {E90: (1.5e-3, 7.9e-9), E99: (4.4e-2, 1.8e-8), EIGHT: (9.3e-5,)},
    "LogH": {E90: (1.8e-12, 4.9e-14), E99: (1.1e-11,), EIGHT: (2.2e-6,)},
    "FreeFall symmetrized": {E99: (4.4e-2,)},
}
THEIR_ORDERS: dict[str, dict[int, float]] = {  # max over 1000 orbits by forces an orbit, e = 0.9
    "leapfrog": {500: 1.5e-3, 1000: 3.9e-4, 2000: 9.6e-5, 4000: 2.4e-5},
    "suzuki4": {500: 5e-5, 1000: 3e-6, 2000: 2e-7, 4000: 1e-8},
    "kahan_li6": {500: 4e-6, 1000: 7e-8, 2000: 1e-9, 4000: 2e-11},
    "kahan_li8": {500: 1e-6, 1000: 4e-9, 2000: 2e-11, 4000: 5e-13},
}


class Problem(NamedTuple):
    """An orbit, and the states along it in which runs begin; the first of them is the usual one."""

    name: str
    starts: Bodies
    period: float
    orbits: int


class Figure(NamedTuple):
    """One entry of a table."""

    problem: str
    rule: str
    what: str  # max or final
    theirs: float | None
    ours: float
    low: float  # over all starts
    high: float
    forces: float  # an orbit
    number: float
    nearby: tuple[float, ...]  # ours with numbers a little off; empty: not asked for

    @property
    def verdict(self) -> str:
        """Return how both figures compare; see above."""
        if self.theirs is None:
            return ""
        chances = {"same": (self.ours,), "phase": (self.low, self.high), "chance": self.nearby}
        for word, found in chances.items():
            if found and min(found) / CLOSE <= self.theirs <= max(found) * CLOSE:
                return word
        return "rounding" if self.ours < self.theirs < ROUNDING else "differs"


def kepler_problem(name: str, e: float, orbits: int) -> Problem:
    """Return an orbit from apocentre, and from eccentric anomalies evenly around it."""
    anomalies = [math.pi * (1 + 2 * k / PHASES) for k in range(PHASES)]
    starts = [as_bodies(two_body(e, MASS_RATIO, 1.0, anomaly, 1.0, 2)) for anomaly in anomalies]
    return Problem(name, Bodies.stack(starts), 2 * math.pi, orbits)


def eight_problem(periods: int) -> Problem:
    """Return the figure-eight at several times in a twelfth of its period, after which it repeats, but for names and a turn."""
    eight = figure8()
    starts = [as_bodies(eight)]
    assert eight.period is not None
    for k in range(1, PHASES):
        later = simulate(eight, t_end=eight.period / 12 * k / PHASES, tol=1e-13, warn=False).final
        starts.append(Bodies(later.mass, later.position, later.velocity))
    return Problem(EIGHT, Bodies.stack(starts), eight.period, periods)


def run(rule: Rule, p: float, problem: Problem, method: str, orbits: float, starts: Bodies) -> SimulationResult:
    """Run from all starts; runs that take many more forces than wanted stop early."""
    most = int(40 * FORCES * orbits) + 1000
    return simulate(
        starts, t_end=orbits * problem.period, criterion=rule(p, starts), integrator=method, max_steps=most, warn=False
    )


def calibrated(rule: Rule, problem: Problem, method: str, wanted: float) -> tuple[float, float]:
    """Return the number of a rule, and its forces an orbit from the usual start.

    It is found on a few orbits first, then on all of them.
    """
    first = problem.starts.select([0])

    def forces_an_orbit(p: float, orbits: int) -> float:
        return run(rule, p, problem, method, orbits, first).force_evaluations.item() / orbits

    p = 0.02
    for _ in range(4):
        p *= forces_an_orbit(p, min(10, problem.orbits)) / wanted
    match = bisected(
        lambda numbers, _: np.array([forces_an_orbit(float(numbers[0]), problem.orbits)]),
        np.array([p]),
        np.array([float(wanted)]),
    )
    return float(match.number[0]), float(match.forces[0])


def figures(problem: Problem, rule: str, theirs: tuple[float, ...], method: str = "", forces: int = FORCES) -> Iterator[Figure]:
    """Yield largest and final error of one rule on one problem; the figure-eight is compared by its largest error alone."""
    first = problem.starts.select([0])
    method = method or ("logh" if rule == "LogH" else "leapfrog")
    p, cost = calibrated(RULES[rule], problem, method, forces)
    result = run(RULES[rule], p, problem, method, problem.orbits, problem.starts)
    errors = (("max", result.max_energy_error), ("final", result.final_energy_error))
    for (what, error), known in zip(errors[: 1 if problem.name == EIGHT else 2], (*theirs, None, None), strict=False):
        low, high = (f(np.nan_to_num(error, nan=math.inf)) for f in (np.min, np.max))
        figure = Figure(problem.name, rule, what, known, float(error[0]), float(low), float(high), cost, p, ())
        if figure.verdict in ("rounding", "differs"):
            others = [run(RULES[rule], f * p, problem, method, problem.orbits, first) for f in NEARBY]
            near = tuple(getattr(other, f"{what}_energy_error").item() for other in others)
            figure = figure._replace(nearby=near)
        yield figure


def table_of_rules(orbits: int) -> list[Figure]:
    """Return the first table: every rule on every problem."""
    problems = [kepler_problem(E90, 0.9, orbits), kepler_problem(E99, 0.99, orbits), eight_problem(max(1, orbits // 10))]
    found = []
    for problem in problems:
        for rule in RULES:
            found += figures(problem, rule, THEIRS.get(rule, {}).get(problem.name, ()))
    return found


def table_of_orders(orbits: int) -> list[Figure]:
    """Return the second table: symmetrized FreeFall at e = 0.9 with methods of order 2 to 8."""
    problem, found = kepler_problem(E90, 0.9, orbits), []
    for method, known in THEIR_ORDERS.items():
        for forces, error in known.items():
            both = figures(problem, "FreeFall symmetrized", (error,), method, forces)
            found.append(next(both)._replace(rule=f"order {SPLITTINGS[method].order}, {forces} forces"))
    return found


def show(console: Console, title: str, found: list[Figure]) -> None:
    """Print a table, its verdicts counted, and the figures that differ."""
    table = Table("rule", "problem", "error", "theirs", "ours", "over phases", "verdict", "forces", title=title)
    for f in found:
        known = "" if f.theirs is None else f"{f.theirs:.1e}"
        spread = f"{f.low:.1e} ... {f.high:.1e}"
        table.add_row(f.rule, f.problem, f.what, known, f"{f.ours:.1e}", spread, f.verdict, f"{f.forces:.0f}")
    console.print(table)
    counts = {word: sum(f.verdict == word for f in found) for word in ("same", "phase", "chance", "rounding", "differs")}
    console.print("; ".join(f"{word}: {count}" for word, count in counts.items()))
    for f in found:
        if f.verdict in ("chance", "rounding", "differs"):
            near = f"{min(f.nearby):.1e} ... {max(f.nearby):.1e}"
            console.print(
                f"  {f.verdict}: {f.rule}, {f.problem}, {f.what}: theirs {f.theirs:.1e}, ours {f.ours:.1e}, nearby {near}"
            )


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--orbits", type=int, default=1000, help="orbits of the Kepler problems; the figure-eight makes a tenth as many"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    console = Console(width=132)
    tables: dict[str, Callable[[], list[Figure]]] = {
        f"Leapfrog, {FORCES} forces an orbit, {options.orbits} orbits": partial(table_of_rules, options.orbits),
        f"Symmetrized FreeFall, e = 0.9, {options.orbits} orbits": partial(table_of_orders, options.orbits),
    }
    written = {}
    for title, make in tables.items():
        found = make()
        show(console, title, found)
        written[title] = [{**f._asdict(), "verdict": f.verdict} for f in found]
    if options.json is not None:
        options.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
