from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import same_color

from aitimestepper.bench.peers import PEERS as METHODS
from aitimestepper.bench.records import Record
from aitimestepper.errors import UserError
from aitimestepper.report.bench_figures import PEERS, RULES, draw_curves, envelope, lines_of, problem_figure, summary_figure
from aitimestepper.report.style import ACCENT

COST = np.geomspace(1e3, 1e5, 4)


def records(who: tuple[str, str, str], errors, problem: str = "burrau", forces=COST, seconds=COST * 1e-7) -> list[Record]:
    criterion, variant, integrator = who
    return [
        Record("curves", "reference", problem, None, None, criterion, variant, integrator, None, "run", 1, value=k, errors=[e],
               forces=None if forces is None else forces[k], wall_time=None if e is None else seconds[k])
        for k, e in enumerate(errors)
    ]  # fmt: skip


@pytest.fixture
def study() -> list[Record]:
    """Two problems, three rules under two integrators, a network, five peers, one of which does not apply."""
    second, steep = 1e3 / COST**2, 2e13 / COST**6
    some: list[Record] = []
    for problem in ("figure8", "burrau"):
        for integrator, errors in (("leapfrog", second), ("kahan_li8", steep)):
            for k, rule in enumerate(("freefall", "aarseth", "energybudget")):
                some += records((rule, "plain", integrator), 3 * (k + 1) * errors, problem)
                some += records((rule, "symmetrized", integrator), (k + 1) * errors, problem)
            some += records(("learned:runs/best", "symmetrized", integrator), 0.1 * errors, problem)
        some += records(("rebound", "prs23", "ias15"), [1e-4, 1e-9, 1e-15, 1e-15], problem)
        some += records(("rebound", "global", "ias15"), [1e-5, 1e-11, 1e-15, 1e-15], problem)
        some += records(("rebound", "plain", "leapfrog"), second, problem)
        some += records(("heyoka", "plain", "taylor"), [1e-4, 1e-8, 1e-12, 1e-15], problem, forces=None)
        skipped = Record("curves", "reference", problem, None, None, "rebound", "plain", "whfast", None, "run", 0)
        some.append(skipped)
    return some


def drawn(figure, row: int, column: int) -> list:
    """The lines of a panel."""
    return figure.axes[2 * row + column].get_lines()


def legend_of(figure) -> dict[str, object]:
    (legend,) = figure.legends
    return {t.get_text(): line for t, line in zip(legend.get_texts(), legend.get_lines(), strict=True)}


def assert_everything_is_inside(figure) -> None:
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [t for ax in figure.axes for t in (ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title)]
    for text in [*texts, *figure.texts, *figure.legends[0].get_texts()]:
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.x1 <= width, text
            assert box.y0 >= 0, text
            assert box.y1 <= height, text


def test_every_peer_that_can_be_run_can_be_drawn():
    assert {(p.package, p.method, p.mode) for p in METHODS.values()} == set(PEERS)


def test_lines_are_the_records_without_what_broke_off_or_got_lost():
    found = lines_of(records(("freefall", "plain", "suzuki4"), [None, 0.5, 1e-3, 0.0]))
    (line,) = found["burrau"]
    assert np.isnan(line.error).tolist() == [True, True, False, False]
    assert line.error[2] == 1e-3
    assert 0 < line.error[3] < 1e-16  # nothing is zero on a logarithmic axis
    np.testing.assert_array_equal(line.forces, COST)
    assert np.isnan(line.seconds).tolist() == [True, False, False, False]


def test_a_problem_has_a_row_for_each_integrator_with_its_own_rules(study):
    lines = lines_of(study)["figure8"]
    figure = problem_figure("figure8", lines)
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == ["leapfrog", "kahan_li8"]
    row = [line for line in drawn(figure, 1, 0) if line.get_marker() == "None"]
    assert len(row) == 7
    free_fall = next(line for line in row if same_color(line.get_color(), RULES["freefall"]) and line.get_linestyle() == "-")
    np.testing.assert_allclose(free_fall.get_xdata(), COST)
    np.testing.assert_allclose(free_fall.get_ydata(), 2e13 / COST**6)
    right = [line for line in drawn(figure, 1, 1) if line.get_marker() == "None"]
    np.testing.assert_allclose(right[0].get_xdata(), 1e-7 * COST)


def test_the_order_of_the_records_does_not_matter(study):
    """Studies that went on where they were have them in another one."""
    turned = lines_of(sorted(study, key=lambda r: (r.integrator[::-1], r.criterion)))["burrau"]
    assert [ax.get_title(loc="left") for ax in problem_figure("burrau", turned).axes[::2]] == ["leapfrog", "kahan_li8"]
    assert list(legend_of(summary_figure({"burrau": turned})))[:5] == [
        "learned:runs/best",
        "",
        "integrator",
        "leapfrog",
        "kahan_li8",
    ]


def test_the_learned_step_stands_out_and_symmetry_is_a_solid_line(study):
    figure = problem_figure("figure8", lines_of(study)["figure8"])
    ours = [line for line in drawn(figure, 0, 0) if line.get_marker() == "None"]
    learned = [line for line in ours if same_color(line.get_color(), ACCENT)]
    assert len(learned) == 1
    assert all(learned[0].get_zorder() > line.get_zorder() for line in ours if line is not learned[0])
    assert all(learned[0].get_linewidth() > 1.5 * line.get_linewidth() for line in ours if line is not learned[0])
    assert [line.get_linestyle() for line in ours].count("--") == 3
    assert not any(same_color(colour, ACCENT) for colour in RULES.values())


def test_a_rule_of_ones_own_is_not_lost_among_the_classical_ones(study):
    more = study + records(("mine.py:Mine", "plain", "leapfrog"), 1.0 / COST**2, "figure8")
    lines = lines_of(more)
    for figure in (problem_figure("figure8", lines["figure8"]), summary_figure(lines)):
        mine = legend_of(figure)["mine.py:Mine"]
        assert not any(same_color(mine.get_color(), colour) for colour in [ACCENT, *RULES.values()])
        assert any(same_color(line.get_color(), mine.get_color()) for line in drawn(figure, 0, 0))


def test_peers_are_where_they_can_be_compared(study):
    """IAS15 and Taylor beside all; the leapfrog of REBOUND beside ours. Taylor has no force evaluations to be drawn against."""
    figure = problem_figure("figure8", lines_of(study)["figure8"])
    markers = [[{line.get_marker() for line in drawn(figure, row, column)} - {"None"} for column in (0, 1)] for row in (0, 1)]
    assert markers == [[{"o", "x"}, {"o", "x", "D"}], [{"o"}, {"o", "D"}]]


def test_the_summary_shows_the_best_rule_under_each_integrator(study):
    figure = summary_figure(lines_of(study))
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == ["figure8", "burrau"]
    plain_lines = [line for line in drawn(figure, 0, 0) if line.get_marker() == "None"]
    assert len(plain_lines) == 3  # two integrators, one network
    best = plain_lines[0]
    np.testing.assert_allclose(best.get_xydata(), np.stack([COST, 1e3 / COST**2], -1))
    network = next(line for line in plain_lines if same_color(line.get_color(), ACCENT))
    assert min(network.get_ydata()) < min(best.get_ydata())
    names = list(legend_of(figure))
    assert names[:5] == ["learned:runs/best", "", "integrator", "leapfrog", "kahan_li8"]
    assert names[-4:] == ["REBOUND IAS15", "IAS15, global", "REBOUND leapfrog", "heyoka Taylor"]


def test_the_envelope_is_what_nothing_beats():
    some = lines_of(
        records(("freefall", "plain", "suzuki4"), [1e-1, 1e-3, 1e-2, 1e-6])
        + records(("tidal", "plain", "suzuki4"), [1e-2, 1e-2, 1e-4, None])
    )["burrau"]
    cost, error = envelope(some, "forces")
    np.testing.assert_array_equal(cost, COST)
    np.testing.assert_array_equal(error, [1e-2, 1e-3, 1e-4, 1e-6])


def test_nothing_is_cut_off_and_the_legend_covers_no_data(study):
    lines = lines_of(study)
    for figure in (problem_figure("a_problem$with an odd name", lines["figure8"]), summary_figure(lines)):
        assert_everything_is_inside(figure)
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= max(ax.get_window_extent().x1 for ax in figure.axes)
        for ax in figure.axes:
            low, high = ax.get_ylim()
            assert low < 1e-14
            assert 0.01 < high < 1


def test_pictures_are_files_of_both_kinds(study, tmp_path):
    paths = draw_curves(study, ["burrau", "figure8"], tmp_path / "new")
    stems = ("curves-burrau", "curves-figure8", "curves-best")
    assert [p.name for p in paths] == [f"{stem}{end}" for stem in stems for end in (".svg", ".png")]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            assert ET.parse(path).getroot().tag.endswith("svg")


def test_peers_alone_are_a_picture_too(tmp_path):
    alone = records(("rebound", "prs23", "ias15"), [1e-4, 1e-9, 1e-15, 1e-15])
    figure = problem_figure("burrau", lines_of(alone)["burrau"])
    assert [line.get_marker() for line in drawn(figure, 0, 0)] == ["o"]
    assert len(draw_curves(alone, [], tmp_path)) == 4


def test_records_without_a_curve_are_refused(tmp_path):
    lost = records(("freefall", "plain", "suzuki4"), [None, 0.5, None, 20.0])
    other = [dataclasses.replace(r, study="steps") for r in records(("freefall", "plain", "suzuki4"), [1e-3] * 4)]
    for found in (lost, other, []):
        with pytest.raises(UserError, match="the records hold no curve to draw"):
            draw_curves(found, ["burrau"], tmp_path)
    assert not list(tmp_path.iterdir())
