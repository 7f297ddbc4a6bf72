"""What a network is judged by: problems, each with the tolerance it is to be solved to, and how its runs of them went."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..criteria.base import AbstractStepCriterion, Symmetrized
from ..criteria.learned import LearnedStep
from ..initial.families import ORBIT, STANDARD, Family
from ..initial.suites import make_suite
from ..integrators import COMPOSITIONS
from ..simulate.batch import Watch
from .contenders import Contender, learned_rule, rule_named
from .runs import Systems, measure, share_error

LONG = "longrun"  # runs of 1000 orbits; at the exams of a hundred
LONG_END = 100 * ORBIT
MOST = 1_000_000  # forces of a run of EnergyBudget, when budgets are made
ROOM = 8.0  # a run may take so many times the forces of nine in ten runs of EnergyBudget
WORST = math.log(1e4)  # ln of error over tolerance: a run that broke off counts as so bad


class EvaluationSet(NamedTuple):
    """P problems for an integrator; each is asked at every tolerance."""

    integrator: str
    tolerances: tuple[float, ...]
    systems: Systems
    family: np.ndarray  # (P,) numbers into `families`
    families: tuple[str, ...]
    budgets: tuple[tuple[int, ...], ...]  # most forces of a run, for every tolerance, of each family

    @property
    def order(self) -> int:
        """Of the integrator."""
        return COMPOSITIONS[self.integrator].order

    def rows(self, index: np.ndarray) -> EvaluationSet:
        """Some of the problems."""
        return self._replace(systems=self.systems.rows(index), family=self.family[index])


class Scores(NamedTuple):
    """How it went: one row a tolerance."""

    log_forces: np.ndarray  # (T, P)
    log_excess: np.ndarray  # (T, P) ln of the largest error over the tolerance


def evaluation_set(
    integrator: str,
    tolerances: Sequence[float],
    split: str,
    count: int,
    families: Sequence[str] = STANDARD,
    own: Mapping[str, Family] | None = None,
    first: int = 0,
    threads: int = 1,
) -> EvaluationSet:
    """`count` problems of each family, from number `first` of the split on; what EnergyBudget needs sets the budgets."""
    suite = make_suite(families, split, count, 3, own, first)
    cases = tuple(replace(c, t_end=min(c.t_end, LONG_END)) if c.family == LONG else c for c in suite.cases)
    suite = replace(suite, cases=cases)
    made = EvaluationSet(integrator, tuple(tolerances), Systems.of(suite), suite.family_of, suite.families, ())
    return made._replace(budgets=tuple(_budgets(made, tol, threads) for tol in tolerances))


def _budgets(what: EvaluationSet, tol: float, threads: int) -> tuple[int, ...]:
    """Of every family: `ROOM` times what EnergyBudget needs for nine in ten of its runs."""
    known = Contender(rule_named("energybudget"), "symmetrized", what.integrator)
    found = []
    for k in range(len(what.families)):
        rows = what.systems.rows(np.flatnonzero(what.family == k))
        forces = measure(rows, known, known.step_parameter(tol), MOST, None, threads).forces
        found.append(int(ROOM * int(share_error(forces, 0.9))))
    return tuple(found)


def evaluate(
    step: LearnedStep,
    what: EvaluationSet,
    watch: Watch | None = None,
    threads: int = 1,
    wrap: Callable[[LearnedStep], AbstractStepCriterion] = Symmetrized,
    told: float = 1.0,
) -> Scores:
    """The exam, by a learned step made time-symmetric (or wrapped as `wrap` says), asked for `told` times each tolerance."""
    rule = learned_rule(step)._replace(make=lambda tol, *_: wrap(step.at_tolerance(told * tol)))
    contender = Contender(rule, "plain", what.integrator)
    forces, excess = (np.empty((len(what.tolerances), len(what.family))) for _ in range(2))
    for t, (tol, budgets) in enumerate(zip(what.tolerances, what.budgets, strict=True)):
        for budget in sorted({*budgets}):  # families of one budget together
            rows = np.flatnonzero(np.isin(what.family, [k for k, b in enumerate(budgets) if b == budget]))
            done = measure(what.systems.rows(rows), contender, contender.step_parameter(tol), budget, watch, threads)
            forces[t, rows] = np.log(done.forces)
            excess[t, rows] = np.log(np.maximum(done.error / tol, 1e-9)).clip(max=WORST)
    return Scores(forces, excess)
