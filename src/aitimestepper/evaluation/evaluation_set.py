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
from ..simulate.length import are_sensitive
from ..simulate.progress import Watch
from .contenders import Contender, learned_rule, rule_named
from .own_errors import OwnReference, accurate_run, own_reference
from .runs import Systems, measure
from .statistics import share_error

LONG = "longrun"  # the family of runs of 1000 orbits, which are shortened to a hundred here
LONG_END = 100 * ORBIT
UNLIMITED_FORCES = 10_000_000  # limit of the forces of the EnergyBudget runs from which budgets follow
BUDGET_FACTOR = 8.0  # budget of a run over the forces that nine in ten runs of EnergyBudget stay below
LEAST_BUDGET = 50_000
WORST = math.log(1e4)  # ln of error over tolerance that is assigned to a run that broke off
SMALLEST_EXCESS = 1e-9  # lower limit of error over tolerance, before its logarithm is taken
# A problem counts at tolerances from this multiple of the error of Gauss-Radau on: three bodies from rest may meet so closely
# that rounding alone exceeds the tolerance, in any method (7 % of `slow3` at 1e-6, 11 % at 1e-8).
ABOVE_ROUNDING = 10.0


class EvaluationSet(NamedTuple):
    """P problems for an integrator, each to be solved to T tolerances."""

    integrator: str
    tolerances: tuple[float, ...]  # T tolerances for the relative energy error
    systems: Systems
    family: np.ndarray  # (P,) indices into `families`
    families: tuple[str, ...]
    budgets: tuple[tuple[int, ...], ...]  # largest number of force evaluations of a run, for every tolerance and family
    own: OwnReference | None = None  # what the own energies of bodies are compared with; None: the total counts alone
    rounding: np.ndarray | None = None  # (P,) the largest relative energy error of Gauss-Radau on chaotic problems, else 0

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
        systems = Systems.of(suite)
        reference = own_reference(systems, suite.regular, threads)
        rounding = rounding_errors(systems, suite.regular, threads)
        made = cls(integrator, tuple(tolerances), systems, suite.family_of, suite.families, (), reference, rounding)
        return made._replace(budgets=tuple(_budgets(made, tol, threads) for tol in tolerances))

    @property
    def order(self) -> int:
        """Order of the integrator."""
        return SPLITTINGS[self.integrator].order

    @property
    def sensitive(self) -> np.ndarray:
        """Which problems are sensitive systems, (P,) bool."""
        return are_sensitive(self.systems.start)

    def rows(self, index: np.ndarray) -> EvaluationSet:
        """Return the set with only the problems of these indices."""
        reference = None if self.own is None else self.own.rows(index)
        rounding = None if self.rounding is None else self.rounding[index]
        return self._replace(systems=self.systems.rows(index), family=self.family[index], own=reference, rounding=rounding)


class Scores(NamedTuple):
    """Force evaluations and errors of the runs of an evaluation set, with one row for each tolerance."""

    log_forces: np.ndarray  # (T, P) ln of the force evaluations
    # (T, P) ln of the larger one of the largest relative energy error and the largest error of a body's own energy, over the
    # tolerance
    log_excess: np.ndarray
    log_own_excess: np.ndarray | None = None  # (T, P) the same of the own energies alone; None: they were not measured


def rounding_errors(systems: Systems, regular: np.ndarray, threads: int) -> np.ndarray:
    """Return the largest relative energy errors of Gauss-Radau with its own rule, (P,); of regular problems 0."""
    found, chaotic = np.zeros(len(regular)), np.flatnonzero(~regular)
    if len(chaotic):
        error = accurate_run(systems.rows(chaotic), threads).max_energy_error
        found[chaotic] = np.where(np.isfinite(error), error, np.inf)
    return found


def _budgets(problems: EvaluationSet, tol: float, threads: int) -> tuple[int, ...]:
    """Return the budget of every family: `BUDGET_FACTOR` times the forces that nine in ten runs of EnergyBudget stay below."""
    rule = Contender(rule_named("energybudget"), "symmetrized", problems.integrator)
    found = []
    for k in range(len(problems.families)):
        rows = problems.systems.rows(np.flatnonzero(problems.family == k))
        forces = measure(rows, rule, rule.step_parameter(tol), UNLIMITED_FORCES, None, threads).forces
        found.append(max(LEAST_BUDGET, int(BUDGET_FACTOR * int(share_error(forces, 0.9)))))
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
    forces, excess, own_excess = (np.empty((len(problems.tolerances), len(problems.family))) for _ in range(3))
    for t, (tol, budgets) in enumerate(zip(problems.tolerances, problems.budgets, strict=True)):
        budget_of = np.array(budgets)[problems.family]
        for budget in np.unique(budget_of):  # families of one budget together
            rows = np.flatnonzero(budget_of == budget)
            part, parameter = problems.rows(rows), contender.step_parameter(tol)
            outcome = measure(part.systems, contender, parameter, budget, watch, threads, part.own)
            forces[t, rows] = np.log(outcome.forces)
            own_excess[t, rows] = _log_excess(outcome.own_error, tol, len(rows))
            excess[t, rows] = np.maximum(_log_excess(outcome.error, tol, len(rows)), own_excess[t, rows])
        if problems.rounding is not None:
            excess[t, ABOVE_ROUNDING * problems.rounding > tol] = math.log(SMALLEST_EXCESS)
    return Scores(forces, excess, None if problems.own is None else own_excess)


def _log_excess(error: np.ndarray | None, tol: float, problems: int) -> np.ndarray:
    """Return ln of error over tolerance between its limits, (P,); errors that were not measured are none."""
    error = np.zeros(problems) if error is None else error
    return np.log(np.maximum(error / tol, SMALLEST_EXCESS)).clip(max=WORST)
