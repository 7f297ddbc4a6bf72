"""simulate(): the entry to the compiled engine, for every criterion and integrator, over a batch of systems."""

from __future__ import annotations

import math
import sys
import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies, free_fall_time
from ..criteria.base import Criterion, positive_numbers
from ..criteria.classical import ConstantByTrial
from ..criteria.wrappers import Limited
from ..errors import ConfigError, shown
from ..integrators import SPLITTINGS
from ..policy import DEFAULT_TOL, Choice, choose, coverage, goes_to_rounding
from ..specs import LARGEST_INTEGER
from .advice import warn_of
from .batch import MOST_ROWS, Batch, Output
from .callbacks import OwnFunctions
from .continuation import Continuation
from .length import for_length, is_long
from .pilot import constant_step
from .program import Program, program_of
from .progress import Sink, Watch
from .result import MAX_STEPS, OK, SimulationResult
from .session import run_batch
from .units import refuse_extreme_units

DEFAULT_MAX_STEPS = 10_000_000
GUARD_SHARE = 0.1  # fraction of the tolerance by which a guarded step may change the energy
DEFAULT_ROWS = 1000


def simulate(
    particle: Any,
    *,
    t_end: float | Sequence[float] | np.ndarray | None = None,
    steps: int | None = None,
    criterion: Criterion | str | Path | None = None,
    tol: float | None = None,
    integrator: str = "auto",
    G: float | None = None,
    softening: float | None = None,
    external_field: Any = None,
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
    sinks: tuple[Sink, ...] = (),
    warn: bool = True,
) -> SimulationResult:
    """Advance every system to `t_end` (one time, or one for each; reached exactly) or by `steps` steps.

    particle: `Bodies`, a `ParticleTorch`, or anything with mass, position and velocity arrays, in any units in which the
    gravitational constant is `G` (1 unless given or its own); one system (N, D) or a batch (B, N, D). `softening` is
    Plummer's length. The result of a simulation, or its `final` bodies: that run goes on, with its criterion and its guard
    unless `criterion` or `tol` is given; errors, steps and forces count from its first start.

    criterion: what chooses the steps: a value such as `FreeFall(eta=0.02)`, its text `"freefall:eta=0.02"`, or a model (a
    file, a run folder, the name of a run). Without one, `tol` (1e-6) picks the learned step of the package, time-symmetric,
    or below 8e-8 Gauss-Radau: nine in ten runs, of lengths as measured (README.md), stay within it. `tol` also is the
    tolerance of EnergyBudget and of networks that were calibrated on runs; beside others it is an error. integrator: `auto` is
    the one that the criterion is made for, or the cheapest for `tol`; besides the splittings (leapfrog, suzuki4, kahan_li6,
    kahan_li8, blanes_moan4, blanes_moan6, chin4) there are hermite4, hermite4:n=3, logh and radau15. `max_steps` is only a
    safety limit and shows in the status.

    guard: a step that changes the energy by more than a tenth of `tol` (any criterion; 1e-6) is rejected and made again half as
    long. Leave it off for symmetrized steps: a step rejected in one direction of time would not be rejected in the other, and
    the energy drifts again. output: an HDF5 file (see `Snapshots`) with a row at every multiple of `output_every` in time, or
    every `output_steps` steps (default: a thousand rows); it does not change the run. progress: True for a bar, or a function
    that takes the `Status`. threads: the largest number of threads, all cores by default; it does not change the bits
    either. sinks: functions that take rows of output during the run. warn: whether a `SimulationWarning` says what went wrong;
    the advice of the result says so anyway.

    The run is compiled and in float64. Another precision, a GPU, or a network of one's own in torch:
    `aitimestepper.differentiable.simulate`.
    """
    began = clock.perf_counter()
    given = particle.final if isinstance(particle, SimulationResult) else particle
    start = as_bodies(given, G=G, softening=softening, external_field=external_field)
    if start.run is None:
        refuse_extreme_units(start)
    end, limit = end_times(start, t_end, steps), step_limit(steps, max_steps)
    rows = _output(start, end, limit, output_every, output_steps) if output is not None or sinks else None
    _refuse_no_functions(progress, sinks)
    if isinstance(tol, bool) or (tol is not None and np.ndim(tol)):
        raise ConfigError(f"tol = {shown(tol)} must be one number; criteria take one a system, as in EnergyBudget(tol=[...]).")
    steering = _steering(start, end, limit, criterion, tol, integrator, guard, dt_min, dt_max)
    if start.run is None:
        refuse_extreme_units(start, steering.criterion, steering.words["integrator"])
    batch = Batch.begin(
        start,
        steering.program,
        steering.own,
        end,
        float(limit),
        rows,
        _guard_share(guard, tol, steering.words["run_tolerance"], start.run),
        threads,
        steering.criterion,
    )
    asked = {
        **steering.words,
        "error_before": None if start.run is None else start.run.largest_error.tolist(),
        "tol": tol,
        "t_end": t_end if t_end is None or np.ndim(t_end) == 0 else end.tolist(),
        "steps": steps,
        "max_steps": max_steps,
        "guard": guard,
        "dt_min": dt_min,
        "dt_max": dt_max,
        "status_at_limit": OK if steps is not None and limit == steps else MAX_STEPS,
    }
    path = None if output is None else Path(output)
    result = run_batch(batch, asked, began, path, overwrite, progress, sinks)
    if warn:
        warn_of(result, stacklevel=2)
    return result


def _refuse_no_functions(progress: object, sinks: object) -> None:
    """Raise an error before the run for what could not be called during it."""
    if not isinstance(progress, bool) and not callable(progress):
        raise ConfigError(f"progress = {shown(progress)} must be True, False or a function that takes the Status.")
    if not isinstance(sinks, (tuple, list)) or not all(map(callable, sinks)):
        raise ConfigError(f"sinks = {shown(sinks)} must be a tuple of functions.")


class Steering(NamedTuple):
    """What chooses and takes the steps of a run."""

    program: Program
    own: OwnFunctions
    words: dict[str, Any]  # criterion, integrator and tolerance, as files and results write them
    criterion: Criterion | None  # as it is bound


def _steering(
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
    choice = choice._replace(criterion=for_length(choice.criterion, start, end))
    choice = _limited(choice, dt_min, dt_max)
    if guard and tol is not None and choice.tol is None:  # what the guard is given for
        choice = choice._replace(tol=float(tol))
    own = OwnFunctions()
    program = program_of(choice.criterion, choice.integrator, start, own)
    return Steering(program, own, _in_words(choice, len(start)), choice.criterion)


def _guard_share(guard: bool, tol: float | None, run_tolerance: list[float] | None, before: Continuation | None) -> float:
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
    choice = choose(criterion, tol, integrator, guard, is_long(start, end))
    if start.external_field is not None and not choice.integrator.allows_field:
        raise ConfigError(
            f"integrator = {choice.integrator} allows no outer field: use a splitting ({', '.join(SPLITTINGS)}) or radau15."
        )
    if isinstance(choice.criterion, ConstantByTrial):
        wanted = DEFAULT_TOL if choice.tol is None else choice.tol
        return choice._replace(criterion=constant_step(start, wanted, choice.integrator, end, limit))
    return choice


def _limited(choice: Choice, dt_min: float | None, dt_max: float | None) -> Choice:
    if dt_min is None and dt_max is None:
        return choice
    return choice._replace(criterion=Limited(choice.criterion, dt_min, dt_max))


def step_limit(steps: int | None, max_steps: int | None) -> int:
    """Return the number of steps after which a run ends at the latest."""
    _refuse_no_count(steps=steps, max_steps=max_steps)
    if steps is None:
        return DEFAULT_MAX_STEPS if max_steps is None else int(max_steps)
    return int(steps if max_steps is None else min(steps, max_steps))


def _refuse_no_count(**given: Any) -> None:
    for word, value in given.items():
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and not (whole and 1 <= value <= LARGEST_INTEGER):
            raise ConfigError(f"{word} = {shown(value)} must be a whole number, 1 or more and below 2^63.")


def _output(start: Bodies, t_end: np.ndarray, limit: int, every: float | None, steps: int | None) -> Output:
    """Return the times or steps at which rows are due."""
    begin = start.time.copy()
    _refuse_no_count(output_steps=steps)
    if steps is not None and every is not None:
        raise ConfigError(f"output_steps = {steps} and output_every = {every}: give only one of them.")
    if steps is not None:
        return Output(float(steps), True, begin)
    if every is not None and not _is_positive_time(every):
        raise ConfigError(f"output_every = {shown(every)} must be a positive time.")
    longest = float((t_end - start.time).max())
    if every is None and math.isinf(longest):
        return Output(float(max(1, limit // DEFAULT_ROWS)), True, begin)
    apart = longest / DEFAULT_ROWS if every is None else float(every)
    latest = np.maximum(np.abs(begin), np.where(np.isfinite(t_end), np.abs(t_end), 0.0))
    if (latest + apart > latest).all():
        _refuse_countless_rows(apart, start, longest)
        return Output(apart, False, begin)
    if every is not None:  # the next row would always be due at the same time
        raise ConfigError(f"output_every = {every} is below the round-off of the times of the run: give a longer one.")
    return Output(1.0, True, begin)


def _is_positive_time(value: object) -> bool:
    try:
        return not isinstance(positive_numbers(value, ""), tuple)
    except ConfigError:
        return False


def _refuse_countless_rows(every: float, start: Bodies, longest: float) -> None:
    """Raise an error for more rows than anybody could store; of a run by steps, of unknown length, in a free-fall time."""
    span, words = (longest, "of the run") if math.isfinite(longest) else (float(free_fall_time(start).max()), "of free fall")
    rows = span / every if every > span / sys.float_info.max else math.inf
    if rows > MOST_ROWS:
        raise ConfigError(
            f"output_every = {every:g} would be {rows:.0e} rows in the time {span:g} {words}, more than {MOST_ROWS:.0e}: "
            f"ask for {span / MOST_ROWS:.0e} or longer, {span / DEFAULT_ROWS:.0e} are a thousand rows."
        )


def end_times(start: Bodies, t_end: Any, steps: int | None) -> np.ndarray:
    """Return when every system ends, (B,); infinity where steps are counted."""
    if (t_end is None) == (steps is None):
        raise ConfigError(f"t_end = {t_end} and steps = {steps}: give exactly one of them to say when to stop.")
    try:
        end = np.asarray(math.inf if t_end is None else t_end)
        if end.dtype.kind not in "fiu":
            raise TypeError
        end = end.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"t_end = {shown(t_end)} must be a number, or one for each system.") from None
    if end.ndim > 1 or end.size not in (1, len(start)):
        raise ConfigError(f"t_end has shape {end.shape}; give one time, or one for each of the {len(start)} systems.")
    begin = start.time if end.ndim else start.time.min()  # one time for all: systems that are at it already stay there
    begin, end = np.broadcast_to(begin, (len(start),)), np.broadcast_to(end, (len(start),)).copy()
    wrong = np.flatnonzero(~(np.isfinite(end) & (end >= begin)) & (steps is None))
    if len(wrong):
        i = int(wrong[0])
        raise ConfigError(f"t_end = {end[i]} must be finite and not before the start, t = {begin[i]:g}.")
    return end
