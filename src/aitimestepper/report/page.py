"""The report of a run: one self-contained HTML file, and the overview picture beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import UserError
from ..evaluation.asked import Answer
from ..files import write_atomically
from ..simulate.recording import RecordedTrajectory
from .asked import answers_table, asked_figure, headlines
from .compare import Curve
from .cost import cost_table
from .figures import overview_figure, steps_figure, training_figure, work_precision_figure
from .style import png_bytes
from .template import PAGE, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVIE_LIMIT = 20_000_000  # bytes; a longer movie stays a file beside the page
WHAT = ("judge", "ic_family", "tolerances", "ic",
        "num_orbits", "epochs", "steps_per_epoch", "energy_threshold", "feature_type", "history_len", "layers",
        "integrator", "softening", "t_end", "steps", "seed")  # fmt: skip
KEY_FIGURES = {
    "status": "status",
    "time": "end time",
    "steps": "steps",
    "force_evaluations": "force evaluations",
    "max_energy_error": "largest relative energy error",
    "final_energy_error": "relative energy error at the end",
    "momentum_error": "momentum error",
    "angular_momentum_error": "angular momentum error",
    "dt_min": "smallest dt",
    "dt_max": "largest dt",
    "criterion": "step criterion",
    "integrator": "integrator",
    "wall_time": "wall time, seconds",
}


def write_report(
    folder: Path,
    *,
    title: str,
    settings: Mapping[str, Any],
    training_records: Sequence[Mapping[str, Any]],
    curves: Sequence[Curve],
    trajectories: Mapping[str, RecordedTrajectory],
    summary: Mapping[str, Any],
    movie: Path | None = None,
    answers: Sequence[Answer] = (),
    earlier_records: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write folder/report.html and folder/report.png, and return the path of the page.

    `settings` are those of the run by name, `training_records` those of metrics.jsonl, `curves` and `trajectories` those of
    the comparison, with the learned trajectory first, and `summary` that of the simulation. `answers` are runs that were asked
    for energy errors, `earlier_records` the records of the training that this one began with. Empty parts are left out.
    """
    folder = Path(folder)
    main = {k: settings[k] for k in WHAT if settings.get(k) is not None}
    everything = f"<details><summary>{len(settings)} settings</summary>{_pairs(settings)}</details>"
    asked = asked_figure(answers, next(iter(trajectories.values()))) if answers and trajectories else None
    sections = [
        *_comparison(answers, asked),
        _section("What was run", _pairs(main)),
        *([_section("Key figures of the simulation", _pairs(_key_figures(summary)))] if summary else []),
        *_costs(curves),
        *_along_the_run(trajectories),
        *_trainings(training_records, earlier_records, settings),
        *([_section("Movie", _movie(Path(movie), folder))] if movie is not None else []),
        _section("All settings", everything),
    ]
    overview = asked or _overview(curves, trajectories, training_records)
    if overview is not None:
        write_atomically(folder / "report.png", png_bytes(overview))
    page = PAGE.format(style=STYLE, title=html.escape(title), body="\n".join(sections), version=__version__)
    path = folder / "report.html"
    write_atomically(path, page.encode())
    return path


def _comparison(answers: Sequence[Answer], figure: Figure | None) -> list[str]:
    """Return the sections on what was asked, got and spent; none without a figure."""
    if figure is None:
        return []
    words = "".join(f"<li>{html.escape(sentence)}</li>\n" for sentence in headlines(answers))
    return [
        _section("Asked, got, saved", f"<ul>\n{words}</ul>\n" + _image(figure, "errors and forces")),
        _section("Every run", answers_table(answers)),
    ]


def _costs(curves: Sequence[Curve]) -> list[str]:
    """Return the sections on the cost of an energy error; none without curves."""
    if not curves:
        return []
    picture = _image(work_precision_figure(curves), "energy error against cost")
    return [_section("Cost at equal error", cost_table(curves)), _section("Error against cost", picture)]


def _along_the_run(trajectories: Mapping[str, RecordedTrajectory]) -> list[str]:
    if not trajectories:
        return []
    return [_section("Steps along the run", _image(steps_figure(trajectories), "orbit, time step, energy error"))]


def _trainings(
    records: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> list[str]:
    """Return a section on the training, after one on the training that it began with; none without records."""
    if not records:
        return []
    judge = settings.get("judge") or "step"
    judged = "" if settings.get("judge") is None else f", judged by {judge}s"
    threshold = settings.get("energy_threshold") if judge == "step" else None
    sections = []
    if earlier:
        figure = training_figure(earlier)
        sections.append(
            _section("Training that it began with", _image(figure, "metrics of the first training over its epochs"))
        )
    figure = training_figure(records, threshold, judge)
    return [*sections, _section(f"Training{judged}", _image(figure, "training metrics over the epochs"))]


def _overview(
    curves: Sequence[Curve],
    trajectories: Mapping[str, RecordedTrajectory],
    records: Sequence[Mapping[str, Any]],
) -> Figure | None:
    """Return the picture beside the page, from the data that there are; None without any."""
    if curves and trajectories:
        return overview_figure(curves, trajectories)
    if curves:
        return work_precision_figure(curves)
    if trajectories:
        return steps_figure(trajectories)
    return training_figure(records) if records else None


# ---- pieces of the page ----------------------------------------------------------------------------------------------
def _section(title: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n{body}</section>"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(_words(v))}</td></tr>\n" for k, v in values.items())
    return f'<table class="pairs">\n{rows}</table>'


def _words(value: Any) -> str:
    """Return a value as text; a float has 6 digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return str(value)


def _key_figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key figures of a simulation by label; for a batch, the range over its systems."""
    systems = summary.get("systems")
    if not systems:
        return {words: summary[k] for k, words in KEY_FIGURES.items() if summary.get(k) is not None}
    shown: dict[str, Any] = {"systems": len(systems)}
    for key, words in KEY_FIGURES.items():
        values = [s[key] for s in systems if s.get(key) is not None]
        if key == "status":
            shown[words] = ", ".join(f"{values.count(v)} {v}" for v in sorted(set(values)))
        elif values:
            low, high = min(values), max(values)
            shown[words] = low if low == high else f"{_words(low)} to {_words(high)}"
        elif summary.get(key) is not None:
            shown[words] = summary[key]
    return shown


def _image(figure: Figure, what: str) -> str:
    data = base64.b64encode(png_bytes(figure, 1.5)).decode()
    return f'<div class="scroll"><img alt="{html.escape(what)}" src="data:image/png;base64,{data}"></div>'


def _movie(movie: Path, folder: Path) -> str:
    """Return HTML with the movie inside the page, or a link to a larger one, relative to the page if it is below its folder."""
    try:
        if movie.stat().st_size <= MOVIE_LIMIT:
            data = base64.b64encode(movie.read_bytes()).decode()
            return f'<video controls loop muted src="data:video/mp4;base64,{data}"></video>'
    except OSError as error:
        raise UserError(f"cannot read the movie {movie}: {error.strerror or error}.") from None
    near = movie.resolve().is_relative_to(folder.resolve())
    path = movie.resolve().relative_to(folder.resolve()).as_posix() if near else movie.resolve().as_uri()
    return f'<p><a href="{html.escape(path)}">{html.escape(movie.name)}</a></p>'
