"""What a network is judged by: problems, each with the tolerance it is to be solved to, and how its runs of them went."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..bench.contenders import Contender, Rule, learned_rule, rule_named
from ..bench.runs import Systems, measure, share_error
from ..criteria.base import AbstractStepCriterion, Symmetrized
from ..criteria.learned import LearnedStep
from ..io.families import ORBIT, STANDARD, Family
from ..io.suites import Suite, make_suite
from ..simulate.compiled import Watch

LONG = "longrun"  # runs of 1000 orbits; at the exams of a hundred
LONG_END = 100 * ORBIT
LONG_MOST = 100_000  # forces: where nine in ten long runs of EnergyBudget need more, there are none
ROOM = 8.0  # a run may take so many times the forces of nine in ten runs of EnergyBudget
WORST = math.log(1e4)  # ln of error over tolerance: a run that broke off counts as so bad


class Exam(NamedTuple):
    """P problems for an integrator; each is asked at every tolerance, long runs where they can be afforded."""

    integrator: str
    order: int
    tolerances: tuple[float, ...]
    systems: Systems
    family: np.ndarray  # (P,) numbers into `families`
    families: tuple[str, ...]
    budgets: tuple[tuple[int, ...], ...]  # most forces of a run, for every tolerance, of each family; 0: none is made

    def rows(self, index: np.ndarray) -> Exam:
        """Some of the problems."""
        return self._replace(systems=self.systems.rows(index), family=self.family[index])


class Marks(NamedTuple):
    """How it went: one row a tolerance; NaN: not asked."""

    log_forces: np.ndarray  # (T, P)
    log_excess: np.ndarray  # (T, P) ln of the largest error over the tolerance


def exam(
    integrator: str,
    order: int,
    tolerances: Sequence[float],
    split: str,
    count: int,
    families: Sequence[str] = STANDARD,
    own: Mapping[str, Family] | None = None,
    first: int = 0,
    threads: int = 1,
) -> Exam:
    """`count` problems of each family, from number `first` of the split on; what EnergyBudget needs sets the budgets."""
    suites = [make_suite([f], split, count, 3, own, first) for f in families]
    cases = [replace(c, t_end=min(c.t_end, LONG_END)) if c.family == LONG else c for s in suites for c in s.cases]
    suite = Suite("exam", tuple(cases), split)
    made = Exam(integrator, order, tuple(tolerances), Systems.of(suite), suite.family_of, suite.families, ())
    return made._replace(budgets=tuple(_budgets(made, tol, threads) for tol in tolerances))


def _budgets(what: Exam, tol: float, threads: int) -> tuple[int, ...]:
    """Of every family: `ROOM` times what EnergyBudget needs for nine in ten of its runs."""
    known = Contender(rule_named("energybudget"), "symmetrized", what.integrator)
    found = []
    for k, name in enumerate(what.families):
        rows = what.systems.rows(np.flatnonzero(what.family == k))
        most = LONG_MOST if name == LONG else 1_000_000
        needed = int(share_error(measure(rows, known, known.dial(tol), most, None, threads).forces, 0.9))
        found.append(0 if name == LONG and needed >= LONG_MOST else int(ROOM * needed))
    return tuple(found)


def sit(
    step: LearnedStep,
    what: Exam,
    watch: Watch | None = None,
    threads: int = 1,
    wrap: Callable[[LearnedStep], AbstractStepCriterion] = Symmetrized,
) -> Marks:
    """The exam, by a learned step made time-symmetric (or wrapped as `wrap` says)."""
    rule = learned_rule(step)
    return sit_as(rule._replace(make=lambda tol, *_: wrap(step.at_tolerance(tol))), what, watch, threads, "plain")


def sit_as(rule: Rule, what: Exam, watch: Watch | None = None, threads: int = 1, variant: str = "symmetrized") -> Marks:
    """The exam, by any rule that takes a tolerance."""
    contender = Contender(rule, variant, what.integrator)
    forces, excess = [], []
    for tol, budgets in zip(what.tolerances, what.budgets, strict=True):
        spent, off = np.full(len(what.family), np.nan), np.full(len(what.family), np.nan)
        for budget in sorted({*budgets} - {0}):  # families of one budget together
            rows = np.flatnonzero(np.isin(what.family, [k for k, b in enumerate(budgets) if b == budget]))
            done = measure(what.systems.rows(rows), contender, contender.dial(tol), budget, watch, threads)
            spent[rows] = np.log(done.forces)
            off[rows] = np.log(np.maximum(done.error / tol, 1e-9)).clip(max=WORST)
        forces.append(spent)
        excess.append(off)
    return Marks(np.array(forces), np.array(excess))
