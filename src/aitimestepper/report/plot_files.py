"""Plots of a run as files for papers: vector graphics of the width of a column, whose text stays text."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError, shown
from ..files import write_atomically
from . import plots
from .style import new_figure

COLUMN = 3.4  # inches, the width of a column of most journals
SIZE = 8.0  # points
HEIGHTS = {"energy": 0.66, "steps": 0.66, "elements": 1.05}  # over the width
FORMATS = (".pdf", ".png", ".svg")
PNG_DPI = 300
# text stays text that can be searched and edited; journals refuse the Type 3 fonts of matplotlib's default
TEXT: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "aitimestepper"}
DRAW: dict[str, Callable[..., Any]] = {
    "orbits": plots.plot_orbits,
    "energy": plots.plot_energy,
    "steps": plots.plot_steps,
    "elements": plots.plot_elements,
}


def check_path(path: Path) -> None:
    """Raise an error for a file name that no plot is written to."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f"cannot draw to {shown(str(path))}: give a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        )


def save_plot(kind: str, run: Any, path: Path, width: float = COLUMN, **options: Any) -> Path:
    """Draw a plot ("orbits", "energy", "steps" or "elements") of a run into a file of `width` inches; return its path."""
    check_path(path)
    if not (math.isfinite(width) and 1.0 <= width <= 40.0):
        raise UserError(f"width = {width:g} must be from 1 to 40 inches.")
    figure = new_figure(1, 1, "a plot")
    figure.set_layout_engine("constrained")
    figure.set_size_inches(width, HEIGHTS.get(kind, 1.0) * width)
    if kind == "elements":
        made = figure.subplots(2, 1, sharex=True)
        DRAW[kind](run, ax=made, size=SIZE, **options)
    else:
        made = figure.subplots()
        DRAW[kind](run, ax=made, size=SIZE, **options)
        if kind == "orbits":
            figure.set_size_inches(width, _height(made, width))
    write_atomically(path, _bytes(figure, path.suffix.lower()))
    return path


def _height(ax: Any, width: float) -> float:
    """Return the height of a figure whose axes, of one scale, fill the width; labels and legend take 0.6 inches each way."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return float(min((width - 0.6) * (top - bottom) / (right - left) + 0.7, 1.5 * width))


def _bytes(figure: Any, suffix: str) -> bytes:
    """Return the figure as a file, the same bytes for the same figure."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    dated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with rc_context(TEXT):
        figure.savefig(buffer, format=suffix[1:], dpi=PNG_DPI, metadata=dated.get(suffix))
    return buffer.getvalue()
