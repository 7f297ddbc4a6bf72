"""Work-precision curves: force evaluations and time against the error, on one known problem after the other.

Everything runs in this process on one thread, one thing at a time. A curve is a sweep of runs from coarse to fine.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ConfigError, UserError
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..initial.suites import Case, reference_case
from ..integrators import INTEGRATORS, SPLITTINGS, integrator_named
from .parallel import Progress
from .peers import Peer, available_peers, peer_named, refusal
from .points import Point, points_of, points_of_peer, processor_seconds, step_parameters, values_of
from .records import Partial, Record, rounded

PROBLEMS = ("kepler0.5", "kepler0.9", "figure8", "burrau", "solar", "plummer64")
QUICK_PROBLEMS = ("kepler0.9", "figure8", "plummer64")
QUICK_INTEGRATORS = ("leapfrog", "blanes_moan4", "blanes_moan6", "radau15")
TOLERANCES = tuple(10.0**-k for k in range(1, 13))
PAIRS = 100  # number of pairs above which the budget is reduced in proportion
PEER_BUDGETS = 4  # largest cost of a peer, in budgets: IAS15 with its defaults needs 2.5 on the figure-eight


@dataclass(frozen=True)
class CurvesPlan:
    """Settings of the study: problems, contenders and peers, and the points of each curve."""

    problems: Sequence[str] = PROBLEMS
    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in (*CLASSICAL, "lastterm")])
    variants: Sequence[str] = ("plain", "symmetrized")  # with splittings only; other integrators gain nothing by them
    integrators: Sequence[str] = INTEGRATORS
    peers: Sequence[str] = ()  # see `peers.available_peers`
    points: int = 10  # largest number of points of a curve
    tolerances: Sequence[float] = TOLERANCES  # points of rules that take a tolerance
    share: float = 1.0  # fraction of the time of each problem that is run
    budget: int = 500_000  # largest number of force evaluations of a run of up to `PAIRS` pairs
    rounds: int = 3  # how often a short run is timed
    threads: int = 1  # threads of a run; processor time is only comparable with one

    def quick(self) -> CurvesPlan:
        """Return a plan for a first look: a tenth of the time, few points, and few problems and integrators unless given."""
        return dataclasses.replace(
            self,
            problems=QUICK_PROBLEMS if self.problems == PROBLEMS else self.problems,
            integrators=QUICK_INTEGRATORS if self.integrators == INTEGRATORS else self.integrators,
            tolerances=TOLERANCES[1::3] if self.tolerances == TOLERANCES else self.tolerances,
            points=min(self.points, 4),
            share=0.1 * self.share,
        )

    def checked(self) -> CurvesPlan:
        """Return the plan, or raise an error of one sentence that says what is wrong with it."""
        self.contenders()
        self.cases()
        missing = sorted({peer_named(name).package for name in self.peers} - {p.partition(":")[0] for p in available_peers()})
        if missing:
            raise UserError(f"{' and '.join(missing)} cannot be measured without it: pip install 'aitimestepper[bench]'")
        for name, value, ok in (
            ("points", self.points, self.points >= 1),
            ("share", self.share, 0 < self.share <= 1),
            ("budget", self.budget, self.budget >= 100),
            ("rounds", self.rounds, self.rounds >= 1),
            ("threads", self.threads, self.threads >= 1),
            *(("tol", tol, 0 < tol < math.inf) for tol in self.tolerances),
        ):
            if not ok:
                raise ConfigError(
                    f"{name} = {value} is out of range (points, rounds, threads >= 1, 0 < share <= 1, budget >= 100, tol > 0)."
                )
        return self

    def cases(self) -> list[Case]:
        """Return the problems with the time that they are run for."""
        known = [reference_case(name) for name in dict.fromkeys(self.problems)]
        return [dataclasses.replace(case, t_end=self.share * case.t_end) for case in known]

    def contenders(self) -> list[Contender]:
        """Return the contenders of this package; the rule `lastterm`, which needs radau15, is left out with others."""
        chosen = []
        for integrator in self.integrators:
            name = integrator_named(integrator).name
            rules = [rule for rule in self.rules if rule.name != "lastterm" or name == "radau15"]
            variants = self.variants if name in SPLITTINGS else ("plain",)
            chosen += contenders(rules, variants, [integrator])
        return chosen

    def sweep(self, contender: Contender) -> list[float]:
        """Return the step parameters of a contender, from coarse to fine."""
        if contender.rule.takes_tolerance:
            return [contender.step_parameter(tol) for tol in sorted(self.tolerances, reverse=True)]
        return step_parameters(contender.integrator, self.points)

    def most(self, case: Case) -> int:
        """Return the largest number of force evaluations that a run of the problem may cost."""
        pairs = case.size * (case.size - 1) // 2
        return max(1, int(self.budget * min(1.0, PAIRS / pairs)))

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that the result depends on."""
        return {
            "study": "curves",
            "problems": {case.name: case.t_end for case in self.cases()},
            "contenders": [contender.name for contender in self.contenders()],
            "peers": list(self.peers),
            "points": self.points,
            "tolerances": list(self.tolerances),
            "share": self.share,
            "budget": self.budget,
            "rounds": self.rounds,
            "threads": self.threads,
        }


Part = tuple[Case, Contender | Peer]


def work_precision_curves(plan: CurvesPlan, partial: Partial, progress: Progress) -> Iterator[list[Record]]:
    """Yield the records of one curve after the other; those that `partial` holds already are not measured again."""
    measured: list[Contender | Peer] = [*plan.contenders(), *(peer_named(name) for name in plan.peers)]
    parts: list[Part] = [(case, one) for case in plan.cases() for one in measured]
    yield from (partial.done[part_name(part)] for part in parts if part_name(part) in partial.done)
    remaining = [part for part in parts if part_name(part) not in partial.done]
    for k, part in enumerate(remaining):  # never in parallel, since they are timed
        progress(k, len(remaining), part_name(part))
        records = curve(plan, *part)
        partial.add(part_name(part), records)
        yield records
    progress(len(remaining), len(remaining), "")


def part_name(part: Part) -> str:
    """Return the name of a curve in the file of finished parts."""
    return f"{part[0].name} {part[1].name}"


def curve(plan: CurvesPlan, case: Case, one: Contender | Peer) -> list[Record]:
    """Return one record for each point; where a peer does not suit the problem, a single record that says why."""
    if isinstance(one, Peer):
        why = refusal(one, case)
        if why:
            return [Record(**_head(case, one), tolerance=None, n=0, more={"skipped": why})]
        points = points_of_peer(case, one, values_of(one, case, plan.points), PEER_BUDGETS * plan.most(case))
    else:
        points = points_of(case, one, plan.sweep(one), plan.most(case), plan.threads)
    seconds = processor_seconds(points, plan.rounds)
    return [_record(case, one, point, time) for point, time in zip(points, seconds, strict=True)]


# ---- records ---------------------------------------------------------------------------------------------------------
def _head(case: Case, one: Contender | Peer) -> dict[str, Any]:
    """Return the fields of a record that identify the measurement."""
    names = (one.package, one.mode, one.method) if isinstance(one, Peer) else (one.rule.name, one.variant, one.integrator)
    head: dict[str, Any] = dict(zip(("criterion", "variant", "integrator"), names, strict=True))
    return head | {"study": "curves", "suite": "reference", "family": case.name, "split": None, "seeds": None, "mode": "run"}


def _record(case: Case, one: Contender | Peer, point: Point, seconds: float | None) -> Record:
    run = point.run
    return Record(
        **_head(case, one),
        tolerance=point.tolerance,
        n=1,
        value=point.value,
        forces=run.forces,
        unfinished=int(run.unfinished),
        wall_time=seconds,
        more={"final_error": run.final_error, "steps": run.steps, **(run.more or {})},
        errors=rounded(np.array([run.error])),
    )
