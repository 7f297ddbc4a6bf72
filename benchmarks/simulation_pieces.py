"""What it costs to ask a Simulation in pieces, and for many times: ratios of times, interleaved, medians.

    python benchmarks/simulation_pieces.py [--steps 1000000] [--repeats 5]

pieces: `integrate` in 1000 pieces over so many steps, over one call. times: `at` with 100,000 times, over one `integrate`. The
criterion is the learned step at 1e-4 and, cheapest of all and so the hardest case, a constant step of leapfrog.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from aitimestepper import Constant, Simulation
from aitimestepper.initial import triple

HOW: dict[str, dict[str, Any]] = {
    "learned step, tol = 1e-4": {"tol": 1e-4, "t_end": 1e9, "threads": 1},
    "constant leapfrog": {"criterion": Constant(1e-3), "threads": 1},
}


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ratios(how: dict[str, Any], steps: int) -> tuple[float, float]:
    """Return the times of 1000 pieces and of 100,000 output times over that of one call."""
    end = Simulation(triple(), **how).steps(steps).time
    pieces, times = np.linspace(0.0, end, 1001)[1:], np.linspace(0.0, end, 100_001)[1:]

    def in_pieces() -> None:
        sim = Simulation(triple(), **how)
        for t in pieces:
            sim.integrate(t)

    one = seconds(lambda: Simulation(triple(), **how).integrate(end))
    return seconds(in_pieces) / one, seconds(lambda: Simulation(triple(), **how).at(times)) / one


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name, how in HOW.items():
        pieces, times = np.median([ratios(how, given.steps) for _ in range(given.repeats)], axis=0)
        print(f"{name}, {given.steps} steps: 1000 pieces {pieces:.2f}, 100,000 times {times:.2f} times one call")


if __name__ == "__main__":
    main()
