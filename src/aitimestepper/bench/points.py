"""Points of a work-precision curve: runs from coarse to fine, and the processor time that each of them takes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from ..bodies import free_fall_time
from ..evaluation.contenders import COARSEST, Contender
from ..evaluation.runs import Outcome, Systems, measure
from ..initial.suites import Case, Suite
from ..integrators import integrator_named
from .peer_runs import PeerRun
from .peers import Peer, prepare
from .timing import Job

FIRST = {"radau15": 2 * COARSEST}  # at the first step of the others its error is 1e-10 already
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-7, 1e-9)  # epsilon of IAS15; the last one is its default
ALIKE = {"leapfrog4": "suzuki4", "leapfrog6": "kahan_li6", "leapfrog8": "kahan_li8"}  # splittings of the same order
TAYLOR_TOLERANCES = (1e-4, 1e-8, 1e-12, 1e-16)
ROUNDING = 1e-11  # an error below this that no longer decreases is one of rounding
CALL, LONG = 0.005, 0.02  # seconds of a timed call; a run of more than `LONG` seconds is timed only once
TOO_COSTLY = 1.2  # a run whose expected cost is so many budgets is not begun
MOST_COPIES, SHORTEST = 256, 1e-7  # largest number of copies in a call; lower limit of the time of a run, in seconds
Result = TypeVar("Result")


class Point(NamedTuple):
    """One run of a curve, with a job that repeats it."""

    value: float
    tolerance: float | None
    run: PeerRun
    job: Job
    begin: Job | None = None  # the job with a single step, whose time is the overhead


def step_parameters(integrator: str, points: int) -> list[float]:
    """Return step parameters from coarse to fine.

    From order 4 on the error decreases 16 times from point to point; below order 4 every step is half as long as the last.
    """
    method = integrator_named(integrator)
    ratio = 2.0 ** min(1.0, 4.0 / method.order)
    return [FIRST.get(method.name, COARSEST) / ratio**k for k in range(points)]


def points_of(case: Case, contender: Contender, sweep: Sequence[float], most: int, threads: int = 1) -> list[Point]:
    """Return the points of a contender at step parameters from coarse to fine.

    They end where the error is one of rounding, or where a run costs more than `most` force evaluations.
    """
    systems = Systems.of(Suite(case.name, (case,)))
    points: list[Point] = []
    for step_parameter, finer in pairwise([*sweep, 0.0]):
        job, begin = (_copies(systems, contender, step_parameter, limit, threads) for limit in (most, 1))
        seconds, outcome = _timed(job(1))
        run = PeerRun(
            float(outcome.error[0]),
            float(outcome.final_error[0]),
            float(outcome.forces[0]),
            int(outcome.steps[0]),
            bool(outcome.unfinished[0]),
            max(seconds - _timed(begin(1))[0], SHORTEST) if math.isfinite(outcome.error[0]) else None,
        )
        value = float(contender.value(step_parameter))
        points.append(Point(value, value if contender.rule.takes_tolerance else None, run, job, begin))
        # steps so long that bodies are bound ever more tightly lead to runs without an end; shorter ones may not
        expected = (run.forces or 0.0) * step_parameter / finer if finer else math.inf
        if (outcome.sound[0] and expected > TOO_COSTLY * most) or _is_rounding([p.run.error for p in points]):
            break
    return points


def _copies(
    systems: Systems, contender: Contender, step_parameter: float, most: int, threads: int
) -> Callable[[int], Callable[[], Outcome]]:
    """Return a job that runs copies of the problem as one batch."""

    def prepared(amount: int) -> Callable[[], Outcome]:
        copies = systems.rows(np.zeros(amount, dtype=int))
        return lambda: measure(copies, contender, step_parameter, most, threads=threads)

    return prepared


def points_of_peer(case: Case, peer: Peer, values: Sequence[float], most: int) -> list[Point]:
    """Return the points of a peer at values from coarse to fine, until a run costs more than `most` force evaluations."""
    points: list[Point] = []
    for value in values:
        prepared = prepare(peer, case, value)
        run = prepared.watch(most)
        points.append(Point(value, value if peer.parameter == "tol" else None, run, prepared.job))
        if run.unfinished:
            break
    return points


def values_of(peer: Peer, case: Case, points: int) -> list[float]:
    """Return values of a peer's parameter from coarse to fine.

    Those of IAS15 include its default; a fixed step is as long as that of the rule `constant` with a splitting of its order.
    """
    if peer.parameter != "dt":
        every = EPSILONS if peer.parameter == "epsilon" else TAYLOR_TOLERANCES
        return list(every if points >= len(every) else every[::2])
    start, ends, _ = Systems.of(Suite(case.name, (case,)))
    unit = float(free_fall_time(start)[0]) * case.t_end / float(ends[0])  # free-fall time in the unit of the case
    return [step_parameter * unit for step_parameter in step_parameters(ALIKE.get(peer.method, "leapfrog"), points)]


def _is_rounding(errors: Sequence[float]) -> bool:
    """Return whether the errors are small and the last two of them are not below half the smallest one before."""
    return len(errors) > 2 and min(errors[:-2]) < ROUNDING and min(errors[-2:]) > 0.5 * min(errors[:-2])


# ---- time ------------------------------------------------------------------------------------------------------------
def processor_seconds(points: Sequence[Point], rounds: int) -> list[float | None]:
    """Return the processor time of one run of each point, in seconds: medians, taken in turns; None for a run that broke off.

    The overhead of the beginning of a run, 1 ms and 20 us a copy, is subtracted, since peers prepare their runs before they are
    timed. As many copies are run as take `CALL`; a run that took more than `LONG` when its error was measured is not repeated.
    """
    taken: dict[int, list[float]] = {k: [] for k, p in enumerate(points) if p.run.seconds is not None and p.run.seconds < LONG}
    for _ in range(rounds):
        for k, seconds in taken.items():
            point = points[k]
            known = min([*seconds, point.run.seconds or CALL])
            amount = min(math.ceil(CALL / known), MOST_COPIES)
            whole = _timed(point.job(amount))[0]
            overhead = _timed(point.begin(amount))[0] if point.begin is not None else 0.0
            seconds.append(max((whole - overhead) / amount, SHORTEST))
    return [statistics.median(taken[k]) if k in taken else p.run.seconds for k, p in enumerate(points)]


def _timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Return the processor time of a call, in seconds, and its result."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result
