from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aitimestepper.config import Config
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.errors import UserError
from aitimestepper.report.cost import cost_table, table_errors, verdicts
from aitimestepper.report.page import write_report
from aitimestepper.report.template import STYLE
from aitimestepper.simulate.engine import simulate

VOID = ("meta", "img", "br")


class Page(HTMLParser):
    """Text, sources and balance of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "action", "data", "poster", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def report(tmp_path, power_law, orbit, records, two_body):
    """Return arguments of `write_report` with everything at once, to be changed."""
    result = simulate(two_body(e=0.6), t_end=2.0, criterion=FreeFall(0.1))
    return {
        "title": "a run",
        "settings": Config(ic="kepler:e=0.6", seed=7).to_dict(),
        "training_records": records,
        "curves": [
            power_law("FreeFall", 4.0, symmetrized=False),
            power_law("Tidal", 0.25),
            power_law("learned", 1.0, learned=True),
        ],
        "trajectories": {"learned": orbit, "FreeFall": orbit},
        "summary": result.summary(),
        "movie": None,
    }


def test_the_page_holds_the_numbers_and_nothing_from_outside(report, tmp_path):
    path = write_report(tmp_path / "run", **report)
    assert path == tmp_path / "run" / "report.html"
    source = path.read_text()
    page = Page(source)
    text = "\n".join(page.text)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.tags.count("img") == 3
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", re.sub(r"base64,[^\"]*", "", source))
    for link in page.links:
        assert base64.b64decode(link.partition(",")[2], validate=True).startswith(b"\x89PNG")
    summary = report["summary"]
    for key in ("steps", "force_evaluations"):
        assert f"\n{summary[key]}\n" in text
    for key in ("max_energy_error", "final_energy_error", "dt_min", "dt_max"):
        assert f"\n{summary[key]:.6g}\n" in text
    for name, value in report["settings"].items():
        assert f"\n{name}\n" in text
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            assert f"\n{value}\n" in text
    picture = (path.parent / "report.png").read_bytes()
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (1400, 600)
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.png"]


def rules_of(style: str) -> dict[str, str]:
    """The declarations outside media queries, by selector."""
    plain = re.sub(r"/\*.*?\*/|@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", style, flags=re.S)
    found: dict[str, str] = {}
    for selectors, declarations in re.findall(r"([^{}]+)\{([^{}]*)\}", plain):
        for selector in selectors.split(","):
            found[selector.strip()] = found.get(selector.strip(), "") + declarations
    return found


def test_on_a_phone_no_number_is_broken_and_wide_things_scroll_by_themselves(report, tmp_path):
    """Where a line may be broken anywhere, cells of figures have the width of the longest number (11 characters)."""
    source = write_report(tmp_path, **report).read_text()
    for wide in ("<img ", '<table class="cost">'):
        assert source.count(wide) > 0
        assert source.count(wide) == source.count(f'<div class="scroll">{wide}')
    rules = rules_of(STYLE)
    assert "overflow-x: auto" in rules[".scroll"]
    assert "overflow" not in rules["section"]
    assert "white-space: nowrap" in rules[".cost td"]
    width = re.search(r"min-width: ([\d.]+)rem", rules[".pairs td"])
    assert width is not None
    assert float(width[1]) >= 11 * 0.6
    phone = STYLE[STYLE.index("@media (max-width: 40rem)") :]
    assert ".pairs th { white-space: normal; }" in phone


def test_the_table_gives_forces_and_ratios(power_law):
    """Errors a / n^2: forces at equal error go with sqrt(a), so 4 and 1/4 are exactly twice and half of 1."""
    curves = [power_law("FreeFall", 4.0), power_law("Tidal", 0.25), power_law("learned", 1.0, learned=True)]
    assert table_errors(curves) == pytest.approx([1e-5, 1e-6, 1e-7])
    table = cost_table(curves)
    rows = {
        re.search(r"<th>(.*?)</th>", row).group(1): re.findall(r"<td>(.*?)</td>", row)
        for row in re.findall(r"<tr.*?</tr>", table, re.S)[1:]
    }
    assert rows == {
        "learned": ["316", "1000", "3162"],
        "Tidal": ["158 (0.50)", "500 (0.50)", "1581 (0.50)"],
        "FreeFall": ["632 (2.00)", "2000 (2.00)", "6325 (2.00)"],
    }


def test_a_learned_step_that_is_worse_is_said_to_be_worse(power_law):
    curves = [power_law("FreeFall", 4.0, 1.0), power_law("Tidal", 0.25, 100.0), power_law("learned", 1.0, 9.0, learned=True)]
    at_error, at_end = verdicts(curves, [1e-6])
    assert at_error == (
        "At a largest energy error of 1e-06, the step “learned” is worse than the best classical rule, Tidal: it takes 2.00 "
        "times as many force evaluations. It is ahead of 1 of the 2 classical rules that can be compared there."
    )
    assert at_end == (
        "At the end of a run of 1000 force evaluations, the energy error of “learned” is 9.0e-06, that of the best classical "
        "rule there, FreeFall, 1.0e-06."
    )


def test_a_learned_step_that_is_better_is_said_to_be_better(power_law):
    curves = [power_law("FreeFall", 4.0), power_law("learned", 1.0, learned=True)]
    assert (
        "takes the fewest force evaluations: the best classical rule, FreeFall, takes 2.00 times as many"
        in verdicts(curves, [1e-6])[0]
    )
    equal = [power_law("FreeFall", 1.0), power_law("learned", 1.0, learned=True)]
    assert "takes as many force evaluations as the best classical rule, FreeFall" in verdicts(equal, [1e-6])[0]


def test_without_a_common_error_nothing_is_compared(power_law):
    far = power_law("learned", 1e9, learned=True)
    near = power_law("FreeFall", 1.0)
    assert "FreeFall" not in "".join(verdicts([near, far], table_errors([near, far]))[:-1])
    empty = dataclasses.replace(
        near, force_evaluations=near.force_evaluations[:0], max_error=near.max_error[:0], final_error=near.final_error[:0]
    )
    assert "nothing to compare" in cost_table([empty])
    assert verdicts([near], [1e-6]) == []  # no learned step: numbers, no verdict
    assert "<td>1000</td>" in cost_table([near])


def test_text_is_escaped(report, tmp_path):
    report |= {"trajectories": {}, "training_records": []}
    report["title"] = "<script>alert(1)</script> & “x”"
    report["settings"] = {"ic": "file:<b>&\"'.txt", "save_name": "<i>"}
    report["curves"][0] = dataclasses.replace(report["curves"][0], label="<u>rule</u>")
    source = write_report(tmp_path, **report).read_text()
    page = Page(source)
    assert "script" not in page.tags
    assert not {"b", "i", "u"} & set(page.tags)
    for text in ("<script>alert(1)</script> & “x”", "file:<b>&\"'.txt", "<u>rule</u>"):
        assert text in page.text


def test_what_is_missing_is_left_out(report, tmp_path):
    nothing = {"training_records": [], "curves": [], "trajectories": {}, "summary": {}}
    page = Page(write_report(tmp_path / "none", **{**report, **nothing}).read_text())
    assert "img" not in page.tags
    assert page.tags.count("section") == 2  # what was run, and with which settings
    assert not (tmp_path / "none" / "report.png").exists()
    for name, sections in (("training_records", 3), ("curves", 4), ("trajectories", 3), ("summary", 3)):
        folder = tmp_path / name
        page = Page(write_report(folder, **{**report, **nothing, name: report[name]}).read_text())
        assert page.tags.count("section") == sections
        assert (folder / "report.png").exists() == (name != "summary")


def test_a_batch_shows_the_range_over_its_systems(report, tmp_path, random_system):
    result = simulate(random_system(systems=3), t_end=0.2, criterion=FreeFall(0.1))
    report |= {"curves": [], "trajectories": {}, "training_records": [], "summary": result.summary()}
    text = "\n".join(Page(write_report(tmp_path, **report).read_text()).text)
    errors = result.max_energy_error.tolist()
    assert f"{min(errors):.6g} to {max(errors):.6g}" in text
    assert "3 ok" in text


def test_a_movie_is_inside_the_page(report, tmp_path, monkeypatch):
    film = tmp_path / "run" / "film <1>.mp4"
    film.parent.mkdir()
    film.write_bytes(b"not really a movie")
    report |= {"curves": [], "trajectories": {}, "training_records": []}
    page = Page(write_report(film.parent, **{**report, "movie": film}).read_text())
    assert "data:video/mp4;base64," + base64.b64encode(film.read_bytes()).decode() in page.links
    monkeypatch.setattr("aitimestepper.report.page.MOVIE_LIMIT", 3)
    page = Page(write_report(film.parent, **{**report, "movie": film}).read_text())
    assert "film <1>.mp4" in page.links


def test_a_failing_report_leaves_the_old_one(report, tmp_path):
    report |= {"trajectories": {}, "training_records": []}
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "report.png").write_bytes(b"old")
    with pytest.raises(UserError, match=r"cannot read the movie .*gone\.mp4: No such file"):
        write_report(tmp_path, **{**report, "movie": Path("gone.mp4")})
    assert (tmp_path / "report.html").read_text() == "old"
    assert (tmp_path / "report.png").read_bytes() == b"old"
