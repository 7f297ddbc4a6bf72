"""Cards for notebooks: every text is escaped, they are readable on any page, and they say what the object says."""

import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

from aitimestepper import Bodies, Config, Constant, LearnedStep, Simulation, SimulationWarning, Snapshots, simulate
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.events import Encounter
from aitimestepper.html import Table, card, progress
from aitimestepper.initial.named import burrau, kepler
from aitimestepper.models import shipped

EVIL = "<script>alert('x')</script>&\"quote\""


class Texts(HTMLParser):
    """The texts of all cells, and the tags that are open at the end."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.open, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open[-1] == "td":
            self.rows[-1][-1] += data


def cells(page) -> dict[str, str]:
    """The rows of two cells of a card by name."""
    found = Texts(page)
    assert found.open == []
    return {row[0]: row[1] for row in found.rows if len(row) == 2}


def test_every_text_of_a_card_is_escaped_and_comes_back():
    page = card(EVIL, [(EVIL, EVIL)], Table([EVIL, "n"], [[EVIL, 3]]), note=EVIL)
    assert "<script" not in page
    assert Texts(page).texts == [EVIL, EVIL, EVIL, EVIL, "n", EVIL, "3", EVIL]
    assert "<script" not in progress(EVIL, 0.5)
    assert 'value="1.0000"' in progress("", 7.0)
    assert "value" not in progress("", None)


def test_a_card_has_the_colours_of_its_page():
    page = card("title", [("name", "value")], Table(["a", "b"], [[1, 2]]), note="note")
    colours = re.findall(r"(?<![-\w])(?:color|background):([^;\"]+)", page)
    assert set(colours) <= {"inherit", "transparent"}


def test_bodies_show_their_names_and_numbers():
    bodies = Bodies([1.0, 0.5], [[0.0, 0.0], [1.0, 2.5]], [[0.0, 0.0], [0.0, 0.125]], names=[EVIL, "b"], G=2.0)
    rows = Texts(bodies._repr_html_()).rows
    assert rows[-1] == ["b", "0.5", "1", "2.5", "0", "0.125"]
    assert rows[-2][0] == EVIL
    assert cells(bodies._repr_html_())["units"] == "G = 2"
    many = Bodies(np.ones(40), np.arange(120.0).reshape(40, 3), np.zeros((40, 3)))
    assert "and 28 more" in many._repr_html_()


@pytest.fixture(scope="module")
def one():
    return simulate(kepler(e=0.5), t_end=20.0, tol=1e-4)


def test_a_result_is_two_lines_and_a_card(one):
    lines = repr(one).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) < 150
    error = f"{one.max_energy_error[0]:.1e}, within the 0.0001 asked for"
    assert error in lines[0]
    assert f"{one.force_evaluations[0]} force evaluations in {one.steps[0]} steps" in lines[1]
    rows = cells(one._repr_html_())
    assert rows["energy error"] == error
    assert rows["status"] == "ok at t = 20"
    near = one.closest_approach
    assert rows["closest approach"].startswith(f"{near.distance[0]:.4g} between body 0 and body 1")
    assert "all 2 bodies" in rows["own orbits"]


def test_a_result_that_missed_says_so_with_its_advice():
    with pytest.warns(SimulationWarning):
        bad = simulate(burrau(), t_end=10.0, criterion=Constant(0.05))
    assert "means little" in bad._repr_html_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulationWarning)
        early = simulate(kepler(e=0.5), t_end=20.0, tol=1e-4, max_steps=3)
    assert "max_steps at t = " in repr(early)
    assert "used up its steps" in cells(early._repr_html_())["status"]


def test_a_result_names_its_first_events():
    start = Bodies(*kepler(e=0.5)[:3], names=["A", "B"])
    result = simulate(start, t_end=40.0, tol=1e-4, events=[Encounter(below=0.6)])
    words = cells(result._repr_html_())["events"]
    first = result.events[0]
    assert words.startswith(f"{first.kind} of A and B at t = {first.time:.6g}; ")
    assert words.endswith(f"; and {len(result.events) - 3} more")
    stopped = simulate(start, t_end=40.0, tol=1e-4, events=[Encounter(below=0.6, stop=True)])
    assert "ended at an event" in cells(stopped._repr_html_())["status"]
    assert "within the 0.0001" in repr(stopped)


def test_a_simulation_shows_where_it_is():
    sim = Simulation(kepler(e=0.5), tol=1e-4, t_end=10.0).integrate(3.0)
    rows = cells(sim._repr_html_())
    assert (rows["time"], rows["status"]) == ("3", "ok")
    assert rows["steps"].startswith(f"{sim.step_count}, dt = {sim.dt:.3g}")
    assert rows["energy error"].endswith(f"{sim.max_energy_error:.1e} at most, within the 0.0001 asked for")
    assert "\n" not in repr(sim)


def test_a_batch_shows_its_worst_systems_first():
    starts = Bodies.stack([Bodies(*kepler(e=e)[:3]) for e in np.linspace(0.0, 0.9, 12)])
    result = simulate(starts, t_end=5.0, criterion=FreeFall(0.1))
    assert repr(result).startswith("SimulationResult of 12 systems: 12 ok, energy errors up to ")
    table = [row for row in Texts(result._repr_html_()).rows if len(row) == 5]
    assert table[0] == ["system", "status", "time", "force evaluations", "energy error"]
    order = np.argsort(-result.max_energy_error, kind="stable")
    assert [int(row[0]) for row in table[1:]] == order[:8].tolist()
    assert [row[4] for row in table[1:]] == [f"{result.max_energy_error[i]:.1e}" for i in order[:8]]


@pytest.mark.parametrize("name", ["leapfrog", "chin4"])
def test_a_model_shows_its_calibration(name):
    model = shipped(name)
    table = [row for row in Texts(model._repr_html_()).rows if len(row) == 5]
    wanted = zip(sorted(model.calibration, reverse=True), sorted(model.sensitive_calibration, reverse=True), strict=True)
    asked = [[f"{tol:g}", f"{tol * factor:.2g}", f"{tol * sensitive:.2g}"] for (tol, factor), (_, sensitive) in wanted]
    assert [row[:3] for row in table[1:]] == asked
    assert all(row[3].endswith("%") for row in table[1:])
    step = LearnedStep(model, tol=1e-3)
    assert cells(step._repr_html_())["asked for"] == "0.001"
    assert cells(LearnedStep()._repr_html_())["tolerance"] == "that of the run"


def test_a_card_that_no_training_writes_is_still_shown():
    import dataclasses

    model = shipped("chin4")
    forged = dataclasses.replace(model, card={**model.card, "plan": {"families": [EVIL]}, "families": [EVIL]})
    assert "<script" not in forged._repr_html_()
    assert "none that a training writes" in dataclasses.replace(model, card={**model.card, "plan": 3})._repr_html_()


def test_snapshots_show_what_they_hold_also_when_closed(tmp_path):
    simulate(kepler(e=0.5), t_end=5.0, tol=1e-3, output=tmp_path / "run.h5")
    with Snapshots(tmp_path / "run.h5") as s:
        assert repr(s) == f"Snapshots({str(tmp_path / 'run.h5')!r}: {len(s)} rows, systems=1, bodies=2, axes=2)"
        rows = cells(s._repr_html_())
        assert (rows["time"], rows["tolerance"], rows["status"]) == ("0 to 5", "0.001", "1 ok")
    assert cells(s._repr_html_()) == rows  # what was read before
    s = Snapshots(tmp_path / "run.h5")
    s.close()
    assert "was closed" in s._repr_html_()
    assert repr(s).startswith("Snapshots(")


def test_settings_show_what_differs_from_the_defaults():
    assert cells(Config(judge="run", seed=3)._repr_html_()) == {"judge": "run", "seed": "3"}
    assert repr(Config(seed=3)) == repr(Config(seed=3))
