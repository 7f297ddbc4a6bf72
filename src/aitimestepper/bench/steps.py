"""Step quality: compliance with a tolerance on problems that a rule was not calibrated on, and its cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..evaluation.calibration import calibrated_step_parameter, step_parameter_spread
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..evaluation.runs import Systems, measure
from ..evaluation.statistics import resampled
from ..evaluation.sweep import ParameterSweep, sweep_parameters
from ..initial.draws import Family
from ..initial.families import STANDARD
from ..initial.suites import Suite, make_suite
from ..integrators import integrator_named
from ..simulate.progress import Watch
from .cost import Charge, Charges
from .parallel import Progress, part_by_part
from .record_builder import RecordBuilder
from .records import Partial, Record

TOLERANCES: dict[str, tuple[float, ...]] = {  # tolerances for which each integrator is of use
    "leapfrog": (1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-3, 1e-4, 1e-5, 1e-6),
    "kahan_li6": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "kahan_li8": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "blanes_moan4": (1e-3, 1e-4, 1e-5, 1e-6),
    "blanes_moan6": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "chin4": (1e-2, 1e-3, 1e-4, 1e-5),
}
OTHERS = (1e-3, 1e-4, 1e-5, 1e-6)
BOOTSTRAP_SEED = 7


@dataclass(frozen=True)
class StepsPlan:
    """Settings of the study: rules, integrators and tolerances, problems, and the budget."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in CLASSICAL])
    integrators: Sequence[str] = ("leapfrog", "chin4", "blanes_moan4", "blanes_moan6")
    variants: Sequence[str] = ("plain", "symmetrized")
    tolerances: Sequence[float] | None = None  # None: `TOLERANCES` of each integrator
    families: Sequence[str] = STANDARD
    own: Mapping[str, Family] = field(default_factory=dict)  # families besides those of the package
    calibrate_on: Suite | None = None  # None: `train` problems of each family from the split `train`
    measure_on: Suite | None = None  # None: `test` problems of each family from `split`
    split: str = "test"
    train: int = 16
    test: int = 16
    dim: int = 3
    share: float = 0.9  # fraction of the problems that are to comply
    budget: int = 300_000  # largest number of force evaluations of a run
    threads: int | None = None

    def suites(self) -> tuple[Suite, Suite]:
        """Return the problems to calibrate on and those to measure on."""
        train = self.calibrate_on or make_suite(self.families, "train", self.train, self.dim, self.own)
        test = self.measure_on or make_suite(self.families, self.split, self.test, self.dim, self.own)
        return train, test

    def checked(self) -> StepsPlan:
        """Return the plan, or raise an error of one sentence that says what is wrong with it."""
        for name in self.integrators:
            integrator_named(name)
        self.parts()
        for name, value, ok in (
            ("share", self.share, 0 < self.share < 1),
            ("budget", self.budget, self.budget >= 100),
            ("threads", self.threads, self.threads is None or self.threads >= 1),
            *(("tol", tol, 0 < tol < math.inf) for tol in self.tolerances or ()),
        ):
            if not ok:
                raise ConfigError(f"{name} = {value} is out of range (0 < share < 1, budget >= 100, threads >= 1, tol > 0).")
        if self.split == "train" and self.measure_on is None:
            raise ConfigError("split = train is what rules are calibrated on; measure on validation or test.")
        train, test = self.suites()
        shared = {case.name for case in train.cases} & {case.name for case in test.cases}
        if shared or train.checksum == test.checksum:
            name = min(shared, default=train.cases[0].name)
            raise ConfigError(f"{name} is among the problems to calibrate on and among those to measure on; take others.")
        axes = {case.initial.position.shape[1] for case in (*train.cases, *test.cases)}
        if len(axes) != 1:
            raise ConfigError("the problems to calibrate on and those to measure on have 2 and 3 axes; give both the same.")
        return self

    def parts(self) -> list[Contender]:
        """Return the contenders, each of which is a part of the study."""
        return contenders(self.rules, self.variants, self.integrators)

    def tolerances_of(self, integrator: str) -> list[float]:
        """Return the tolerances for an integrator, from loose to tight."""
        given = self.tolerances or TOLERANCES.get(integrator, OTHERS)
        return sorted(given, reverse=True)

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that the result depends on."""
        train, test = self.suites()
        return {
            "study": "steps",
            "criteria": {rule.name: rule.checksum for rule in self.rules},
            "variants": list(self.variants),
            "tolerances": {i: self.tolerances_of(i) for i in self.integrators},
            "calibrated_on": _identity(train),
            "measured_on": _identity(test),
            "dim": self.dim,
            "share": self.share,
            "budget": self.budget,
        }


def _identity(suite: Suite) -> dict[str, Any]:
    """Return the settings that identify a suite."""
    seeds = {name: list(ends) for name, ends in suite.seeds.items()}
    settings = {"suite": suite.name, "split": suite.split, "problems": len(suite), "seeds": seeds}
    return {**settings, "checksum": suite.checksum}


def step_quality(plan: StepsPlan, partial: Partial, charges: Charges, progress: Progress) -> Iterator[list[Record]]:
    """Yield the records of one contender after the other; those that `partial` holds already are not measured again."""
    train, test = plan.suites()
    study = _Study(plan, train, test, Systems.of(Suite("", (*train.cases, *test.cases))))
    remaining = [c for c in plan.parts() if c.name not in partial.done]
    for k, contender in enumerate(remaining):  # while nothing else is running
        progress(0, len(remaining), f"cost of choosing a step: {k + 1}/{len(remaining)} {contender.label}")
        charges.of(contender)

    def records_of(contender: Contender, watch: Watch) -> list[Record]:
        return study.records(contender, charges.of(contender), watch)

    yield from part_by_part(plan.parts(), records_of, lambda contender: contender.name, partial, plan.threads, progress)


class _Study(NamedTuple):
    """Plan and problems, which all contenders share."""

    plan: StepsPlan
    train: Suite
    test: Suite
    both: Systems  # one sweep serves calibration and hindsight

    def records(self, contender: Contender, charge: Charge, watch: Watch) -> list[Record]:
        """Return all records of one contender; `charge` is its cost of choosing a step."""
        plan, tolerances = self.plan, self.plan.tolerances_of(contender.integrator)
        groups = (slice(None, len(self.train)), slice(len(self.train), None))
        sweep = sweep_parameters(self.both, contender, tolerances, plan.budget, plan.share, groups, watch)
        before, after = (sweep.rows(group) for group in groups)
        builder = RecordBuilder(plan.share, plan.budget, contender, self.test, charge, self.train)
        records: list[Record] = []
        for tol in tolerances:
            records += self._measured(builder, before, tol, watch)
            records += builder.fitted(tol, after)
            records += builder.hindsight(tol, after)
        return records

    def _measured(self, builder: RecordBuilder, train: ParameterSweep, tol: float, watch: Watch) -> list[Record]:
        """Return the records of runs at the tolerance as asked for, if the rule takes one, and as calibrated on `train`."""
        contender, plan = builder.contender, self.plan
        test = self.both.rows(np.arange(len(self.train), len(self.both.start)))
        records: list[Record] = []
        if contender.rule.takes_tolerance:
            at = contender.step_parameter(tol)
            records += builder.measured("asked", tol, at, measure(test, contender, at, plan.budget, watch), None)
        at = calibrated_step_parameter(train, tol, plan.share)
        if not np.isfinite(at):
            return records + builder.measured("calibrated", tol, at, None, None)
        draws = resampled(self.train.family_of, np.random.default_rng(BOOTSTRAP_SEED))
        spread = step_parameter_spread(train, tol, plan.share, draws)
        return records + builder.measured("calibrated", tol, at, measure(test, contender, at, plan.budget, watch), spread)
