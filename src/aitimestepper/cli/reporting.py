"""`aitimestepper both --report`: the comparison of the network just trained with classical steps, and the page about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..criteria.base import Symmetrized
from ..criteria.classical import FreeFall
from ..criteria.learned import LearnedStep
from ..differentiable.particle import ParticleTorch
from ..simulate.engine import simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from ..simulate.result import SimulationResult
from .progress import task
from .simulation import end_time, problem_for, settings_for

MOST_STEPS = 5000  # of the runs compared: 20 s of comparison for two bodies


def write_run_report(
    folder: Path, given: dict[str, Any], result: SimulationResult, track: RecordedTrajectory, quiet: bool
) -> Path:
    """Compare on system 0 of the run, and write report.html and report.png into its folder."""
    from ..report.compare import classical_curves, learned_curve
    from ..report.page import write_report

    config, checkpoint = settings_for(given)
    assert checkpoint is not None
    problem = problem_for(config, given, checkpoint)
    particle = problem.particle.select(torch.zeros(1, dtype=torch.long, device=problem.particle.time.device))
    t_end = end_time(config, problem)
    if t_end is None:
        t_end = float(result.final.time[0])
    step = LearnedStep.from_checkpoint(checkpoint, config.tol, config.device)
    with task("comparing with classical steps", quiet) as progress:
        curves = [learned_curve(particle, t_end, step, max_steps=MOST_STEPS)]
        progress(1, 4)
        if step.velocity_even:  # a step that looks at past states cannot be symmetrized
            curves.insert(
                0, learned_curve(particle, t_end, step, "learned, symmetrized", symmetrized=True, max_steps=MOST_STEPS)
            )
        progress(2, 4)
        curves += classical_curves(particle, t_end, integrator=step.integrator, max_steps=MOST_STEPS)
        progress(3, 4)
        tracks = {"learned": track, "free fall": _classical_track(particle, t_end, step.integrator, len(track.time))}
        page = write_report(
            folder,
            title=f"{folder.name}: a learned time step",
            settings=config.to_dict(),
            training_records=[json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()],
            curves=curves,
            tracks=tracks,
            summary=result.summary(),
            movie=None if config.movie is None else Path(config.movie),
        )
        progress(4, 4)
    return page


def _classical_track(particle: ParticleTorch, t_end: float, integrator: str, steps: int) -> RecordedTrajectory:
    """A symmetrized free-fall run of about as many steps, to see the two along the same time."""

    def run(eta: float) -> tuple[int, RecordedTrajectory]:
        recorder = TrajectoryRecorder()
        criterion = Symmetrized(FreeFall(eta))
        done = simulate(
            particle, t_end=t_end, criterion=criterion, integrator=integrator, sinks=(recorder.take,), output_steps=1
        )
        return int(done.steps[0]), recorder.track()

    coarse, _ = run(0.2)
    return run(0.2 * coarse / steps)[1]
