"""`aitimestepper report`, and `both --report`: a trained network compared with classical steps, and the page about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..bodies import Bodies
from ..config import Config
from ..criteria.classical import FreeFall
from ..criteria.learned import LearnedStep
from ..criteria.wrappers import Symmetrized
from ..models import find_model
from ..report.compare import Curve, classical_curves, learned_curve
from ..report.page import write_report
from ..simulate.engine import simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from ..simulate.result import SimulationResult
from .arguments import Request
from .simulation import end_time, print_summary, problem_for, run_simulation, settings_for
from .terminal import task

MAX_STEPS = 5000  # of the runs compared: 20 s of comparison for two bodies


def run(request: Request) -> int:
    """Simulate with the network of a run, write the page about it into its folder, and return the exit code."""
    given, quiet = {**request.simulation, "report": True}, request.quiet or request.json
    folder = find_model(given["model"], Config.from_dict(given).out_dir).parent
    config, result, recorder = run_simulation(given, quiet, request.overwrite)
    page = write_run_report(folder, given, result, recorder.trajectory(), quiet)
    return print_summary(result, config, {"report": str(page)}, request.json)


def write_run_report(
    folder: Path, given: dict[str, Any], result: SimulationResult, trajectory: RecordedTrajectory, quiet: bool
) -> Path:
    """Compare on system 0 of the run, write report.html and report.png into its folder, and return the path of the page."""
    config, model = settings_for(given)
    assert model is not None
    problem = problem_for(config, given, model)
    bodies, t_end = problem.bodies.select([0]), end_time(config, problem)
    if t_end is None:
        t_end = float(result.final.time[0])
    integrator = model.config.integrator
    with task("comparing with classical steps", quiet) as progress:
        curves = _learned_curves(bodies, t_end, LearnedStep(model, config.tol))
        progress(1, 3)
        curves += classical_curves(bodies, t_end, integrator=integrator, max_steps=MAX_STEPS)
        progress(2, 3)
        classical = _classical_trajectory(bodies, t_end, integrator, len(trajectory.time))
        page = write_report(
            folder,
            title=f"{folder.name}: a learned time step",
            settings=config.to_dict(),
            training_records=_training_records(folder / "metrics.jsonl"),
            curves=curves,
            trajectories={"learned": trajectory, "free fall": classical},
            summary=result.summary(),
            movie=None if config.movie is None else Path(config.movie),
        )
        progress(3, 3)
    return page


def _training_records(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of every epoch; none where a model lies without them."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


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
