"""Numbers under stress: any masses, distances, G, softening, units, tolerances, by every integrator and criterion.

    python diagnostics/faults/stress.py [--cases 100000] [--seed 0] [--only NUMBER]

Three quarters of the cases are runs of systems from ordinary to absurd, one at a time, in lanes, backward, with events and
guard, and as a `Simulation`. Each must be refused in one sentence, or return a result with a true status: finite states, a
time that is the one asked for where the status says so, errors that are numbers, and an energy error that equals the one of
its final state in extended precision (80 bits), to the rounding of the terms that it is made of. A fourth are ordinary systems
that run again in other units (powers of two), turned by 90 degrees, with other numbers of the bodies, and seen from a moving
place: the number of steps must be the same. Each case has 20 s and 3 GB.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np
from isolated import BAD, Verdict, answer, quiet_but_strict, verdicts
from stress_checks import check_run
from stress_draws import ordinary, request
from stress_same import check_same, turned_request

from aitimestepper import Bodies, simulate

SECONDS = 20.0


def case(seed: int, number: int) -> str:
    """Do a case, which follows from seed and number alone."""
    rng = np.random.default_rng([seed, number])
    return check_same(turned_request(rng)) if number % 4 == 3 else check_run(request(rng))


def campaign(cases: int, seed: int, workers: int, quiet: bool) -> list[Verdict]:
    """Return what came of all cases, those of one number in the order of the time that they took."""
    quiet_but_strict()
    warm_up()
    found, shown = [], time.monotonic()
    for verdict in verdicts(lambda number: case(seed, number), range(cases), workers, SECONDS):
        found.append(verdict)
        if verdict.kind in BAD:
            print(f"{verdict.number}: {verdict.kind}: {verdict.words} [{verdict.where}]", flush=True)
        if not quiet and time.monotonic() - shown > 5.0:
            shown = time.monotonic()
            print(f"{len(found)} of {cases} cases", file=sys.stderr, flush=True)
    return found


def warm_up() -> None:
    """Compile or load all that the cases need, in the plane and in space, before the clock of the first case."""
    for axes in (2, 3):
        one = ordinary(np.random.default_rng(axes), 3, axes).bodies()
        for some in (one, Bodies.stack([one] * 9)):
            simulate(some, steps=2)
    simulate(one, steps=2, criterion="freefall", integrator="logh")


def describe(seed: int, number: int) -> str:
    """Return a case in words."""
    rng = np.random.default_rng([seed, number])
    return str(turned_request(rng) if number % 4 == 3 else request(rng))


def main() -> int:
    """Run the campaign or one case, and return 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case, in this process, with its traceback")
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    if given.only is not None:
        quiet_but_strict()
        print(describe(given.seed, given.only))
        print(answer(lambda number: case(given.seed, number), given.only))
        print(case(given.seed, given.only))
        return 0
    found = campaign(given.cases, given.seed, given.workers, given.quiet)
    for kind, count in Counter(verdict.kind for verdict in found).most_common():
        print(f"{kind:30} {count:7}")
    return 1 if any(verdict.kind in BAD for verdict in found) else 0


if __name__ == "__main__":
    sys.exit(main())
