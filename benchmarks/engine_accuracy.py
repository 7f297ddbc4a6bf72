"""Accuracy and cost against REBOUND's IAS15 as it comes: order 8 at the same error, and Gauss-Radau by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aitimestepper import ParticleTorch, SimulationResult, simulate
from aitimestepper.bench.peers import PeerRun
from aitimestepper.bench.timing import Effort, Job, Times, once, rotate
from aitimestepper.errors import ConfigError
from aitimestepper.initial.named import Bodies, burrau, figure8, kepler, solar
from measure import Row
from peers import ias15, ias15_outcome, particle_of

TOLERANCES = [10.0 ** (-0.5 * k) for k in range(8, 31)]
SAME = 2.0  # errors within this factor count as equal
FLOOR = 1e-15  # an error below this is luck: rounding alone makes it
ORBIT = 2 * math.pi
RADAU_PERIOD = 1e-12  # what radau15 must keep the energy to over one period of the figure-eight, if it works


class Problem(NamedTuple):
    """What is run, and how long."""

    name: str
    bodies: Bodies
    t_end: float
    quick: float


PROBLEMS = (
    *(Problem(f"Kepler e = {e}", kepler(e, q=1e-3), 100 * ORBIT, 10 * ORBIT) for e in (0.5, 0.9, 0.99)),
    Problem("figure-eight", figure8(), 632.591398, 63.2591398),
    Problem("Burrau", burrau(), 63.0, 30.0),
    Problem("outer Solar System", solar(), 1e6, 1e5),
)


class Outcome(NamedTuple):
    """How a run of ours ended, and how to make it."""

    run: Callable[[], object]
    forces: int
    final_error: float
    max_error: float

    def __str__(self) -> str:
        return f"{self.forces} forces, error max {self.max_error:.1e}, final {self.final_error:.1e}"


def ran(particle: ParticleTorch, t_end: float, integrator: str, tol: float | None = None) -> Outcome:
    """By the criterion that the integrator comes with."""
    given = {} if tol is None else {"tol": tol}

    def run() -> SimulationResult:
        return simulate(particle, t_end=t_end, integrator=integrator, threads=1, **given)

    result = run()
    ok = result.status == ("ok",)
    final, largest = (x.item() if ok else math.inf for x in (result.final_energy_error, result.max_energy_error))
    return Outcome(run, int(result.force_evaluations.item()), final, largest)


def cheapest(outcomes: list[Outcome], error: str, wanted: float) -> Outcome | None:
    """The one with the fewest forces that errs no more than `wanted`."""
    good = [o for o in outcomes if getattr(o, error) <= SAME * max(wanted, FLOOR)]
    return min(good, key=lambda o: o.forces) if good else None


def radau_works() -> str:
    """Empty, or why there is no radau15 to measure."""
    try:
        error = ran(particle_of(figure8()), 6.32591398, "radau15").max_error
    except ConfigError as refusal:
        return str(refusal)
    return "" if error < RADAU_PERIOD else f"a period of the figure-eight errs by {error:.0e}"


def against_ias15(effort: Effort) -> Iterator[Row]:
    """Rows for each problem.

    Order 8 is measured at the tolerance that first errs as little as IAS15: by the largest error of the run, and by the
    error at its end. An orbit that ends at apocentre, where steps that are time-symmetric err least, flatters the latter.
    """
    missing = radau_works()
    if missing:
        yield Row("IAS15", "radau15 is not measured", math.nan, "", note=missing)
    for problem in PROBLEMS:
        t_end = problem.quick if effort.quick else problem.t_end
        particle, peer = particle_of(problem.bodies), ias15_outcome(problem.bodies, t_end)
        outcomes = [ran(particle, t_end, "kahan_li8", tol) for tol in TOLERANCES]
        chosen = {
            "kahan_li8 at max error": cheapest(outcomes, "max_error", peer.error),
            "kahan_li8 at final error": cheapest(outcomes, "final_error", peer.final_error),
        }
        if not missing:
            chosen["radau15"] = ran(particle, t_end, "radau15")
        jobs = {name: once(o.run) for name, o in chosen.items() if o is not None}
        times = rotate({"IAS15": _ias15_job(problem.bodies, t_end), **jobs}, effort._replace(call=0.1))
        theirs = Outcome(lambda: None, int(peer.forces or 0), peer.final_error, peer.error)
        yield Row(problem.name, "IAS15", 1e3 * times.median("IAS15"), "ms", note=str(theirs))
        for name, outcome in chosen.items():
            if outcome is None:
                best = min(outcomes, key=lambda o: o.max_error)
                yield Row(problem.name, f"{name}: not reached", math.nan, "", note=f"best: {best}")
            else:
                yield from _rows(problem.name, name, outcome, peer, times)


def _ias15_job(bodies: Bodies, t_end: float) -> Job:
    def prepare(amount: int) -> Callable[[], object]:
        runs = [ias15(bodies, t_end) for _ in range(amount)]
        return lambda: [run() for run in runs]

    return prepare


def _rows(problem: str, name: str, outcome: Outcome, peer: PeerRun, times: Times) -> Iterator[Row]:
    """Forces and time against IAS15; of radau15 also the error, since nobody chose it."""
    radau = name == "radau15"
    target = 1.0 if radau else None
    if radau:
        yield Row(problem, "radau15: largest error", outcome.max_error, "", max(3 * peer.error, 10 * FLOOR), False)
    yield Row(
        problem, f"{name}: forces / IAS15's", outcome.forces / (peer.forces or math.nan), "x", target, False, str(outcome)
    )
    spent = f"{1e3 * times.median(name):.3g} ms"
    yield Row(problem, f"{name}: time / IAS15's", times.ratio(name, "IAS15"), "x", target, False, spent)
