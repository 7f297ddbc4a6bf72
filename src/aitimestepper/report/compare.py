"""TrainingRun against precision: what an error costs, in force evaluations, under every rule for the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..criteria.base import AbstractStepCriterion, Symmetrized
from ..criteria.classical import PRS23, Boekholt, Constant, FreeFall, HutMakino, Tidal
from ..criteria.learned import LearnedStep
from ..differentiable.loop import OK
from ..differentiable.particle import ParticleTorch
from ..errors import UserError
from ..evaluation.runs import crossing
from ..simulate.engine import simulate

POINTS = 6
MAX_STEPS = 10_000
# free-fall steps from 40 to 1300 a circular orbit
COARSEST, FINEST = 0.16, 0.005
CriterionOf = Callable[[Tensor], AbstractStepCriterion]


@dataclass(frozen=True)
class Curve:
    """Runs of one rule with one parameter changed, the cheapest first; errors are relative, of the energy."""

    label: str
    force_evaluations: np.ndarray  # (n,)
    max_error: np.ndarray  # (n,) largest over the run
    final_error: np.ndarray  # (n,)
    learned: bool = False
    symmetrized: bool = False


class _Rule(NamedTuple):
    """What one curve is made of."""

    label: str
    criterion_of: CriterionOf
    parameters: Tensor  # (points,)
    learned: bool = False


def work_precision(
    particle: ParticleTorch,
    t_end: float,
    label: str,
    criterion_of: CriterionOf,
    parameters: Tensor,
    learned: bool = False,
    *,
    integrator: str = "auto",
    max_steps: int = MAX_STEPS,
) -> Curve:
    """The curve of one rule: one run of the system to `t_end` per entry of `parameters` (n,), all as one batch.

    `criterion_of(parameters)` makes the rule with a parameter per system. Runs that did not reach `t_end` are left out.
    """
    parameters = torch.atleast_1d(parameters)
    if integrator == "auto":
        integrator = criterion_of(parameters).integrator
    return _curve(particle, t_end, _Rule(label, criterion_of, parameters, learned), integrator, max_steps)


def _curve(particle: ParticleTorch, t_end: float, rule: _Rule, integrator: str, max_steps: int) -> Curve:
    """One run for each parameter, all as one batch."""
    _check(particle, t_end)
    batch = particle.select(torch.zeros(len(rule.parameters), dtype=torch.long, device=particle.time.device))
    criterion = rule.criterion_of(rule.parameters)
    result = simulate(batch, t_end=t_end, criterion=criterion, integrator=integrator, max_steps=max_steps)
    forces, largest, final = (
        np.asarray(x.cpu().double().numpy())
        for x in (result.force_evaluations, result.max_energy_error, result.final_energy_error)
    )
    ended = np.flatnonzero([status == OK for status in result.status])
    rows = ended[np.argsort(forces[ended], kind="stable")]
    return Curve(rule.label, forces[rows], largest[rows], final[rows], rule.learned, isinstance(criterion, Symmetrized))


def _check(particle: ParticleTorch, t_end: float) -> None:
    if len(particle) != 1:
        raise UserError(f"a comparison needs one system, not a batch of {len(particle)}; select one of them.")
    if not t_end > float(particle.time[0]):
        raise UserError(
            f"a comparison until t_end = {t_end} takes no time: the system is at t = {float(particle.time[0]):g} already."
        )


def classical_rules() -> dict[str, tuple[type[AbstractStepCriterion], bool]]:
    """Label -> (class, symmetrized) of every rule that a learned one is measured against."""
    plain: list[Any] = [Constant, FreeFall, HutMakino, Tidal, PRS23, Boekholt]
    rules = {c.__name__: (c, False) for c in plain}
    return rules | {f"{c.__name__}, symmetrized": (c, True) for c in (FreeFall, Boekholt)}


def classical_curves(
    particle: ParticleTorch,
    t_end: float,
    *,
    points: int = POINTS,
    integrator: str = "leapfrog",
    max_steps: int = MAX_STEPS,
) -> list[Curve]:
    """All classical rules on one system, each with `points` parameters that spend the same range of force evaluations.

    How many steps a rule takes with parameter 1 is measured along one coarse run, so that the range fits any problem.
    """
    pilot = _Pilot(particle, t_end, integrator, max_steps)
    budgets = pilot.budgets(points)
    rules = [
        _Rule(label, _maker(kind, symmetrized), pilot.parameters(kind, budgets))
        for label, (kind, symmetrized) in classical_rules().items()
    ]
    return [_curve(particle, t_end, rule, integrator, max_steps) for rule in rules]


def learned_curve(
    particle: ParticleTorch,
    t_end: float,
    step: LearnedStep,
    label: str = "learned",
    *,
    symmetrized: bool = False,
    points: int = POINTS,
    max_steps: int = MAX_STEPS,
) -> Curve:
    """The learned step on one system, at tolerances that spend the same range of force evaluations as the classical rules.

    Steps go with a power of the tolerance; how many it takes as it is is measured by one run.
    """
    budgets = _Pilot(particle, t_end, step.integrator, max_steps).budgets(points)
    as_it_is = simulate(particle, t_end=t_end, criterion=step, max_steps=max_steps)
    length = float(as_it_is.final.time[0] - particle.time[0]) / (t_end - float(particle.time[0]))
    steps = int(as_it_is.steps[0]) / max(length, 1e-12)
    tolerances = step.tol * (steps / budgets) ** (1.0 / step.exponent)

    def criterion_of(tol: Tensor) -> AbstractStepCriterion:
        made = step.at_tolerance(tol)
        return Symmetrized(made) if symmetrized else made

    return work_precision(particle, t_end, label, criterion_of, tolerances, learned=True, max_steps=max_steps)


def _maker(kind: Any, symmetrized: bool) -> CriterionOf:
    return lambda value: Symmetrized(kind(value)) if symmetrized else kind(value)


class _Pilot:
    """One coarse run, and how many steps any rule would take along it."""

    def __init__(self, particle: ParticleTorch, t_end: float, integrator: str, max_steps: int) -> None:
        _check(particle, t_end)
        seen: list[ParticleTorch] = []
        rule = Symmetrized(FreeFall(0.05))
        simulate(
            particle,
            t_end=t_end,
            criterion=rule,
            integrator=integrator,
            max_steps=max_steps,
            observer=lambda before, after, *_: seen.append(before.clone_detached().update_dt(after.dt)),
        )
        self.states = ParticleTorch.stack(seen)
        # a run that was cut short stands for the rest
        self.whole = (t_end - float(particle.time[0])) / float(self.states.dt.sum())
        self.max_steps = max_steps

    def steps_at_one(self, kind: Any) -> float:
        """Steps of the rule with parameter 1: the time over its step, summed along the run."""
        return self.whole * float((self.states.dt / kind(1.0).step_size(self.states, None)).sum())

    def budgets(self, points: int) -> Tensor:
        """(points,) numbers of steps, from coarse to fine, that every rule is given."""
        free_fall = self.steps_at_one(FreeFall)
        most = min(free_fall / FINEST, 0.8 * self.max_steps)
        least = min(free_fall / COARSEST, most / 8)
        return torch.logspace(math.log10(least), math.log10(most), points, dtype=torch.float64)

    def parameters(self, kind: Any, budgets: Tensor) -> Tensor:
        """(points,) parameters with which the rule spends `budgets`."""
        return (self.steps_at_one(kind) / budgets) ** (1.0 / kind.exponent)


def forces_at_error(curve: Curve, error: float) -> float:
    """Force evaluations from which on the largest error stays at or below `error`, by log-log interpolation.

    nan where the runs do not say: all of them are above, or all below. Past a lucky run in between, the same for everyone.
    """
    return crossing(curve.force_evaluations, curve.max_error, error)


def error_at_forces(curve: Curve, forces: float) -> float:
    """The energy error at the end of a run that spends `forces`, by log-log interpolation; nan outside of the runs."""
    x = curve.force_evaluations
    if not len(x) or not x[0] <= forces <= x[-1]:
        return math.nan
    return float(np.exp(np.interp(math.log(forces), np.log(x), np.log(np.maximum(curve.final_error, np.finfo(float).tiny)))))
