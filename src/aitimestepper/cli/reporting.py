"""`aitimestepper report`, and `both --report`: a trained network compared with classical steps, and the page about it."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..config import Config
from ..criteria.classical import FreeFall
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Symmetrized
from ..errors import CheckpointError, ConfigError
from ..evaluation.asked import Answer, answers_of_network, answers_of_package, answers_of_rule, calibrated_rules
from ..files import read_json_lines
from ..initial.families import STANDARD
from ..initial.named import InitialConditions
from ..initial.own_families import families_named
from ..initial.suites import Case
from ..models import Model, find_model
from ..report.asked import IAS15, MINE, PACKAGE, headlines
from ..report.compare import Curve, classical_curves, learned_curve
from ..report.explorer.page import is_snapshot, write_explorer
from ..report.page import write_report
from ..simulate.engine import simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from ..simulate.result import SimulationResult
from .arguments import Request
from .simulation import print_summary, problem_for, run_simulation, settings_for
from .terminal import print_json, task

MAX_STEPS = 5000  # of the runs compared: 20 s of comparison for two bodies
IAS15_EPSILON, MAX_FORCES = 1e-9, 3_000_000  # REBOUND's default, and where its run is given up


def run(request: Request) -> int:
    """Write the page that is asked for, and return the exit code.

    About one training, that is a comparison in its folder, with a simulation by its network; about anything else, or with -o,
    the page to explore what was recorded.
    """
    if request.page is not None or len(request.runs) > 1 or request.systems or is_snapshot(request.runs[0]):
        return explore(request)
    given, quiet = {**request.simulation, "report": True}, request.quiet or request.json
    folder = find_model(given["model"], Config.from_dict(given).out_dir).parent
    config, result, recorder = run_simulation(given, quiet, request.overwrite)
    page = write_run_report(folder, given, result, recorder.trajectory(), quiet)
    return print_summary(result, config, {"report": str(page)}, request.json)


def explore(request: Request) -> int:
    """Write the page to explore recorded runs and trainings, and return the exit code."""
    others = [name for name in request.simulation if name not in ("model", "out_dir")]
    if others:
        raise ConfigError(
            f"--{others[0].replace('_', '-')} is for the comparison of one training; a page about recorded runs shows them as "
            "they are: leave it out, or leave out -o and name one training."
        )
    out_dir = Config.from_dict(request.simulation).out_dir
    with task("writing the page", request.quiet or request.json):
        print_json(write_explorer(request.runs, Path(request.page or "report.html"), systems=request.systems, out_dir=out_dir))
    return 0


def write_run_report(
    folder: Path, given: dict[str, Any], result: SimulationResult, trajectory: RecordedTrajectory, quiet: bool
) -> Path:
    """Compare on system 0 of the run, write report.html and report.png into its folder, and return the path of the page.

    A network that was calibrated on runs is asked for energy errors, as classical rules are that were calibrated on the
    families of its training. Of one that was trained on single steps the cost of an error is compared.
    """
    config, model = settings_for(given)
    assert model is not None
    problem = problem_for(config, given, model)
    bodies, t_end = problem.bodies.select([0]), float(result.final.time[0])
    about: dict[str, Any] = {
        "title": f"{folder.name}: a learned time step",
        "settings": {
            **config.to_dict(),
            "num_orbits": model.config.num_orbits,
            "ic_family": model.config.ic_family,
            "seed": model.config.seed,
        },
        "training_records": _training_records(folder / "metrics.jsonl"),
        "summary": result.summary(),
        "movie": None if config.movie is None else Path(config.movie),
    }
    with task("comparing with classical steps", quiet) as progress:
        if model.calibration:
            answers = asked_and_got(bodies, t_end, model, progress)
            earlier = _earlier_records(model, config.out_dir)
            if not quiet:
                print(*headlines(answers), sep="\n", file=sys.stderr)
            trajectories = {"learned": trajectory}
            return write_report(folder, **about, curves=(), trajectories=trajectories, answers=answers, earlier_records=earlier)
        integrator = model.config.integrator
        curves = _learned_curves(bodies, t_end, LearnedStep(model))
        progress(1, 3)
        curves += classical_curves(bodies, t_end, integrator=integrator, max_steps=MAX_STEPS)
        progress(2, 3)
        other = _classical_trajectory(bodies, t_end, integrator, len(trajectory.time))
        return write_report(folder, **about, curves=curves, trajectories={"learned": trajectory, "free fall": other})


def asked_and_got(bodies: Bodies, t_end: float, model: Model, progress: Callable[..., None]) -> list[Answer]:
    """Return the runs of one system by a calibrated network and by others, each asked for the same energy errors."""
    tolerances = sorted((tol for tol, _ in model.calibration), reverse=True)
    given = model.config.ic_family or STANDARD
    # of many families the standard ones suffice: large clusters and long runs would take minutes
    families, own = families_named([name for name in given if name in STANDARD] or given)
    parts: list[Callable[[], list[Answer]]] = [
        lambda: answers_of_network(MINE, LearnedStep(model), bodies, t_end, tolerances),
        lambda: answers_of_package(PACKAGE, bodies, t_end, tolerances),
        lambda: [
            answer
            for rule in calibrated_rules(model.integrator, families, tolerances, own)
            for answer in answers_of_rule(rule, bodies, t_end, tolerances)
        ],
        lambda: _ias15(bodies, t_end, tolerances),
    ]
    found: list[Answer] = []
    for done, part in enumerate(parts):
        progress(done, len(parts))
        found += part()
    return found


def _ias15(bodies: Bodies, t_end: float, tolerances: list[float]) -> list[Answer]:
    """Return the run of REBOUND's IAS15 with its defaults, which take no tolerance for the energy; none without REBOUND."""
    if importlib.util.find_spec("rebound") is None or bodies.external_field is not None:
        return []
    from ..bench.peers import PEERS, prepare

    present = bodies.present[0]
    flat = [(0, 0), (0, 3 - bodies.position.shape[-1])]
    position, velocity = (np.pad(x[0][present], flat) for x in (bodies.position, bodies.velocity))
    initial = InitialConditions(bodies.mass[0][present], position, velocity, None, bodies.G)
    case = Case("", "", initial, t_end - float(bodies.time[0]), float(bodies.softening[0]))
    run = prepare(PEERS["rebound:ias15:prs23"], case, IAS15_EPSILON).watch(MAX_FORCES)
    return [Answer(IAS15, tol, run.error, float(run.forces or 0)) for tol in tolerances]


def _earlier_records(model: Model, out_dir: str) -> list[dict[str, Any]]:
    """Return the metrics of the training that this one began with, where they are still there."""
    if model.config.start is None:
        return []
    try:
        return _training_records(find_model(model.config.start, out_dir).parent / "metrics.jsonl")
    except CheckpointError:
        return []


def _training_records(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of every epoch; none where a model lies without them."""
    return read_json_lines(path, "metrics") if os.path.isfile(path) else []


def _learned_curves(bodies: Bodies, t_end: float, step: LearnedStep) -> list[Curve]:
    """Return the curve of the learned step, after that of its time-symmetric form if past states are no input."""
    curves = [learned_curve(bodies, t_end, step, max_steps=MAX_STEPS)]
    if step.velocity_even:
        name = "learned, symmetrized"
        curves.insert(0, learned_curve(bodies, t_end, step, name, symmetrized=True, max_steps=MAX_STEPS))
    return curves


def _classical_trajectory(bodies: Bodies, t_end: float, integrator: str, steps: int) -> RecordedTrajectory:
    """Return a symmetrized free-fall run of about as many steps, to show the two along the same time."""

    def trajectory_at(eta: float) -> tuple[int, RecordedTrajectory]:
        recorder = TrajectoryRecorder()
        criterion = Symmetrized(FreeFall(eta))
        how: dict[str, Any] = {"criterion": criterion, "integrator": integrator, "warn": False}
        done = simulate(bodies, t_end=t_end, sinks=(recorder.take,), output_steps=1, **how)
        return int(done.steps[0]), recorder.trajectory()

    coarse, _ = trajectory_at(0.2)
    return trajectory_at(0.2 * coarse / steps)[1]
