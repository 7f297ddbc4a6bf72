"""`aitimestepper simulate`: one run, from the settings of a model, a TOML file and flags."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config, field_sections
from ..criteria.base import Criterion
from ..criteria.learned import DEFAULT, LearnedStep, unsymmetrized
from ..criteria.wrappers import Huayno, HutMakinoMcMillan, Symmetrized
from ..errors import CheckpointError, ConfigError
from ..fields import field_named
from ..files import refuse_irregular
from ..initial.problems import Problem, family_ends, make_problem, period_of, shortest_period
from ..models import Model, find_model, load_model
from ..policy import choose
from ..simulate.engine import simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from ..simulate.repeating import repeat
from ..simulate.result import ENDED, SimulationResult
from ..simulate.session import resume
from .arguments import Request
from .terminal import print_json, task

PERIODS = 10  # how long a run lasts unless an end time or a number of steps is given
# sections whose settings come from the model instead of the defaults: its network, and the problems that it was made for
FROM_MODEL = ("training", "network", "physics", "initial conditions")
EXIT_NOT_OK = 1  # the simulation ran, but some system did not reach its end


def run(request: Request) -> int:
    """Simulate as asked, print the summary, and return the exit code."""
    quiet = request.quiet or request.json
    if request.resume is not None:
        return print_summary(continue_run(request.resume, request.simulation, quiet), as_json=request.json)
    if request.repeat is not None:
        return print_summary(repeat_run(request.repeat, request.simulation, quiet, request.overwrite), as_json=request.json)
    try:
        config, result, _ = run_simulation(request.simulation, quiet, request.overwrite)
    except KeyboardInterrupt:
        output = request.simulation.get("output")
        if output is not None and os.path.exists(output):
            print(f"\ncontinue with: aitimestepper simulate --resume {output}", file=sys.stderr)
        raise
    return print_summary(result, config, as_json=request.json)


def print_summary(
    result: SimulationResult, config: Config | None = None, more: dict[str, Any] | None = None, as_json: bool = False
) -> int:
    """Print the summary of a run, and return the exit code.

    On a terminal it is a few lines, for several systems tables; everywhere else, and where it is asked for, JSON.
    """
    movie = {"movie": config.movie} if config is not None and config.movie else {}
    if sys.stdout.isatty() and not as_json:
        from .summary_table import show_one, show_summary

        show = show_one if len(result.status) == 1 else show_summary
        show(result, {**(more or {}), **movie})
    else:
        print_json({**(more or {}), **result.summary(), **movie})
    return 0 if all(s in ENDED for s in result.status) else EXIT_NOT_OK


def settings_for(given: dict[str, Any]) -> tuple[Config, Model | None]:
    """Return the settings of a run, and its model; given settings override those of the model, which override the defaults."""
    if given.get("model") in (None, DEFAULT):
        return Config.from_dict({k: v for k, v in given.items() if k != "model"}), None
    model = load_model(find_model(given["model"], Config.from_dict(given).out_dir))
    sections = field_sections()
    known = {k: v for k, v in model.config.to_dict().items() if sections[k] in FROM_MODEL}
    if "integrator" in given and given["integrator"] != known["integrator"]:
        raise ConfigError(
            f"integrator = {given['integrator']}, but the network of {given['model']} was trained with {known['integrator']}: "
            "leave it out, or train a network with yours."
        )
    for one, other in (("G", "units"), ("units", "G")):
        if one in given and other not in given:  # units set G
            known.pop(other)
    if "ic" in given:  # the sampling of the training batch does not apply to other initial conditions
        known = {k: v for k, v in known.items() if sections[k] != "initial conditions"} | {"num_orbits": 1}
    return Config.from_dict({**known, **given}), model


def problem_for(config: Config, given: dict[str, Any], model: Model | None) -> Problem:
    """Return the problem that is asked for, or otherwise the one that the model was trained on."""
    if model is None or "ic" in given:
        return make_problem(config)
    bodies = model.initial_conditions
    if bodies is None:
        raise CheckpointError(f"{config.model} holds no initial conditions; give --ic.")
    if {"G", "units", "softening", "external_field"} & set(given):  # the bodies of the training under other physics
        G = config.G if {"G", "units"} & set(given) else bodies.G
        softening = config.softening if "softening" in given else bodies.softening
        outer = field_named(config.external_field, G)
        bodies = bodies.replace(G=G, units=config.units, softening=softening, external_field=outer)
    period = period_of(bodies)
    if model.config.ic_family is not None:  # the crossing time of light planets is millions of their orbits
        period = np.minimum(period, shortest_period(bodies))
    return Problem(bodies, float(period.max()))


def step_for(config: Config, given: dict[str, Any], model: Model | None) -> tuple[Criterion | str | None, str]:
    """Return criterion and integrator for `simulate`: those asked for, time-symmetric or not if that was asked for too."""
    asked: Criterion | str | None = config.criterion if model is None else LearnedStep(model)
    integrator = str(given.get("integrator", "auto"))
    symmetrizer = "explicit" if config.symmetrized else config.symmetrizer
    if symmetrizer is None and config.symmetrized is None:
        return asked, integrator
    choice = choose(asked, config.tol, integrator, config.guard)
    if asked is None and choice.integrator.name == "radau15" and symmetrizer is not None:
        raise ConfigError(
            f"tol = {choice.tol:g} is for Gauss-Radau with its own rule, which is not made time-symmetric: leave the "
            "symmetrizer out, or give a looser tol."
        )
    criterion = plain_step(choice.criterion)
    if symmetrizer is None and criterion == choice.criterion:  # it is no symmetrized one
        return asked, integrator
    if symmetrizer is not None:
        criterion = {"explicit": Symmetrized, "huayno": Huayno, "hmm": HutMakinoMcMillan}[symmetrizer](criterion)
    return criterion, str(choice.integrator)


def plain_step(criterion: Criterion) -> Criterion:
    """Return the criterion without its symmetrization, also without the one that a network brings."""
    return unsymmetrized(criterion.criterion if isinstance(criterion, Symmetrized) else criterion)


def run_simulation(
    given: dict[str, Any], quiet: bool, overwrite: bool = False
) -> tuple[Config, SimulationResult, TrajectoryRecorder]:
    """Simulate as `given`, with progress, and write the movie if one is asked for."""
    config, model = settings_for(given)
    problem = problem_for(config, given, model)
    criterion, integrator = step_for(config, given, model)
    if config.times is not None and config.output is None:
        raise ConfigError(f"times = {list(config.times)} are those of the rows of a file: give output, too.")
    if config.movie is not None:
        check_movie_path(Path(config.movie))  # before the run, not after hours of it
    recorder = TrajectoryRecorder()
    recorded = config.movie is not None or config.report
    result = simulate(
        problem.bodies,
        t_end=end_time(config, problem),
        steps=config.steps,
        criterion=criterion,
        tol=config.tol,
        integrator=integrator,
        max_steps=config.max_steps,
        dt_min=config.dt_min,
        dt_max=config.dt_max,
        guard=config.guard,
        output=config.output,
        output_every=config.output_every,
        times=config.times,
        events=config.events,
        output_steps=1 if recorded and config.output is None else None,
        overwrite=overwrite,
        progress=not quiet,
        threads=config.threads,
        sinks=(recorder.take,) if recorded else (),
    )
    if config.movie is not None:
        write_movie(config, recorder.trajectory(), quiet)
    return config, result, recorder


def continue_run(path: str, given: dict[str, Any], quiet: bool) -> SimulationResult:
    """Continue the run in a file (`--resume FILE`), which holds all settings except a later end time."""
    others = [k for k in given if k not in ("t_end", "threads")]
    if others:
        raise ConfigError(f"--resume takes every setting from {path}; leave out --{others[0].replace('_', '-')}.")
    return resume(path, t_end=given.get("t_end"), progress=not quiet, threads=given.get("threads"))


def repeat_run(path: str, given: dict[str, Any], quiet: bool, overwrite: bool) -> SimulationResult:
    """Make the run in a file again (`--repeat FILE`), which holds all settings except where the new rows go."""
    others = [k for k in given if k not in ("output", "threads")]
    if others:
        raise ConfigError(f"--repeat takes every setting from {path}; leave out --{others[0].replace('_', '-')}.")
    return repeat(path, output=given.get("output"), overwrite=overwrite, progress=not quiet, threads=given.get("threads"))


def end_time(config: Config, problem: Problem) -> float | list[float] | None:
    """Return the end time that is asked for, those of the families, or ten periods; None if a number of steps is given."""
    if config.t_end is not None or config.steps is not None:
        return config.t_end
    if config.times is not None:
        return config.times[-1]
    if config.ic_family is not None and config.model is None:
        return family_ends(config)
    return float(problem.bodies.time.max()) + PERIODS * problem.period


def write_movie(config: Config, trajectory: RecordedTrajectory, quiet: bool) -> None:
    """Write the movie of system 0."""
    from ..report.movie import write_movie as write

    with task("drawing the movie", quiet) as progress:
        write(trajectory, Path(str(config.movie)), seconds=config.movie_seconds, title=config.ic, progress=progress)


def check_movie_path(path: Path) -> None:
    """Raise an error before the run for a path that could not be written after it."""
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"movie = {path} must end in .mp4.")
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"movie = {path}: there is no folder {path.parent}; make it first.")
    refuse_irregular(path)
