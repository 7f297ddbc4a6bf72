"""`aitimestepper simulate`: settings from a checkpoint, a TOML file and flags to one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..config import Config, field_sections
from ..criteria.base import AbstractStepCriterion, Symmetrized, innermost
from ..criteria.catalogue import criterion_from
from ..criteria.classical import LastTerm
from ..criteria.learned import DEFAULT, DEFAULT_TOL, LearnedStep
from ..criteria.reversible import Huayno, HutMakinoMcMillan
from ..differentiable.adapter import resolve_device, torch_dtype
from ..differentiable.particle import ParticleTorch
from ..errors import CheckpointError, ConfigError
from ..initial.problems import Problem, make_problem, period_of
from ..simulate.engine import default_criterion, like_composition, simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from ..simulate.result import SimulationResult
from ..simulate.session import resume
from ..training.checkpoints import Checkpoint, field_from, find_checkpoint, load_checkpoint
from .progress import task

PERIODS = 10  # how long a run lasts when nothing else is said
# what a checkpoint knows better than the defaults: how its network was made, and the world it was made for
FROM_CHECKPOINT = ("training", "network", "physics", "initial conditions")


def settings_for(given: dict[str, Any]) -> tuple[Config, Checkpoint | None]:
    """Defaults, under the checkpoint of `model`, under what was given."""
    if given.get("model") in (None, DEFAULT):
        return Config.from_dict({k: v for k, v in given.items() if k != "model"}), None
    checkpoint = load_checkpoint(find_checkpoint(given["model"], Config.from_dict(given).out_dir))
    sections = field_sections()
    known = {k: v for k, v in checkpoint.config.to_dict().items() if sections[k] in FROM_CHECKPOINT or k == "dtype"}
    if "integrator" in given and given["integrator"] != known["integrator"]:
        raise ConfigError(
            f"integrator = {given['integrator']}, but the network of {given['model']} was trained with {known['integrator']}: "
            "leave it out, or train a network with yours."
        )
    if "ic" in given:  # other initial conditions: the way that the training batch was sampled is not meant for them
        known = {k: v for k, v in known.items() if sections[k] != "initial conditions"}
    return Config.from_dict({**known, **given}), checkpoint


def problem_for(config: Config, given: dict[str, Any], checkpoint: Checkpoint | None) -> Problem:
    """The initial conditions asked for, or those that the checkpoint was trained on."""
    device, dtype = resolve_device(config.device), torch_dtype(config.dtype)
    if checkpoint is None or "ic" in given:
        return make_problem(config, dtype, device)
    if checkpoint.initial_conditions is None:
        raise CheckpointError(f"{config.model} holds no initial conditions; give --ic.")
    particle = checkpoint.initial_conditions.to(device, dtype)
    if {"G", "softening", "external_field"} & set(given):  # the same bodies in another world
        tensors = particle.tensors()
        if "softening" in given:
            tensors["softening"] = torch.full_like(particle.softening, config.softening)
        particle = ParticleTorch(**tensors, G=config.G if "G" in given else particle.G)  # type: ignore[arg-type]
        particle.set_external_field(field_from(config))
    return Problem(particle, float(period_of(particle).max()))


def criterion_for(config: Config, given: dict[str, Any], checkpoint: Checkpoint | None) -> AbstractStepCriterion:
    """The network, the criterion named, or the default one for `tol` with the cheapest order; time-symmetric if asked for."""
    if checkpoint is not None:
        made: AbstractStepCriterion = LearnedStep.from_checkpoint(checkpoint, config.tol, config.device)
    elif config.criterion is not None:
        extra: dict[str, Any] = {
            "integrator": like_composition(config.integrator),
            **({} if config.tol is None else {"tol": config.tol}),
        }
        made = criterion_from(config.criterion, **extra)
    else:
        chosen = default_criterion(DEFAULT_TOL if config.tol is None else config.tol, given.get("integrator") or "auto")
        if config.symmetrizer is None or not isinstance(chosen, Symmetrized):
            return chosen
        return time_symmetric(chosen.inner, config.symmetrizer, chosen.integrator)
    how = "explicit" if config.symmetrized else config.symmetrizer
    return made if how is None else time_symmetric(made, how, integrator_for(config, given, made))


def integrator_for(config: Config, given: dict[str, Any], criterion: AbstractStepCriterion) -> str:
    """The one given, or the default for a criterion by name; networks, the default step and `LastTerm` bring their own."""
    if "integrator" in given:
        return str(given["integrator"])
    own = config.model is not None or config.criterion is None or isinstance(innermost(criterion), LastTerm)
    return criterion.integrator if own else config.integrator


def time_symmetric(criterion: AbstractStepCriterion, how: str, integrator: str) -> AbstractStepCriterion:
    """The criterion with time-symmetric steps, made in the way that `symmetrizer` names, for a run by `integrator`."""
    if how == "hmm":
        return HutMakinoMcMillan(criterion, integrator=integrator)
    return Huayno(criterion) if how == "huayno" else Symmetrized(criterion)


def run(given: dict[str, Any], quiet: bool, overwrite: bool = False) -> tuple[Config, SimulationResult, TrajectoryRecorder]:
    """Simulate as `given`, with progress, and write the movie if one was asked for."""
    config, checkpoint = settings_for(given)
    problem = problem_for(config, given, checkpoint)
    criterion = criterion_for(config, given, checkpoint)
    if config.movie is not None:
        check_movie_path(Path(config.movie))  # before the run, not after hours of it
    recorder = TrajectoryRecorder()
    wanted = config.movie is not None or config.report
    compiled = config.dtype == "float64" and problem.particle.position.device.type == "cpu"
    result = simulate(
        problem.particle,
        t_end=end_time(config, problem),
        steps=config.steps,
        criterion=criterion,
        tol=DEFAULT_TOL if config.tol is None else config.tol,
        integrator=integrator_for(config, given, criterion),
        max_steps=config.max_steps,
        dt_min=config.dt_min,
        dt_max=config.dt_max,
        guard=config.guard,
        output=config.output,
        output_every=config.output_every,
        output_steps=1 if wanted and config.output is None else None,
        overwrite=overwrite,
        progress=not quiet,
        threads=config.threads,
        observer=recorder if wanted and not compiled else None,
        sinks=(recorder.take,) if wanted and compiled else (),
    )
    if config.movie is not None:
        write_movie(config, recorder.track(), quiet)
    return config, result, recorder


def go_on(path: str, given: dict[str, Any], quiet: bool) -> SimulationResult:
    """`--resume FILE`: everything but a later end is in the file."""
    others = [k for k in given if k not in ("t_end", "threads")]
    if others:
        raise ConfigError(f"--resume takes every setting from {path}; leave out --{others[0].replace('_', '-')}.")
    return resume(path, t_end=given.get("t_end"), progress=not quiet, threads=given.get("threads"))


def end_time(config: Config, problem: Problem) -> float | None:
    """When the run ends, unless it counts steps: as said, or after ten periods."""
    if config.t_end is not None or config.steps is not None:
        return config.t_end
    return float(problem.particle.time.max()) + PERIODS * problem.period


def write_movie(config: Config, track: RecordedTrajectory, quiet: bool) -> None:
    """The movie of system 0."""
    from ..report.movie import write_movie as write

    with task("drawing the movie", quiet) as progress:
        write(track, Path(str(config.movie)), seconds=config.movie_seconds, title=config.ic, progress=progress)


def check_movie_path(path: Path) -> None:
    """Refuse early what could not be written late."""
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"movie = {path} must end in .mp4.")
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"movie = {path}: there is no folder {path.parent}; make it first.")
