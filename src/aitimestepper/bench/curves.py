"""Work-precision curves: what an error costs, in force evaluations and in time, on one known problem after the other.

Everything runs in this process on one thread, one thing at a time. A curve is a ladder of runs from coarse to fine.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..integrators import COMPOSITIONS
from ..io.suites import Case, Suite, reference_case
from ..physics.timescales import pair_rates, smooth_minimum_time
from ..simulate.methods import method_from
from .contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from .parallel import Tell
from .peers import Peer, PeerRun, peer_named, prepare, refusal
from .records import Partial, Record, rounded
from .runs import COARSEST, Outcome, Systems, measure
from .timing import Job

PROBLEMS = ("kepler0.5", "kepler0.9", "figure8", "burrau", "solar", "plummer64")
INTEGRATORS = (*COMPOSITIONS, "hermite4", "logh", "radau15")
ORDERS = {"hermite4": 4, "logh": 2, "radau15": 15}
FIRST_DIAL = {"radau15": 2 * COARSEST}  # where others begin its error is 1e-10 already
TOLERANCES = tuple(10.0**-k for k in range(1, 13))
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-7, 1e-9)  # of IAS15; the last one is what it comes with
TAYLOR_TOLERANCES = (1e-4, 1e-7, 1e-10, 1e-13, 1e-16)
PAIRS = 100  # up to so many the budget holds as it is; with more pairs of bodies it is as many times smaller
ROUNDING = 1e-11  # an error below this that no longer falls is made of rounding
CALL, LONG = 0.007, 0.1  # seconds that are timed at once, and from where on once is enough
COPIES, SHORTEST = 256, 1e-7  # never more at once; seconds: no run is shorter
Found = TypeVar("Found")


@dataclass(frozen=True)
class CurvesPlan:
    """What to measure."""

    problems: Sequence[str] = PROBLEMS
    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in (*CLASSICAL, "lastterm")])
    variants: Sequence[str] = ("plain", "symmetrized")  # under compositions; other integrators gain nothing by them
    integrators: Sequence[str] = INTEGRATORS
    peers: Sequence[str] = ()  # see `peers.available_peers`
    points: int = 10  # of a curve, at most
    tolerances: Sequence[float] = TOLERANCES  # the points of rules that take one
    share: float = 1.0  # of each problem's time
    budget: int = 1_000_000  # forces a run, of up to `PAIRS` pairs
    rounds: int = 3  # how often a short run is timed
    threads: int = 1  # of a run; processor time is only comparable with one

    @classmethod
    def quick(cls, **given: Any) -> CurvesPlan:
        """A first look: three problems for a tenth of their time, few points; `given` as it is."""
        few: dict[str, Any] = {"problems": ("kepler0.9", "figure8", "plummer64"), "share": 0.1, "rounds": 1}
        few |= {"integrators": ("leapfrog", "order4", "order8", "radau15"), "points": 4, "tolerances": TOLERANCES[1::3]}
        return cls(**{**few, **given})

    def cases(self) -> list[Case]:
        """The problems, as long as they are run."""
        known = [reference_case(name) for name in dict.fromkeys(self.problems)]
        return [dataclasses.replace(case, t_end=self.share * case.t_end) for case in known]

    def contenders(self) -> list[Contender]:
        """Ours. The rule that reads the polynomial of Gauss-Radau is for radau15 alone."""
        chosen = []
        for integrator in self.integrators:
            name = method_from(integrator).name
            rules = [rule for rule in self.rules if rule.name != "lastterm" or name == "radau15"]
            variants = self.variants if name in COMPOSITIONS else ("plain",)
            chosen += contenders(rules, variants, [integrator])
        return chosen

    def most(self, case: Case) -> int:
        """Forces that a run of the problem may cost."""
        pairs = case.size * (case.size - 1) // 2
        return max(1, int(self.budget * min(1.0, PAIRS / pairs)))

    def fingerprint(self) -> dict[str, Any]:
        """All that decides about the result."""
        return {
            "study": "curves",
            "problems": {case.name: case.t_end for case in self.cases()},
            "contenders": [_name(c) for c in self.contenders()],
            "peers": list(self.peers),
            "points": self.points,
            "tolerances": list(self.tolerances),
            "share": self.share,
            "budget": self.budget,
            "rounds": self.rounds,
            "threads": self.threads,
        }


class Point(NamedTuple):
    """One run of a curve, and how to make it again."""

    value: float
    tolerance: float | None
    run: PeerRun
    job: Job
    begin: Job | None = None  # all of the job but the steps


Part = tuple[Case, Contender | Peer]


def work_precision_curves(plan: CurvesPlan, partial: Partial, tell: Tell) -> Iterator[list[Record]]:
    """The records of one curve after the other; those that `partial` has already are not measured again."""
    who: list[Contender | Peer] = [*plan.contenders(), *(peer_named(name) for name in plan.peers)]
    parts: list[Part] = [(case, one) for case in plan.cases() for one in who]
    for part in parts:
        if part_name(part) in partial.done:
            yield partial.done[part_name(part)]
    left = [part for part in parts if part_name(part) not in partial.done]
    for k, part in enumerate(left):  # never side by side: they are timed
        tell(k, len(left), part_name(part))
        records = curve(plan, *part)
        partial.add(part_name(part), records)
        yield records
    tell(len(left), len(left), "")


def part_name(part: Part) -> str:
    """Of a curve, in the file of finished parts."""
    return f"{part[0].name} {_name(part[1])}"


def _name(one: Contender | Peer) -> str:
    return one.name if isinstance(one, Peer) else f"{one.integrator} {one.label}"


def curve(plan: CurvesPlan, case: Case, one: Contender | Peer) -> list[Record]:
    """One record a point; a single one without numbers says why there is no curve."""
    if isinstance(one, Peer):
        why = refusal(one, case)
        if why:
            return [_record(case, one, None, None, {"skipped": why})]
        points = _points_of_peer(plan, case, one)
    else:
        points = _points(plan, case, one)
    return [
        _record(case, one, point, spent) for point, spent in zip(points, processor_seconds(points, plan.rounds), strict=True)
    ]


# ---- runs ------------------------------------------------------------------------------------------------------------
def dials(integrator: str, points: int) -> list[float]:
    """From coarse to fine: from order 4 on the error falls 16 times a point, below that every step is half as long."""
    name = method_from(integrator).name
    order = COMPOSITIONS[name].order if name in COMPOSITIONS else ORDERS[name]
    ratio = 2.0 ** min(1.0, 4.0 / order)
    return [FIRST_DIAL.get(name, COARSEST) / ratio**k for k in range(points)]


def _points(plan: CurvesPlan, case: Case, contender: Contender) -> list[Point]:
    """Of a contender: until the budget is spent, or the error no longer falls."""
    systems = Systems.of(Suite(case.name, (case,)))
    takes = contender.rule.takes_tolerance
    tolerances = sorted(plan.tolerances, reverse=True)
    ladder = [contender.dial(tol) for tol in tolerances] if takes else dials(contender.integrator, plan.points)
    points: list[Point] = []
    for dial in ladder:
        job, begin = (_copies(systems, contender, dial, most, plan.threads) for most in (plan.most(case), 1))
        spent, done = _timed(job(1))
        run = PeerRun(
            float(done.error[0]),
            float(done.final_error[0]),
            float(done.forces[0]),
            int(done.steps[0]),
            bool(done.unfinished[0]),
            spent if math.isfinite(done.error[0]) else None,
        )
        value = float(contender.value(dial))
        points.append(Point(value, value if takes else None, run, job, begin))
        if run.unfinished or _made_of_rounding([p.run.error for p in points]):
            break
    return points


def _copies(
    systems: Systems, contender: Contender, dial: float, most: int, threads: int
) -> Callable[[int], Callable[[], Outcome]]:
    """Copies of the problem, run as one batch."""

    def prepared(amount: int) -> Callable[[], Outcome]:
        copies = systems.rows(np.zeros(amount, dtype=int))
        return lambda: measure(copies, contender, dial, most, threads=threads)

    return prepared


def _points_of_peer(plan: CurvesPlan, case: Case, peer: Peer) -> list[Point]:
    """Of a peer: all values of its number, coarse to fine, until the budget is spent."""
    points: list[Point] = []
    for value in _values(plan, case, peer):
        prepared = prepare(peer, case, value)
        run = prepared.watch(plan.most(case))
        points.append(Point(value, value if peer.parameter == "tol" else None, run, prepared.job))
        if run.unfinished:
            break
    return points


def _values(plan: CurvesPlan, case: Case, peer: Peer) -> list[float]:
    """Those of IAS15 include what it comes with; a fixed step is as long as that of our `constant`."""
    if peer.parameter != "dt":
        every = EPSILONS if peer.parameter == "epsilon" else TAYLOR_TOLERANCES
        return list(every if plan.points >= len(every) + 1 else every[::2])
    start, ends = Systems.of(Suite(case.name, (case,)))
    unit = float(smooth_minimum_time(pair_rates(start)[0])[0]) * case.t_end / float(ends[0])
    return [dial * unit for dial in dials("leapfrog", plan.points)]


def _made_of_rounding(errors: Sequence[float]) -> bool:
    """The last two did not get better than half of what was there before."""
    return len(errors) > 2 and min(errors[:-2]) < ROUNDING and min(errors[-2:]) > 0.5 * min(errors[:-2])


# ---- time ------------------------------------------------------------------------------------------------------------
def processor_seconds(points: Sequence[Point], rounds: int) -> list[float | None]:
    """Of one run of each point: medians, taken in turns; None for a run that broke off.

    What it takes to begin is taken off, 1 ms and 20 us a copy, since the others do that before they are timed. So many copies
    are run that it takes `CALL`; a run that had taken more than `LONG` when its error was measured is not repeated.
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


# ---- records ---------------------------------------------------------------------------------------------------------
def _record(
    case: Case, one: Contender | Peer, point: Point | None, seconds: float | None, more: dict[str, Any] | None = None
) -> Record:
    """A point; None: only `more`."""
    who = (one.package, one.mode, one.method) if isinstance(one, Peer) else (one.rule.name, one.variant, one.integrator)
    head: dict[str, Any] = dict(zip(("criterion", "variant", "integrator"), who, strict=True))
    head |= {"study": "curves", "suite": "reference", "family": case.name, "split": None, "seeds": None, "mode": "run"}
    if point is None:
        return Record(**head, tolerance=None, n=0, more=more or {})
    run = point.run
    return Record(
        **head,
        tolerance=point.tolerance,
        n=1,
        value=point.value,
        forces=run.forces,
        unfinished=int(run.unfinished),
        wall_time=seconds,
        more={"final_error": run.final_error, "steps": run.steps, **(run.more or {})},
        errors=rounded(np.array([run.error])),
    )
