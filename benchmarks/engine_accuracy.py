"""Accuracy and cost against REBOUND's IAS15 with its default settings: order 8 at the same error, and our Gauss-Radau."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aitimestepper import Bodies, SimulationResult, simulate
from aitimestepper.bench.peers import PeerRun
from aitimestepper.bench.timing import Effort, Job, Times, once, rotate
from aitimestepper.errors import ConfigError
from aitimestepper.initial.named import InitialConditions, burrau, figure8, kepler, solar
from measure import Row
from peers import bodies_of, ias15, ias15_outcome

TOLERANCES = [10.0 ** (-0.5 * k) for k in range(8, 31)]
SAME = 2.0  # errors within this factor count as equal
FLOOR = 1e-15  # an error below this is accidental: rounding alone makes it
ORBIT = 2 * math.pi
RADAU_PERIOD = 1e-12  # the energy error of radau15 over one period of the figure-eight is below this, if it works


class Problem(NamedTuple):
    """Initial conditions, and how long to run them."""

    name: str
    initial: InitialConditions
    t_end: float
    quick: float


PROBLEMS = (
    *(Problem(f"Kepler e = {e}", kepler(e, q=1e-3), 100 * ORBIT, 10 * ORBIT) for e in (0.5, 0.9, 0.99)),
    Problem("figure-eight", figure8(), 632.591398, 63.2591398),
    Problem("Burrau", burrau(), 63.0, 30.0),
    Problem("outer Solar System", solar(), 1e6, 1e5),
)


class Outcome(NamedTuple):
    """Cost and errors of a run of ours, with a function that repeats it."""

    run: Callable[[], object]
    forces: int
    final_error: float
    max_error: float

    def __str__(self) -> str:
        return f"{self.forces} forces, error max {self.max_error:.1e}, final {self.final_error:.1e}"


def outcome_of(bodies: Bodies, t_end: float, integrator: str, tol: float | None = None) -> Outcome:
    """Run with the default criterion of the integrator, and return cost and errors."""
    given = {} if tol is None else {"tol": tol}

    def run() -> SimulationResult:
        return simulate(bodies, t_end=t_end, integrator=integrator, threads=1, warn=False, **given)

    result = run()
    ok = result.status == ("ok",)
    final, largest = (x.item() if ok else math.inf for x in (result.final_energy_error, result.max_energy_error))
    return Outcome(run, int(result.force_evaluations.item()), final, largest)


def cheapest(outcomes: list[Outcome], error: str, wanted: float) -> Outcome | None:
    """Return the outcome with the fewest forces among those whose error is at most about `wanted`."""
    good = [o for o in outcomes if getattr(o, error) <= SAME * max(wanted, FLOOR)]
    return min(good, key=lambda o: o.forces) if good else None


def radau_works() -> str:
    """Return an empty text, or why there is no radau15 to measure."""
    try:
        error = outcome_of(bodies_of(figure8()), 6.32591398, "radau15").max_error
    except ConfigError as refusal:
        return str(refusal)
    return "" if error < RADAU_PERIOD else f"a period of the figure-eight errs by {error:.0e}"


def against_ias15(effort: Effort) -> Iterator[Row]:
    """Compare each problem.

    Order 8 is measured at the largest tolerance with which its error is as small as that of IAS15: by the largest error of the
    run, and by the error at its end. The latter favours time-symmetric steps on an orbit that ends at apocentre.
    """
    missing = radau_works()
    if missing:
        yield Row("IAS15", "radau15 is not measured", math.nan, "", note=missing)
    for problem in PROBLEMS:
        t_end = problem.quick if effort.quick else problem.t_end
        bodies, peer = bodies_of(problem.initial), ias15_outcome(problem.initial, t_end)
        outcomes = [outcome_of(bodies, t_end, "kahan_li8", tol) for tol in TOLERANCES]
        chosen = {
            "kahan_li8 at max error": cheapest(outcomes, "max_error", peer.error),
            "kahan_li8 at final error": cheapest(outcomes, "final_error", peer.final_error),
        }
        if not missing:
            chosen["radau15"] = outcome_of(bodies, t_end, "radau15")
        jobs = {name: once(o.run) for name, o in chosen.items() if o is not None}
        times = rotate({"IAS15": _ias15_job(problem.initial, t_end), **jobs}, effort._replace(call=0.1))
        theirs = Outcome(lambda: None, int(peer.forces or 0), peer.final_error, peer.error)
        yield Row(problem.name, "IAS15", 1e3 * times.median("IAS15"), "ms", note=str(theirs))
        for name, outcome in chosen.items():
            if outcome is None:
                best = min(outcomes, key=lambda o: o.max_error)
                yield Row(problem.name, f"{name}: not reached", math.nan, "", note=f"best: {best}")
            else:
                yield from _rows(problem.name, name, outcome, peer, times)


def _ias15_job(initial: InitialConditions, t_end: float) -> Job:
    def prepare(amount: int) -> Callable[[], object]:
        runs = [ias15(initial, t_end) for _ in range(amount)]
        return lambda: [run() for run in runs]

    return prepare


def _rows(problem: str, name: str, outcome: Outcome, peer: PeerRun, times: Times) -> Iterator[Row]:
    """Compare forces and time with IAS15's; of radau15 also the error, since no tolerance was chosen for it."""
    radau = name == "radau15"
    target = 1.0 if radau else None
    if radau:
        yield Row(problem, "radau15: largest error", outcome.max_error, "", max(3 * peer.error, 10 * FLOOR), False)
    yield Row(
        problem, f"{name}: forces / IAS15's", outcome.forces / (peer.forces or math.nan), "x", target, False, str(outcome)
    )
    duration = f"{1e3 * times.median(name):.3g} ms"
    yield Row(problem, f"{name}: time / IAS15's", times.ratio(name, "IAS15"), "x", target, False, duration)
