"""The style of all figures, with matplotlib's object interface only: without pyplot there is no global state or display."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e6eaee"
ACCENT = "#d1382c"  # only for the learned step
# Paul Tol's sets, which are distinct for colour-blind readers and in print
PALETTE = ("#4477aa", "#ee7733", "#228833", "#aa3377", "#009988", "#b8860b", "#66ccee", "#882255", "#777777", "#332288")
DPI = 100
FLOOR = 1e-17  # value at which errors of exactly zero are drawn on a logarithmic axis, below round-off


def new_figure(width: int, height: int, what: str = "a figure") -> Figure:
    """Return a white figure of `width` x `height` pixels at `DPI`, with an Agg canvas of its own."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "report", what) from None
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure, scale: float = 1.0) -> bytes:
    """Return the figure as a PNG file with `scale` times its pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI * scale)
    return buffer.getvalue()


def plain(text: str, longest: int = 80) -> str:
    """Return `text` so that matplotlib shows it literally: $ would begin mathematics, a leading _ would hide a label."""
    known = "".join(c if c.isprintable() and ord(c) < 0x500 else "?" for c in " ".join(text.split()))
    short = known if len(known) <= longest else known[: longest - 3] + "..."
    return (" " + short if short.startswith("_") else short).replace("$", r"\$")


def clean_axes(ax: Axes, xlabel: str = "", ylabel: str = "", title: str = "", size: float = 11) -> None:
    """Give axes a light grid, no box, and dark readable text of `size` points."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
    ax.grid(True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(which="both", colors=MUTED, labelcolor=INK, labelsize=size - 1, length=3.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_offset_text().set(color=INK, fontsize=size - 1)
    ax.set_xlabel(xlabel, color=INK, fontsize=size)
    ax.set_ylabel(ylabel, color=INK, fontsize=size)
    if title:
        ax.set_title(title, color=INK, fontsize=size + 1, loc="left", fontweight="bold")


def log_axis(ax: Axes, axis: str, low: float, high: float, ticks: int = 6) -> None:
    """Make an axis logarithmic over [low, high], widened to at least a decade so that it has enough labels."""
    middle, half = 0.5 * (math.log10(high) + math.log10(low)), 0.5 * (math.log10(high) - math.log10(low))
    half = max(1.08 * half + 0.05, 0.55)
    low, high = 10 ** max(middle - half, -150.0), 10 ** min(middle + half, 150.0)
    getattr(ax, f"set_{axis}scale")("log")
    getattr(ax, f"set_{axis}lim")(low, high)
    log_ticks(ax.xaxis if axis == "x" else ax.yaxis, low, high, ticks)


def log_ticks(axis: Any, low: float, high: float, ticks: int = 6) -> None:
    """Set ticks at powers of ten; over less than two decades at 1, 3, 10, and over one at 1, 2, 5, 10, with labels that fit."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    decades = math.log10(high) - math.log10(low)
    enough = 2.2 if ticks > 4 else 2.0
    subs = (1.0,) if decades > enough else (1.0, 3.0) if decades > 1.3 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(10, subs=subs, numticks=ticks if len(subs) == 1 else 30))
    axis.set_minor_locator(LogLocator(10, subs=range(2, 10) if decades < 3 else (1.0,), numticks=30))
    axis.set_major_formatter(FuncFormatter(lambda v, _: _power(v) if len(subs) == 1 or not 1e-3 <= low < 1e5 else f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=2)


def _power(value: float) -> str:
    """Return a number as LaTeX, such as 3 x 10^-5."""
    if value <= 0:
        return ""
    exponent = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**exponent)
    return rf"$10^{{{exponent}}}$" if digit == 1 else rf"${digit}\times 10^{{{exponent}}}$"


def log_range(*series: Sequence[float] | np.ndarray, lowest: float = 0.0) -> tuple[float, float]:
    """Return (low, high) of the positive finite values of `series`, without the share `lowest` of them; (0.1, 1) if none."""
    values = np.concatenate([np.zeros(0), *(np.ravel(np.asarray(s, dtype=float)) for s in series)])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(np.quantile(values, lowest)), float(values.max())) if len(values) else (0.1, 1.0)
