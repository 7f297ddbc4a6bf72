"""Does a run say so where its units leave the range of double precision? The same systems, in random units.

    python diagnostics/extreme_units.py [--systems 28000] [--seed 0]

Systems of two to five bodies run for 30 steps, by a random criterion and integrator, once as they are and once with masses,
lengths and times multiplied by powers of two up to 2^500, G to match, so that the bits of an ordinary run would be the same.
The run in other units must be refused, or end with another status, or with the same error: `wrong` are those that say `ok`
with another energy error or time. The table has the systems by outcome; the wrong ones are listed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

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
    simulate,
)
from aitimestepper.criteria.base import Criterion
from aitimestepper.errors import UserError
from aitimestepper.initial.named import InitialConditions, random_bodies, two_body
from aitimestepper.integrators import INTEGRATORS
from aitimestepper.simulate.result import SimulationResult

CRITERIA: list[Criterion] = [
    FreeFall(0.05),
    HutMakino(0.05),
    Aarseth(0.02),
    PRS23(0.1),
    Boekholt(0.05),
    Tidal(1e-3),
    EnergyBudget(1e-4),
    LastTerm(),
    Symmetrized(FreeFall(0.05)),
    Huayno(FreeFall(0.05)),
    HutMakinoMcMillan(FreeFall(0.05)),
    LearnedStep(tol=1e-4),
    Constant(0.01),
]
STEPS = 30
LARGEST = 1000  # exponent of two of a unit or of G


class Units(NamedTuple):
    """Factors of mass, length and time, powers of two."""

    mass: float
    length: float
    time: float
    G: float


def random_units(rng: np.random.Generator) -> Units | None:
    """Draw units, in a third of the cases with G near 1; None if no float holds them."""
    most = int(rng.choice([100, 200, 300, 500]))
    mass, length, time = (int(x) for x in rng.integers(-most, most + 1, 3))
    if rng.random() < 0.3:
        time = length + length // 2 - mass // 2
    exponents = (mass, length, time, 3 * length - mass - 2 * time)
    return Units(*(math.ldexp(1.0, x) for x in exponents)) if max(map(abs, exponents)) < LARGEST else None


def random_system(rng: np.random.Generator) -> tuple[InitialConditions, float]:
    """Draw two to five bodies in two or three dimensions, and a softening."""
    n, dim = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    pair = two_body(rng.uniform(0, 0.9), rng.uniform(0.1, 1), 1.0, rng.uniform(0, 6), 1.0, dim)
    return pair if n == 2 else random_bodies(rng, n, dim), 0.0 if rng.random() < 0.7 else 0.05


def run(system: InitialConditions, softening: float, units: Units, criterion: Criterion, integrator: str) -> SimulationResult:
    """Run a system in units; a constant step is in units, too."""
    with np.errstate(all="ignore"):
        velocity = system.velocity * units.length / units.time
        mass, position = system.mass * units.mass, system.position * units.length
        bodies = Bodies(mass, position, velocity, softening=softening * units.length, G=units.G)
        step = Constant(0.01 * units.time) if isinstance(criterion, Constant) else criterion
        return simulate(bodies, steps=STEPS, criterion=step, integrator=integrator, threads=1, warn=False)


def outcomes(systems: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the outcome of each system, and what it was."""
    rng = np.random.default_rng(seed)
    for _ in range(systems):
        (system, softening), units = random_system(rng), random_units(rng)
        criterion, integrator = CRITERIA[rng.integers(len(CRITERIA))], str(rng.choice(INTEGRATORS))
        if units is None:
            yield "no such units", ""
            continue
        what = f"{criterion} with {integrator}: {units}"
        try:
            before = run(system, softening, Units(1.0, 1.0, 1.0, 1.0), criterion, integrator)
        except UserError:
            yield "no such run", what
            continue
        try:
            after = run(system, softening, units, criterion, integrator)
        except UserError:
            yield "refused", what
            continue
        yield compare(before, after, units), f"{what}, error {before.max_energy_error[0]:.2g}, {after.max_energy_error[0]:.2g}"


def compare(before: SimulationResult, after: SimulationResult, units: Units) -> str:
    """Return whether a run in other units has the same outcome, or says that it has not."""
    if after.status != before.status:
        return f"status {after.status[0]}" if after.status[0] != "ok" else "wrong"
    error, again = float(before.max_energy_error[0]), float(after.max_energy_error[0])
    time, later = float(before.final.time[0]), float(after.final.time[0]) / units.time
    same = abs(again - error) <= 1e-3 * error + 3e-14 and abs(later - time) <= 1e-6 * time
    return "same" if same else "wrong"


def main() -> None:
    """Run all, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=28_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found, wrong = Counter[str](), []
    for outcome, what in outcomes(options.systems, options.seed):
        found[outcome] += 1
        wrong += [what] if outcome == "wrong" else []
    for outcome, count in found.most_common():
        print(f"{outcome:20} {count:6}")
    print(f"{'wrong':20} {len(wrong):6}", *wrong[:20], sep="\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
