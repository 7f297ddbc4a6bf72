"""Does what is decided stay so? Encounters that end with `Decided` go on for ten times their time.

    python diagnostics/decided_stays.py [--count 1000]

Single bodies meet binaries, of four sets of masses, at 0.5, 1 and 1.5 times the critical speed. A row for each: how many of
`count` encounters are decided at t = 300, and how many of those have another hierarchy in the end. A minute.
"""

from __future__ import annotations

import argparse

import numpy as np

from aitimestepper import simulate
from aitimestepper.ensembles.outcomes import outcomes_of
from aitimestepper.events import Decided
from aitimestepper.initial.scattering import binary_meets_single

MASSES = ((1.0, 1.0, 1.0), (1.0, 1.0, 0.3), (1.0, 0.3, 2.0), (1.0, 0.1, 0.1))
SPEEDS = (0.5, 1.0, 1.5)
LATEST, LONGER, MOST_STEPS = 300.0, 10.0, 200_000


def decided_and_changed(mass: tuple[float, float, float], v: float, count: int) -> tuple[int, int]:
    """Return how many encounters are decided, and how many of those change."""
    rng = np.random.default_rng(1)
    start = binary_meets_single(rng, (2.0 / v + 1.2) * np.sqrt(rng.uniform(size=count)), v, mass)
    result = simulate(start, t_end=LATEST, tol=1e-5, events=Decided(), warn=False)
    before = outcomes_of(start, result)
    decided = before["decided"]
    state = result.final.select(decided)
    later = simulate(state, t_end=LONGER * state.time, tol=1e-5, warn=False, max_steps=MOST_STEPS)
    after = outcomes_of(start.select(decided), later)
    return int(decided.sum()), int((after["hierarchy"] != before["hierarchy"][decided]).sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    total, changed = 0, 0
    for mass in MASSES:
        for v in SPEEDS:
            decided, other = decided_and_changed(mass, v, count)
            total, changed = total + decided, changed + other
            print(f"masses {mass}, v = {v}: {decided} of {count} decided, {other} of them changed", flush=True)
    print(f"{changed} of {total} changed")


if __name__ == "__main__":
    main()
