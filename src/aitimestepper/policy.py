"""Choice of criterion and integrator: the one place that knows which is cheapest, and which tolerances a model covers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from .criteria.base import Criterion, Numbers, positive_numbers
from .criteria.catalogue import CRITERIA, criterion_named
from .criteria.classical import PRS23, RADAU_EPSILON, EnergyBudget, LastTerm, radau_eta
from .criteria.learned import DEFAULT, LearnedStep, covers
from .criteria.wrappers import Symmetrized, Wrapper, innermost
from .errors import CheckpointError, ConfigError, nearest_name_hint
from .integrators import Integrator, integrator_named, like_composition
from .models import find_model, shipped

DEFAULT_TOL = 1e-6
PRS23_ETA = 0.02  # eta of PRS23 with an integrator that is not radau15
# (tolerance, the cheapest composition above it), by the force evaluations of the models at the tolerance passed to them, on
# `validation` (their cards).
CHEAPEST = ((3.5e-3, "leapfrog"), (9e-5, "suzuki4"), (5e-7, "kahan_li6"), (0.0, "kahan_li8"))
# Hermite takes one force evaluation a step where the composition of its order takes five. Its network is asked for a tolerance
# smaller by this factor, so that nine in ten runs are within the tolerance (tests/evaluation/test_shipped.py).
HERMITE_FACTOR = 300.0
# Below 2e-8 Gauss-Radau is cheaper than any composition: with epsilon = 1e-6 it takes 9300 forces on `validation`, with errors
# below 1.6e-11 for 95 % of the worst family; the learned kahan_li8 takes 10,900 for 1e-8 (its card; benchmarks/automatic.py
# --split validation). Below `LOOSE_EPSILON_MIN_TOL` it needs the default epsilon.
RADAU_BELOW = 2e-8
LOOSE_EPSILON = 1e-6
LOOSE_EPSILON_MIN_TOL = 5e-11


class Choice(NamedTuple):
    """Criterion, integrator and tolerance of a run."""

    criterion: Criterion  # bound to the integrator
    integrator: Integrator
    tol: Numbers | None  # the relative energy error that the run is to stay below, if the criterion has one


def choose(criterion: Criterion | str | Path | None = None, tol: float | None = None, integrator: str = "auto") -> Choice:
    """Return criterion and integrator of a run, the criterion bound to the integrator.

    criterion: a value; text such as `freefall:eta=0.02`; a model file, a run folder or the name of a run; `default` or None:
    the step of `default_choice`. integrator: `auto` is the one that the criterion is made for, or the cheapest for `tol`.
    """
    if tol is not None:
        tol = float(_one_number(tol))
    if isinstance(criterion, (str, Path)) and str(criterion) != DEFAULT:
        criterion = criterion_from(str(criterion), tol)
    if criterion is None or isinstance(criterion, (str, Path)):
        return default_choice(DEFAULT_TOL if tol is None else tol, integrator)
    method = integrator_named(_default_integrator(criterion) if integrator == "auto" else integrator)
    bound = bind(criterion, method.name)
    if isinstance(innermost(bound), LastTerm) and method.name != "radau15":
        raise ConfigError(f"lastterm is the rule of radau15; with integrator = {method.name} use prs23.")
    return Choice(bound, method, bound.tolerance)


def _one_number(tol: object) -> float:
    number = positive_numbers(tol, "tol")
    if isinstance(number, tuple):
        raise ConfigError(f"tol = {number} must be one number; criteria take one a system, as in EnergyBudget(tol=[...]).")
    return number


def _default_integrator(criterion: Criterion) -> str:
    """Return the integrator of a criterion where none was asked for.

    It is the one that the criterion is made for; of the learned step of the package, the cheapest for its (first) tolerance; of
    others leapfrog.
    """
    inner = innermost(criterion)
    if isinstance(inner, LearnedStep) and inner.model is None:
        first = inner.tol[0] if isinstance(inner.tol, tuple) else inner.tol
        return cheapest_composition(DEFAULT_TOL if first is None else first)
    return criterion.made_for or "leapfrog"


def criterion_from(text: str, tol: float | None = None) -> Criterion:
    """Return the criterion that `text` names: a classical one with its numbers, or a trained network."""
    name = text.partition(":")[0]
    if name in CRITERIA:
        return criterion_named(text, **({} if tol is None else {"tol": tol}))
    if text == DEFAULT:
        return LearnedStep(None, tol)
    try:
        return LearnedStep.load(find_model(text), tol)
    except CheckpointError:
        if Path(text).exists() or "/" in text:
            raise
        hint = nearest_name_hint(name, [*CRITERIA, DEFAULT])
        raise ConfigError(f"criterion {text!r} is no rule, and no model or run of that name is there: {hint}") from None


def bind(criterion: Criterion, integrator: str) -> Criterion:
    """Return the criterion for runs by that integrator, with all that was left open filled in."""
    if isinstance(criterion, Wrapper):
        return dataclasses.replace(criterion, criterion=bind(criterion.criterion, integrator))
    if isinstance(criterion, EnergyBudget) and criterion.integrator is None:
        return dataclasses.replace(criterion, integrator=like_composition(integrator))
    if isinstance(criterion, LearnedStep) and criterion.model is None:
        tol = DEFAULT_TOL if criterion.tol is None else criterion.tol
        return LearnedStep(shipped(like_composition(integrator)), tol)
    if isinstance(criterion, PRS23) and criterion.eta is None:
        return PRS23(radau_eta(RADAU_EPSILON) if integrator == "radau15" else PRS23_ETA)
    return criterion


def cheapest_composition(tol: float) -> str:
    """Return the composition whose learned step stays within `tol` with the fewest force evaluations."""
    return next((name for above, name in CHEAPEST if tol > above), CHEAPEST[-1][1])


def default_choice(tol: float, integrator: str = "auto") -> Choice:
    """Return the choice for a tolerance alone.

    Below `RADAU_BELOW` it is Gauss-Radau with its own rule; else the symmetrized learned step of the integrator asked for,
    or of the cheapest; where that does not cover the tolerance, EnergyBudget.
    """
    if integrator == "auto" and tol < RADAU_BELOW:
        return _gauss_radau(tol, LOOSE_EPSILON if tol >= LOOSE_EPSILON_MIN_TOL else RADAU_EPSILON)
    method = integrator_named(cheapest_composition(tol) if integrator == "auto" else integrator)
    if method.name == "radau15":
        return _gauss_radau(tol, RADAU_EPSILON)
    composition = like_composition(method.name)
    if method.name == "logh":  # its time transformation adapts the step by itself, so nothing is symmetrized
        return Choice(EnergyBudget(tol, composition), method, tol)
    requested = tol / HERMITE_FACTOR if method.name == "hermite4" else tol
    if covers(shipped(composition), requested):
        return Choice(Symmetrized(LearnedStep(shipped(composition), requested)), method, tol)
    return Choice(Symmetrized(EnergyBudget(tol, composition)), method, tol)


def _gauss_radau(tol: float, epsilon: float) -> Choice:
    """Return Gauss-Radau with its own rule, whose epsilon alone sets the steps: `tol` is what the result reports."""
    return Choice(PRS23(radau_eta(epsilon)), integrator_named("radau15"), tol)
