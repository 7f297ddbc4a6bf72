"""Endurance: a billion steps of three bodies. The memory stays flat, and the energy error is what theory says.

    python diagnostics/faults/endurance.py [--steps 1000000000]

A hierarchical triple runs by the leapfrog with a constant step. The error of a symplectic method with a constant step has no
drift: after a billion steps its largest is that after the first thousand outer orbits, and beside it there is only the walk of
rounding errors, about the epsilon of doubles times the root of the number of steps. The table has memory, error and speed after
each doubling; the exit code is 1 if the memory has grown by more than 8 MB or the error by more than theory allows.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

from aitimestepper import Bodies, Constant, simulate
from aitimestepper.initial import triple
from aitimestepper.simulate.progress import Status

STEPS_PER_ORBIT = 200  # of the inner pair
EPS = 2.0**-53
MEMORY = 8.0  # MB


class Row(NamedTuple):
    """What was seen after so many steps."""

    steps: int
    memory: float  # MB
    error: float  # the largest so far
    seconds: float


def memory() -> float:
    """Return the memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def run(steps: int) -> list[Row]:
    """Run, and return a row after each doubling of the number of steps."""
    made = triple()
    bodies = Bodies(made.mass, made.position, made.velocity)
    dt = float(bodies.orbit(0, 1).period[0]) / STEPS_PER_ORBIT
    rows, began = list[Row](), time.perf_counter()

    def watch(status: Status) -> None:
        if not rows or status.steps >= 2 * rows[-1].steps:
            rows.append(Row(int(status.steps), memory(), float(status.max_energy_error), time.perf_counter() - began))
            print_row(rows[-1])

    done = simulate(bodies, steps=steps, criterion=Constant(dt), integrator="leapfrog", progress=watch, threads=1, warn=False)
    assert done.status == ("ok",), done.status
    rows.append(Row(int(done.steps[0]), memory(), float(done.max_energy_error[0]), time.perf_counter() - began))
    print_row(rows[-1])
    return rows


def print_row(row: Row) -> None:
    """Print one row of the table."""
    print(f"{row.steps:13,d} {row.memory:8.1f} MB {row.error:10.3e} {row.seconds:8.1f} s", flush=True)


def main() -> int:
    """Run, and return 1 if the memory has grown, or the error by more than rounding does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10**9)
    steps = parser.parse_args().steps
    rows = run(steps)
    early = next(row for row in rows if row.steps >= min(steps, 10**6))
    walk = 10.0 * EPS * math.sqrt(steps)
    grown, more = rows[-1].memory - early.memory, rows[-1].error - early.error
    print(f"memory grew by {grown:.1f} MB; the largest error by {more:.1e}, rounding by {walk:.1e}")
    return int(grown > MEMORY or more > 0.05 * early.error + walk)


if __name__ == "__main__":
    sys.exit(main())
