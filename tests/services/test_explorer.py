"""The page of the explorer in a real browser: what it shows is what the file holds, and every control does what it says.

`make test-services` runs these, and installs Chromium where it is missing.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aitimestepper import Snapshots, simulate
from aitimestepper.initial import named
from aitimestepper.report.explorer.page import FOLDER, write_explorer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
from browser import Browser, chromium
from explored import HOSTILE, data_of, training_folder, triple_file

pytestmark = pytest.mark.services
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(browser: Browser) -> Iterator[None]:
    """No test may leave an error or a warning on the console, or make a request for anything but its page."""
    browser.complaints.clear()
    browser.requests.clear()
    yield
    browser.settle()
    assert browser.complaints == []
    assert {url.split(":")[0] for url in browser.requests} <= {"file"}
    assert all(url.endswith(".html") for url in browser.requests)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a triple, a flat one of two names that are none, a training, and pages about them."""
    folder = tmp_path_factory.mktemp("explorer")
    triple_file(folder / "loose.h5", tol=1e-3, criterion=None, integrator="blanes_moan4")
    triple_file(folder / "tight.h5", t_end=40.0)
    triple_file(folder / "hostile.h5", 5.0, HOSTILE)
    training_folder(folder / "mine")
    simulate(named.figure8(), t_end=6.0, criterion="freefall:eta=0.1", output=folder / "flat.h5", output_steps=1, warn=False)
    for page, names in (("one", ["loose.h5"]), ("two", ["loose.h5", "tight.h5", "mine"]), ("hostile", ["hostile.h5"]),
                        ("training", ["mine"]), ("flat", ["flat.h5"])):  # fmt: skip
        write_explorer([str(folder / name) for name in names], folder / f"{page}.html")
    return folder


def numbers(browser: Browser, run: int = 0) -> dict[str, str]:
    """Return what the page says of a run at the cursor, by quantity."""
    return dict(
        browser.run(f"[...document.querySelectorAll('td[data-run=\"{run}\"]')].map(c => [c.dataset.quantity, c.textContent])")
    )


def picture(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector('{selector}').toDataURL()"))


def row_of(said: dict[str, str]) -> int:
    return int(said["row"].split(" of ")[0].replace(",", ""))


def agrees(said: dict[str, str], path: Path) -> int:
    """Return the row that the page is at, after a look whether all its numbers are those of the file at it, digit by digit."""
    row = row_of(said)
    with Snapshots(path) as s:
        assert said["time"] == repr(float(s.time[row, 0]))
        assert said["dt"] == repr(float(s.dt[row, 0]))
        assert said["error"] == repr(float(s.energy_error[row, 0]))
        assert said["steps"] == str(int(s.steps[row, 0]))
        x = s.position[row, 0]
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(len(x)) for j in range(i)]
    assert float(said["near"].split(" ")[0]) == pytest.approx(min(pairs), rel=1e-14)
    return row


# ---- numbers and the cursor ------------------------------------------------------------------------------------------
def test_the_numbers_at_the_cursor_are_those_of_the_file(browser, folder):
    browser.open(folder / "one.html")
    assert agrees(numbers(browser), folder / "loose.h5") == 0
    browser.press("ArrowRight", 7)
    assert agrees(numbers(browser), folder / "loose.h5") == 7
    browser.press("ArrowLeft", 2)
    assert agrees(numbers(browser), folder / "loose.h5") == 5
    browser.press("End")
    with Snapshots(folder / "loose.h5") as s:
        assert agrees(numbers(browser), folder / "loose.h5") == len(s) - 1
        assert numbers(browser)["forces"] == str(s.result["force_evaluations"][0])
        assert numbers(browser)["tolerance"] == repr(1e-3)
    browser.press("Home")
    assert agrees(numbers(browser), folder / "loose.h5") == 0


def test_scrubbing_moves_the_bodies(browser, folder):
    browser.open(folder / "one.html")
    box = browser.run("(b => [b.x, b.y, b.width, b.height])(document.getElementById('scrub').getBoundingClientRect())")
    before, words = picture(browser, ".scene canvas"), browser.run("document.querySelector('.scene canvas').ariaLabel")
    middle = box[1] + box[3] / 2
    browser.drag((box[0] + 12, middle), (box[0] + box[2] / 2, middle))
    row = agrees(numbers(browser), folder / "loose.h5")
    with Snapshots(folder / "loose.h5") as s:
        assert 0.4 < s.time[row, 0] / s.time[-1, 0] < 0.6
        x = s.position[row, 0]
    assert picture(browser, ".scene canvas") != before
    after = browser.run("document.querySelector('.scene canvas').ariaLabel")
    assert after != words
    places = [[float(v) for v in place.split(", ")] for place in re.findall(r"body \d \((.*?)\)", after)]
    assert np.array(places) == pytest.approx(x, abs=1e-4 * np.abs(x).max())
    shown = browser.run("document.getElementById('scrub').ariaValueText")
    assert float(shown.removeprefix("t = ")) == pytest.approx(float(numbers(browser)["time"]), rel=1e-6)


def test_a_click_on_a_chart_moves_the_cursor_of_everything(browser, folder):
    browser.open(folder / "two.html")
    x, y, width, height = browser.run(
        "(b => [b.x, b.y, b.width, b.height])(document.querySelector('.chart canvas').getBoundingClientRect())"
    )
    browser.drag((x + 0.3 * width, y + height / 2), (x + 0.4 * width, y + height / 2))
    loose, tight = numbers(browser, 0), numbers(browser, 1)
    agrees(loose, folder / "loose.h5")
    agrees(tight, folder / "tight.h5")
    assert float(loose["time"]) == pytest.approx(float(tight["time"]), abs=1.0)
    assert 10 < float(loose["time"]) < 30


def test_runs_side_by_side_share_time_or_the_share_of_each(browser, folder):
    browser.open(folder / "two.html")
    browser.press("End")
    assert float(numbers(browser, 0)["time"]) == 60.0
    assert float(numbers(browser, 1)["time"]) == 40.0  # it has ended
    browser.press("ArrowLeft", 5)
    agrees(numbers(browser, 0), folder / "loose.h5")
    browser.run("(s => { s.value = 'share'; s.dispatchEvent(new Event('change')); })(document.getElementById('axis'))")
    browser.press("Home")
    browser.press("ArrowRight", 150, shift=False)
    both = [float(numbers(browser, k)["time"]) for k in (0, 1)]
    assert both[0] / 60 == pytest.approx(both[1] / 40, abs=0.01)
    for k, name in enumerate(("loose.h5", "tight.h5")):
        agrees(numbers(browser, k), folder / name)


def test_a_jump_to_an_encounter_arrives_at_its_row(browser, folder):
    (run,) = data_of(folder / "one.html")["runs"]
    browser.open(folder / "one.html")
    browser.press("n")
    first = min(e[0] for e in [*run["encounters"], run["approach"]])
    assert float(numbers(browser)["time"]) == first
    agrees(numbers(browser), folder / "loose.h5")
    browser.run("document.querySelector('#encounters tbody tr:nth-child(2) button').click()")
    browser.settle()
    closest = run["encounters"][0]
    assert row_of(numbers(browser)) == closest[4]
    assert numbers(browser)["near"].startswith(repr(closest[1]))


def test_floats_are_written_as_python_writes_them(browser, folder):
    browser.open(folder / "one.html")
    rng = np.random.default_rng(0)
    values = [
        0.0,
        -0.0,
        1.0,
        1e15,
        1e16,
        1.5e16,
        123456789012345680.0,
        1e-4,
        9.999e-5,
        1e-5,
        5e-324,
        1.7976931348623157e308,
        0.1,
        1 / 3,
    ]
    values += (rng.normal(size=300) * 10.0 ** rng.integers(-30, 30, 300)).tolist() + (10.0 ** np.arange(-30, 30)).tolist()
    source = (FOLDER / "format.js").read_text(encoding="utf-8")
    # -0.0 and the like pass JSON as JavaScript reads it
    written = browser.run(f"(() => {{ {source}; return {json.dumps(values)}.map(exact); }})()")
    assert written == [repr(v) for v in values]


# ---- playing, turning, keys ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("still", [False, True])
def test_space_plays_and_pauses(browser, folder, still):
    browser.open(folder / "one.html", still=still)
    browser.press(" ")
    assert browser.run("document.getElementById('play').ariaLabel") == "Pause"
    deadline = time.monotonic() + 10
    while float(numbers(browser)["time"]) < 1.0:
        assert time.monotonic() < deadline, "it does not play"
        time.sleep(0.05)
    browser.press(" ")
    assert browser.run("document.getElementById('play').ariaLabel") == "Play"
    at = numbers(browser)
    agrees(at, folder / "loose.h5")
    time.sleep(0.2)
    assert numbers(browser) == at


def test_a_run_plays_to_its_end_and_from_its_start_again(browser, folder):
    browser.open(folder / "flat.html")
    browser.press("+", 8)
    browser.press(" ")
    deadline = time.monotonic() + 10
    while browser.run("document.getElementById('play').ariaLabel") == "Pause":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert float(numbers(browser)["time"]) == 6.0
    browser.press("-", 6)
    browser.press(" ")
    assert float(numbers(browser)["time"]) < 6.0
    browser.press(" ")


@pytest.mark.parametrize("page", ["one", "flat"])
def test_a_drag_turns_or_moves_the_view_and_a_key_brings_it_back(browser, folder, page):
    browser.open(folder / f"{page}.html")
    browser.press("ArrowRight", 3)
    before, at = picture(browser, ".scene canvas"), numbers(browser)
    x, y = browser.run(
        "(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector('.scene canvas').getBoundingClientRect())"
    )
    browser.drag((x, y), (x + 60, y + 30))
    turned = picture(browser, ".scene canvas")
    assert turned != before
    assert numbers(browser) == at
    browser.press("0")
    assert picture(browser, ".scene canvas") == before
    browser.run("document.querySelector('.scene canvas').focus()")
    browser.press("e")
    assert picture(browser, ".scene canvas") not in (before, turned)


def test_two_fingers_zoom_and_one_on_a_chart_scrubs(browser, folder):
    browser.open(folder / "one.html", *SIZES["phone"])
    before, at = picture(browser, ".scene canvas"), numbers(browser)
    x, y = browser.run(
        "(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector('.scene canvas').getBoundingClientRect())"
    )
    browser.touch([[(x - 20, y), (x + 20, y)], [(x - 50, y), (x + 50, y)], [(x - 90, y), (x + 90, y)]])
    assert picture(browser, ".scene canvas") != before
    assert numbers(browser) == at
    browser.run("document.querySelector('.chart canvas').scrollIntoView({block: 'center'})")
    x, y, width = browser.run(
        "(b => [b.x, b.y + b.height / 2, b.width])(document.querySelector('.chart canvas').getBoundingClientRect())"
    )
    browser.touch([[(x + 0.5 * width, y)], [(x + 0.6 * width, y)]])
    agrees(numbers(browser), folder / "loose.h5")
    assert 25 < float(numbers(browser)["time"]) < 40


def test_trails_and_the_time_in_the_charts_follow_their_keys(browser, folder):
    browser.open(folder / "one.html")
    browser.press("ArrowRight", 60)
    seen = {picture(browser, ".scene canvas")}
    for _ in range(2):
        browser.press("t")
        seen.add(picture(browser, ".scene canvas"))
    assert len(seen) == 3
    assert browser.run("document.getElementById('trails').value") == "none"
    before = picture(browser, ".chart canvas")
    browser.press("z", 3)
    assert picture(browser, ".chart canvas") != before
    browser.press("x", 3)
    assert picture(browser, ".chart canvas") == before


def test_every_control_is_reached_by_tab_and_shows_its_focus(browser, folder):
    browser.open(folder / "one.html")
    controls = (
        "[...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent && !e.closest('#encounters'))"
    )
    wanted = set(browser.run(f"{controls}.map(e => e.id || e.textContent)"))
    label = "e.ariaLabel || e.labels?.[0]?.textContent || e.textContent"
    about = f"(e => [e.id || e.textContent, getComputedStyle(e).outlineStyle, {label}])(document.activeElement)"
    reached = set()
    for _ in range(120):
        browser.press("Tab")
        name, outline, words = browser.run(about)
        if name in wanted:
            assert outline != "none", name
            assert words.strip(), name
        reached.add(name)
        if wanted <= reached:
            return
    assert wanted <= reached


def test_the_command_is_copied(browser, folder):
    browser.open(folder / "one.html")
    assert browser.run("document.querySelector('.command code').textContent").startswith("aitimestepper simulate --repeat ")
    browser.run("document.querySelector('.command button').click()")
    deadline = time.monotonic() + 5
    while (said := browser.run("document.querySelector('.command button').textContent")) == "copy":
        assert time.monotonic() < deadline
    assert said in ("copied", "selected")


# ---- every screen, and paper -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", ["one", "two", "training", "flat", "hostile"])
def test_a_page_fits_every_screen(browser, folder, page, size, dark):
    width, height = SIZES[size]
    browser.open(folder / f"{page}.html", width, height, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    tops = browser.run("(b => [b.top, b.bottom])(document.getElementById('transport').getBoundingClientRect())")
    assert 0 < tops[0] < tops[1] <= height + 1  # the controls are in sight
    small = browser.run(
        "[...document.querySelectorAll('button, select')].filter(e => e.offsetParent).map(e => e.getBoundingClientRect())"
        ".filter(b => b.width < 24 || b.height < 24).length"
    )
    assert small == 0  # fingers need 24 pixels (WCAG 2.2)
    ink, ground = browser.run("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert contrast(ink, ground) > 7
    assert (luminance(ground) < 0.1) is dark


def luminance(colour: str) -> float:
    parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_in_print_the_picture_at_the_cursor_is_on_white_without_controls(browser, folder):
    browser.open(folder / "one.html", dark=True)
    browser.press("ArrowRight", 40)
    at = numbers(browser)
    # how many pixels are painted, and whether some are as dark as ink on paper; read once, as more would be a warning
    painted = """(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let painted = 0, ink = false;
                   for (let k = 0; k < d.length; k += 4) { painted += d[k + 3] > 0; ink ||= d[k] === 31 && d[k + 1] === 41; }
                   return [painted, ink]; })"""
    browser.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.settle()
    assert browser.run("getComputedStyle(document.getElementById('transport')).display") == "none"
    assert luminance(browser.run("getComputedStyle(document.body).backgroundColor")) == pytest.approx(1.0)
    assert luminance(browser.run("getComputedStyle(document.body).color")) < 0.05
    assert browser.run(f"{painted}(document.querySelector('.scene canvas'))")[0] > 1000
    count, ink = browser.run(f"{painted}(document.querySelector('.chart canvas'))")
    assert count > 1000
    assert ink  # of the cursor, in spite of the dark screen
    assert numbers(browser) == at
    pages = re.findall(rb"/Type\s*/Page\b", browser.pdf())
    assert 1 <= len(pages) <= 4


def test_names_that_are_markup_are_shown_as_they_are(browser, folder):
    browser.open(folder / "hostile.html")
    legend = browser.run("document.querySelector('.legend').innerText")
    assert all(name.replace("\u2028", " ") in legend.replace("\u2028", " ") for name in HOSTILE)
    assert browser.run("document.querySelectorAll('img, iframe, object, script:not(#data)').length") == 1


def test_a_script_that_got_in_would_not_run(browser, folder):
    """The policy of the page is in force: scripts, styles and pictures that are not its own are refused."""
    browser.open(folder / "one.html")
    browser.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.stranger = 1'}))")
    assert browser.run("window.stranger") is None
    refused = browser.run("fetch('https://example.org/').then(() => 'loaded', () => 'refused')")
    assert refused == "refused"
    browser.settle()
    assert any("Content Security Policy" in words for words in browser.complaints)
    browser.complaints.clear()
    browser.requests.clear()


def test_a_training_alone_is_stepped_through_by_epochs(browser, folder):
    browser.open(folder / "training.html")
    browser.press("ArrowRight")
    said = numbers(browser)
    assert said["epoch"] == "2"
    assert said["part1/mean_energy_error"] == repr(5e-6)
    assert said["part1/acceptance_rate"] == repr(0.95)
    assert browser.run("getComputedStyle(document.getElementById('stage')).display") == "none"


# ---- a million rows --------------------------------------------------------------------------------------------------
def test_a_million_steps_are_less_than_15_megabytes_and_exact_where_they_are_kept(browser, tmp_path):
    path, page = tmp_path / "million.h5", tmp_path / "million.html"
    simulate(named.triple(), steps=999_999, criterion="freefall:eta=0.03", output=path, output_steps=1, warn=False)
    shown = write_explorer([str(path)], page)
    assert shown["runs"][0]["rows"] == 1_000_000
    assert page.stat().st_size <= 15_000_000
    browser.open(page)
    for key, times in (("n", 3), ("ArrowRight", 2), ("End", 1), ("ArrowLeft", 9)):
        browser.press(key, times)
        agrees_quickly(numbers(browser), path)
    before = picture(browser, ".scene canvas")
    began = time.perf_counter()
    browser.press("ArrowLeft", 20)
    assert (time.perf_counter() - began) / 20 < 0.5  # seconds for a row: about 0.02
    assert picture(browser, ".scene canvas") != before


def agrees_quickly(said: dict[str, str], path: Path) -> None:
    """As `agrees`, with single rows of a large file."""
    row = row_of(said)
    with Snapshots(path) as s:
        for name, column in (("time", "time"), ("dt", "dt"), ("error", "energy_error")):
            assert said[name] == repr(float(s.column(column)[row][0]))
        assert said["steps"] == str(int(s.column("steps")[row][0]))
    assert math.isfinite(float(said["near"].split(" ")[0]))
