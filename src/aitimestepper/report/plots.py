"""Plots of a run, each one call that returns matplotlib axes: `aitimestepper.plots`.

A run is the path of an output file, its `Snapshots`, a `Simulation`, or a result or anything else with a `trajectory`. Without
`ax` a figure is made: in a notebook, and where matplotlib.pyplot is in use, one that pyplot shows, and otherwise one of its own
(`ax.figure.savefig(...)`). Nothing else of matplotlib's global state is touched.

Examples:
    >>> from aitimestepper import plots, simulate
    >>> from aitimestepper.initial import triple
    >>> result = simulate(triple(), times=[k / 10 for k in range(301)], tol=1e-5)
    >>> plots.plot_energy(result).get_xlabel()[:4]
    'time'
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bodies import Bodies
from ..errors import UserError, require, shown
from ..simulate.described import unit_of
from ..simulate.recording import RecordedTrajectory
from .orbits import dot_areas, positions_at, view_of
from .run_data import RunData, run_data
from .series import shown_dt
from .style import FLOOR, INK, PALETTE, clean_axes, log_axis, log_range, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 6.4, 4.4  # inches
SIZE = 10.0  # points
NAMED = 10  # bodies up to which a legend names each
VERTICES, MOST_VERTICES = 20_000, 100_000  # of all lines of a plot, without and with those at rows: a PDF of some megabytes
SPARSE = 0.2  # share of the intervals between rows with more than a sixth of a revolution, above which rows are dots
KINDS = ("orbits", "energy", "steps", "elements")


def plot_orbits(
    run: Any, *, system: int = 0, axes: str = "xy", about: Any = None, ax: Axes | None = None, size: float = SIZE
) -> Axes:
    """Draw the paths of the bodies, and a dot where each is at the end; return the axes.

    axes: two of x, y and z. about: a name or number of a body that is to rest at the origin. size: of the text, in points.
    Rows that are too far apart for a path are drawn as dots.
    """
    data = run_data(run, system)
    data = data if about is None else data.about(about)
    flat = _projected(data, axes)
    path = flat.path()
    view = view_of(path)
    if ax is None:
        ax = _new_axes(1, (WIDTH, min(max(WIDTH * view.half[1] / view.half[0], 0.4 * WIDTH), WIDTH)))[0]
    length = _unit(data, "length")
    clean_axes(ax, axes[0] + length, axes[1] + length, size=size)
    times = _times(path)
    x, sparse = positions_at(path, times), _sparse(path)
    areas = dot_areas(path.mass) * (size / 14) ** 2
    for k, name in enumerate(data.names):
        style: dict[str, Any] = {"linestyle": "none", "marker": ".", "markersize": 0.25 * size} if sparse[k] else {}
        points = path.position[:, k] if sparse[k] else x[:, k]
        ax.plot(*points.T, color=_colour(k), linewidth=0.1 * size, label=plain(name, 30), **style)
    colours = [_colour(k) for k in range(len(data.names))]
    dots: dict[str, Any] = {"c": colours, "s": 0.9 * size + areas, "zorder": 3, "edgecolor": "white", "linewidth": 0.05 * size}
    ax.scatter(*path.position[data.end].T, **dots)
    ax.set(xlim=view.centre[0] + view.half[0] * np.array([-1, 1]), ylim=view.centre[1] + view.half[1] * np.array([-1, 1]))
    ax.set_aspect("equal")
    _legend(ax, len(data.names), size)
    return ax


def plot_energy(run: Any, *, system: int = 0, ax: Axes | None = None, size: float = SIZE) -> Axes:
    """Draw the relative energy error along time, and the tolerance if there is one; return the axes."""
    data = run_data(run, system)
    ax = _new_axes(1)[0] if ax is None else ax
    clean_axes(ax, "time" + _unit(data, "time"), "relative energy error", size=size)
    error = np.maximum(data.energy_error, FLOOR)
    ax.plot(data.time, error, color=PALETTE[0], linewidth=0.12 * size, label="energy error")
    limits = log_range(error[1:], lowest=0.02)
    if data.tol is not None:
        ax.axhline(data.tol, color=INK, linewidth=0.1 * size, linestyle="--", label="tolerance")
        limits = min(limits[0], data.tol), max(limits[1], data.tol)
        _legend(ax, 2, size)
    return _along_time(ax, data, limits)


def plot_steps(run: Any, *, system: int = 0, ax: Axes | None = None, size: float = SIZE) -> Axes:
    """Draw the steps along time; return the axes."""
    data = run_data(run, system)
    if data.dt is None:
        raise UserError("the run holds no steps: give simulate(..., output='run.h5', output_steps=1), which writes every one.")
    ax = _new_axes(1)[0] if ax is None else ax
    time = _unit(data, "time")
    clean_axes(ax, "time" + time, "time step" + time, size=size)
    dt = shown_dt(data.path())
    ax.plot(data.time, dt, color=PALETTE[0], linewidth=0.12 * size)
    return _along_time(ax, data, log_range(dt))


def plot_elements(
    run: Any,
    *,
    system: int = 0,
    pair: tuple[Any, Any] | None = None,
    primary: Any = None,
    ax: Sequence[Axes] | None = None,
    size: float = SIZE,
) -> np.ndarray:
    """Draw the osculating semi-major axis and eccentricity along time; return the two axes.

    pair: two bodies, by name or number. primary: the body, or a sequence of bodies whose centre of mass is meant, about which
    the orbits of all others are drawn; without both it is the heaviest of few bodies. The axis is drawn while a pair is bound.
    """
    data = run_data(run, system)
    centre, orbits = _orbits(data, pair, primary)
    axes = np.asarray(_new_axes(2) if ax is None else ax, dtype=object).ravel()
    if len(axes) != 2:
        raise UserError(f"plot_elements draws in two axes, and ax has {len(axes)}: give two, such as figure.subplots(2, 1).")
    clean_axes(axes[0], "", "semi-major axis" + _unit(data, "length"), size=size)
    clean_axes(axes[1], "time" + _unit(data, "time"), "eccentricity", size=size)
    for k, orbit in orbits.items():
        name = data.names[k]
        bound = np.where(orbit.semi_major_axis > 0, orbit.semi_major_axis, np.nan)
        axes[0].plot(data.time, bound, color=_colour(k), linewidth=0.12 * size, label=plain(name, 30))
        axes[1].plot(data.time, orbit.eccentricity, color=_colour(k), linewidth=0.12 * size)
    _element_axes(axes, list(orbits.values()))
    for one in axes:
        one.set_xlim(data.time[0], data.time[-1])
    _legend(axes[0], max(len(orbits), 2), size, f"{'orbits' if len(orbits) > 1 else 'orbit'} about {plain(centre, 40)}")
    return axes


def _unit(data: RunData, quantity: str) -> str:
    """Return the unit of a label, as ` [au]`; nothing where the numbers have none."""
    found = unit_of(data, quantity)
    return f" [{plain(found, 12)}]" if found else ""


# ---- axes ------------------------------------------------------------------------------------------------------------
def _new_axes(rows: int, inches: tuple[float, float] = (WIDTH, HEIGHT)) -> Sequence[Axes]:
    """Return axes one below the other that share their time, in a new figure."""
    if "matplotlib.pyplot" in sys.modules or hasattr(builtins, "__IPYTHON__"):
        figure = require("matplotlib.pyplot", "report", "a plot").figure(figsize=inches)
    else:
        figure = new_figure(1, 1, "a plot")
        figure.set_size_inches(inches)
    figure.set_layout_engine("constrained")
    made = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return list(made)


def _colour(k: int) -> str:
    return PALETTE[k % len(PALETTE)]


def _legend(ax: Axes, entries: int, size: float, title: str | None = None) -> None:
    """Name what is drawn, above the axes, where no line is; many bodies are not named."""
    if 1 < entries <= NAMED:
        columns = min(entries, 3 if size < 9 else 5)
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.1, "alignment": "left"}
        gaps: dict[str, Any] = {"handlelength": 1.2, "handletextpad": 0.5, "columnspacing": 1.2, "frameon": False}
        text: dict[str, Any] = {"fontsize": size - 1, "title_fontsize": size - 1, "labelcolor": INK, "title": title}
        made = ax.legend(ncols=columns, **text, **gaps, **place)
        made.get_title().set_color(INK)


def _along_time(ax: Axes, data: RunData, limits: tuple[float, float]) -> Axes:
    ax.set_xlim(data.time[0], data.time[-1])
    log_axis(ax, "y", *limits)
    return ax


def _element_axes(axes: np.ndarray, orbits: Sequence[Any]) -> None:
    """Give the semi-major axes a logarithmic scale where they differ much, and e a range in which rounding is no change."""
    sizes = np.concatenate([orbit.semi_major_axis for orbit in orbits])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if len(sizes) and sizes.max() > 5 * sizes.min():
        log_axis(axes[0], "y", float(sizes.min()), float(sizes.max()))
    else:
        axes[0].margins(y=0.15)
        axes[0].ticklabel_format(axis="y", useOffset=False)
    e = np.concatenate([orbit.eccentricity for orbit in orbits])
    e = e[np.isfinite(e)]
    if len(e):
        low, high = float(e.min()), min(float(e.max()), 2.0)  # of a flight past another body e is any number
        margin = max(0.1 * (high - low), 0.005)
        axes[1].set_ylim(max(low - margin, -0.02), high + margin)


# ---- orbits ----------------------------------------------------------------------------------------------------------
def _projected(data: RunData, axes: str) -> RunData:
    """Return the rows in the plane of two axes."""
    D = data.position.shape[-1]
    if not (isinstance(axes, str) and len(axes) == 2 and axes[0] != axes[1] and set(axes) <= set("xyz"[:D])):
        raise UserError(f"axes = {shown(axes)} must be two of {', '.join('xyz'[:D])}, such as 'xy'.")
    chosen = ["xyz".index(a) for a in axes]
    return replace(data, position=data.position[..., chosen], velocity=data.velocity[..., chosen])


def _times(path: RecordedTrajectory) -> np.ndarray:
    """Return the times of the vertices: evenly spaced ones, and those of the rows, every n-th one where bodies are many."""
    T, N = path.position.shape[:2]
    even = np.linspace(path.time[0], path.time[-1], max(100, VERTICES // N))
    return np.union1d(even, path.time[:: 1 + T * N // MOST_VERTICES])


def _sparse(path: RecordedTrajectory) -> np.ndarray:
    """Return which bodies turn so far between rows that a line would cut across their orbits, (N,)."""
    v, chord = path.velocity, np.diff(path.position, axis=0)
    speed = np.linalg.norm(v, axis=-1)
    turned = (v[1:] * v[:-1]).sum(-1) < 0.5 * speed[1:] * speed[:-1]  # by more than 60 degrees
    way = np.diff(path.time)[:, None] * np.minimum(speed[1:], speed[:-1])
    jumped = way > 1.5 * np.linalg.norm(chord, axis=-1)
    return np.asarray((turned | jumped).mean(0) > SPARSE)


def _orbits(data: RunData, pair: Any, primary: Any) -> tuple[str, dict[int, Any]]:
    """Return what the orbits to draw are about, in words, and the osculating orbit of each body."""
    if pair is not None and primary is not None:
        raise UserError("pair and primary both say which orbits to draw: give one of them.")
    if pair is None and primary is None and len(data.names) > NAMED:
        raise UserError(
            f"the run has {len(data.names)} bodies: give the pair whose orbit is drawn, or the primary of all orbits."
        )
    states = data.states()
    if pair is not None:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise UserError(f"pair = {shown(pair)} must be two bodies, such as (0, 1).")
        i, j = map(data.body, pair)
        return data.names[i], {j: states.orbit(i, j)}
    several = isinstance(primary, Sequence) and not isinstance(primary, str)
    given = primary if several else [int(data.bodies.mass[0].argmax()) if primary is None else primary]
    centre = sorted({data.body(k) for k in given})
    others = [k for k in range(len(data.names)) if k not in centre]
    if not centre or not others or not data.bodies.mass[0, centre].sum() > 0:
        raise UserError(f"primary = {shown(primary)} must have a mass, and leave at least one body whose orbit is drawn.")
    return " and ".join(data.names[k] for k in centre), {k: _about(states, centre, k) for k in others}


def _about(states: Bodies, centre: list[int], k: int) -> Any:
    """Return the orbit of body k about the centre of mass of others, as of two bodies."""
    if len(centre) == 1:
        return states.orbit(centre[0], k)
    mass = states.mass[:, centre]
    share = (mass / mass.sum(1, keepdims=True))[..., None]

    def two(name: str) -> np.ndarray:
        values = getattr(states, name)
        return np.stack([(share * values[:, centre]).sum(1), values[:, k]], axis=1)

    masses = np.stack([mass.sum(1), states.mass[:, k]], axis=1)
    return Bodies(masses, two("position"), two("velocity"), G=states.G).orbit(0, 1)
