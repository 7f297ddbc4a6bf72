"""Outcomes of encounters and systems a second of one core, beside a loop over REBOUND's IAS15.

    python benchmarks/ensemble_peers.py [--count 2000] [--v 1.5] [--tol 1e-5] [--epsilon 1e-3] [--rounds 3] [--json FILE]

Single bodies meet binaries, three equal masses, as in examples/cross_sections.py. Ours: one call, in which every run ends when
its outcome is decided. IAS15 (PRS23, its default) runs the same systems one after the other: once to the times at which ours
ended, which a loop over it does not know, and once to one time for all, which is that of the runs that are not decided by then.
All ends are named by the same function. epsilon: the fastest of `EPSILONS` with which nine in ten keep the tolerance and the
outcomes agree, unless it is given; and IAS15's default, 1e-9. Making the systems is not timed. Processor time; medians of
rounds in which all take turns, and so are the ratios. The last row is the limit: as many of our steps of equal length, which
nothing has to choose.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import Bodies, Constant, SimulationResult, simulate
from aitimestepper.bench.rebound_runs import ADAPTIVE_MODES, rebound_of
from aitimestepper.ensembles.outcomes import outcomes_of
from aitimestepper.events import Decided
from aitimestepper.initial.named import InitialConditions
from aitimestepper.initial.scattering import binary_meets_single
from measure import interleaved

LONGEST = 150.0  # time at which what is still bound is left
EPSILONS = (1e-5, 1e-4, 1e-3, 1e-2)
DEFAULT_EPSILON = 1e-9
VELOCITY = ("vx", "vy", "vz")


def systems(count: int, v: float, seed: int) -> Bodies:
    """Return encounters with impact parameters uniform in area, up to where exchanges end."""
    rng = np.random.default_rng(seed)
    return binary_meets_single(rng, (2.0 / v + 1.2) * np.sqrt(rng.uniform(size=count)), v)


def simulations(start: Bodies, epsilon: float) -> list[Any]:
    """Return every system as a simulation of REBOUND about to be run."""
    settings = {"epsilon": epsilon, "adaptive_mode": ADAPTIVE_MODES["prs23"]}
    made = (InitialConditions(*one) for one in zip(start.mass, start.position, start.velocity, strict=True))
    return [rebound_of(one, "ias15", **settings) for one in made]


def run_all(sims: list[Any], ends: np.ndarray) -> list[Any]:
    """Run simulations one after the other, each to its end."""
    for sim, end in zip(sims, ends.tolist(), strict=True):
        sim.integrate(end)
    return sims


def ended(start: Bodies, done: SimulationResult, sims: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the hierarchies or outcomes that simulations of REBOUND ended with, and their relative energy errors."""
    x, v = (np.array([[[getattr(p, k) for k in keys] for p in s.particles] for s in sims]) for keys in ("xyz", VELOCITY))
    final = Bodies(start.mass, x, v, time=[s.t for s in sims])
    error = np.abs(final.total_energy() - start.total_energy()) / start.energy_scale()
    return outcomes_of(start, dataclasses.replace(done, final=final))["outcome"], error


def fastest_epsilon(start: Bodies, done: SimulationResult, tol: float) -> float:
    """Return the epsilon with which IAS15 is fastest, of those with which it keeps the tolerance and gets the same outcomes."""
    ours, seconds = Counter(outcomes_of(start, done)["outcome"].tolist()), {}
    for epsilon in EPSILONS:
        sims = simulations(start, epsilon)
        began = time.process_time()
        run_all(sims, done.final.time)
        took = time.process_time() - began
        outcome, error = ended(start, done, sims)
        theirs = Counter(outcome.tolist())
        agrees = max(agreement(ours[name], theirs[name], len(start)) for name in {*ours, *theirs}) < 2.0
        if agrees and (error <= tol).mean() >= 0.9:
            seconds[epsilon] = took
    return min(seconds, key=lambda epsilon: seconds[epsilon])


def compared(start: Bodies, tol: float, epsilon: float | None, rounds: int) -> dict[str, Any]:
    """Return the outcomes of both, and their systems a second."""

    def ours() -> SimulationResult:
        return simulate(start, t_end=LONGEST, tol=tol, events=Decided(), threads=1, warn=False)

    done = ours()
    epsilon = fastest_epsilon(start, done, tol) if epsilon is None else epsilon
    ways = {
        "IAS15 to our ends": (epsilon, done.final.time),
        f"IAS15 to t = {LONGEST:g}": (epsilon, np.full(len(start), LONGEST)),
        "IAS15 by default, to our ends": (DEFAULT_EPSILON, done.final.time),
    }
    found = {name: ended(start, done, run_all(simulations(start, own), end)) for name, (own, end) in ways.items()}
    waiting = {name: [simulations(start, own) for _ in range(rounds + 1)] for name, (own, _) in ways.items()}
    steps = int(done.steps.mean())
    jobs: dict[str, Any] = {name: (lambda name=name: run_all(waiting[name].pop(), ways[name][1])) for name in ways}
    jobs["equal steps"] = lambda: simulate(
        start, steps=steps, criterion=Constant(1e-3), integrator=done.integrator, threads=1, warn=False
    )
    times = interleaved({"ours": ours, **jobs}, rounds, 1, time.process_time)
    outcomes = {"ours": outcomes_of(start, done)["outcome"], **{name: one[0] for name, one in found.items()}}
    within = {"ours": done.final_energy_error <= tol, **{name: one[1] <= tol for name, one in found.items()}}
    return {
        "systems": len(start),
        "epsilon": epsilon,
        "integrator": done.integrator,
        "outcomes": {name: dict(Counter(one.tolist())) for name, one in outcomes.items()},
        "within_tolerance": {name: float(one.mean()) for name, one in within.items()},
        "systems_per_second": {name: len(start) / times.median(name) for name in ("ours", *jobs)},
        "ratio": {name: times.ratio(name, "ours") for name in ways}
        | {"limit": times.ratio("IAS15 to our ends", "equal steps") * steps / float(done.steps.mean())},
    }


def agreement(first: int, second: int, count: int) -> float:
    """Return by how many standard errors two counts of as many independent systems differ."""
    spread = sum(n * (1.0 - n / count) for n in (first, second))
    return abs(first - second) / math.sqrt(spread) if spread else 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--v", type=float, default=1.5, help="speed at infinity over the critical one")
    parser.add_argument("--tol", type=float, default=1e-5)
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = compared(systems(given.count, given.v, given.seed), given.tol, given.epsilon, given.rounds)
    names = list(found["outcomes"])
    table = Table("outcome", *names, "standard errors apart")
    for outcome in sorted({key for one in found["outcomes"].values() for key in one}):
        counts = [one.get(outcome, 0) for one in found["outcomes"].values()]
        table.add_row(outcome, *map(str, counts), f"{agreement(*counts[:2], given.count):.2f}")
    console = Console(width=120)
    console.print(table)
    for name in ("integrator", "epsilon", "within_tolerance", "systems_per_second", "ratio"):
        console.print(name, found[name])
    if given.json is not None:
        given.json.write_text(json.dumps({**vars(given), "json": str(given.json), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
