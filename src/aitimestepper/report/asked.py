"""Asked and got: the figure and the words of a report about a network that was calibrated on runs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation.asked import Answer
from ..simulate.recording import RecordedTrajectory
from .figures import draw_along_time, draw_orbit
from .series import shown_dt
from .style import ACCENT, FLOOR, INK, MUTED, clean_axes, log_axis, log_range, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINE, PACKAGE, IAS15 = "this network", "the package, tol alone", "IAS15, REBOUND's default"
SHOWN_STEPS = 600  # steps drawn along time
LOOKS = {
    MINE: (ACCENT, "o", 3.0),
    PACKAGE: ("#f08a24", "D", 2.2),
    "freefall": ("#4477aa", "s", 1.4),
    "hutmakino": ("#88aa66", "^", 1.4),
    "boekholt": ("#44a099", "P", 1.4),
    "prs23": ("#b8860b", "v", 1.4),
    "energybudget": ("#aa77aa", "X", 1.4),
    IAS15: (MUTED, "*", 1.4),
}


def classical(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers of classical rules."""
    return [a for a in answers if a.label not in (MINE, PACKAGE, IAS15)]


def by_label(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """Return the answers of each contender, in the order of first appearance."""
    return {label: [a for a in answers if a.label == label] for label in dict.fromkeys(a.label for a in answers)}


# ---- words -----------------------------------------------------------------------------------------------------------------
def headlines(answers: Sequence[Answer]) -> list[str]:
    """Return a few words for each tolerance: what was asked, what was got, and what others spent."""
    return [_headline(mine, [a for a in answers if a.tol == mine.tol]) for mine in answers if mine.label == MINE]


def _headline(mine: Answer, there: Sequence[Answer]) -> str:
    missed = "" if mine.within else ", and missed it"
    words = [f"Asked for {mine.tol:g}, it got {mine.error:.1e} with {_count(mine.forces)} force evaluations{missed}."]
    rules = classical(there)
    kept = sorted((a.forces, a.label) for a in rules if a.within)
    if kept:
        forces, label = kept[0]
        words.append(f"The cheapest classical rule within it, {label}, takes {forces / mine.forces:.2f} times as many.")
    beyond = [a.error / a.tol for a in rules if not a.within]
    if beyond:
        words.append(f"{len(beyond)} of {len(rules)} classical rules miss it, by up to {_times(max(beyond))} times.")
    words += [
        f"IAS15 takes {a.forces / mine.forces:.2f} times as many, and gets {a.error:.0e}." for a in there if a.label == IAS15
    ]
    return " ".join(words)


def answers_table(answers: Sequence[Answer]) -> str:
    """Return HTML: force evaluations of each contender at each tolerance, and the error over what was asked."""
    tolerances = sorted({a.tol for a in answers if a.label != IAS15}, reverse=True)
    head = "".join(f"<th>asked {tol:g}</th>" for tol in tolerances)
    rows = []
    for label, of_label in by_label(answers).items():
        at = {a.tol: a for a in of_label}
        cells = "".join(_cell(at.get(tol)) for tol in tolerances)
        kind = ' class="learned"' if label in (MINE, PACKAGE) else ""
        rows.append(f"<tr{kind}><th>{html.escape(label)}</th>{cells}</tr>")
    note = (
        "Force evaluations; in brackets the largest energy error over the one asked for, above 1: missed. Classical rules are "
        "time-symmetric, and calibrated on the families of the training: nine in ten of their problems are within the error."
    )
    body = f'<table class="cost">\n<tr><th></th>{head}</tr>\n' + "\n".join(rows) + "\n</table>"
    return f'<div class="scroll">{body}</div>\n<p class="note">{html.escape(note)}</p>'


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return "<td>–</td>"
    return f"<td>{_count(answer.forces)} ({answer.error / answer.tol:.2g})</td>"


def _times(factor: float) -> str:
    return f"{factor:.2g}" if factor < 100 else f"{factor:,.0f}"


def _count(forces: float) -> str:
    return f"{forces:,.0f}"


# ---- figure ----------------------------------------------------------------------------------------------------------------
def asked_figure(answers: Sequence[Answer], trajectory: RecordedTrajectory) -> Figure:
    """Return error got and forces spent against the error asked for, and the orbit with its steps."""
    figure = new_figure(1500, 600)
    left, middle = figure.add_axes((0.055, 0.125, 0.235, 0.79)), figure.add_axes((0.355, 0.125, 0.235, 0.79))
    orbit, dt = figure.add_axes((0.68, 0.41, 0.26, 0.5)), figure.add_axes((0.68, 0.125, 0.3, 0.17))
    # IAS15 goes to rounding errors, whatever is asked: its error would leave no space for the others
    _draw(left, [a for a in answers if a.label != IAS15], "error", "largest energy error got", "asked and got")
    _draw(middle, answers, "forces", "force evaluations", "and what it took")
    tolerances = np.array(sorted({a.tol for a in answers}))
    ends = np.array([0.2 * tolerances[0], 5.0 * tolerances[-1]])
    left.plot(ends, ends, color=INK, linewidth=1.2, linestyle=":", zorder=1)
    left.fill_between(ends, ends, 1e6, color=ACCENT, alpha=0.06, linewidth=0, zorder=0)
    left.text(0.97, 0.95, "missed", color=ACCENT, fontsize=12, ha="right", transform=left.transAxes)
    ias15 = [a for a in answers if a.label == IAS15]
    if ias15:
        left.text(0.03, 0.04, f"IAS15: {ias15[0].error:.0e}", color=MUTED, fontsize=11, transform=left.transAxes)
    middle.legend(frameon=False, fontsize=10, labelcolor=INK, loc="upper left", borderaxespad=0.2)
    draw_orbit(figure, orbit, trajectory, "the orbit, a dot at every step", size=12)
    time, steps = _around_the_shortest(trajectory)
    draw_along_time(dt, {MINE: (time, steps)}, "dt", size=12)
    dt.set_xlabel("time, about its shortest step", color=INK, fontsize=12)
    return figure


def _around_the_shortest(trajectory: RecordedTrajectory) -> tuple[np.ndarray, np.ndarray]:
    """Return times and steps of `SHOWN_STEPS` states about the one with the shortest step."""
    dt = shown_dt(trajectory)
    first = max(0, min(int(np.argmin(dt)) - SHOWN_STEPS // 2, len(dt) - SHOWN_STEPS))
    return trajectory.time[first : first + SHOWN_STEPS], dt[first : first + SHOWN_STEPS]


def _draw(ax: Any, answers: Sequence[Answer], measure: str, ylabel: str, title: str) -> None:
    clean_axes(ax, "energy error asked for", ylabel, title, 13)
    drawn = []
    for label, of_label in by_label(answers).items():
        colour, marker, width = LOOKS.get(label, (MUTED, "x", 1.4))
        values = np.array([getattr(a, measure) for a in of_label])
        values = np.where(np.isfinite(values), np.maximum(values, FLOOR), np.nan)
        style = {"color": colour, "marker": marker, "linewidth": width, "markersize": 5 + width, "markeredgecolor": "white"}
        order = 5 if label in (MINE, PACKAGE) else 3
        ax.plot([a.tol for a in of_label], values, label=plain(label, 30), zorder=order, **style)
        drawn.append(values)
    tolerances = np.array([a.tol for a in answers])
    log_axis(ax, "x", 0.5 * tolerances.min(), 2.0 * tolerances.max())
    low, high = log_range(*drawn)
    if measure == "forces":
        high *= (high / low) ** 0.9  # space for the legend
    log_axis(ax, "y", low, high, ticks=8)
    ax.invert_xaxis()
