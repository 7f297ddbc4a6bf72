"""Evaluation sets: problems, each with tolerances to solve it to, and cost and errors of a network's runs of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Symmetrized
from ..initial.draws import ORBIT, Family
from ..initial.families import STANDARD
from ..initial.suites import make_suite
from ..integrators import SPLITTINGS
from ..simulate.progress import Watch
from .contenders import Contender, learned_rule, rule_named
from .runs import Systems, measure
from .statistics import share_error

LONG = "longrun"  # the family of runs of 1000 orbits, which are shortened to a hundred here
LONG_END = 100 * ORBIT
UNLIMITED_FORCES = 1_000_000  # limit of the forces of the EnergyBudget runs from which budgets follow
BUDGET_FACTOR = 8.0  # budget of a run over the forces that nine in ten runs of EnergyBudget stay below
WORST = math.log(1e4)  # ln of error over tolerance that is assigned to a run that broke off
SMALLEST_EXCESS = 1e-9  # lower limit of error over tolerance, before its logarithm is taken


class EvaluationSet(NamedTuple):
    """P problems for an integrator, each to be solved to T tolerances."""

    integrator: str
    tolerances: tuple[float, ...]  # T tolerances for the relative energy error
    systems: Systems
    family: np.ndarray  # (P,) indices into `families`
    families: tuple[str, ...]
    budgets: tuple[tuple[int, ...], ...]  # largest number of force evaluations of a run, for every tolerance and family

    @classmethod
    def make(
        cls,
        integrator: str,
        tolerances: Sequence[float],
        split: str,
        count: int,
        families: Sequence[str] = STANDARD,
        own: Mapping[str, Family] | None = None,
        first: int = 0,
        threads: int = 1,
    ) -> EvaluationSet:
        """Return `count` problems of each family, from number `first` of the split on.

        Runs of EnergyBudget on them set the budgets. `own` holds families besides those of the package.
        """
        suite = make_suite(families, split, count, 3, own, first)
        cases = tuple(replace(c, t_end=min(c.t_end, LONG_END)) if c.family == LONG else c for c in suite.cases)
        suite = replace(suite, cases=cases)
        made = cls(integrator, tuple(tolerances), Systems.of(suite), suite.family_of, suite.families, ())
        return made._replace(budgets=tuple(_budgets(made, tol, threads) for tol in tolerances))

    @property
    def order(self) -> int:
        """Order of the integrator."""
        return SPLITTINGS[self.integrator].order

    def rows(self, index: np.ndarray) -> EvaluationSet:
        """Return the set with only the problems of these indices."""
        return self._replace(systems=self.systems.rows(index), family=self.family[index])


class Scores(NamedTuple):
    """Force evaluations and errors of the runs of an evaluation set, with one row for each tolerance."""

    log_forces: np.ndarray  # (T, P) ln of the force evaluations
    log_excess: np.ndarray  # (T, P) ln of the largest relative energy error over the tolerance


def _budgets(problems: EvaluationSet, tol: float, threads: int) -> tuple[int, ...]:
    """Return the budget of every family: `BUDGET_FACTOR` times the forces that nine in ten runs of EnergyBudget stay below."""
    rule = Contender(rule_named("energybudget"), "symmetrized", problems.integrator)
    found = []
    for k in range(len(problems.families)):
        rows = problems.systems.rows(np.flatnonzero(problems.family == k))
        forces = measure(rows, rule, rule.step_parameter(tol), UNLIMITED_FORCES, None, threads).forces
        found.append(int(BUDGET_FACTOR * int(share_error(forces, 0.9))))
    return tuple(found)


def evaluate(
    step: LearnedStep,
    problems: EvaluationSet,
    watch: Watch | None = None,
    threads: int = 1,
    wrap: Callable[[LearnedStep], Criterion] = Symmetrized,
    factor: float = 1.0,
) -> Scores:
    """Run all problems with a learned step at every tolerance, made time-symmetric or wrapped by `wrap`.

    The step is asked for `factor` times each tolerance; its errors are measured against the tolerance itself.
    """
    rule = learned_rule(step)._replace(make=lambda tol, *_: wrap(step.at_tolerance(factor * tol)))
    contender = Contender(rule, "plain", problems.integrator)
    forces, excess = (np.empty((len(problems.tolerances), len(problems.family))) for _ in range(2))
    for t, (tol, budgets) in enumerate(zip(problems.tolerances, problems.budgets, strict=True)):
        budget_of = np.array(budgets)[problems.family]
        for budget in np.unique(budget_of):  # families of one budget together
            rows = np.flatnonzero(budget_of == budget)
            outcome = measure(problems.systems.rows(rows), contender, contender.step_parameter(tol), budget, watch, threads)
            forces[t, rows] = np.log(outcome.forces)
            excess[t, rows] = np.log(np.maximum(outcome.error / tol, SMALLEST_EXCESS)).clip(max=WORST)
    return Scores(forces, excess)
