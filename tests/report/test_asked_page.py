"""The words and the figure of asked and got: true to the runs, also where the network loses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.bodies import as_bodies
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.evaluation.asked import Answer
from aitimestepper.initial.named import kepler
from aitimestepper.report.asked import IAS15, MINE, PACKAGE, answers_table, asked_figure, headlines
from aitimestepper.report.page import write_report
from aitimestepper.report.style import png_bytes
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.recording import TrajectoryRecorder

ANSWERS = [
    Answer(MINE, 1e-3, 5e-4, 1000.0),
    Answer(MINE, 1e-5, 4e-5, 4000.0),
    Answer(PACKAGE, 1e-3, 6e-4, 900.0),
    Answer("freefall", 1e-3, 1e-5, 3000.0),
    Answer("freefall", 1e-5, 1e-7, 2000.0),
    Answer("prs23", 1e-3, 8e-3, 800.0),
    Answer("prs23", 1e-5, math.inf, 800.0),
    Answer(IAS15, 1e-3, 1e-14, 9000.0),
    Answer(IAS15, 1e-5, 1e-14, 9000.0),
]


@pytest.fixture
def trajectory():
    recorder = TrajectoryRecorder()
    simulate(as_bodies(kepler(0.7)), t_end=30.0, criterion=FreeFall(0.05), output_steps=1, sinks=(recorder.take,))
    return recorder.trajectory()


def test_the_words_say_what_was_asked_got_and_spent():
    loose, tight = headlines(ANSWERS)
    assert loose == (
        "Asked for 0.001, it got 5.0e-04 with 1,000 force evaluations. The cheapest classical rule within it, freefall, takes "
        "3.00 times as many. 1 of 2 classical rules miss it, by up to 8 times. IAS15 takes 9.00 times as many, and gets 1e-14."
    )
    # it missed what was asked, and a rule was cheaper: that is said too
    assert "it got 4.0e-05 with 4,000 force evaluations, and missed it. The cheapest classical rule" in tight
    assert "freefall, takes 0.50 times as many" in tight


def test_a_rule_that_missed_is_never_the_best():
    """prs23 takes the fewest forces, and errs by eight times what was asked."""
    assert "prs23" not in headlines(ANSWERS)[0]


def test_the_table_has_every_contender_with_its_error():
    table = answers_table(ANSWERS)
    for label in (MINE, PACKAGE, "freefall", "prs23", "IAS15"):
        assert label in table
    assert "<td>1,000 (0.5)</td>" in table
    assert "<td>800 (inf)</td>" in table
    assert "<td>–</td>" in table  # the package was not asked for 1e-5


def test_the_figure_shows_both_sides_of_the_bargain(trajectory):
    figure = asked_figure(ANSWERS, trajectory)
    left, middle, _, steps = figure.axes[:4]
    assert left.get_xlabel() == middle.get_xlabel() == "energy error asked for"
    drawn = {line.get_label(): line.get_ydata() for line in middle.get_lines()}
    assert drawn[MINE].tolist() == [1000.0, 4000.0]
    assert {MINE, PACKAGE, "freefall", "prs23", IAS15} == set(drawn)
    got = {line.get_label(): line.get_ydata() for line in left.get_lines()}
    assert np.isnan(got["prs23"][1])  # broke off
    assert IAS15 not in got
    assert any("IAS15" in text.get_text() for text in left.texts)
    (shown,) = steps.get_lines()
    assert shown.get_ydata().min() == trajectory.dt[:-1].min()
    assert len(png_bytes(figure)) > 20_000


def test_the_page_begins_with_it(trajectory, tmp_path):
    records = [{"epoch": 1, "part1/acceptance_rate": 1.0}]
    page = write_report(
        tmp_path,
        title="t",
        settings={"judge": "run", "seed": 1},
        training_records=records,
        curves=(),
        trajectories={"learned": trajectory},
        summary={"status": "ok"},
        answers=ANSWERS,
        earlier_records=records,
    ).read_text(encoding="utf-8")
    titles = [part.split("</h2>")[0] for part in page.split("<h2>")[1:]]
    assert titles[0] == "Asked, got, saved"
    assert "Training that it began with" in titles
    assert "Training, judged by runs" in titles
    assert page.index("Asked for 0.001") < page.index("<img")
    assert (tmp_path / "report.png").is_file()
