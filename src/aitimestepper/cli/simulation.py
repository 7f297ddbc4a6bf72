"""`aitimestepper simulate`: settings from a checkpoint, a TOML file and flags to one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..config import Config, field_sections
from ..criteria.base import AbstractStepCriterion, Symmetrized
from ..criteria.catalogue import criterion_from
from ..criteria.classical import EnergyBudget
from ..criteria.learned import LearnedStep, resolve_device, torch_dtype
from ..errors import CheckpointError, ConfigError
from ..io.checkpoints import Checkpoint, field_from, find_checkpoint, load_checkpoint
from ..io.initial import Problem, make_problem, period_of
from ..physics.particle import ParticleTorch
from ..simulate.engine import DEFAULT_TOL, SimulationResult, simulate
from ..simulate.record import Track, TrackRecorder
from .arguments import Request
from .progress import SimulationProgress, task

PERIODS = 10  # how long a run lasts when nothing else is said
# what a checkpoint knows better than the defaults: how its network was made, and the world it was made for
FROM_CHECKPOINT = ("training", "network", "physics", "initial conditions")


def settings_for(request: Request) -> tuple[Config, Checkpoint | None]:
    """Defaults, under the checkpoint of `model`, under TOML, under flags."""
    given = dict(request.settings)
    if given.get("model") is None:
        return Config.from_dict(given), None
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


def criterion_for(config: Config, checkpoint: Checkpoint | None) -> AbstractStepCriterion:
    """The network, the criterion named, or the default one for `tol`; symmetrized if asked for."""
    if checkpoint is not None:
        made: AbstractStepCriterion = LearnedStep.from_checkpoint(checkpoint, config.tol, config.device)
    elif config.criterion is not None:
        extra = {"integrator": config.integrator, **({"tol": config.tol} if config.tol is not None else {})}
        made = criterion_from(config.criterion, **extra)
    else:
        return Symmetrized(EnergyBudget(DEFAULT_TOL if config.tol is None else config.tol, config.integrator))
    return Symmetrized(made) if config.symmetrized else made


def run(config: Config, request: Request, criterion: AbstractStepCriterion, problem: Problem) -> tuple[SimulationResult, Track]:
    """Simulate with progress, and write the movie if one was asked for."""
    quiet = request.quiet or request.json
    t0 = float(problem.particle.time.max())
    t_end = config.t_end if config.steps is not None or config.t_end is not None else t0 + PERIODS * problem.period
    recorder = TrackRecorder()
    progress = SimulationProgress(t0, t_end, config.steps, quiet)

    def watch(*seen: Any) -> None:
        recorder(*seen)
        progress(*seen)

    try:
        result = simulate(
            problem.particle,
            t_end=t_end,
            steps=config.steps,
            criterion=criterion,
            integrator=criterion.integrator if isinstance(criterion, LearnedStep) else config.integrator,
            max_steps=config.max_steps,
            dt_min=config.dt_min,
            dt_max=config.dt_max,
            observer=watch,
        )
    finally:
        progress.close()
    if config.movie is not None:
        write_movie(config, recorder.track(), quiet)
    return result, recorder.track()


def write_movie(config: Config, track: Track, quiet: bool) -> None:
    """The movie of system 0."""
    from ..report.movie import write_movie as write

    with task("drawing the movie", quiet) as progress:
        write(track, Path(str(config.movie)), seconds=config.movie_seconds, title=config.ic, progress=progress)
