"""Endurance: a billion steps of three bodies, and ten million systems. The memory stays flat, and the numbers stay right.

    python diagnostics/faults/endurance.py [--steps 1000000000]
    python diagnostics/faults/endurance.py --systems 10000000 [--threads N]

A hierarchical triple runs by the leapfrog with a constant step. The error of a symplectic method with a constant step has no
drift: after a billion steps its largest is that after the first thousand outer orbits, and beside it there is only the walk of
rounding errors, about the epsilon of doubles times the root of the number of steps. The table has memory, error and speed after
each doubling; the exit code is 1 if the memory has grown by more than 8 MB or the error by more than theory allows.

The systems are triples from distributions for one outer period at a tolerance of 1e-5, as in `benchmarks/ensemble_overhead.py`,
through `ensemble` into a folder, which is removed. The table has memory and time after each doubling. The exit code is 1 if the
memory has grown by more than 32 MB since the first 100,000 systems, if a system is missing or there twice, if one ended
otherwise than at its end, or if fewer than 90 % kept the tolerance.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from aitimestepper import Bodies, Constant, Ensemble, ensemble, simulate
from aitimestepper.ensembles.progress import EnsembleStatus
from aitimestepper.initial import triple
from aitimestepper.simulate.progress import Status
from ensemble_overhead import TOL, drawn

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


def run_systems(systems: int, threads: int | None) -> int:
    """Run so many triples, print a row after each doubling of their number, and return 1 if something is wrong."""
    rows, began = list[tuple[int, float]](), time.perf_counter()

    def watch(status: EnsembleStatus) -> None:
        if not rows or status.done >= 2 * rows[-1][0] or status.done == systems:
            rows.append((status.done, memory()))
            print(f"{status.done:13,d} systems {memory():8.1f} MB {time.perf_counter() - began:8.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        found = ensemble(drawn(systems), tol=TOL, out=Path(folder) / "table", threads=threads, progress=watch)
        early = next(used for done, used in rows if done >= min(systems, 10**5))
        grown = rows[-1][1] - early
        size = sum(path.stat().st_size for path in Path(folder).rglob("*")) / 1e6
        wrong, kept = _wrong(found, systems)
        print(
            f"memory grew by {grown:.1f} MB; {size:.0f} MB on disk; {kept:.2%} within the tolerance; {found.counts('status')}"
        )
        print(f"outcomes: {found.counts('outcome')}; memory after reading them: {memory():.1f} MB")
    print(wrong or "every system is there once")
    return int(grown > 32.0 or bool(wrong) or kept < 0.9)


def _wrong(found: Ensemble, systems: int) -> tuple[str, float]:
    """Return what is wrong with a table, and the share of systems within the tolerance."""
    number, status = found["number"], found.counts("status")
    if not np.array_equal(number, np.arange(systems)):
        return "systems are missing, or not in their order", 0.0
    return "" if status == {"ok": systems} else f"some systems broke off: {status}", float(found["within_tolerance"].mean())


def main() -> int:
    """Run, and return 1 if the memory has grown, or the error by more than rounding does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--systems", type=int, help="of an ensemble, instead of steps")
    parser.add_argument("--threads", type=int, help="of the ensemble; all cores unless it is given")
    given = parser.parse_args()
    if given.systems is not None:
        return run_systems(given.systems, given.threads)
    steps = given.steps
    rows = run(steps)
    early = next(row for row in rows if row.steps >= min(steps, 10**6))
    walk = 10.0 * EPS * math.sqrt(steps)
    grown, more = rows[-1].memory - early.memory, rows[-1].error - early.error
    print(f"memory grew by {grown:.1f} MB; the largest error by {more:.1e}, rounding by {walk:.1e}")
    return int(grown > MEMORY or more > 0.05 * early.error + walk)


if __name__ == "__main__":
    sys.exit(main())
