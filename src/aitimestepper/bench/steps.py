"""Step quality: which rule keeps a tolerance, on problems it was not calibrated on, and at what cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..errors import ConfigError
from ..evaluation.calibration import calibrated_step_parameter, resampled, step_parameter_spread
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..evaluation.runs import Systems, measure, sweep_parameters
from ..initial.families import STANDARD, Family
from ..initial.suites import Suite, make_suite
from ..simulate.batch import Watch
from ..simulate.methods import method_from
from .cost import Charge, Charges
from .parallel import Tell, part_by_part
from .record_builder import RecordBuilder
from .records import Partial, Record

TOLERANCES: dict[str, tuple[float, ...]] = {  # where an integrator is worth asking
    "leapfrog": (1e-2, 1e-3, 1e-4),
    "suzuki4": (1e-3, 1e-4, 1e-5, 1e-6),
    "kahan_li6": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
    "kahan_li8": (1e-4, 1e-5, 1e-6, 1e-7, 1e-8),
}
OTHERS = (1e-3, 1e-4, 1e-5, 1e-6)
BOOTSTRAP_SEED = 7


@dataclass(frozen=True)
class StepsPlan:
    """What to measure."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in CLASSICAL])
    integrators: Sequence[str] = ("leapfrog", "suzuki4", "kahan_li6", "kahan_li8")
    variants: Sequence[str] = ("plain", "symmetrized")
    tolerances: Sequence[float] | None = None  # None: `TOLERANCES` of each integrator
    families: Sequence[str] = STANDARD
    own: Mapping[str, Family] = field(default_factory=dict)  # families besides those of the package
    calibrate_on: Suite | None = None  # None: `train` of the families, as many as `train`
    measure_on: Suite | None = None  # None: `split` of the families, as many as `test`
    split: str = "test"
    train: int = 16
    test: int = 16
    dim: int = 3
    share: float = 0.9  # of the problems that shall comply
    budget: int = 300_000  # forces a run
    threads: int | None = None

    def suites(self) -> tuple[Suite, Suite]:
        """(to calibrate on, to measure on)."""
        train = self.calibrate_on or make_suite(self.families, "train", self.train, self.dim, self.own)
        test = self.measure_on or make_suite(self.families, self.split, self.test, self.dim, self.own)
        return train, test

    def checked(self) -> StepsPlan:
        """The plan, or one sentence about what is wrong with it."""
        for name in self.integrators:
            method_from(name)
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
        axes = {case.bodies.position.shape[1] for case in (*train.cases, *test.cases)}
        if len(axes) != 1:
            raise ConfigError("the problems to calibrate on and those to measure on have 2 and 3 axes; give both the same.")
        return self

    def parts(self) -> list[Contender]:
        """Who is measured, one after the other."""
        return contenders(self.rules, self.variants, self.integrators)

    def tolerances_of(self, integrator: str) -> list[float]:
        """From loose to tight."""
        given = self.tolerances or TOLERANCES.get(integrator, OTHERS)
        return sorted(given, reverse=True)

    def fingerprint(self) -> dict[str, Any]:
        """All that decides about the result."""
        train, test = self.suites()
        return {
            "study": "steps",
            "criteria": {rule.name: rule.checksum for rule in self.rules},
            "variants": list(self.variants),
            "tolerances": {i: self.tolerances_of(i) for i in self.integrators},
            "calibrated_on": _about(train),
            "measured_on": _about(test),
            "dim": self.dim,
            "share": self.share,
            "budget": self.budget,
        }


def _about(suite: Suite) -> dict[str, Any]:
    seeds = {name: list(ends) for name, ends in suite.seeds.items()}
    about = {"suite": suite.name, "split": suite.split, "problems": len(suite), "seeds": seeds}
    return {**about, "checksum": suite.checksum}


def step_quality(plan: StepsPlan, partial: Partial, charges: Charges, tell: Tell) -> Iterator[list[Record]]:
    """The records of one contender after the other; those that `partial` has already are not measured again."""
    train, test = plan.suites()
    study = _Study(plan, train, test, Systems.of(Suite("", (*train.cases, *test.cases))))
    left = [c for c in plan.parts() if part_name(c) not in partial.done]
    for k, contender in enumerate(left):  # while nothing else is running
        tell(0, len(left), f"what it costs to choose: {k + 1}/{len(left)} {contender.label}")
        charges.of(contender)

    def work(contender: Contender, watch: Watch) -> list[Record]:
        return study.of(contender, charges.of(contender), watch)

    yield from part_by_part(plan.parts(), work, part_name, partial, plan.threads, tell)


def part_name(contender: Contender) -> str:
    """Of a contender, in the file of finished parts."""
    return f"{contender.integrator} {contender.label}"


class _Study(NamedTuple):
    """What all contenders are measured on."""

    plan: StepsPlan
    train: Suite
    test: Suite
    both: Systems  # one sweep serves to calibrate and for hindsight

    def of(self, contender: Contender, charge: Charge, watch: Watch) -> list[Record]:
        """All records of one contender, `charge` being what it costs to choose."""
        plan, tolerances = self.plan, self.plan.tolerances_of(contender.integrator)
        first = len(self.train)
        groups = (slice(None, first), slice(first, None))
        sweep = sweep_parameters(self.both, contender, tolerances, plan.budget, plan.share, groups, watch)
        before, after = (sweep.rows(group) for group in groups)
        measured_on = self.both.rows(np.arange(first, len(self.both.start)))
        book = RecordBuilder(plan.share, plan.budget, contender, self.test, charge, self.train)
        draws = resampled(self.train.family_of, np.random.default_rng(BOOTSTRAP_SEED))
        records: list[Record] = []
        for tol in tolerances:
            step_parameter = calibrated_step_parameter(before, tol, plan.share)
            asked = {"asked": contender.step_parameter(tol)} if contender.rule.takes_tolerance else {}
            for mode, at in {**asked, "calibrated": step_parameter}.items():
                done = measure(measured_on, contender, at, plan.budget, watch) if np.isfinite(at) else None
                spread = (
                    step_parameter_spread(before, tol, plan.share, draws) if mode == "calibrated" and done is not None else None
                )
                records += book.measured(mode, tol, at, done, spread)
            records += book.fitted(tol, after)
            records += book.hindsight(tol, after)
        return records
