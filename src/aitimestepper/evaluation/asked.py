"""Asked and got: runs of one problem by several ways to choose steps, each asked for the same energy errors.

Classical rules have no tolerance. Each gets one by calibration on problems of the training families: the largest steps with
which nine in ten of them are within it. Nothing is chosen on the problem itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.learned import LearnedStep
from ..initial.draws import Family
from ..initial.suites import make_suite
from ..simulate.engine import simulate
from ..simulate.result import OK
from .calibration import calibrated_step_parameter
from .contenders import Contender, rule_named
from .runs import Systems
from .sweep import sweep_parameters

RULES = ("freefall", "hutmakino", "boekholt", "prs23", "energybudget")
SHARE = 0.9  # fraction of the training problems that are within a tolerance after calibration
PROBLEMS = 12  # problems of each family to calibrate on
FIRST = 30_000  # number of the first of them in the split `train`
BUDGET = 200_000  # largest number of force evaluations of a run
MAX_STEPS = 1_000_000


class Answer(NamedTuple):
    """One run that was asked for an energy error."""

    label: str
    tol: float  # asked
    error: float  # got: the largest relative energy error; infinite for a run that broke off
    forces: float

    @property
    def within(self) -> bool:
        """Whether it got what was asked."""
        return self.error <= self.tol


class CalibratedRule(NamedTuple):
    """A classical rule, time-symmetric, with the step parameter that it needs for each tolerance (NaN: none was found)."""

    contender: Contender
    step_parameter: dict[float, float]


def calibrated_rules(
    integrator: str,
    families: Sequence[str],
    tolerances: Sequence[float],
    own: Mapping[str, Family] | None = None,
    problems: int = PROBLEMS,
) -> list[CalibratedRule]:
    """Return the classical rules, calibrated on problems of the families that no training uses."""
    systems = Systems.of(make_suite(families, "train", problems, 3, own, FIRST))
    found = []
    for name in RULES:
        contender = Contender(rule_named(name), "symmetrized", integrator)
        sweep = sweep_parameters(systems, contender, tolerances, BUDGET, SHARE)
        found.append(CalibratedRule(contender, {tol: calibrated_step_parameter(sweep, tol, SHARE) for tol in tolerances}))
    return found


def answers_of_rule(rule: CalibratedRule, bodies: Bodies, t_end: float, tolerances: Sequence[float]) -> list[Answer]:
    """Return the run of a calibrated rule at each tolerance that it was calibrated for."""
    contender = rule.contender

    def criterion(tol: float) -> Criterion:
        return contender.criterion(rule.step_parameter[tol], bodies)

    asked = [tol for tol in tolerances if math.isfinite(rule.step_parameter[tol])]
    return _answers(contender.rule.name, bodies, t_end, asked, criterion, contender.integrator)


def answers_of_network(
    label: str, step: LearnedStep, bodies: Bodies, t_end: float, tolerances: Sequence[float]
) -> list[Answer]:
    """Return the run of a network at each tolerance, as it was calibrated."""
    return _answers(label, bodies, t_end, tolerances, step.at_tolerance)


def answers_of_package(label: str, bodies: Bodies, t_end: float, tolerances: Sequence[float]) -> list[Answer]:
    """Return the run that a tolerance alone makes."""
    return _answers(label, bodies, t_end, tolerances, lambda tol: LearnedStep(None, tol))


def _answers(
    label: str,
    bodies: Bodies,
    t_end: float,
    tolerances: Sequence[float],
    criterion_at: Callable[[float], Criterion],
    integrator: str = "auto",
) -> list[Answer]:
    found = []
    for tol in tolerances:
        done = simulate(
            bodies,
            t_end=t_end,
            criterion=criterion_at(tol),
            integrator=integrator,
            max_steps=MAX_STEPS,
            warn=False,
        )
        error = float(done.max_energy_error[0]) if done.status[0] == OK else np.inf
        found.append(Answer(label, tol, error, float(done.force_evaluations[0])))
    return found
