"""Long runs: what is left of the energy, how fast it drifts, and whether a run finds its way back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..differentiable.loop import MAX_STEPS, OK
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError
from ..evaluation.contenders import CLASSICAL, Contender, Rule, contenders, rule_named
from ..evaluation.matched import OVERSPENT, matched_step_parameters
from ..evaluation.runs import Systems, forces_a_step
from ..initial.suites import Case, Suite, make_suite, reference_case
from ..simulate.batch import Watch
from ..simulate.engine import simulate
from ..simulate.methods import method_from
from ..simulate.result import SimulationResult
from .drift import Drift, drift_of
from .parallel import Tell, part_by_part
from .records import Partial, Record, quantiles, rounded
from .steps import part_name

REFERENCES = ("kepler0.5", "kepler0.9", "kepler0.99", "figure8")
BITS = 53  # of a float
# Rows of output in a period: an irrational number (the cube of the golden ratio), so that rows meet all phases of an orbit
# evenly; a whole number of them would see the same few phases again and again, and take a beat with the orbit for a drift.
ROWS_A_PERIOD = ((1 + math.sqrt(5)) / 2) ** 3
LEAST_ROWS = 4096  # of a run: figure-eights are few, but their blocks shall be as full


class Problem(NamedTuple):
    """A case, and how its time is counted."""

    case: Case
    period: float  # in the unit of time in which G = 1
    periods: float

    @property
    def end(self) -> float:
        """When a run ends."""
        return self.period * self.periods


@dataclass(frozen=True)
class LongrunPlan:
    """What to measure."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule_named(name) for name in CLASSICAL])
    variants: Sequence[str] = ("plain", "symmetrized")
    integrators: Sequence[str] = ("leapfrog",)
    higher: Sequence[str] = ("kahan_li6",)  # integrators for time-symmetric steps only
    also: Sequence[Contender] = field(default_factory=lambda: [Contender(rule_named("constant"), "plain", "logh")])
    references: Sequence[str] = REFERENCES
    count: int = 3  # problems of the family `longrun`
    split: str = "test"
    orbits: int = 1000  # of every problem, at most; a tenth of them of the figure-eight
    forces: float = 500.0  # a period, for everyone
    threads: int | None = None

    def parts(self) -> list[Contender]:
        """Who is measured."""
        others = contenders(self.rules, ("symmetrized",), self.higher)
        return [*contenders(self.rules, self.variants, self.integrators), *others, *self.also]

    def problems(self) -> list[Problem]:
        """The known ones, then those of the family, all with three axes."""
        family = make_suite(("longrun",), self.split, self.count).cases if self.count else ()
        cases = (*(reference_case(name) for name in self.references), *family)
        return [_problem(case, self.orbits) for case in cases]

    def quick(self) -> LongrunPlan:
        """A tenth as long, two problems of the family."""
        return replace(self, orbits=max(1, self.orbits // 10), count=min(self.count, 2))

    def checked(self) -> LongrunPlan:
        """The plan, or one sentence about what is wrong with it."""
        for name in (*self.integrators, *self.higher):
            method_from(name)
        for words, value, ok in (
            ("count", self.count, self.count >= 0 and self.count + len(self.references) > 0),
            ("orbits", self.orbits, self.orbits >= 1),
            ("forces", self.forces, 20 <= self.forces < math.inf),
            ("threads", self.threads, self.threads is None or self.threads >= 1),
        ):
            if not ok:
                raise ConfigError(
                    f"{words} = {value} is out of range (a problem or more, orbits >= 1, forces >= 20, threads >= 1)."
                )
        self.problems()
        return self

    def fingerprint(self) -> dict[str, Any]:
        """All that decides about the result."""
        return {
            "study": "longrun",
            "criteria": {rule.name: rule.checksum for rule in self.rules},
            "contenders": [part_name(contender) for contender in self.parts()],
            "problems": [problem.case.name for problem in self.problems()],
            "orbits": self.orbits,
            "forces": self.forces,
        }


def long_runs(plan: LongrunPlan, partial: Partial, tell: Tell) -> Iterator[list[Record]]:
    """The records of one contender after the other, one for each problem; finished ones are not measured again."""
    problems = plan.problems()
    cases = tuple(replace(problem.case, t_end=problem.end / math.sqrt(problem.case.bodies.G or 1.0)) for problem in problems)
    systems = Systems.of(Suite("longrun", cases))

    def work(contender: Contender, watch: Watch) -> list[Record]:
        wanted = np.array([plan.forces * problem.periods for problem in problems])
        step_parameters, _ = matched_step_parameters(systems, contender, wanted, watch)
        ones = [systems.rows(np.array([i])) for i in range(len(problems))]
        runs = [
            there_and_back(ones[i], contender, step_parameters[i], problems[i], wanted[i], watch) for i in range(len(problems))
        ]
        return [_record(plan, contender, step_parameters[i], problems[i], run) for i, run in enumerate(runs)]

    yield from part_by_part(plan.parts(), work, part_name, partial, plan.threads, tell)


class LongRun(NamedTuple):
    """One run of one problem."""

    error: float  # largest relative energy error; infinite: the run broke off
    final_error: float
    forces: float
    drift: Drift  # of the relative energy error, a period
    bits_lost: float  # by running back; NaN: it did not get there
    unfinished: bool
    wall_time: float


def there_and_back(
    one: Systems, contender: Contender, step_parameter: float, problem: Problem, forces: float, watch: Watch | None = None
) -> LongRun:
    """Run to the end, turn all velocities round, run back as long, and see how far from the start that is.

    What is lost is what a user loses: the last step on either way is cut to reach its end, and the way back begins with
    fresh memory (a symmetrized step with the step that the rule gives there, compensated sums with no rest). `forces`: what
    a run should about cost; one that costs four times as much is stopped.
    """
    step_parameters = torch.full((1,), float(step_parameter), dtype=torch.float64)
    criterion = contender.criterion(step_parameters, one.start)
    series = _EnergySeries()
    most = int(OVERSPENT * forces) // forces_a_step(contender) + 1000

    def run(start: ParticleTorch, **output: Any) -> SimulationResult:
        how: dict[str, Any] = {"max_steps": most, "threads": 1, "progress": watch or False, **output}
        return simulate(start, t_end=start.time + one.ends, criterion=criterion, integrator=contender.integrator, **how)

    every = min(problem.period / ROWS_A_PERIOD, problem.end / LEAST_ROWS)
    there = run(one.start, sinks=(series.take,), output_every=every)
    ok = there.status[0] == OK
    bits = math.nan
    if ok:
        turned = replace(there.final, velocity=-there.final.velocity, time=torch.zeros_like(there.final.time))
        back = run(turned)
        bits = bits_lost(one.start, back.final) if back.status[0] == OK else math.nan
    return LongRun(
        error=there.max_energy_error.item() if ok else math.inf,
        final_error=there.final_energy_error.item() if ok else math.inf,
        forces=float(there.force_evaluations.item()),
        drift=series.drift(problem.period) if ok else Drift(math.nan, math.nan),
        bits_lost=bits,
        unfinished=there.status[0] == MAX_STEPS,
        wall_time=there.wall_time,
    )


def bits_lost(start: ParticleTorch, back: ParticleTorch) -> float:
    """How many of the 53 bits of positions and velocities are gone: the larger relative distance, in powers of two over
    2^-53. Beyond 53 the system came back to another place altogether."""

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a - b).norm() / a.norm())

    distance = max(apart(start.position, back.position), apart(start.velocity, -back.velocity))
    return max(0.0, math.log2(distance) + BITS) if distance > 0 else 0.0


class _EnergySeries:
    """A sink: signed relative energy error along a run of one system."""

    def __init__(self) -> None:
        self.time: list[np.ndarray] = []
        self.energy: list[np.ndarray] = []

    def take(self, _: Any, rows: dict[str, np.ndarray]) -> None:
        """Rows of output, (S, 1)."""
        there = np.isfinite(rows["time"][:, 0])
        self.time.append(rows["time"][there, 0])
        self.energy.append(rows["energy"][there, 0])

    def drift(self, period: float) -> Drift:
        """Per period."""
        time, energy = np.concatenate(self.time), np.concatenate(self.energy)
        return drift_of(time / period, (energy - energy[0]) / abs(energy[0]))


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
    """Periods are those of the tightest pair; the figure-eight knows its own, and is run for a tenth of them."""
    bodies = case.bodies
    rate = math.sqrt(bodies.G or 1.0)
    period = bodies.period * rate if bodies.period is not None else shortest_period(case) * rate
    wanted = orbits if case.name != "figure8" else max(1, orbits // 10)
    own = math.inf if case.family == "reference" else case.t_end * rate / period
    flat = [(0, 0), (0, 3 - bodies.position.shape[1])]
    lifted = bodies._replace(position=np.pad(bodies.position, flat), velocity=np.pad(bodies.velocity, flat))
    return Problem(replace(case, bodies=lifted), period, min(float(wanted), own))


def shortest_period(case: Case) -> float:
    """Of the orbits on which pairs of bodies would be by themselves."""
    bodies = case.bodies
    i, j = np.triu_indices(len(bodies.mass), 1)
    gm = (bodies.G or 1.0) * (bodies.mass[i] + bodies.mass[j])
    r = np.linalg.norm(bodies.position[i] - bodies.position[j], axis=1)
    v2 = ((bodies.velocity[i] - bodies.velocity[j]) ** 2).sum(1)
    inverse = 2 / r - v2 / gm  # 1 / semi-major axis
    if not (inverse > 0).any():
        raise ConfigError(
            f"{case.name}: no two bodies are bound at the start, so that there is no orbit to count; leave it out."
        )
    bound = inverse > 0
    return float((2 * math.pi / np.sqrt(gm[bound] * inverse[bound] ** 3)).min())
