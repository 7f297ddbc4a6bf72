"""Long runs: the size of the energy error, its drift, and the reversibility of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..errors import ConfigError
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..evaluation.matched import STOP_FACTOR, matched_step_parameters
from ..evaluation.runs import Systems
from ..initial.problems import shortest_period
from ..initial.suites import Case, Suite, make_suite, reference_case
from ..integrators import integrator_named
from ..simulate.engine import simulate
from ..simulate.progress import Watch
from ..simulate.result import MAX_STEPS, OK, SimulationResult
from .drift import Drift, drift_of
from .parallel import Progress, part_by_part
from .records import Partial, Record, quantiles, rounded

REFERENCES = ("kepler0.5", "kepler0.9", "kepler0.99", "figure8")
BITS = 53  # bits of the mantissa of a double
# Rows of output in a period: an irrational number (the cube of the golden ratio), so that rows sample all phases of an orbit
# evenly. A whole number of rows would sample the same few phases again and again, and a beat with the orbit look like a drift.
ROWS_PER_PERIOD = ((1 + math.sqrt(5)) / 2) ** 3
LEAST_ROWS = 4096  # smallest number of rows of a run: the figure-eight has few periods, but needs blocks as long as others


class Problem(NamedTuple):
    """A case in three dimensions, with its period and the number of periods to run."""

    case: Case
    period: float  # in the unit of time in which G = 1
    periods: float

    @property
    def end(self) -> float:
        """The time at which a run ends, in the unit of time in which G = 1."""
        return self.period * self.periods


@dataclass(frozen=True)
class LongrunPlan:
    """Settings of the study: contenders and problems, all at the same force evaluations a period."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in CLASSICAL])
    variants: Sequence[str] = ("plain", "symmetrized")
    integrators: Sequence[str] = ("leapfrog",)
    higher: Sequence[str] = ("blanes_moan6",)  # integrators with which only time-symmetric steps are run
    also: Sequence[Contender] = field(default_factory=lambda: [Contender(rule_named("constant"), "plain", "logh")])
    references: Sequence[str] = REFERENCES
    count: int = 3  # number of problems of the family `longrun`
    split: str = "test"
    orbits: int = 1000  # largest number of orbits of a problem; the figure-eight is run for a tenth of it
    forces: float = 500.0  # force evaluations a period, for all contenders
    threads: int | None = None

    def parts(self) -> list[Contender]:
        """Return the contenders, each of which is a part of the study."""
        others = contenders(self.rules, ("symmetrized",), self.higher)
        return [*contenders(self.rules, self.variants, self.integrators), *others, *self.also]

    def problems(self) -> list[Problem]:
        """Return the reference problems, then those of the family, all with three axes."""
        family = make_suite(("longrun",), self.split, self.count).cases if self.count else ()
        cases = (*(reference_case(name) for name in self.references), *family)
        return [_problem(case, self.orbits) for case in cases]

    def quick(self) -> LongrunPlan:
        """Return a plan for a first look: runs a tenth as long, and two problems of the family."""
        return replace(self, orbits=max(1, self.orbits // 10), count=min(self.count, 2))

    def checked(self) -> LongrunPlan:
        """Return the plan, or raise an error of one sentence that says what is wrong with it."""
        for name in (*self.integrators, *self.higher):
            integrator_named(name)
        for name, value, ok in (
            ("count", self.count, self.count >= 0 and self.count + len(self.references) > 0),
            ("orbits", self.orbits, self.orbits >= 1),
            ("forces", self.forces, 20 <= self.forces < math.inf),
            ("threads", self.threads, self.threads is None or self.threads >= 1),
        ):
            if not ok:
                raise ConfigError(
                    f"{name} = {value} is out of range (a problem or more, orbits >= 1, forces >= 20, threads >= 1)."
                )
        self.problems()
        return self

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that the result depends on."""
        return {
            "study": "longrun",
            "criteria": {rule.name: rule.checksum for rule in self.rules},
            "contenders": [contender.name for contender in self.parts()],
            "problems": [problem.case.name for problem in self.problems()],
            "orbits": self.orbits,
            "forces": self.forces,
        }


def long_runs(plan: LongrunPlan, partial: Partial, progress: Progress) -> Iterator[list[Record]]:
    """Yield the records of one contender after the other, one for each problem; finished ones are not measured again."""
    problems = plan.problems()
    cases = tuple(replace(problem.case, t_end=problem.end / math.sqrt(problem.case.initial.G or 1.0)) for problem in problems)
    systems = Systems.of(Suite("longrun", cases))
    wanted = np.array([plan.forces * problem.periods for problem in problems])

    def records_of(contender: Contender, watch: Watch) -> list[Record]:
        step_parameters, _ = matched_step_parameters(systems, contender, wanted, watch)
        records = []
        for i, problem in enumerate(problems):
            one = systems.rows(np.array([i]))
            run = there_and_back(one, contender, step_parameters[i], problem, wanted[i], watch)
            records.append(_record(plan, contender, step_parameters[i], problem, run))
        return records

    yield from part_by_part(plan.parts(), records_of, lambda contender: contender.name, partial, plan.threads, progress)


class LongRun(NamedTuple):
    """One run of one problem."""

    error: float  # largest relative energy error; infinite: the run broke off
    final_error: float
    forces: float  # force evaluations
    drift: Drift  # drift of the relative energy error a period
    bits_lost: float  # bits lost on the way to the end and back; NaN: the run broke off
    unfinished: bool
    wall_time: float  # seconds


def there_and_back(
    one: Systems, contender: Contender, step_parameter: float, problem: Problem, forces: float, watch: Watch | None = None
) -> LongRun:
    """Run to the end, reverse all velocities, run back as long, and measure the distance from the start.

    The loss is that of a user's run: the last step in either direction is shortened to reach its end, and the way back begins
    without memory (a symmetrized step with the unsymmetrized one, compensated sums without a remainder). `forces`: the
    expected cost of a run; a run that costs four times as much is stopped.
    """
    criterion = contender.criterion(step_parameter, one.start)
    series = _EnergySeries(one.start)
    most = int(STOP_FACTOR * forces) // contender.forces_per_step + 1000

    def run(start: Bodies, **output: Any) -> SimulationResult:
        settings: dict[str, Any] = {"max_steps": most, "threads": 1, "progress": watch or False, **output}
        return simulate(
            start, t_end=start.time + one.ends, criterion=criterion, integrator=contender.integrator, warn=False, **settings
        )

    every = min(problem.period / ROWS_PER_PERIOD, problem.end / LEAST_ROWS)
    there = run(one.start, sinks=(series.take,), output_every=every)
    ok = there.status[0] == OK
    bits = math.nan
    if ok:
        back = run(there.final.replace(velocity=-there.final.velocity, time=0.0))
        bits = bits_lost(one.start, back.final) if back.status[0] == OK else math.nan
    return LongRun(
        error=float(there.max_energy_error[0]) if ok else math.inf,
        final_error=float(there.final_energy_error[0]) if ok else math.inf,
        forces=float(there.force_evaluations[0]),
        drift=series.drift(problem.period) if ok else Drift(math.nan, math.nan),
        bits_lost=bits,
        unfinished=there.status[0] == MAX_STEPS,
        wall_time=there.wall_time,
    )


def bits_lost(start: Bodies, back: Bodies) -> float:
    """Return how many of the 53 bits of positions and velocities are lost on a way back to the start.

    It is log2 of the larger relative distance over 2^-53. Beyond 53 bits the final state is unrelated to the start.
    """

    def relative_distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a - b) / np.linalg.norm(a))

    distance = max(relative_distance(start.position, back.position), relative_distance(start.velocity, -back.velocity))
    return max(0.0, math.log2(distance) + BITS) if distance > 0 else 0.0


class _EnergySeries:
    """A sink that records the energy along a run of one system."""

    def __init__(self, start: Bodies) -> None:
        self.scale = float(start.energy_scale()[0])
        self.time: list[np.ndarray] = []
        self.energy: list[np.ndarray] = []

    def take(self, _: Any, rows: dict[str, np.ndarray]) -> None:
        """Record rows of output, (S, 1) each."""
        finite = np.isfinite(rows["time"][:, 0])
        self.time.append(rows["time"][finite, 0])
        self.energy.append(rows["energy"][finite, 0])

    def drift(self, period: float) -> Drift:
        """Return the drift of the signed relative energy error a period."""
        time, energy = np.concatenate(self.time), np.concatenate(self.energy)
        return drift_of(time / period, (energy - energy[0]) / self.scale)


def _record(plan: LongrunPlan, contender: Contender, step_parameter: float, problem: Problem, run: LongRun) -> Record:
    case, sampled = problem.case, problem.case.family == "longrun"
    number = int(case.name.rpartition("-")[2]) if sampled else 0
    return Record(
        study="longrun",
        suite="longrun",
        family=case.name,
        split=plan.split if sampled else None,
        seeds=[number, number + 1] if sampled else None,
        criterion=contender.rule.name,
        variant=contender.variant,
        integrator=contender.integrator,
        tolerance=None,
        mode="matched",
        n=1,
        value=float(contender.value(step_parameter)),
        forces=run.forces,
        error_quantiles=quantiles(np.array([run.error])),
        worst=case.name,
        unfinished=int(run.unfinished),
        wall_time=run.wall_time,
        more={
            "periods": problem.periods,
            "forces_a_period": run.forces / problem.periods,
            "final_error": run.final_error,
            "drift_per_orbit": run.drift.slope,
            "drift_error": run.drift.error,
            "bits_lost": run.bits_lost,
        },
        errors=rounded(np.array([run.error])),
        forces_each=[run.forces],
    )


def _problem(case: Case, orbits: int) -> Problem:
    """Return a case with its own period, or that of its tightest pair; the figure-eight is run for a tenth of the orbits."""
    initial = case.initial
    rate = math.sqrt(initial.G or 1.0)
    period = _tightest_period(case) if initial.period is None else initial.period * rate
    wanted = orbits if case.name != "figure8" else max(1, orbits // 10)
    own = math.inf if case.family == "reference" else case.t_end * rate / period
    flat = [(0, 0), (0, 3 - initial.position.shape[1])]
    lifted = initial._replace(position=np.pad(initial.position, flat), velocity=np.pad(initial.velocity, flat))
    return Problem(replace(case, initial=lifted), period, min(float(wanted), own))


def _tightest_period(case: Case) -> float:
    """Return the period of the tightest pair, in the unit of time in which G = 1."""
    period = float(shortest_period(Systems.of(Suite(case.name, (case,))).start)[0])
    if not math.isfinite(period):
        raise ConfigError(
            f"{case.name}: no two bodies are bound at the start, so that there is no orbit to count; leave it out."
        )
    return period
