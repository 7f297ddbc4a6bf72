"""Work and precision: the number of force evaluations that an energy error costs under every rule for the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.classical import PRS23, Boekholt, Constant, FreeFall, HutMakino, Tidal
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Symmetrized
from ..errors import UserError
from ..evaluation.runs import first_steps
from ..evaluation.statistics import crossing
from ..simulate.engine import simulate
from ..simulate.recording import TrajectoryRecorder
from ..simulate.result import OK

POINTS = 6
MAX_STEPS = 10_000
# free-fall steps from 40 to 1300 a circular orbit
COARSEST, FINEST = 0.16, 0.005
CriterionOf = Callable[[np.ndarray], Criterion]


@dataclass(frozen=True)
class Curve:
    """Runs of one rule that differ in one parameter, the cheapest first; errors are relative energy errors."""

    label: str
    force_evaluations: np.ndarray  # (n,)
    max_error: np.ndarray  # (n,) largest over the run
    final_error: np.ndarray  # (n,)
    learned: bool = False
    symmetrized: bool = False


def work_precision(
    bodies: Bodies,
    t_end: float,
    label: str,
    criterion_of: CriterionOf,
    parameters: np.ndarray,
    learned: bool = False,
    *,
    integrator: str = "auto",
    max_steps: int = MAX_STEPS,
) -> Curve:
    """Return the curve of one rule: one run of the system to `t_end` per entry of `parameters` (n,), all as one batch.

    `criterion_of(parameters)` makes the rule with a parameter per system. Runs that did not reach `t_end` are left out.
    """
    _check(bodies, t_end)
    batch = bodies.select(np.zeros(len(parameters), dtype=int))
    criterion = criterion_of(parameters)
    result = simulate(batch, t_end=t_end, criterion=criterion, integrator=integrator, max_steps=max_steps, warn=False)
    forces = result.force_evaluations.astype(float)
    ended = np.flatnonzero([status == OK for status in result.status])
    rows = ended[np.argsort(forces[ended], kind="stable")]
    largest, final = result.max_energy_error[rows], result.final_energy_error[rows]
    return Curve(label, forces[rows], largest, final, learned, isinstance(criterion, Symmetrized))


def _check(bodies: Bodies, t_end: float) -> None:
    if len(bodies) != 1:
        raise UserError(f"a comparison needs one system, not a batch of {len(bodies)}; select one of them.")
    if not t_end > bodies.time[0]:
        raise UserError(f"a comparison until t_end = {t_end} takes no time: the system is at t = {bodies.time[0]:g} already.")


def classical_rules() -> dict[str, tuple[type[Criterion], bool]]:
    """Return (class, symmetrized) by label of every rule that a learned one is measured against."""
    plain: list[type[Criterion]] = [Constant, FreeFall, HutMakino, Tidal, PRS23, Boekholt]
    rules = {c.__name__: (c, False) for c in plain}
    return rules | {f"{c.__name__}, symmetrized": (c, True) for c in (FreeFall, Boekholt)}


def classical_curves(
    bodies: Bodies,
    t_end: float,
    *,
    points: int = POINTS,
    integrator: str = "leapfrog",
    max_steps: int = MAX_STEPS,
) -> list[Curve]:
    """Return the curves of all classical rules on one system, each with `points` parameters.

    All rules use the same range of force evaluations. The number of steps of a rule with parameter 1 is measured along one
    coarse run, so that the range fits any problem.
    """
    pilot = _Pilot(bodies, t_end, integrator, max_steps)
    budgets = pilot.budgets(points)
    limits: dict[str, Any] = {"integrator": integrator, "max_steps": max_steps}
    return [
        work_precision(bodies, t_end, label, _maker(kind, symmetrized), pilot.parameters(kind, budgets), **limits)
        for label, (kind, symmetrized) in classical_rules().items()
    ]


def learned_curve(
    bodies: Bodies,
    t_end: float,
    step: LearnedStep,
    label: str = "learned",
    *,
    symmetrized: bool = False,
    points: int = POINTS,
    max_steps: int = MAX_STEPS,
) -> Curve:
    """Return the curve of the learned step on one system, over the range of force evaluations of the classical rules.

    The step is a power of the tolerance; the number of steps at the tolerance of `step` is measured by one run.
    """
    budgets = _Pilot(bodies, t_end, step.bound_model.config.integrator, max_steps).budgets(points)
    first = simulate(bodies, t_end=t_end, criterion=step, max_steps=max_steps, warn=False)
    covered = float(first.final.time[0] - bodies.time[0]) / (t_end - float(bodies.time[0]))
    steps = float(first.steps[0]) / max(covered, 1e-12)
    tolerances = step.values(1) * (steps / budgets) ** (1.0 / step.exponent)

    def criterion_of(tol: np.ndarray) -> Criterion:
        made = step.at_tolerance(tol)
        return Symmetrized(made) if symmetrized else made

    return work_precision(bodies, t_end, label, criterion_of, tolerances, learned=True, max_steps=max_steps)


def _maker(kind: Any, symmetrized: bool) -> CriterionOf:
    return lambda value: Symmetrized(kind(value)) if symmetrized else kind(value)


class _Pilot:
    """One coarse run, along which the number of steps of any rule is estimated."""

    def __init__(self, bodies: Bodies, t_end: float, integrator: str, max_steps: int) -> None:
        _check(bodies, t_end)
        recorder = TrajectoryRecorder(limit=max_steps + 1)
        simulate(
            bodies,
            t_end=t_end,
            criterion=Symmetrized(FreeFall(0.05)),
            integrator=integrator,
            max_steps=max_steps,
            output_steps=1,
            sinks=(recorder.take,),
            warn=False,
        )
        run = recorder.trajectory()
        self.lengths = np.diff(run.time)  # (S,) time from each state to the next
        self.states = bodies.replace(
            mass=run.mass,
            position=run.position[:-1],
            velocity=run.velocity[:-1],
            time=run.time[:-1],
            present=None,
            names=None,
        )
        # a run that stopped early is extrapolated to t_end
        self.whole = (t_end - float(bodies.time[0])) / float(self.lengths.sum())
        self.max_steps = max_steps

    def steps_at_one(self, kind: Any) -> float:
        """Return the number of steps of a rule with parameter 1: the time over its step, summed along the run."""
        return self.whole * float((self.lengths / first_steps(self.states, kind(1.0))).sum())

    def budgets(self, points: int) -> np.ndarray:
        """Return the numbers of steps, from few to many, at which every rule is measured, (points,)."""
        free_fall = self.steps_at_one(FreeFall)
        most = min(free_fall / FINEST, 0.8 * self.max_steps)
        least = min(free_fall / COARSEST, most / 8)
        return np.geomspace(least, most, points)

    def parameters(self, kind: Any, budgets: np.ndarray) -> np.ndarray:
        """Return the parameters with which the rule takes `budgets` steps, (points,)."""
        return np.asarray((self.steps_at_one(kind) / budgets) ** (1.0 / kind(1.0).exponent))


def forces_at_error(curve: Curve, error: float) -> float:
    """Return the force evaluations above which the largest error stays at or below `error`, by log-log interpolation.

    It is nan where the runs do not enclose the error: all of them are above, or all below. A single run that happens to be
    better than finer ones does not count.
    """
    return crossing(curve.force_evaluations, curve.max_error, error)


def error_at_forces(curve: Curve, forces: float) -> float:
    """Return the energy error at the end of a run of `forces` evaluations, by log-log interpolation; nan outside the runs."""
    x = curve.force_evaluations
    if not len(x) or not x[0] <= forces <= x[-1]:
        return math.nan
    return float(np.exp(np.interp(math.log(forces), np.log(x), np.log(np.maximum(curve.final_error, np.finfo(float).tiny)))))
