"""simulate(): the front door. One loop for every criterion, learned or classical, fixed or adaptive, over a batch."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..criteria.base import AbstractStepCriterion, Limited, Symmetrized, innermost
from ..criteria.classical import PRS23, EnergyBudget, LastTerm
from ..criteria.learned import DEFAULT, DEFAULT_TOL, LearnedStep, cheapest_composition, covers, shipped
from ..differentiable.loop import MAX_STEPS, OK, Observer, ReferenceRun
from ..differentiable.particle import ParticleTorch
from ..errors import ConfigError, InitialConditionError
from ..fields import ExternalField
from ..integrators import COMPOSITIONS
from .batch import Batch, Output, Sink, Watch
from .methods import Method, method_from
from .program import Program, lower, lower_field
from .result import SimulationResult, momentum_errors
from .session import run_batch

DEFAULT_MAX_STEPS = 10_000_000
GUARD_SHARE = 0.1  # of the tolerance: how far a guarded step may change the energy
DEFAULT_ROWS = 1000
RADAU_EPSILON = 1e-9  # of the last term of its polynomial: the error is that of rounding
# Hermite takes one force a step where the composition of its order takes five: what it is told of a tolerance, so that nine in
# ten runs keep it (tests/tuning/test_shipped.py)
HERMITE = 300.0
# Below 2e-8 it is cheaper than any composition: with epsilon = 1e-6 it takes 9300 forces on `validation` and keeps 1.6e-11 for
# 95 % of the worst family, the learned order 8 takes 10,900 for 1e-8 (its card; benchmarks/automatic.py --split validation)
RADAU_BELOW, RADAU_LOOSE, RADAU_LOOSE_KEEPS = 2e-8, 1e-6, 5e-11


def simulate(
    particle: Any,
    *,
    t_end: float | Sequence[float] | torch.Tensor | None = None,
    steps: int | None = None,
    criterion: AbstractStepCriterion | None = None,
    tol: float = DEFAULT_TOL,
    integrator: str = "auto",
    external_field: ExternalField | None = None,
    max_steps: int | None = None,
    dt_min: float | None = None,
    dt_max: float | None = None,
    guard: bool = False,
    output: str | Path | None = None,
    output_every: float | None = None,
    output_steps: int | None = None,
    overwrite: bool = False,
    progress: bool | Watch = False,
    threads: int | None = None,
    engine: str = "auto",
    observer: Observer | None = None,
    sinks: tuple[Sink, ...] = (),
) -> SimulationResult:
    """Advance every system to `t_end` (one time, or one for each; reached exactly) or by `steps` steps.

    `particle`: a `ParticleTorch`, or anything with mass, position and velocity arrays (G and softening count if it has
    them). `criterion` chooses the steps; without one, `tol` picks the learned step of the package, time-symmetric: nine in
    ten runs keep their energy to that. `integrator="auto"` is the one that the criterion is made for, or the cheapest for
    `tol`; besides the compositions (leapfrog, suzuki4, kahan_li6, kahan_li8) there are hermite4, logh and radau15. `max_steps` is
    only a safety limit and shows in the status.

    `guard`: a step that changes the energy by more than a tenth of `tol` is thrown away and made again half as long. Leave it
    off for symmetrized steps: a step rejected in one direction of time would not be rejected in the other, and the energy
    drifts again. `output`: an HDF5 file (see `Snapshots`) with a row at every multiple of `output_every` in time, or every
    `output_steps` steps (default: a thousand rows); it does not change the run. `progress`: True for a bar, or a function
    that is told the `Status`. `threads`: at most so many, all cores by default; they do not change the bits either.

    The run is compiled where it can be: what is Python of your own (a criterion, a network, a field), another precision
    than float64, a GPU, or an `observer` that wants to see each step goes through the reference loop in torch, to the same
    numbers. `engine`: "compiled" or "reference" insists.
    """
    began = clock.perf_counter()
    start = _as_particle(particle, external_field)
    if criterion is None:
        criterion = default_criterion(tol, integrator)
    if dt_min is not None or dt_max is not None:
        criterion = Limited(criterion, dt_min, dt_max)
    method = method_from(criterion.integrator if integrator == "auto" else integrator)
    end = _end_times(start, t_end, steps)
    limit = steps if steps is not None else (DEFAULT_MAX_STEPS if max_steps is None else max_steps)
    if steps is not None and max_steps is not None:
        limit = min(steps, max_steps)
    reached = OK if steps is not None and limit == steps else MAX_STEPS
    needs = guard or output is not None or bool(sinks)
    program = _program(criterion, method, start, observer, engine, needs)
    if program is None:
        run = ReferenceRun(start, criterion, method.name, end, observer)
        run.run(limit, reached)
        return _result_of_reference(run, method, clock.perf_counter() - began)
    rows = _output(start, end, limit, output_every, output_steps) if output is not None or sinks else None
    share = GUARD_SHARE * tol if guard else 0.0
    batch = Batch.begin(start, program, end, float(limit), rows, share, threads)
    asked = {
        "tol": tol,
        "t_end": end.tolist() if isinstance(t_end, (Sequence, torch.Tensor)) else t_end,
        "steps": steps,
        "max_steps": max_steps,
        "guard": guard,
        "integrator": method_text(method),
    }
    wanted = _run_tolerance(criterion, start)
    asked["run_tolerance"] = None if wanted is None else wanted.tolist()
    asked |= {"criterion": describe_criterion(criterion), "dt_min": dt_min, "dt_max": dt_max, "status_at_limit": reached}
    path = None if output is None else Path(output)
    return run_batch(batch, asked, began, path, overwrite, progress, sinks)


def default_criterion(tol: float, integrator: str) -> AbstractStepCriterion:
    """A symmetrized learned step for the integrator asked for, or the cheapest; beyond what it knows, EnergyBudget."""
    if integrator == "auto" and 0 < tol < RADAU_BELOW:
        return _gauss_radau(tol, RADAU_LOOSE if tol >= RADAU_LOOSE_KEEPS else RADAU_EPSILON)
    name = cheapest_composition(tol) if integrator == "auto" else method_from(integrator).name
    if name == "radau15":
        return _gauss_radau(tol, RADAU_EPSILON)
    like = like_composition(name)
    if name == "logh":  # its own variable already makes a constant step an adaptive one
        return EnergyBudget(tol, like)
    told = tol / HERMITE if name == "hermite4" else tol
    if covers(shipped(like), told):
        step = LearnedStep.load(DEFAULT, told, "cpu", like)
        step.run_tolerance = tol
        return Symmetrized(step)
    return Symmetrized(EnergyBudget(tol, like))


def _gauss_radau(tol: float, epsilon: float) -> PRS23:
    """Its own rule, for a tolerance that it keeps anyway."""
    rule = PRS23((5040.0 * epsilon) ** (1.0 / 7.0))
    rule.integrator, rule.run_tolerance = "radau15", tol
    return rule


def like_composition(name: str) -> str:
    """The composition whose order a method has, for criteria that ask for one."""
    return name if name in COMPOSITIONS else {"hermite4": "suzuki4"}.get(name.partition(":")[0], "leapfrog")


def _program(
    criterion: AbstractStepCriterion, method: Method, start: ParticleTorch, observer: Observer | None, engine: str, needs: bool
) -> Program | None:
    """The compiled form of the run, or None where the reference loop must do it; errors where neither can."""
    if engine not in ("auto", "compiled", "reference"):
        raise ConfigError(f"engine = {engine!r} must be one of auto, compiled, reference.")
    if start.external_field is not None and not method.field:
        raise ConfigError(
            f"integrator = {method.name} knows no outer field: use a composition (leapfrog ... kahan_li8) or radau15."
        )
    if isinstance(innermost(criterion), LastTerm) and method.name != "radau15":
        raise ConfigError(f"lastterm is the rule of radau15; with integrator = {method.name} use prs23.")
    program, why = None, "engine = reference"
    if engine != "reference":
        why = _not_compiled(start, observer)
        field = None if why else lower_field(start)
        if field is not None:
            program = lower(criterion, method, start, field)
            why = f"the criterion {describe_criterion(criterion)} has parts that are not compiled"
        elif not why:
            why = "the outer field is not a tidal one with a fixed or circling source"
    if program is None:
        for wanted, what in (
            (engine == "compiled", "engine = compiled"),
            (needs, "output, guard and sinks"),
            (method.name not in COMPOSITIONS, f"integrator = {method.name}"),
        ):
            if wanted:
                raise ConfigError(f"{what} needs the compiled engine, which cannot do this run: {why}.")
    return program


def _not_compiled(start: ParticleTorch, observer: Observer | None) -> str:
    """Why these bodies cannot be run compiled; empty: they can."""
    if observer is not None:
        return "an observer wants to see each step"
    if start.position.dtype != torch.float64:
        return f"the bodies are {str(start.position.dtype).removeprefix('torch.')}, it knows float64 only"
    if start.position.device.type != "cpu":
        return f"the bodies are on {start.position.device}"
    return ""


def _output(start: ParticleTorch, t_end: torch.Tensor, limit: int, every: float | None, steps: int | None) -> Output:
    """When rows are due."""
    begin = start.time.numpy().copy()
    if steps is not None and (steps < 1 or every is not None):
        raise ConfigError(f"output_steps = {steps} must be 1 or more, and output_every = {every} left out beside it.")
    if steps is not None:
        return Output(float(steps), True, begin)
    if every is not None and not (math.isfinite(every) and every > 0):
        raise ConfigError(f"output_every = {every} must be a positive time.")
    if every is not None:
        return Output(float(every), False, begin)
    longest = float((t_end - start.time).max())
    if math.isinf(longest):
        return Output(float(max(1, limit // DEFAULT_ROWS)), True, begin)
    return Output(max(longest / DEFAULT_ROWS, 5e-324), False, begin)


def _result_of_reference(run: ReferenceRun, method: Method, wall_time: float) -> SimulationResult:
    stages = len(COMPOSITIONS[method.name].fractions)
    p, L = momentum_errors(run.start, run.final)
    return SimulationResult(
        final=run.final,
        status=tuple(run.status),
        steps=run.steps,
        force_evaluations=(run.steps + run.failed) * stages * (1 + run.criterion.trial_steps) + 1,
        rejected_steps=torch.zeros_like(run.steps),
        max_energy_error=run.max_error,
        final_energy_error=run.last_error,
        momentum_error=p,
        angular_momentum_error=L,
        dt_min=run.dt_min,
        dt_max=run.dt_max,
        closest_approach=None,
        wall_time=wall_time,
        tol=_run_tolerance(run.criterion, run.start),
        criterion=describe_criterion(run.criterion),
        integrator=method_text(method),
        engine="reference",
        reports=run.reports,
    )


def _run_tolerance(criterion: AbstractStepCriterion, start: ParticleTorch) -> torch.Tensor | None:
    """(B,) what the energy error of each system is to stay below, if the criterion knows of a tolerance."""
    tol = criterion.run_tolerance
    return None if tol is None else torch.as_tensor(tol, dtype=torch.float64).to(start.time).expand(len(start))


def method_text(method: Method) -> str:
    """As it is written."""
    return f"{method.name}:n={method.iterations}" if method.iterations > 1 else method.name


def describe_criterion(criterion: AbstractStepCriterion) -> str:
    """`symmetrized(freefall(0.02))`, for summaries and legends."""

    def words(lowered: Any) -> str:
        inner = [words(lowered.inner)] if lowered.inner is not None else []
        numbers = [] if lowered.kind in ("symmetrized", "learned") else [f"{x:g}" for x in lowered.parameters[:1]]
        return f"{lowered.kind}({', '.join(inner + numbers)})" if inner or numbers else lowered.kind

    return words(criterion.lower())


def _as_particle(particle: Any, external_field: ExternalField | None) -> ParticleTorch:
    if isinstance(particle, ParticleTorch):
        start = particle.clone_detached()
    else:
        try:
            arrays = particle.mass, particle.position, particle.velocity
        except AttributeError:
            raise InitialConditionError(
                f"simulate needs mass, position and velocity arrays; {type(particle).__name__} lacks some."
            ) from None
        units = {name: getattr(particle, name) for name in ("G", "softening") if getattr(particle, name, None) is not None}
        start = ParticleTorch.from_tensors(*arrays, **units)
    return start if external_field is None else start.set_external_field(external_field)


def _end_times(start: ParticleTorch, t_end: float | Sequence[float] | torch.Tensor | None, steps: int | None) -> torch.Tensor:
    """(B,) when every system ends; infinity where steps are counted."""
    if (t_end is None) == (steps is None):
        raise ConfigError(f"t_end = {t_end} and steps = {steps}: give exactly one of them, it says when to stop.")
    if steps is not None and steps < 1:
        raise ConfigError(f"steps = {steps} must be >= 1.")
    end = torch.as_tensor(math.inf if t_end is None else t_end, dtype=start.time.dtype, device=start.time.device)
    if end.ndim > 1 or end.numel() not in (1, len(start)):
        raise ConfigError(f"t_end has shape {tuple(end.shape)}; give one time, or one for each of the {len(start)} systems.")
    begin = start.time if end.ndim else start.time.min()  # one time for all: systems that are there already stay
    begin, end = begin.expand(len(start)), end.expand(len(start)).clone()
    wrong = ~(torch.isfinite(end) & (end >= begin)) if steps is None else torch.zeros_like(end, dtype=torch.bool)
    if wrong.any():
        i = int(wrong.nonzero()[0])
        raise ConfigError(f"t_end = {end[i].item()} must be finite and not before the start, t = {begin[i].item():g}.")
    return end
