"""Steps of several rules along a run: learned steps, and classical ones with as many force evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..evaluation.contenders import Contender, rule_named
from ..evaluation.matched import matched_step_parameters
from ..evaluation.runs import Systems
from ..files import write_atomically
from ..initial.suites import Suite, reference_case
from ..simulate.engine import simulate
from ..simulate.recording import RecordedTrajectory, TrajectoryRecorder
from .style import ACCENT, MUTED, PALETTE, clean_axes, log_axis, log_range, new_figure, png_bytes

CLASSICAL = ("energybudget", "freefall", "prs23")


class Panel(NamedTuple):
    """A run to draw, with its time unit and tolerance."""

    title: str
    problem: str  # a reference problem
    t_end: float
    tol: float
    integrator: str
    begin: float = 0.0  # first time that is drawn
    t_unit: float = 1.0  # unit of the time axis


def draw_steps(panels: Sequence[Panel], path: Path) -> None:
    """Draw two rows of axes for each panel: the steps, and the energy error over the tolerance."""
    figure = new_figure(1400, 760)
    axes = figure.subplots(2, len(panels), squeeze=False, sharex="col")
    figure.subplots_adjust(left=0.07, right=0.985, top=0.93, bottom=0.085, hspace=0.12, wspace=0.2)
    for (top, bottom), panel in zip(axes.T, panels, strict=True):
        trajectories = trajectories_of(panel)
        clean_axes(top, ylabel="dt", title=panel.title)
        clean_axes(bottom, xlabel="time" if panel.t_unit == 1.0 else "time / period", ylabel="|energy error| / tol")
        for k, (label, trajectory) in enumerate(trajectories.items()):
            shown = trajectory.time >= panel.begin
            shown[-1] = False  # cut short to land on the end time
            t, colour = trajectory.time[shown] / panel.t_unit, ACCENT if label == "learned" else PALETTE[k]
            width, order = (2.0, 5) if label == "learned" else (1.2, 3)
            top.plot(t, trajectory.dt[shown], color=colour, linewidth=width, zorder=order, label=label)
            bottom.plot(
                t, np.maximum(trajectory.energy_error[shown] / panel.tol, 1e-6), color=colour, linewidth=width, zorder=order
            )
        log_axis(top, "y", *log_range(*(x.dt[x.time >= panel.begin][1:-1] for x in trajectories.values())))
        log_axis(bottom, "y", 1e-3, max(10.0, *(float(x.energy_error.max()) / panel.tol for x in trajectories.values())))
        bottom.axhline(1.0, color=MUTED, linewidth=1, linestyle=":")
        top.legend(frameon=False, fontsize=10)
    write_atomically(path, png_bytes(figure))


def trajectories_of(panel: Panel) -> dict[str, RecordedTrajectory]:
    """Return one run of each rule: the learned one at the tolerance, the others with as many forces."""
    systems = Systems.of(Suite(panel.problem, (replace(reference_case(panel.problem), t_end=panel.t_end),)))
    learned = Contender(rule_named("learned"), "symmetrized", panel.integrator)
    step_parameter = np.full(1, learned.step_parameter(panel.tol))
    trajectories, forces = {}, 0.0
    for name in ("learned", *CLASSICAL):
        contender = learned if name == "learned" else Contender(rule_named(name), "symmetrized", panel.integrator)
        if name != "learned":
            step_parameter, _ = matched_step_parameters(systems, contender, forces)
        recorder = TrajectoryRecorder()
        done = simulate(
            systems.start,
            t_end=systems.ends,
            criterion=contender.criterion(step_parameter, systems.start),
            integrator=panel.integrator,
            output_steps=1,
            sinks=(recorder.take,),
            threads=1,
            warn=False,
        )
        forces = forces or float(done.force_evaluations[0])
        trajectories[name] = recorder.trajectory()
    return trajectories
