"""Figures of trainings, comparisons and runs. Each function returns a matplotlib Figure and changes no global state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..simulate.recording import RecordedTrajectory
from .compare import Curve
from .orbits import positions_at, view_of
from .series import shown_dt
from .style import ACCENT, FLOOR, GRID, INK, MUTED, PALETTE, clean_axes, log_axis, log_range, log_ticks, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOUR_MAP = "viridis"
MAX_DOTS = 20_000
# muted, one colour per rule; a symmetrized rule has the colour of its plain form, dashed
RULES = {
    "Constant": ("#9aa5b1", "s"),
    "FreeFall": ("#4477aa", "o"),
    "HutMakino": ("#88aa66", "^"),
    "Tidal": ("#aa77aa", "v"),
    "PRS23": ("#ccaa44", "D"),
    "Boekholt": ("#44a099", "P"),
}


# (title, kind of axis, lines: name of the metric, label, colour)
PANELS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("steps accepted, samples passed", "share", (
        ("part1/acceptance_rate", "Part 1: attempts accepted", PALETTE[0]),
        ("part2/final_pass_rate", "Part 2: samples passing", ACCENT))),
    ("retrains per step (Part 1)", "count", (
        ("part1/max_retrain_iterations", "largest", PALETTE[1]),
        ("part1/mean_retrain_iterations", "mean", PALETTE[0]))),
    ("energy error of one step", "error", (
        ("part2/max_rel_dE", "Part 2, largest", ACCENT),
        ("part1/mean_energy_error", "Part 1, mean", PALETTE[0]))),
    ("minibatches (Part 2)", "count", (("part2/iterations", "", PALETTE[3]),)),
    ("mean time step (Part 1)", "positive", (("part1/mean_dt", "", PALETTE[4]),)),
    ("wall time of an epoch, seconds", "positive", (("epoch_time", "", MUTED),)),
)  # fmt: skip


# titles of the panels where runs are judged
OF_RUNS = {
    "steps accepted, samples passed": "runs accepted, problems passed",
    "retrains per step (Part 1)": "runs made again (Part 1)",
    "energy error of one step": "energy error of runs",
}


# ---- training --------------------------------------------------------------------------------------------------------
def training_figure(records: Sequence[Mapping[str, Any]], threshold: float | None = None, judge: str = "step") -> Figure:
    """Return six panels over the epochs of `metrics.jsonl`; `threshold` is drawn as the energy error that a step may have.

    Under judge `run` the errors are those of whole runs.
    """
    figure = new_figure(1400, 760)
    axes = figure.subplots(2, 3, sharex=True)
    figure.subplots_adjust(left=0.06, right=0.985, top=0.945, bottom=0.08, hspace=0.2, wspace=0.24)
    epochs = _column(records, "epoch")
    for ax, (title, kind, lines) in zip(axes.flat, PANELS, strict=True):
        clean_axes(ax, title=title if judge == "step" else OF_RUNS.get(title, title))
        shown = [_draw_metric(ax, epochs, _column(records, name), label, colour) for name, label, colour in lines]
        if kind == "error" and threshold is not None:
            ax.axhline(threshold, color=INK, linewidth=1.2, linestyle="--", label="threshold")
            shown.append(np.array([threshold]))
        _metric_axis(ax, kind, shown)
        if len(lines) > 1:
            ax.legend(frameon=False, fontsize=10, labelcolor=INK, loc="best")
    for ax in axes[-1]:
        ax.set_xlabel("epoch", color=INK, fontsize=11)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _column(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return one metric over all records; nan where it is missing, or no number."""
    return np.array([float(r[name]) if isinstance(r.get(name), (int, float)) else np.nan for r in records])


def _draw_metric(ax: Any, epochs: np.ndarray, values: np.ndarray, label: str, colour: str) -> np.ndarray:
    """Draw a line and return its values; for long trainings the values are pale and their running median is the line."""
    width = len(values) // 40
    if width < 2:
        ax.plot(
            epochs, values, color=colour, linewidth=1.6, marker="o" if len(values) < 30 else None, markersize=4, label=label
        )
    else:
        ax.plot(epochs, values, color=colour, linewidth=0.7, alpha=0.3)
        middle = [_median(values[max(0, i - width) : i + width + 1]) for i in range(len(values))]
        ax.plot(epochs, middle, color=colour, linewidth=1.8, label=label)
    return values


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else np.nan


def _metric_axis(ax: Any, kind: str, values: list[np.ndarray]) -> None:
    if kind == "share":
        ax.set_ylim(-0.03, 1.05)
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    elif kind == "count":
        largest = max([1.0, *(float(np.nanmax(v)) for v in values if np.isfinite(v).any())])
        if largest > 20:
            ax.set_yscale("symlog", linthresh=1.0)
        ax.set_ylim(-0.03 * largest if largest <= 20 else -0.15, 1.1 * largest if largest <= 20 else 1.6 * largest)
    else:
        log_axis(ax, "y", *log_range(*values))


# ---- work and precision ----------------------------------------------------------------------------------------------
def work_precision_figure(curves: Sequence[Curve]) -> Figure:
    """Return the largest and the final energy error against force evaluations for all rules; the learned ones stand out."""
    figure = new_figure(1400, 620)
    left, right = figure.subplots(1, 2, sharex=True)
    figure.subplots_adjust(left=0.06, right=0.79, top=0.93, bottom=0.105, wspace=0.22)
    draw_work_precision(left, curves, "max_error", "largest energy error of the run", size=12)
    draw_work_precision(right, curves, "final_error", "energy error at the end", size=12)
    _legend(figure, left, bbox_to_anchor=(0.8, 0.94), loc="upper left", fontsize=11.5, borderaxespad=0)
    return figure


def draw_work_precision(ax: Any, curves: Sequence[Curve], measure: str, title: str, size: float) -> None:
    """Draw curves of `measure` ("max_error" or "final_error") in an axes, the worst rule first, as the legend lists them."""
    clean_axes(ax, "force evaluations", "relative energy error", title, size)
    curves = [c for c in curves if len(c.max_error)]
    for curve in sorted(curves, key=_typical_error, reverse=True):
        errors = np.maximum(getattr(curve, measure), FLOOR)
        ax.plot(curve.force_evaluations, errors, label=plain(curve.label, 30), **_curve_style(curve, curves))
    log_axis(ax, "x", *log_range(*(c.force_evaluations for c in curves)))
    log_axis(ax, "y", *log_range(*(np.maximum(getattr(c, measure), FLOOR) for c in curves)), ticks=8)


def _typical_error(curve: Curve) -> float:
    """Return the median of ln(error cost^2), to sort rules by: a method of order 2 has the same value at any cost."""
    return float(np.median(np.log(np.maximum(curve.max_error, FLOOR)) + 2 * np.log(curve.force_evaluations)))


def _curve_style(curve: Curve, curves: Sequence[Curve]) -> dict[str, Any]:
    style = "--" if curve.symmetrized else "-"
    if curve.learned:
        shades = (ACCENT, "#f08a24", "#8c1d40")  # several networks in one figure
        colour = shades[[c.label for c in curves if c.learned].index(curve.label) % len(shades)]
        return {"color": colour, "linewidth": 3.2, "linestyle": style, "marker": "o", "markersize": 8, "zorder": 5,
                "markeredgecolor": "white"}  # fmt: skip
    colour, marker = RULES.get(curve.label.split(",")[0], (MUTED, "x"))
    return {"color": colour, "linewidth": 1.6, "linestyle": style, "marker": marker, "markersize": 5, "zorder": 3}


def _legend(parent: Any, ax: Any, **place: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    legend = parent.legend(handles, labels, frameon=False, labelcolor=INK, handlelength=2.8, labelspacing=0.65, **place)
    for text, handle in zip(legend.get_texts(), handles, strict=True):
        text.set_fontweight("bold" if handle.get_linewidth() > 3 else "normal")


# ---- steps -----------------------------------------------------------------------------------------------------------
def steps_figure(trajectories: Mapping[str, RecordedTrajectory]) -> Figure:
    """Return the orbit of the first trajectory, coloured by the step, over dt and the energy error of all along time."""
    label, first = next(iter(trajectories.items()))
    half = view_of(_flat(first)).half
    rows = ((555, min(880 * half[1] / half[0], 600)), (295, 180), (60, 180))  # bottom and height in pixels
    height = round(rows[0][0] + rows[0][1] + 40)
    figure = new_figure(1100, height)
    top, middle, bottom = (figure.add_axes((0.095, y / height, 0.8, h / height)) for y, h in rows)
    draw_orbit(figure, top, first, "orbit, coloured by the time step" + (f" ({label})" if len(trajectories) > 1 else ""))
    draw_along_time(middle, {k: (t.time, shown_dt(t)) for k, t in trajectories.items()}, "dt", "time step")
    errors = {k: (t.time, np.maximum(t.energy_error, FLOOR)) for k, t in trajectories.items()}
    draw_along_time(bottom, errors, "relative error", "energy error", lowest=0.02)
    bottom.set_xlabel("time", color=INK, fontsize=12)
    middle.tick_params(labelbottom=False)
    return figure


def draw_orbit(figure: Any, ax: Any, trajectory: RecordedTrajectory, title: str, size: float = 12) -> None:
    """Draw a dot at every step in the colour of its dt, over the paths; in space the first two axes are shown."""
    from matplotlib.colors import LogNorm

    view = view_of(_flat(trajectory))
    clean_axes(ax, "x", "y", plain(title), size)
    times = np.union1d(np.linspace(trajectory.time[0], trajectory.time[-1], 4000), trajectory.time)
    path = positions_at(trajectory, times)[..., :2]
    for body in range(path.shape[1]):
        ax.plot(*path[:, body].T, color=GRID, linewidth=1.0, zorder=1)
    every = max(1, trajectory.position[..., 0].size // MAX_DOTS)
    x, dt = trajectory.position[::every, :, :2], shown_dt(trajectory)[::every]
    low, high = log_range(dt)
    wider = 1.01 if high > 3 * low else 1.8  # so that a nearly constant step does not span the whole range of colours
    norm = LogNorm(low / wider, high * wider)
    colours = np.repeat(dt, x.shape[1])
    dots = ax.scatter(*x.reshape(-1, 2).T, c=colours, s=9, cmap=COLOUR_MAP, norm=norm, linewidths=0, zorder=2)
    ax.set(xlim=view.centre[0] + view.half[0] * np.array([-1, 1]), ylim=view.centre[1] + view.half[1] * np.array([-1, 1]))
    ax.set_aspect("equal")
    bar = figure.colorbar(dots, cax=ax.inset_axes((1.02, 0, 0.022, 1)))
    log_ticks(bar.ax.yaxis, low / wider, high * wider)
    bar.ax.set_title("dt", color=INK, fontsize=size, pad=8)
    bar.ax.tick_params(labelsize=size - 1, labelcolor=INK)
    bar.outline.set_visible(False)


def _flat(trajectory: RecordedTrajectory) -> RecordedTrajectory:
    return dataclasses.replace(trajectory, position=trajectory.position[..., :2], velocity=trajectory.velocity[..., :2])


def draw_along_time(
    ax: Any,
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ylabel: str,
    title: str = "",
    size: float = 12,
    lowest: float = 0.0,
) -> None:
    """Draw (time, values) by label on a logarithmic axis, the first one on top; several labels make a legend above."""
    clean_axes(ax, "", ylabel, title, size)
    for n, (label, (time, values)) in enumerate(lines.items()):
        colour = ACCENT if n == 0 else RULES.get(label.split(",")[0], (PALETTE[(n - 1) % len(PALETTE)],))[0]
        style = {"linewidth": 2.0 if n == 0 else 1.4, "linestyle": "--" if "symmetrized" in label and n else "-"}
        ax.plot(time, values, color=colour, zorder=4 - n / 100, label=plain(label, 30), **style)
    times = np.concatenate([t for t, _ in lines.values()])
    ax.set_xlim(times.min(), times.max())
    log_axis(ax, "y", *log_range(*(v for _, v in lines.values()), lowest=lowest))
    if len(lines) > 1 and ylabel == "dt":
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.98), "borderaxespad": 0.2}
        ax.legend(
            frameon=False, labelcolor=INK, fontsize=size - 1, ncols=len(lines), handlelength=1.6, columnspacing=1.2, **place
        )


# ---- overview --------------------------------------------------------------------------------------------------------
def overview_figure(curves: Sequence[Curve], trajectories: Mapping[str, RecordedTrajectory]) -> Figure:
    """Return a figure of the cost of an error (left) and the steps along the orbit (right), readable at 60 % of its size."""
    figure = new_figure(1400, 600)
    left = figure.add_axes((0.07, 0.125, 0.34, 0.8))
    draw_work_precision(left, curves, "max_error", "cost of an energy error", size=15)
    _legend(figure, left, bbox_to_anchor=(0.415, 0.94), loc="upper left", fontsize=11.5, borderaxespad=0)
    orbit, dt = figure.add_axes((0.685, 0.515, 0.24, 0.41)), figure.add_axes((0.685, 0.125, 0.3, 0.25))
    _, first = next(iter(trajectories.items()))
    draw_orbit(figure, orbit, first, "", size=13)
    draw_along_time(dt, {k: (t.time, shown_dt(t)) for k, t in trajectories.items()}, "dt", size=13)
    dt.set_xlabel("time", color=INK, fontsize=13)
    return figure
