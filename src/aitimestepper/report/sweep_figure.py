"""The figure of a sweep: the best value so far along the trials, and the value against each setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .style import ACCENT, MUTED, PALETTE, clean_axes, new_figure, plain, png_bytes

MOST_PANELS = 8
COLUMNS = 3
SPREAD = 30.0  # a positive quantity that spans more than this factor is drawn on a logarithmic axis

Row = tuple[int, str, float, dict[str, Any]]  # number, state, value (NaN without one), settings


def sweep_figure(rows: Sequence[Row], metric: str, direction: str) -> bytes:
    """Return the figure as a PNG file."""
    names = list(rows[0][3])[: MOST_PANELS - 1] if rows else []
    lines = -(-(len(names) + 1) // COLUMNS)
    figure = new_figure(330 * min(COLUMNS, len(names) + 1), 270 * lines, "the figure of a sweep")
    axes = [figure.add_subplot(lines, min(COLUMNS, len(names) + 1), k + 1) for k in range(len(names) + 1)]
    _history(axes[0], rows, metric, direction)
    for ax, name in zip(axes[1:], names, strict=True):
        _slice(ax, rows, name, metric)
    figure.tight_layout()
    return png_bytes(figure)


def _history(ax: Any, rows: Sequence[Row], metric: str, direction: str) -> None:
    """Draw values along the trials, those that were pruned at the bottom, and the best so far."""
    clean_axes(ax, "trial", plain(metric), size=9)
    number, value = np.array([r[0] for r in rows]), np.array([r[2] for r in rows])
    done = np.isfinite(value)
    ax.plot(number[done], value[done], "o", ms=4, color=PALETTE[0], label="complete")
    best = (np.fmin if direction == "minimize" else np.fmax).accumulate(value) if done.any() else value
    ax.step(number, best, where="post", color=ACCENT, lw=1.3, label="best so far")
    if not done.all():
        low, words = np.zeros((~done).sum()), "pruned or failed"
        ax.plot(number[~done], low, "x", ms=4, color=MUTED, transform=ax.get_xaxis_transform(), label=words, clip_on=False)
    _scale(ax, "y", value[done])
    ax.legend(frameon=False, fontsize=8)


def _slice(ax: Any, rows: Sequence[Row], name: str, metric: str) -> None:
    """Draw the value against one setting: numbers along an axis, others side by side."""
    clean_axes(ax, plain(name), plain(metric), size=9)
    some = [(r[3][name], r[2]) for r in rows if math.isfinite(r[2]) and name in r[3]]
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x, _ in some)
    value = np.array([y for _, y in some])
    if numbers:
        x = np.array([float(x) for x, _ in some])
        ax.locator_params(axis="x", nbins=4)  # more labels of small numbers overlap
        _scale(ax, "x", x)
    else:
        words = list(dict.fromkeys(str(x) for x, _ in some))
        x = np.array([float(words.index(str(x))) for x, _ in some])
        ax.set_xticks(range(len(words)), [plain(word, 14) for word in words])
        ax.set_xlim(-0.5, max(len(words), 1) - 0.5)
    ax.plot(x, value, "o", ms=4, color=PALETTE[0])
    _scale(ax, "y", value)


def _scale(ax: Any, axis: str, values: np.ndarray) -> None:
    if len(values) and values.min() > 0 and values.max() > SPREAD * values.min():
        getattr(ax, f"set_{axis}scale")("log")
