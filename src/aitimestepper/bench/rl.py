"""The test set of a stepper made by reinforcement learning (arXiv 2502.12809), at equal cost.

`PUBLISHED` holds figures from before this package, measured with the released weights and another Hermite code, which is not
part of it; they are not printed in the paper. How they were made is inferred, from the rows of constant parameters: errors at
the end of 30 years, not the largest ones, of a method that evaluates once a step and begins anew every 0.1 years, where the
policy is asked again: a step is shortened there and forces are evaluated once more, a fifth of all forces at the largest
parameter. Repeated in this way, median forces agree to 0.2 %, median errors to 3 % at the two larger parameters. At the
smallest one our errors are twenty times smaller, and so are our largest ones, since our sums are compensated. Without that a
Hermite method of the same kind gives 9.5e-12, 3.7e-9 and 1.2e-5 there (median, 90 %, largest), near the figures in the table.
The row of IAS15 is consistent with one uninterrupted run of REBOUND, which evaluates forces 11431 times in the median; ours
needs fewer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial as bound
from typing import Any, NamedTuple

import numpy as np

from ..criteria.classical import RADAU_EPSILON, HutMakino, radau_eta
from ..errors import ConfigError
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..evaluation.matched import matched_step_parameter
from ..evaluation.runs import SOUND, Outcome, Systems, measure
from ..evaluation.statistics import geometric_mean, interval, resampled, share_error
from ..initial.suites import Suite, named_suite
from ..integrators import integrator_named
from ..simulate.engine import simulate
from ..simulate.progress import Watch
from ..simulate.result import OK
from .parallel import Progress, part_by_part
from .records import Partial, Record, quantiles, rounded

PIECES = 300  # number of pieces of 0.1 years
FORCES = 11528.0  # median force evaluations of the best constant parameter in the table
ETAS = (1e-3, 4.64e-3, 0.03)
BUDGET = 10_000_000  # largest number of force evaluations of a run
BOOTSTRAP_SEED = 9
Measurement = Callable[[Watch], list[Record]]


class Published(NamedTuple):
    """A row of the earlier figures: quantiles over 100 problems of the error at the end, and the median of the forces."""

    policy: str
    median: float
    p90: float
    largest: float
    forces: float
    eta: float | None = None  # parameter of HutMakino; None: no constant parameter


PUBLISHED = (
    Published("reinforcement learning, best weights", 5.4e-10, 4.3e-4, 0.92, 50_764),
    Published("reinforcement learning, other weights", 1.4e-9, 2.7e-4, 1.5e-2, 38_544),
    Published("hutmakino", 1.0e-11, 3.3e-9, 3.6e-5, 51_940, 1e-3),
    Published("hutmakino", 3.3e-10, 9.5e-9, 6.3e-6, 11_528, 4.64e-3),
    Published("hutmakino", 2.8e-6, 7.8e-5, 3.5e-3, 2_156, 0.03),
    Published("IAS15, PRS23", 2.1e-14, 2.6e-11, 4.5e-8, 11_414),
)


@dataclass(frozen=True)
class RlPlan:
    """Settings of the study: contenders at equal forces, and the constant parameters of the table."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in CLASSICAL])
    variants: Sequence[str] = ("plain", "symmetrized")
    integrators: Sequence[str] = ("hermite4",)
    forces: float = FORCES  # force evaluations of the median problem, for all contenders
    etas: Sequence[float] = ETAS  # parameters of HutMakino with Hermite 4, which are not matched
    seeds: Sequence[int] = range(100)
    threads: int | None = None

    def suite(self) -> Suite:
        """Return the problems."""
        whole = named_suite("rl")
        cases = tuple(whole.cases[seed] for seed in self.seeds)
        return replace(whole, cases=cases, seeds={"rl": (min(self.seeds), max(self.seeds) + 1)})

    def parts(self) -> list[Contender]:
        """Return the contenders that are measured at equal forces."""
        return contenders(self.rules, self.variants, self.integrators)

    def quick(self) -> RlPlan:
        """Return a plan for a first look: a tenth of the problems, and a part of the forces."""
        return replace(self, seeds=range(10), forces=min(self.forces, 3000.0), etas=[eta for eta in self.etas if eta > 2e-3])

    def checked(self) -> RlPlan:
        """Return the plan, or raise an error of one sentence that says what is wrong with it."""
        for name in self.integrators:
            integrator_named(name)
        for name, value, ok in (
            ("forces", self.forces, 10 <= self.forces < math.inf),
            ("seeds", list(self.seeds), len(self.seeds) > 0 and set(self.seeds) <= set(range(100))),
            ("threads", self.threads, self.threads is None or self.threads >= 1),
            *(("eta", eta, 0 < eta < math.inf) for eta in self.etas),
        ):
            if not ok:
                raise ConfigError(
                    f"{name} = {value} is out of range (forces >= 10, seeds from 0 to 99, threads >= 1, eta > 0)."
                )
        return self

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that the result depends on."""
        return {
            "study": "rl",
            "criteria": {rule.name: rule.checksum for rule in self.rules},
            "variants": list(self.variants),
            "integrators": list(self.integrators),
            "forces": self.forces,
            "etas": list(self.etas),
            "seeds": list(self.seeds),
        }


def reinforcement_set(plan: RlPlan, partial: Partial, progress: Progress) -> Iterator[list[Record]]:
    """Yield the records of published rows, constant parameters and contenders; finished parts are not measured again."""
    yield [_quoted(row) for row in PUBLISHED if row.eta is None]
    study = _Study(plan, plan.suite(), Systems.of(plan.suite()))
    parts: dict[str, Measurement] = {f"constant parameter {eta:g}": bound(study.constant, eta) for eta in plan.etas}
    parts["radau15"] = study.radau
    parts |= {contender.name: bound(study.matched, contender) for contender in plan.parts()}
    yield from part_by_part(list(parts), lambda name, watch: parts[name](watch), str, partial, plan.threads, progress)


def in_pieces(systems: Systems, eta: float, pieces: int = PIECES, watch: Watch | None = None) -> Outcome:
    """Run all problems with HutMakino and Hermite 4 in `pieces` pieces of equal length, each begun anew.

    Energy errors are those at the ends of the pieces.
    """
    now, energy, scale = systems.start, systems.start.total_energy(), systems.start.energy_scale()
    forces, steps, largest = (np.zeros(len(now)) for _ in range(3))
    ok, began = np.ones(len(now), bool), time.perf_counter()
    error = largest
    for k in range(pieces):
        result = simulate(
            now,
            t_end=np.maximum(systems.ends * ((k + 1) / pieces), now.time),
            criterion=HutMakino(eta),
            integrator="hermite4",
            max_steps=BUDGET,
            threads=1,
            progress=watch or False,
            warn=False,
        )
        now = result.final.replace()  # without the memory of the run
        forces += result.force_evaluations
        steps += result.steps
        ok &= np.array(result.status) == OK
        error = np.abs(now.total_energy() - energy) / scale
        largest = np.maximum(largest, error)
    return Outcome(
        error=np.where(ok, largest, np.inf),
        forces=forces,
        steps=steps,
        unfinished=np.zeros(len(now), bool),
        sound=largest < SOUND,
        final_error=np.where(ok, error, np.inf),
        wall_time=time.perf_counter() - began,
    )


class _Study(NamedTuple):
    """Plan and problems, which all contenders share."""

    plan: RlPlan
    suite: Suite
    systems: Systems

    def constant(self, eta: float, watch: Watch) -> list[Record]:
        """Return the records of a parameter of the table: in pieces as it was measured there, and in one run."""
        contender = Contender(rule_named("hutmakino"), "plain", "hermite4")
        published = self._published("hutmakino", eta)
        through = measure(self.systems, contender, contender.step_parameter(eta), BUDGET, watch)
        return [
            self._record(contender, "pieces", eta, in_pieces(self.systems, eta, watch=watch), {"pieces": PIECES, **published}),
            self._record(contender, "run", eta, through, published),
        ]

    def radau(self, watch: Watch) -> list[Record]:
        """Return the record of Gauss-Radau with its default epsilon."""
        contender = Contender(rule_named("prs23"), "plain", "radau15")
        eta = radau_eta(RADAU_EPSILON)
        outcome = measure(self.systems, contender, contender.step_parameter(eta), BUDGET, watch)
        return [self._record(contender, "run", eta, outcome, self._published("IAS15, PRS23", None))]

    def matched(self, contender: Contender, watch: Watch) -> list[Record]:
        """Return the record of a contender at the step parameter at which the median problem costs the wanted forces."""
        step_parameter, outcome = matched_step_parameter(self.systems, contender, self.plan.forces, watch)
        more = {"wanted_forces": self.plan.forces}
        return [self._record(contender, "matched", float(contender.value(step_parameter)), outcome, more)]

    def _published(self, policy: str, eta: float | None) -> dict[str, Any]:
        """Return the row of the table, if the problems are those of the table."""
        rows = [row._asdict() for row in PUBLISHED if (row.policy, row.eta) == (policy, eta)]
        return {"published": rows[0]} if rows and len(self.suite) == 100 else {}

    def _record(self, contender: Contender, mode: str, value: float, outcome: Outcome, more: dict[str, Any]) -> Record:
        draws = resampled(self.suite.family_of, np.random.default_rng(BOOTSTRAP_SEED))
        final = {f"{q:g}": float(share_error(outcome.final_error, q)) for q in (0.5, 0.9, 1.0)}
        more = {"median_forces": float(np.median(outcome.forces)), "final_quantiles": final, **more}
        return Record(
            **_common(self.suite),
            criterion=contender.rule.name,
            variant=contender.variant,
            integrator=contender.integrator,
            mode=mode,
            n=len(self.suite),
            value=value,
            forces=geometric_mean(outcome.forces),
            forces_interval=[*interval(np.exp(np.log(outcome.forces)[draws].mean(1)))],
            error_quantiles=quantiles(outcome.error),
            worst=self.suite.cases[int(np.argmax(outcome.error))].name,
            unfinished=int(outcome.unfinished.sum()),
            wall_time=outcome.wall_time,
            more={**more, "final_errors": rounded(outcome.final_error)},
            errors=rounded(outcome.error),
            forces_each=outcome.forces.tolist(),
        )


def _common(suite: Suite) -> dict[str, Any]:
    """Return the fields that all records of the study share."""
    ends = suite.seeds["rl"]
    return {"study": "rl", "suite": suite.name, "family": "rl", "split": None, "seeds": list(ends), "tolerance": None}


def _quoted(row: Published) -> Record:
    """Return the record of a published row that is not measured here, so that files of results hold it for comparison."""
    final = {"0.5": row.median, "0.9": row.p90, "1": row.largest}
    more = {"median_forces": float(row.forces), "final_quantiles": final}
    method = "radau15" if row.policy.startswith("IAS15") else "hermite4"
    whole = _common(named_suite("rl"))
    return Record(**whole, criterion=row.policy, variant="plain", integrator=method, mode="published", n=100, more=more)
