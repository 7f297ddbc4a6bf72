"""The movie of a run: the orbits, beside the conserved quantities and the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..errors import UserError
from ..simulate.recording import RecordedTrajectory
from .encoder import encoding, ffmpeg_program
from .orbits import dot_areas, positions_at, trails_of, view_of
from .run_data import run_data
from .series import Series, series_of
from .style import GRID, INK, MUTED, PALETTE, clean_axes, log_axis, new_figure, plain

WIDTH, HEIGHT = 1280, 720
ORBITS = (0.065, 0.085, 0.50, 0.80)  # left, bottom, width, height of the large panel, in parts of the picture
PANELS_LEFT, PANELS_WIDTH, PANELS_GAP = 0.645, 0.335, 0.055
TURN = (-75.0, -35.0)  # azimuth of the camera in degrees, at start and end: a slow rotation shows the depth


def movie(
    run: Any,
    path: str | Path,
    *,
    system: int = 0,
    seconds: float = 12.0,
    fps: int = 25,
    title: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the movie (MP4) of one system of a run, and return its path.

    run: the path of an output file, its `Snapshots`, a `Simulation`, or a result or anything else with a `trajectory`. Orbits
    are smooth where the rows of output are a fraction of an orbit apart. `progress` is called with (frames done, in all).

    Examples:
        >>> import tempfile
        >>> from aitimestepper import movie, simulate
        >>> from aitimestepper.initial import triple
        >>> result = simulate(triple(), times=[k / 4 for k in range(101)], tol=1e-5)
        >>> movie(result, tempfile.mkdtemp() + "/triple.mp4", seconds=0.2, fps=10).name
        'triple.mp4'
    """
    trajectory = run_data(run, system).recorded()
    return write_movie(trajectory, Path(path), seconds=seconds, fps=fps, title=title, progress=progress)


def write_movie(
    trajectory: RecordedTrajectory,
    path: Path,
    *,
    seconds: float = 12.0,
    fps: int = 25,
    title: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write an MP4 of `seconds` at `fps` frames a second, evenly spaced over the time of the run; return `path`.

    `progress` is called with (frames done, frames in all). A failing write leaves an older file as it was.
    """
    path = Path(path)
    _check(trajectory, path, seconds, fps)
    ffmpeg_program()  # before any work
    frames = max(2, round(seconds * fps))
    picture = _Picture(trajectory, frames, title)
    with encoding(path, WIDTH, HEIGHT, fps) as send:
        for n, now in enumerate(np.linspace(trajectory.time[0], trajectory.time[-1], frames)):
            send(picture.at(float(now)))
            if progress is not None:
                progress(n + 1, frames)
    return path


def _check(trajectory: RecordedTrajectory, path: Path, seconds: float, fps: int) -> None:
    if path.suffix.lower() != ".mp4":
        raise UserError(f"cannot write a movie to {path}: only MP4 is made; give a name that ends in .mp4.")
    if not (math.isfinite(seconds) and seconds > 0 and fps >= 1):
        raise UserError(f"a movie of {seconds} seconds at {fps} frames a second: both must be positive numbers.")
    first, last = trajectory.time[0], trajectory.time[-1]
    if not last > first:
        raise UserError(f"cannot make a movie of a run that took no time (t = {first:g} to {last:g}); simulate further.")


class _Picture:
    """The figure of the movie: the fixed parts are drawn once, and each frame draws the others over a copy of them."""

    def __init__(self, trajectory: RecordedTrajectory, frames: int, title: str) -> None:
        self.figure = new_figure(WIDTH, HEIGHT, "a movie")
        left, bottom, width, height = ORBITS
        orbits = _Space if trajectory.position.shape[-1] == 3 else _Plane
        self.orbits = orbits(self.figure, trajectory, frames)
        self.clock = self.figure.text(left + width, bottom + height + 0.03, "", ha="right", size=15, color=INK, animated=True)
        self.figure.text(left, bottom + height + 0.03, plain(title, 50), size=15, color=INK, weight="bold")
        self.panels = _panels(self.figure, trajectory)
        self.digits = _digits(trajectory.time)
        self.canvas = cast(Any, self.figure.canvas)  # of the Agg kind, which has pixels
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def at(self, now: float) -> memoryview:
        """Return the pixels (RGBA) at time `now`."""
        self.canvas.restore_region(self.background)
        renderer = self.canvas.get_renderer()
        self.clock.set_text(f"t = {now:.{self.digits}f}")
        self.clock.draw(renderer)
        self.orbits.draw(now, renderer)
        for panel in self.panels:
            panel.draw(now, renderer)
        return memoryview(self.canvas.buffer_rgba())


def _digits(time: np.ndarray) -> int:
    """Return the number of decimals that show a thousandth of the run."""
    return int(np.clip(3 - math.floor(math.log10(time[-1] - time[0])), 0, 12))


class _Plane:
    """The orbits in two dimensions: dots with trails that fade."""

    def __init__(self, figure: Any, trajectory: RecordedTrajectory, frames: int) -> None:
        from matplotlib.collections import CircleCollection, LineCollection
        from matplotlib.colors import to_rgb

        self.trajectory = trajectory
        self.view = view_of(trajectory, ORBITS[2] * WIDTH / (ORBITS[3] * HEIGHT))
        self.trails = trails_of(trajectory, self.view, frames)
        self.axes = self._axes(figure)
        N = len(trajectory.mass)
        self.colours = np.array([to_rgb(PALETTE[i % len(PALETTE)]) for i in range(N)])
        self.areas = dot_areas(trajectory.mass)
        width = 2.2 if N <= 8 else 1.2
        self.lines = self._added(LineCollection([], linewidths=width, capstyle="butt", transform=self.axes.transData))
        self.dots = self._added(
            CircleCollection(self.areas, offsets=np.zeros((N, 2)), offset_transform=self.axes.transData, edgecolor="white")
        )
        self.lost = figure.text(ORBITS[0] + 0.01, ORBITS[1] + ORBITS[3] - 0.025, "", size=11, color=MUTED, animated=True)

    def _axes(self, figure: Any) -> Any:
        axes = figure.add_axes(ORBITS)
        clean_axes(axes, "x", "y", size=13)
        (x, y), (dx, dy) = self.view.centre, self.view.half
        axes.set(xlim=(x - dx, x + dx), ylim=(y - dy, y + dy))
        axes.set_aspect("equal")
        return axes

    def _added(self, artist: Any) -> Any:
        """Add an artist to the figure, and return it; axes in three dimensions would project it."""
        artist.set_animated(True)
        self.axes.get_figure().add_artist(artist)
        artist.set_clip_path(None)
        artist.set_clip_box(self.axes.bbox)
        return artist

    def project(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates in the axes, (..., 2), of positions (..., D), and their nearness to the camera, (...)."""
        return x, np.zeros(x.shape[:-1])

    def draw(self, now: float, renderer: Any) -> None:
        """Draw trails, then dots, the nearest one last."""
        here = positions_at(self.trajectory, np.array([now]))[0]
        points, strength = self.trails.behind(now, here)
        flat, near = self.project(points)
        segments = np.stack([flat[:-1], flat[1:]], axis=2)  # (K, N, 2 ends, 2 axes)
        colours = np.empty((*segments.shape[:2], 4))
        colours[..., :3], colours[..., 3] = self.colours, 0.75 * strength[1:, None]
        self.lines.set(segments=segments.reshape(-1, 2, 2), colors=colours.reshape(-1, 4))
        self.lines.draw(renderer)
        order = np.argsort(near[-1], kind="stable")
        self.dots.set(offsets=flat[-1][order], facecolor=self.colours[order], sizes=self.areas[order])
        self.dots.draw(renderer)
        lost = int(self.view.outside(here).sum())
        self.lost.set_text(f"{lost} {'body' if lost == 1 else 'bodies'} outside the picture" if lost else "")
        self.lost.draw(renderer)


class _Space(_Plane):
    """The orbits in three dimensions, from a camera that turns slowly."""

    def _axes(self, figure: Any) -> Any:
        left, bottom, width, height = ORBITS
        axes = figure.add_axes((left - 0.03, bottom - 0.06, width + 0.04, height + 0.1), projection="3d")
        limits = np.stack([self.view.centre - self.view.half, self.view.centre + self.view.half])
        axes.set(xlim=limits[:, 0], ylim=limits[:, 1], zlim=limits[:, 2])
        half = self.view.half.copy()  # it is scaled in place
        axes.set_box_aspect(half, zoom=np.linalg.norm(half) / (math.sqrt(3) * half.max()))  # one scale for all axes
        sides = zip((axes.xaxis, axes.yaxis, axes.zaxis), "xyz", self.view.half / self.view.half.max(), strict=True)
        for axis, name, share in sides:
            axis.set_pane_color("white")
            axis._axinfo["grid"].update(color=GRID, linewidth=0.8)
            axis.set_label_text(name, fontsize=13, color=INK)
            axis.set_tick_params(labelsize=11, labelcolor=INK)
            axis.get_major_locator().set_params(nbins=round(1 + 5 * share))
            axis.line.set_color(MUTED)
        axes.patch.set_visible(False)
        axes.set_animated(True)  # it rotates, so it is drawn in every frame
        return axes

    def project(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coordinates and nearness by the camera's matrix; positions outside the box are not shown."""
        inside = np.where(self.view.outside(x)[..., None], np.nan, x)
        projected = np.concatenate([inside, np.ones((*x.shape[:-1], 1))], -1) @ self.axes.get_proj().T
        return projected[..., :2] / projected[..., 3:], -projected[..., 2] / projected[..., 3]

    def draw(self, now: float, renderer: Any) -> None:
        """Turn the camera, then draw as in the plane."""
        begin, end = self.trajectory.time[0], self.trajectory.time[-1]
        self.axes.view_init(elev=22, azim=TURN[0] + (TURN[1] - TURN[0]) * (now - begin) / (end - begin))
        self.axes.draw(renderer)
        super().draw(now, renderer)


class _Panel:
    """One quantity along time, with its future in a pale colour."""

    def __init__(self, axes: Any, series: Series, time: np.ndarray) -> None:
        from matplotlib.patches import Rectangle

        self.series, self.time = series, time
        clean_axes(axes, size=11)
        axes.plot(time, series.shown, color=series.colour, linewidth=1.3)
        axes.set_xlim(time[0], time[-1])
        axes.locator_params(axis="x", nbins=6)
        if series.log:
            log_axis(axes, "y", *series.limits, ticks=4)
        else:
            axes.set_ylim(*series.limits)
            axes.locator_params(axis="y", nbins=3)
            # no common offset that would hide the value
            axes.yaxis.set_major_formatter(lambda v, _: f"{v:.5g}".replace("-", "\N{MINUS SIGN}", 1))
        axes.text(0, 1.06, series.name, transform=axes.transAxes, size=11, color=INK)
        self.number = axes.text(1, 1.06, "", transform=axes.transAxes, size=11, color=INK, ha="right", animated=True)
        veil = Rectangle((time[0], 0), 0, 1, transform=axes.get_xaxis_transform(), color="white", alpha=0.75, linewidth=0)
        self.future = axes.add_patch(veil)
        self.future.set_animated(True)
        self.marker = axes.axvline(time[0], color=MUTED, linewidth=1, animated=True)

    def draw(self, now: float, renderer: Any) -> None:
        """Draw marker, number and veil at time `now`."""
        self.future.set_x(now)
        self.future.set_width(max(self.time[-1] - now, 0.0))
        self.marker.set_xdata([now, now])
        self.number.set_text(self.series.value_at(now, self.time))
        for artist in (self.future, self.marker, self.number):
            artist.draw(renderer)


def _panels(figure: Any, trajectory: RecordedTrajectory) -> list[_Panel]:
    all_series = series_of(trajectory)
    _, bottom, _, height = ORBITS
    each = (height + PANELS_GAP) / len(all_series)
    panels = []
    for n, series in enumerate(all_series):
        place = (PANELS_LEFT, bottom + height + PANELS_GAP - (n + 1) * each, PANELS_WIDTH, each - PANELS_GAP)
        axes = figure.add_axes(place)
        panels.append(_Panel(axes, series, trajectory.time))
        last = n == len(all_series) - 1
        axes.tick_params(labelbottom=last)
        if last:
            axes.set_xlabel("time", fontsize=13, color=INK)
    return panels
