"""What chooses and takes the steps of a run: criterion, integrator and tolerance, bound to the systems and their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..criteria.classical import ConstantByTrial
from ..criteria.wrappers import Limited
from ..errors import ConfigError
from ..fields import uses_velocities
from ..integrators import RADAU, SPLITTINGS
from ..policy import DEFAULT_TOL, Choice, choose, coverage, goes_to_rounding
from .callbacks import OwnFunctions
from .continuation import Continuation
from .length import for_length, kind_of
from .pilot import constant_step
from .program import Program, program_of

GUARD_SHARE = 0.1  # fraction of the tolerance by which a guarded step may change the energy


class Steering(NamedTuple):
    """What chooses and takes the steps of a run."""

    program: Program
    own: OwnFunctions
    words: dict[str, Any]  # criterion, integrator and tolerance, as files and results write them
    criterion: Criterion | None  # as it is bound


def steering_of(
    start: Bodies,
    end: np.ndarray,
    limit: int,
    criterion: Criterion | str | Path | None,
    tol: float | None,
    integrator: str,
    guard: bool,
    dt_min: float | None,
    dt_max: float | None,
) -> Steering:
    """Return what is asked for; a run that goes on keeps what it has unless a criterion or a tolerance is given."""
    before: Continuation | None = start.run
    if before is not None and criterion is None and (tol is None or guard):
        if integrator == "auto" and dt_min is None and dt_max is None:
            return Steering(before.program, before.own, before.words, before.criterion)
        criterion, tol = before.criterion, None
        integrator = before.words["integrator"] if integrator == "auto" else integrator
    choice = _choice(criterion, tol, integrator, start, end, limit, guard)
    told = None if before is None else before.criterion
    choice = choice._replace(criterion=for_length(choice.criterion, start, end, told))
    choice = _limited(choice, dt_min, dt_max)
    if guard and tol is not None and choice.tol is None:  # what the guard is given for
        choice = choice._replace(tol=float(tol))
    own = OwnFunctions()
    program = program_of(choice.criterion, choice.integrator, start, own)
    return Steering(program, own, _in_words(choice, len(start)), choice.criterion)


def guard_share(guard: bool, tol: float | None, run_tolerance: list[float] | None, before: Continuation | None) -> float:
    """Return the relative energy error that a step may have, 0 without a guard.

    It is a share of the tolerance that was given anywhere; a run that goes on keeps its guard.
    """
    if before is not None and before.guard > 0.0 and tol is None:
        return before.guard
    of_run = DEFAULT_TOL if run_tolerance is None else min(run_tolerance)
    return GUARD_SHARE * (of_run if tol is None else float(tol)) if guard else 0.0


def _in_words(choice: Choice, systems: int) -> dict[str, Any]:
    """Return criterion, integrator and the tolerance of every system, in the form that files and results use."""
    return {
        "criterion": str(choice.criterion),
        "integrator": str(choice.integrator),
        "run_tolerance": None if choice.tol is None else np.broadcast_to(choice.tol, (systems,)).tolist(),
        "covers": coverage(choice.criterion),
        "finest": goes_to_rounding(choice),
    }


def _choice(
    criterion: Criterion | str | Path | None,
    tol: float | None,
    integrator: str,
    start: Bodies,
    end: np.ndarray,
    limit: int,
    guard: bool,
) -> Choice:
    """Return criterion and integrator of the run, or raise a `ConfigError` if they do not fit the system."""
    if criterion is not None and not isinstance(criterion, (Criterion, str, Path)):
        raise ConfigError(
            f"{type(criterion).__name__} is no criterion: give one such as FreeFall(eta=0.02), its text, a model file, or a "
            "function of your own as OwnCriterion(f)."
        )
    if integrator == "auto" and uses_velocities(start.external_field):
        integrator = "radau15"
    choice = choose(criterion, tol, integrator, guard, lambda: kind_of(start, end))
    if start.external_field is not None and not choice.integrator.allows_field:
        raise ConfigError(
            f"integrator = {choice.integrator} allows no outer field: use a splitting ({', '.join(SPLITTINGS)}) or radau15."
        )
    if uses_velocities(start.external_field) and choice.integrator.kind != RADAU:
        raise ConfigError(
            f"integrator = {choice.integrator} allows no force that depends on velocities: give radau15, or leave it out."
        )
    if isinstance(choice.criterion, ConstantByTrial):
        wanted = DEFAULT_TOL if choice.tol is None else choice.tol
        return choice._replace(criterion=constant_step(start, wanted, choice.integrator, end, limit))
    return choice


def _limited(choice: Choice, dt_min: float | None, dt_max: float | None) -> Choice:
    if dt_min is None and dt_max is None:
        return choice
    return choice._replace(criterion=Limited(choice.criterion, dt_min, dt_max))
