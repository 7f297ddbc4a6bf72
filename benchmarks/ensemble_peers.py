"""Outcomes of encounters and systems a second of one core, beside a loop over REBOUND's IAS15.

    python benchmarks/ensemble_peers.py [--count 2000] [--v 1.5] [--tol 1e-5] [--epsilon 1e-4] [--rounds 3] [--json FILE]

Single bodies meet binaries, three equal masses, as in examples/cross_sections.py. Ours: one call, in which every run ends when
its outcome is decided. IAS15 (PRS23, its default) runs the same systems one after the other to the time at which ours ended,
and both ends are named by the same function. Making the systems is not timed. Processor time; medians of rounds in which both
take turns; so is the ratio.
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

from aitimestepper import Bodies, SimulationResult, simulate
from aitimestepper.bench.rebound_runs import ADAPTIVE_MODES, rebound_of
from aitimestepper.ensembles.outcomes import outcomes_of
from aitimestepper.events import Decided
from aitimestepper.initial.named import InitialConditions
from aitimestepper.initial.scattering import binary_meets_single
from measure import interleaved

LONGEST = 150.0  # time at which what is still bound is left
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


def compared(start: Bodies, tol: float, epsilon: float, rounds: int) -> dict[str, Any]:
    """Return the outcomes of both, and their systems a second."""

    def ours() -> SimulationResult:
        return simulate(start, t_end=LONGEST, tol=tol, events=Decided(), threads=1, warn=False)

    done = ours()
    ends = done.final.time
    waiting = [simulations(start, epsilon) for _ in range(rounds + 1)]
    theirs = run_all(simulations(start, epsilon), ends)
    x, v = (np.array([[[getattr(p, k) for k in keys] for p in s.particles] for s in theirs]) for keys in ("xyz", VELOCITY))
    final = Bodies(start.mass, x, v, time=ends)
    error = np.abs(final.total_energy() - start.total_energy()) / start.energy_scale()
    named = outcomes_of(start, done), outcomes_of(start, dataclasses.replace(done, final=final))
    times = interleaved({"ours": ours, "IAS15": lambda: run_all(waiting.pop(), ends)}, rounds, 1, time.process_time)
    return {
        "systems": len(start),
        "outcomes": [dict(Counter(one["outcome"].tolist())) for one in named],
        "same_outcome": float((named[0]["hierarchy"] == named[1]["hierarchy"]).mean()),
        "within_tolerance": [float((done.final_energy_error <= tol).mean()), float((error <= tol).mean())],
        "systems_per_second": [len(start) / times.median(name) for name in ("ours", "IAS15")],
        "ratio": times.ratio("IAS15", "ours"),
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
    parser.add_argument("--epsilon", type=float, default=1e-4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = compared(systems(given.count, given.v, given.seed), given.tol, given.epsilon, given.rounds)
    table = Table("outcome", "ours", "IAS15", "standard errors apart")
    for name in sorted({*found["outcomes"][0], *found["outcomes"][1]}):
        counts = [one.get(name, 0) for one in found["outcomes"]]
        table.add_row(name, *map(str, counts), f"{agreement(*counts, given.count):.2f}")
    console = Console(width=120)
    console.print(table)
    for name in ("same_outcome", "within_tolerance", "systems_per_second", "ratio"):
        console.print(name, found[name])
    if given.json is not None:
        given.json.write_text(json.dumps({**vars(given), "json": str(given.json), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
