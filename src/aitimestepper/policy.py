"""Choice of criterion and integrator: the one place that knows which is cheapest, and which tolerances a model covers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .criteria.base import Criterion, Numbers, each, positive_numbers
from .criteria.catalogue import CRITERIA, criterion_named
from .criteria.classical import PRS23, RADAU_EPSILON, ConstantByTrial, EnergyBudget, radau_eta
from .criteria.learned import DEFAULT, LearnedStep, covered, covers, nearest_covered, refuse_uncovered
from .criteria.wrappers import TIME_SYMMETRIC, Symmetrized, Wrapper, innermost
from .errors import CheckpointError, ConfigError, nearest_name_hint, shown
from .integrators import Integrator, integrator_named, like_splitting
from .models import find_model, is_shipped, shipped

DEFAULT_TOL = 1e-6
PRS23_ETA = 0.02  # eta of PRS23 with an integrator that is not radau15
# (tolerance, the cheapest splitting with a network above it), by force evaluations on the standard families of `validation`
# (`diagnostics/where_gauss_radau.py`). blanes_moan4 was calibrated down to 1e-6: of the worst family 88 % keep 7e-7, and 81 %
# keep 6e-7 and 4e-7. blanes_moan6 keeps 92 % there, with 0.98 of the forces in sensitive systems, and 1.15 in others.
CHEAPEST = ((2.5e-4, "chin4"), (7e-7, "blanes_moan4"), (0.0, "blanes_moan6"))
# The same for encounters of few bodies (`scatter`, `binaries`): from 1e-5 to 1e-6 blanes_moan6 takes 0.94 to 1.02 of the forces
# there, and keeps 100 % at 1e-5 instead of 91 %. It takes half as many steps, and choosing a step costs more than a step of few
# bodies: an encounter takes three quarters of the time (`benchmarks/ensemble_peers.py`).
OF_ENCOUNTERS = ((2.5e-4, "chin4"), (1e-5, "blanes_moan4"), (0.0, "blanes_moan6"))
# Its steps are symplectic up to dt^5 only: after 1000 orbits of e = 0.9 the error of a run at 1e-2 was 3.2 times the tolerance.
FOR_SHORT_RUNS = ("chin4",)
BUDGET_TOL = 1e-4  # of EnergyBudget, if neither it nor the run has a tolerance
# Below this Gauss-Radau is the cheapest (`diagnostics/where_gauss_radau.py`): over all families of `validation` a tolerance of
# 1e-7 takes 17,300 forces in sensitive systems and 12,900 in others with epsilon = 1e-6, and 19,100 and 12,600 with the learned
# blanes_moan6, in twice the time; 3.4e-7 takes 15,100 and 9,900 with the learned blanes_moan6.
RADAU_BELOW = 3.4e-7
# (tolerance, epsilon of Gauss-Radau from it on): in every family 92 % of the problems keep 1e-7, and 1e-8
RADAU_EPSILONS = ((8e-8, 1e-6), (5e-9, 3e-7))


class Kind(NamedTuple):
    """What counts for the choice of the integrator, of a run or of a batch of runs."""

    long: bool = False  # whether one has hundreds of orbits
    encounters: bool = False  # whether all are encounters of few bodies


ORDINARY = Kind()


class Choice(NamedTuple):
    """Criterion, integrator and tolerance of a run."""

    criterion: Criterion  # bound to the integrator
    integrator: Integrator
    tol: Numbers | None  # the relative energy error that the run is to stay below, if the criterion has one


def choose(
    criterion: Criterion | str | Path | None = None,
    tol: float | None = None,
    integrator: str = "auto",
    guard: bool = False,
    kind: Callable[[], Kind] = Kind,
) -> Choice:
    """Return criterion and integrator of a run, the criterion bound to the integrator.

    criterion: a value; text such as `freefall:eta=0.02`; a model file, a run folder or the name of a run; `default` or None:
    the step of `default_choice`. integrator: `auto` is the one that the criterion is made for, or the cheapest for `tol`.
    `tol` is the tolerance of a criterion that has a calibrated one; beside others it is an error, unless `guard` uses it. kind:
    a function that returns the kind of the run; it is called only where the integrator depends on it.
    """
    value = _as_value(criterion)
    if tol is not None:
        value = with_tolerance(value, tol, guard)
    if isinstance(value, LearnedStep) and value.model is None:
        return default_choice(DEFAULT_TOL if value.tol is None else value.tol, integrator, value.symmetrized, kind)
    method = integrator_named(_default_integrator(value) if integrator == "auto" else integrator)
    if not value.serves(method.name):
        raise ConfigError(
            f"{_called(value)} is made for integrator = {innermost(value).made_for}, not for {method}: leave the integrator "
            "out, or choose the steps in another way."
        )
    bound = bind(value, method.name)
    inner = innermost(bound)
    if tol is not None and isinstance(inner, LearnedStep) and inner.calibrated and inner.tol is not None:
        refuse_uncovered(inner.bound_model, inner.tol)
    return Choice(bound, method, bound.tolerance)


def coverage(criterion: Criterion) -> tuple[float, float] | None:
    """Return the tolerances that the network of a bound criterion covers; None if it has no calibrated network."""
    inner = innermost(criterion)
    return covered(inner.bound_model) if isinstance(inner, LearnedStep) and inner.bound_model.calibration else None


def goes_to_rounding(choice: Choice) -> bool:
    """Return whether steps are at the limit of double precision already, so that no smaller tolerance changes them."""
    criterion = choice.criterion
    return isinstance(criterion, PRS23) and criterion.eta == radau_eta(RADAU_EPSILON) and choice.integrator.name == "radau15"


def _called(criterion: Criterion) -> str:
    inner = innermost(criterion)
    return "the network" if isinstance(inner, LearnedStep) else inner.name


def _as_value(criterion: Criterion | str | Path | None) -> Criterion:
    if criterion is None:
        return LearnedStep()
    return criterion_from(str(criterion)) if isinstance(criterion, (str, Path)) else criterion


def with_tolerance(criterion: Criterion, tol: float, guard: bool = False) -> Criterion:
    """Return the criterion with the tolerance of the run, or raise an error if it cannot keep one.

    EnergyBudget and networks that were calibrated on runs can. Others are returned as they are if a `guard` takes `tol`.
    """
    tol, inner = float(_one_number(tol)), innermost(criterion)
    calibrated = isinstance(inner, LearnedStep) and (inner.model is None or bool(inner.model.calibration))
    if isinstance(inner, (EnergyBudget, LearnedStep)) and (calibrated or isinstance(inner, EnergyBudget)):
        if inner.tol not in (None, tol) and guard:
            return criterion
        if inner.tol not in (None, tol):
            raise ConfigError(f"tol = {tol:g}, but the criterion has tol = {shown(inner.tol)} already: give only one of them.")
        return _with_innermost(criterion, dataclasses.replace(inner, tol=tol))
    if guard:
        return criterion
    if isinstance(inner, LearnedStep):
        raise ConfigError(
            f"tol = {tol:g}: this network is not calibrated for the error of a run; leave tol out, give guard, or train one "
            "with judge = run."
        )
    raise ConfigError(
        f"tol = {tol:g}: {inner.name} has no calibrated tolerance; leave the criterion out, give guard, or leave tol out and "
        f"choose {inner.parameter or 'its number'} yourself."
    )


def _with_innermost(criterion: Criterion, inner: Criterion) -> Criterion:
    """Return the same wrappers around another criterion."""
    if isinstance(criterion, Wrapper):
        return dataclasses.replace(criterion, criterion=_with_innermost(criterion.criterion, inner))
    return inner


def _one_number(tol: object) -> float:
    number = positive_numbers(tol, "tol")
    if isinstance(number, tuple):
        raise ConfigError(f"tol = {number} must be one number; criteria take one a system, as in EnergyBudget(tol=[...]).")
    return number


def _default_integrator(criterion: Criterion) -> str:
    """Return the integrator of a criterion where none was asked for.

    It is the one that the criterion is made for; of the learned step of the package, the cheapest for its tightest tolerance;
    of others leapfrog.
    """
    inner = innermost(criterion)
    if isinstance(inner, LearnedStep) and inner.model is None:
        return cheapest_splitting(min(each(DEFAULT_TOL if inner.tol is None else inner.tol)))
    return criterion.made_for or "leapfrog"


def criterion_from(text: str) -> Criterion:
    """Return the criterion that `text` names: a classical one with its numbers, or a trained network."""
    name = text.partition(":")[0]
    if name in CRITERIA:
        return criterion_named(text)
    if text == DEFAULT:
        return LearnedStep()
    try:
        return LearnedStep.load(find_model(text))
    except CheckpointError:
        if os.path.exists(text) or "/" in text:
            raise
        hint = nearest_name_hint(name, [*CRITERIA, DEFAULT])
        raise ConfigError(f"criterion {text!r} is no rule, and no model or run of that name is there: {hint}") from None


def bind(criterion: Criterion, integrator: str, symmetric: bool = False) -> Criterion:
    """Return the criterion for runs by that integrator, with all that was left open filled in.

    A network that was calibrated with time-symmetric steps gets them, unless a wrapper around it makes steps `symmetric`.
    """
    if isinstance(criterion, Wrapper):
        inside = bind(criterion.criterion, integrator, symmetric or isinstance(criterion, TIME_SYMMETRIC))
        return dataclasses.replace(criterion, criterion=inside)
    if isinstance(criterion, LearnedStep):
        bound = _bound_network(criterion, integrator)
        return Symmetrized(bound) if bound.symmetrized and bound.calibrated and not symmetric else bound
    if isinstance(criterion, EnergyBudget):
        tol = BUDGET_TOL if criterion.tol is None else criterion.tol
        return dataclasses.replace(criterion, tol=tol, integrator=criterion.integrator or like_splitting(integrator))
    if isinstance(criterion, PRS23) and criterion.eta is None:
        return PRS23(radau_eta(RADAU_EPSILON) if integrator == "radau15" else PRS23_ETA)
    return criterion


def _bound_network(step: LearnedStep, integrator: str) -> LearnedStep:
    """Return a learned step with its network; a calibrated one gets the default tolerance if it has none."""
    model = shipped(integrator) if step.model is None else step.model
    tol = step.tol
    if tol is None and model.calibration:
        tol = DEFAULT_TOL if step.model is None else nearest_covered(model, DEFAULT_TOL)
    return dataclasses.replace(step, model=model, tol=tol)


def cheapest_splitting(tol: float, kind: Kind = ORDINARY) -> str:
    """Return the splitting whose learned step stays within `tol` with the fewest force evaluations, for a kind of runs."""
    table = OF_ENCOUNTERS if kind.encounters and not kind.long else CHEAPEST
    suited = [(above, name) for above, name in table if not (kind.long and name in FOR_SHORT_RUNS)]
    return next((name for above, name in suited if tol > above), suited[-1][1])


def default_choice(tol: Numbers, integrator: str = "auto", symmetrized: bool = True, kind: Callable[[], Kind] = Kind) -> Choice:
    """Return the choice for a tolerance alone.

    Below `RADAU_BELOW` it is Gauss-Radau with its own rule; else the learned step of the integrator asked for, or of the
    cheapest, time-symmetric unless `symmetrized` is False; where there is none, or where it does not cover the tolerance,
    EnergyBudget. For logh it is a constant step, which `simulate` finds by trial.
    """
    tightest = min(each(tol))
    if integrator == "auto" and tightest < RADAU_BELOW:
        return _gauss_radau(tol, next((epsilon for least, epsilon in RADAU_EPSILONS if tightest >= least), RADAU_EPSILON))
    method = integrator_named(cheapest_splitting(tightest, kind()) if integrator == "auto" else integrator)
    if method.name == "radau15":
        return _gauss_radau(tol, RADAU_EPSILON)
    if method.name == "logh":  # its time transformation adapts the step by itself
        return Choice(ConstantByTrial(), method, tol)
    if is_shipped(method.name) and all(covers(shipped(method.name), one) for one in each(tol)):
        return Choice(bind(LearnedStep(shipped(method.name), tol, symmetrized), method.name), method, tol)
    budget = EnergyBudget(tol, like_splitting(method.name))
    return Choice(bind(Symmetrized(budget) if symmetrized else budget, method.name), method, tol)


def tighter_gauss_radau(tol: float) -> float:
    """Return the largest tolerance for which Gauss-Radau makes smaller steps than for `tol`."""
    return 0.99 * next((least for least, _ in RADAU_EPSILONS if tol >= least), tol)


def _gauss_radau(tol: Numbers, epsilon: float) -> Choice:
    """Return Gauss-Radau with its own rule, whose epsilon alone sets the steps: `tol` is what the result reports."""
    return Choice(PRS23(radau_eta(epsilon)), integrator_named("radau15"), tol)
