"""The points of a work-precision curve: a sweep of runs from coarse to fine, and what each of them takes of a processor."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from ..differentiable.timescales import pair_rates, smooth_minimum_time
from ..evaluation.contenders import Contender
from ..evaluation.runs import COARSEST, Outcome, Systems, measure
from ..initial.suites import Case, Suite
from ..integrators import COMPOSITIONS
from ..simulate.methods import method_from
from .peers import Peer, PeerRun, prepare
from .timing import Job

ORDERS = {"hermite4": 4, "logh": 2, "radau15": 15}
FIRST_DIAL = {"radau15": 2 * COARSEST}  # where others begin its error is 1e-10 already
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-7, 1e-9)  # of IAS15; the last one is what it comes with
TAYLOR_TOLERANCES = (1e-4, 1e-8, 1e-12, 1e-16)
ROUNDING = 1e-11  # an error below this that no longer falls is made of rounding
CALL, LONG = 0.005, 0.02  # seconds that are timed at once, and from where on once is enough
SURE = 1.2  # times the budget: from such an expectation on a run is not begun
COPIES, SHORTEST = 256, 1e-7  # never more at once; seconds: no run is shorter
Found = TypeVar("Found")


class Point(NamedTuple):
    """One run of a curve, and how to make it again."""

    value: float
    tolerance: float | None
    run: PeerRun
    job: Job
    begin: Job | None = None  # all of the job but the steps


def step_parameters(integrator: str, points: int) -> list[float]:
    """From coarse to fine: from order 4 on the error falls 16 times a point, below that every step is half as long."""
    name = method_from(integrator).name
    order = COMPOSITIONS[name].order if name in COMPOSITIONS else ORDERS[name]
    ratio = 2.0 ** min(1.0, 4.0 / order)
    return [FIRST_DIAL.get(name, COARSEST) / ratio**k for k in range(points)]


def points_of(case: Case, contender: Contender, sweep: Sequence[float], most: int, threads: int = 1) -> list[Point]:
    """Of a contender at step_parameters from coarse to fine, until the error is that of rounding or one costs more than `most` forces."""
    systems = Systems.of(Suite(case.name, (case,)))
    points: list[Point] = []
    for step_parameter, finer in pairwise([*sweep, 0.0]):
        job, begin = (_copies(systems, contender, step_parameter, limit, threads) for limit in (most, 1))
        spent, done = _timed(job(1))
        run = PeerRun(
            float(done.error[0]),
            float(done.final_error[0]),
            float(done.forces[0]),
            int(done.steps[0]),
            bool(done.unfinished[0]),
            max(spent - _timed(begin(1))[0], SHORTEST) if math.isfinite(done.error[0]) else None,
        )
        value = float(contender.value(step_parameter))
        points.append(Point(value, value if contender.rule.takes_tolerance else None, run, job, begin))
        # steps so long that bodies are bound ever more tightly end nowhere; shorter ones may
        spent_next = (run.forces or 0.0) * step_parameter / finer if finer else math.inf
        if (done.sound[0] and spent_next > SURE * most) or _made_of_rounding([p.run.error for p in points]):
            break
    return points


def _copies(
    systems: Systems, contender: Contender, step_parameter: float, most: int, threads: int
) -> Callable[[int], Callable[[], Outcome]]:
    """Copies of the problem, run as one batch."""

    def prepared(amount: int) -> Callable[[], Outcome]:
        copies = systems.rows(np.zeros(amount, dtype=int))
        return lambda: measure(copies, contender, step_parameter, most, threads=threads)

    return prepared


def points_of_peer(case: Case, peer: Peer, values: Sequence[float], most: int) -> list[Point]:
    """Of a peer: its number from coarse to fine, until a run costs more than `most` forces."""
    points: list[Point] = []
    for value in values:
        prepared = prepare(peer, case, value)
        run = prepared.watch(most)
        points.append(Point(value, value if peer.parameter == "tol" else None, run, prepared.job))
        if run.unfinished:
            break
    return points


def values_of(peer: Peer, case: Case, points: int) -> list[float]:
    """Of a peer's number; those of IAS15 include what it comes with, and a fixed step is as long as that of our `constant`."""
    if peer.parameter != "dt":
        every = EPSILONS if peer.parameter == "epsilon" else TAYLOR_TOLERANCES
        return list(every if points >= len(every) else every[::2])
    start, ends = Systems.of(Suite(case.name, (case,)))
    unit = float(smooth_minimum_time(pair_rates(start)[0])[0]) * case.t_end / float(ends[0])
    return [step_parameter * unit for step_parameter in step_parameters("leapfrog", points)]


def _made_of_rounding(errors: Sequence[float]) -> bool:
    """The last two did not get better than half of what was there before."""
    return len(errors) > 2 and min(errors[:-2]) < ROUNDING and min(errors[-2:]) > 0.5 * min(errors[:-2])


# ---- time ------------------------------------------------------------------------------------------------------------
def processor_seconds(points: Sequence[Point], rounds: int) -> list[float | None]:
    """Of one run of each point: medians, taken in turns; None for a run that broke off.

    What it takes to begin is taken off, 1 ms and 20 us a copy, since the others do that before they are timed. So many copies
    are run that it takes `CALL`; a run that had taken more than `LONG` when its error was measured is not made again.
    """
    taken: dict[int, list[float]] = {k: [] for k, p in enumerate(points) if p.run.seconds is not None and p.run.seconds < LONG}
    for _ in range(rounds):
        for k, seconds in taken.items():
            point = points[k]
            known = min([*seconds, point.run.seconds or CALL])
            amount = min(math.ceil(CALL / known), COPIES)
            spent = _timed(point.job(amount))[0]
            begun = _timed(point.begin(amount))[0] if point.begin is not None else 0.0
            seconds.append(max((spent - begun) / amount, SHORTEST))
    return [statistics.median(taken[k]) if k in taken else p.run.seconds for k, p in enumerate(points)]


def _timed(call: Callable[[], Found]) -> tuple[float, Found]:
    began = time.process_time()
    found = call()
    return time.process_time() - began, found
