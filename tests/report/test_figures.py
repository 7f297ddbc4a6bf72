from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from aitimestepper.errors import UserError
from aitimestepper.report.figures import Curve, overview_figure, steps_figure, training_figure, work_precision_figure
from aitimestepper.report.style import ACCENT, log_axis, log_range, new_figure, plain, png_bytes


def lines_of(figure) -> dict[str, list]:
    """Every drawn line by its label."""
    found: dict[str, list] = {}
    for ax in figure.axes:
        for line in ax.get_lines():
            found.setdefault(str(line.get_label()), []).append(line)
    return found


def boxes(figure, texts) -> list:
    renderer = figure.canvas.get_renderer()
    return [t.get_window_extent(renderer) for t in texts if t.get_visible() and t.get_text()]


def assert_labels_are_readable(figure) -> None:
    """Nothing is cut off, and no two tick labels of an axis overlap."""
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for ax in figure.axes:
        inside = [t for t in (ax.title, ax.xaxis.label, ax.yaxis.label) if t.get_text()]
        legend = ax.get_legend()
        every = boxes(figure, [*inside, *(legend.get_texts() if legend else [])])
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            labels = boxes(figure, shown)
            every += labels
            for n, one in enumerate(labels):
                assert not any(one.overlaps(other) for other in labels[n + 1 :]), (ax.get_title(loc="left"), axis.axis_name)
        for box in every:
            assert box.x0 >= -1, box
            assert box.x1 <= width + 1, box
            assert box.y0 >= -1, box
            assert box.y1 <= height + 1, box


# ---- training --------------------------------------------------------------------------------------------------------
def test_the_training_figure_shows_the_records(records):
    figure = training_figure(records, threshold=2e-4)
    drawn = lines_of(figure)
    np.testing.assert_array_equal(
        drawn["mean"][0].get_xydata(), [[r["epoch"], r["part1/mean_retrain_iterations"]] for r in records]
    )
    np.testing.assert_array_equal(drawn["largest"][0].get_ydata(), [r["part1/max_retrain_iterations"] for r in records])
    np.testing.assert_array_equal(drawn["Part 2, largest"][0].get_ydata(), [r["part2/max_rel_dE"] for r in records])
    np.testing.assert_array_equal(drawn["Part 1, mean"][0].get_ydata(), [r["part1/mean_energy_error"] for r in records])
    np.testing.assert_array_equal(
        drawn["Part 1: attempts accepted"][0].get_ydata(), [r["part1/acceptance_rate"] for r in records]
    )
    assert list(drawn["threshold"][0].get_ydata()) == [2e-4, 2e-4]
    assert "threshold" not in lines_of(training_figure(records))
    assert_labels_are_readable(figure)


def test_a_long_training_shows_its_running_median(records):
    many = [{**records[0], "epoch": n, "part1/mean_dt": 1.0 if n % 7 else 100.0} for n in range(1, 201)]
    panel = next(ax for ax in training_figure(many).axes if ax.get_title(loc="left").startswith("mean time step"))
    raw, median = panel.get_lines()
    assert max(raw.get_ydata()) == 100
    assert set(median.get_ydata()) == {1.0}


@pytest.mark.parametrize("hole", [None, float("nan")])
def test_missing_metrics_are_gaps(records, hole):
    holed = [{**r, "part2/max_rel_dE": hole if n == 2 else r["part2/max_rel_dE"]} for n, r in enumerate(records)]
    del holed[3]["part1/mean_dt"]
    figure = training_figure(holed)
    assert np.isnan(lines_of(figure)["Part 2, largest"][0].get_ydata()).tolist() == [False, False, True, False, False, False]
    assert png_bytes(figure).startswith(b"\x89PNG")


def test_a_training_without_an_epoch_is_an_empty_figure():
    assert png_bytes(training_figure([])).startswith(b"\x89PNG")


# ---- work and precision ----------------------------------------------------------------------------------------------
def test_the_work_precision_figure_shows_the_curves(power_law):
    nothing = Curve("HutMakino", *np.zeros((3, 0)))
    curves = [
        power_law("FreeFall", 1.0, 5.0),
        power_law("FreeFall, symmetrized", 0.5, 1e-9, symmetrized=True),
        power_law("_odd $name", 2.0, learned=True),
        nothing,
    ]
    figure = work_precision_figure(curves)
    drawn = lines_of(figure)
    largest, final = drawn["FreeFall"]
    np.testing.assert_allclose(largest.get_xydata(), np.stack([curves[0].force_evaluations, curves[0].max_error], -1))
    np.testing.assert_allclose(final.get_ydata(), curves[0].final_error)
    learned = drawn[r" _odd \$name"][0]
    assert learned.get_color() == ACCENT
    assert learned.get_linewidth() > 1.5 * largest.get_linewidth()
    assert learned.get_zorder() > largest.get_zorder()
    dashed = drawn["FreeFall, symmetrized"][0]
    assert (dashed.get_linestyle(), largest.get_linestyle()) == ("--", "-")
    assert dashed.get_color() == largest.get_color() != ACCENT
    assert "HutMakino" not in drawn
    # the legend is in the order of the curves, the worst on top
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [r" _odd \$name", "FreeFall", "FreeFall, symmetrized"]
    assert_labels_are_readable(figure)
    box = figure.legends[0].get_window_extent()
    assert box.x1 <= 1400
    assert box.x0 >= max(ax.get_window_extent().x1 for ax in figure.axes)


# ---- steps -----------------------------------------------------------------------------------------------------------
def test_the_steps_figure_shows_the_tracks(orbit, make_trajectory):
    other = make_trajectory([0.0, 2.0, 6.0], np.ones((2, 2, 2)))
    figure = steps_figure({"learned": orbit, "FreeFall": other})
    path, dt, error = figure.axes[:3]
    dots = path.collections[0]
    assert len(dots.get_offsets()) == orbit.position[..., 0].size
    np.testing.assert_array_equal(dots.get_offsets(), orbit.position.reshape(-1, 2))
    assert path.get_aspect() == 1
    np.testing.assert_array_equal(dt.get_lines()[1].get_xydata(), [[0, 2], [2, 2], [6, 4]])
    np.testing.assert_allclose(error.get_lines()[0].get_ydata()[1:], orbit.energy_error[1:])
    assert_labels_are_readable(figure)


def test_a_run_in_space_is_seen_from_the_third_axis(make_trajectory):
    rng = np.random.default_rng(1)
    trajectory = make_trajectory(np.linspace(0, 1, 30), rng.normal(size=(3, 4, 3)))
    dots = steps_figure({"run": trajectory}).axes[0].collections[0]
    np.testing.assert_array_equal(dots.get_offsets(), trajectory.position[..., :2].reshape(-1, 2))


# ---- overview --------------------------------------------------------------------------------------------------------
def test_the_overview_is_readable(power_law, orbit):
    names = (
        "Constant",
        "FreeFall",
        "HutMakino",
        "Tidal",
        "PRS23",
        "Boekholt",
        "FreeFall, symmetrized",
        "Boekholt, symmetrized",
    )
    curves = [power_law(name, 1.0 + n) for n, name in enumerate(names)] + [power_law("learned", 0.3, learned=True)]
    curves.append(power_law("learned, symmetrized", 0.2, learned=True, symmetrized=True))
    slow = dataclasses.replace(orbit, dt=np.full_like(orbit.dt, 0.3))
    figure = overview_figure(curves, {"learned": orbit, "FreeFall": slow, "Boekholt, symmetrized": slow})
    assert_labels_are_readable(figure)
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 10
    left, orbit_axes, dt_axes = figure.axes[:3]
    assert left.get_window_extent().x1 <= legend.x0
    assert legend.x1 <= min(ax.yaxis.label.get_window_extent().x0 for ax in (orbit_axes, dt_axes))
    data = png_bytes(figure)
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1400, 600)


# ---- style -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("low", "high"), [(1e-3, 1e-3), (2e-4, 3e-4), (0.02, 0.5), (3e-9, 2.0), (1e-140, 1e140), (70.0, 90.0)])
def test_every_logarithmic_axis_has_labels(low, high):
    figure = new_figure(300, 200)
    ax = figure.add_axes((0.3, 0.3, 0.6, 0.6))
    log_axis(ax, "y", low, high, ticks=4)
    figure.canvas.draw()
    bottom, top = ax.get_ylim()
    assert bottom < low
    assert high < top
    shown = [t.label1.get_text() for t in ax.yaxis.get_major_ticks() if bottom <= t.get_loc() <= top]
    assert 2 <= len([t for t in shown if t]) <= 7


def test_the_range_of_nothing_is_a_decade():
    assert log_range([0.0, -1.0, float("nan"), float("inf")]) == log_range() == (0.1, 1.0)
    assert log_range([3.0, 0.0], np.array([0.5])) == (0.5, 3.0)


def test_text_is_shown_literally():
    assert plain("a\nb\t$x$ 重") == r"a b \$x\$ ?"
    assert plain("_hidden").strip() == "_hidden"
    assert len(plain("y" * 500)) == 80


def test_without_the_extra_the_sentence_names_it(monkeypatch, records):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"pip install 'aitimestepper\[report\]'"):
        training_figure(records)


def test_nothing_global_is_touched():
    """Importing draws nothing in, drawing leaves pyplot out and the settings as they were."""
    program = """
import sys
from aitimestepper.report import compare, cost, encoder, figures, movie, page, series, style
assert not [m for m in sys.modules if m.split(".")[0] in ("matplotlib", "imageio_ffmpeg")]
import matplotlib
before = matplotlib.rcParams.copy()
style.png_bytes(figures.training_figure([{"epoch": 1, "part1/mean_dt": 0.1}]))
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
