"""The page of the explorer without a browser: its numbers are those of the file, and it lets nothing in or out."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shlex
import shutil

import numpy as np
import pytest
from explored import HOSTILE, Elements, data_of, training_folder, triple_file

from aitimestepper import Bodies, Snapshots, resume, simulate
from aitimestepper.cli import main
from aitimestepper.errors import UserError
from aitimestepper.events import Crossing, Encounter
from aitimestepper.initial import named
from aitimestepper.report.explorer import recorded as recorded_module
from aitimestepper.report.explorer.encounters import MOST, Minima, Nearest, nearest_pairs
from aitimestepper.report.explorer.outcome import facts_of, forces_of, located_approach, markers_of, tolerance_of
from aitimestepper.report.explorer.page import PAGE_BYTES, write_explorer
from aitimestepper.report.explorer.recorded import BASE64, SCALAR_BYTES, _room, read_recorded, view_of
from aitimestepper.report.explorer.thinning import Extremes, kept_rows, spread
from aitimestepper.simulate.snapshots import SnapshotWriter

COLUMNS = {"time": "time", "dt": "dt", "error": "energy_error", "steps": "steps"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return triple_file(tmp_path_factory.mktemp("runs") / "triple.h5")


def long_file(path, run, rows=40_000, direction=1.0):
    """A file of many rows, without the time that a run of them takes: every number is another one."""
    rng = np.random.default_rng(3)
    with Snapshots(run) as s:
        saved = s.saved()
    one = (rows, 1)
    columns = {
        "time": np.cumsum(direction * rng.exponential(size=one), axis=0),
        "dt": rng.lognormal(size=one),
        "energy": rng.normal(size=one),
        "energy_error": 10 ** rng.uniform(-12, -3, size=one),
        "steps": np.arange(rows)[:, None],
        "position": rng.normal(size=(rows, 1, 3, 3)),
        "velocity": rng.normal(size=(rows, 1, 3, 3)),
    }
    given = {"metadata": saved.metadata, "initial": saved.initial, "arrays": saved.constants, "state": saved.state, "axes": 3}
    with SnapshotWriter.create(path, **given) as writer:
        writer.append(columns)
        writer.save_state(saved.state, saved.result)
    return path, columns


# ---- numbers ---------------------------------------------------------------------------------------------------------
def test_every_number_of_a_short_run_is_that_of_the_file(run, tmp_path):
    write_explorer([str(run)], tmp_path / "page.html")
    (shown,) = data_of(tmp_path / "page.html")["runs"]
    with Snapshots(run) as s:
        assert shown["row"].tolist() == list(range(len(s)))
        for name, column in COLUMNS.items():
            assert np.array_equal(shown[name], getattr(s, column)[:, 0]), name
        x = s.position[:, 0]
        distance = min(np.linalg.norm(x[7, i] - x[7, j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        assert shown["near"][7] == pytest.approx(distance, rel=1e-14)
        drawn = shown["position"] * shown["scale"] + np.array(shown["centre"])
        assert drawn == pytest.approx(x, abs=1e-6 * shown["scale"])
        assert shown["velocity"] * shown["speed"] == pytest.approx(s.velocity[:, 0], abs=1e-6 * shown["speed"])
        assert shown["forces"]["before"] + shown["forces"]["each"] * shown["steps"][-1] == s.result["force_evaluations"][0]
        assert shown["forces"]["exact"] is True


def test_of_a_long_run_the_extremes_of_every_pixel_are_kept_and_all_that_is_kept_is_exact(run, tmp_path):
    path, columns = long_file(tmp_path / "long.h5", run)
    write_explorer([str(path)], tmp_path / "page.html")
    full = read_recorded(path, 0, PAGE_BYTES, "all")
    assert len(full.row) == 40_000  # they fit
    r = read_recorded(path, 0, 1_600_000, "thinned")
    assert len(r.row) < 20_000
    for name in ("time", "dt", "energy_error", "steps"):
        assert np.array_equal(getattr(r, name), columns[name][r.row, 0]), name
    assert {0, 39_999} <= set(r.row.tolist())
    time = columns["time"][:, 0]
    pixels = _room(40_000, 3, 1_600_000).pixels
    pixel = np.minimum(((time - time[0]) * (pixels / (time[-1] - time[0]))).astype(int), pixels - 1)
    x = columns["position"][:, 0]
    near = np.min([np.linalg.norm(x[:, i] - x[:, j], axis=-1) for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    for values in (
        columns["dt"][:, 0],
        -columns["dt"][:, 0],
        columns["energy_error"][:, 0],
        -columns["energy_error"][:, 0],
        near,
    ):
        smallest, shown = np.full((2, pixels), np.inf)
        np.minimum.at(smallest, pixel, values)
        np.minimum.at(shown, pixel[r.row], values[r.row])
        assert np.array_equal(smallest, shown)
    assert {e.row for e in r.encounters} <= set(r.row.tolist())
    assert r.encounters[0].distance == pytest.approx(near[1:-1].min(), rel=1e-12)


def test_a_run_in_blocks_is_the_run_at_once(run, monkeypatch):
    at_once = read_recorded(run, 0, PAGE_BYTES, "")
    monkeypatch.setattr(recorded_module, "BLOCK_BYTES", 8 * 9 * 37)  # 37 rows
    in_blocks = read_recorded(run, 0, PAGE_BYTES, "")
    assert at_once.encounters == in_blocks.encounters
    for name in ("row", "time", "dt", "position", "velocity"):
        assert np.array_equal(getattr(at_once, name), getattr(in_blocks, name)), name


@pytest.mark.parametrize("rows", [1, 50, 3000, 10**6, 10**9])
@pytest.mark.parametrize("bodies", [1, 2, 3, 64, 3000, 10**6])
@pytest.mark.parametrize("runs", [1, 4, 16])
def test_pages_stay_below_their_size_for_any_run(rows, bodies, runs):
    room = _room(rows, bodies, PAGE_BYTES / runs)
    size = runs * BASE64 * (SCALAR_BYTES * room.kept + 24 * room.drawn * room.bodies)
    assert size < 15e6
    assert rows <= room.kept or 5 * room.pixels + MOST + 2 <= room.kept
    assert min(2, rows) <= room.drawn <= room.kept <= rows
    assert room.bodies >= min(bodies, 2)


def test_extremes_need_not_be_finite():
    found = Extremes(1, 0.0, 1.0)
    found.take(np.arange(4), np.array([0.0, 0.2, 0.9, 1.0]), np.array([[np.nan, 3.0, np.inf, np.nan]]))
    assert found.rows().tolist() == [1]
    still = Extremes(1, 2.0, 2.0)
    still.take(np.arange(2), np.array([2.0, 2.0]), np.array([[5.0, 4.0]]))
    assert still.rows().tolist() == [1]


def test_a_run_against_time_is_shown_along_it(run, tmp_path):
    path, _ = long_file(tmp_path / "forward.h5", run, 3000)
    back, columns = long_file(tmp_path / "back.h5", run, 3000, -1.0)
    ahead, behind = (read_recorded(p, 0, 200_000, "") for p in (path, back))
    assert np.array_equal(behind.time, -ahead.time[::-1])
    assert np.array_equal(behind.row, ahead.row[::-1])
    assert np.array_equal(behind.steps, columns["steps"][behind.row, 0])
    at = columns["position"][behind.row[behind.drawn], 0]
    assert behind.position * behind.scale + behind.centre == pytest.approx(at, abs=1e-6 * behind.scale)


def test_a_run_backward_in_time_ends_on_the_left(tmp_path):
    simulate(named.figure8(), t_end=-3.0, criterion="freefall:eta=0.1", output=tmp_path / "back.h5", output_steps=1, warn=False)
    r = read_recorded(tmp_path / "back.h5", 0, PAGE_BYTES, "back")
    assert (r.time[0], r.time[-1]) == (-3.0, 0.0)
    assert r.steps[-1] == 0
    assert dict(r.facts)["end time"] == "-3.0"
    assert np.array_equal(r.row, np.arange(r.rows)[::-1])


def test_times_that_go_forward_and_backward_are_refused(run, tmp_path):
    path, _ = long_file(tmp_path / "odd.h5", run, 3000, np.where(np.arange(3000) < 2000, 1.0, -1.0)[:, None])
    with pytest.raises(UserError, match="forward and backward"):
        read_recorded(path, 0, PAGE_BYTES, "")


def test_rows_are_spread_evenly_between_the_ends():
    assert spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert spread(100, 3).tolist() == [0, 50, 99]
    kept = kept_rows(1000, 100, np.array([13, 500]))
    assert {0, 13, 500, 999} <= set(kept.tolist())
    assert len(kept) <= 100


# ---- encounters ------------------------------------------------------------------------------------------------------
def test_encounters_are_the_passages_through_pericentre(tmp_path):
    ic = named.kepler(e=0.9)
    b = Bodies(ic.mass, ic.position, ic.velocity)
    simulate(
        b,
        t_end=8.5 * 2 * math.pi,
        criterion="freefall:eta=0.005",
        integrator="blanes_moan6",
        output=tmp_path / "k.h5",
        output_steps=1,
    )
    r = read_recorded(tmp_path / "k.h5", 0, PAGE_BYTES, "kepler")
    times = sorted(e.time for e in r.encounters)
    assert len(times) == 8 or len(times) == 9
    assert np.diff(times) == pytest.approx(2 * math.pi, abs=0.01)
    assert np.array([e.distance for e in r.encounters]) == pytest.approx(0.1, rel=1e-3)
    assert {e.pair for e in r.encounters} == {(0, 1)}
    assert r.approach is not None
    assert r.approach[0] <= r.encounters[0].distance + 1e-12


def test_minima_are_found_across_blocks_and_the_closest_are_kept():
    rng = np.random.default_rng(0)
    distance = rng.uniform(1, 2, 4000)
    found = Minima()
    for a in range(0, 4000, 7):
        rows = np.arange(a, min(a + 7, 4000))
        found.take(rows, 0.5 * rows, Nearest(distance[rows], np.tile([0, 2], (len(rows), 1))))
    inside = 1 + np.flatnonzero((distance[1:-1] < distance[:-2]) & (distance[1:-1] <= distance[2:]))
    closest = inside[np.argsort(distance[inside])][:100]
    assert [e.row for e in found.closest()] == closest.tolist()
    assert [e.time for e in found.closest()] == (0.5 * closest).tolist()


def test_the_nearest_pair_of_bodies_at_infinity_is_that_of_the_others():
    x = np.array([[[0.0, 0, 0], [3.0, 0, 0], [np.inf, 0, 0], [np.nan, 0, 0]]])
    found = nearest_pairs(x)
    assert found.distance.tolist() == [3.0]
    assert found.pair.tolist() == [[0, 1]]
    assert nearest_pairs(x[:, :1]).distance.tolist() == [math.inf]


@pytest.mark.parametrize(("bodies", "axes"), [(2, 2), (3, 3), (40, 3), (40, 2), (300, 3)])
def test_the_nearest_pair_is_that_of_all_distances(bodies, axes):
    rng = np.random.default_rng(bodies)
    x = rng.normal(size=(50, bodies, axes)) * 10.0 ** rng.integers(-3, 3, size=(50, 1, 1))
    x[7, :, 0] = 1.0  # a row in which the axis of the sweep tells nothing
    distance = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1) + np.where(np.eye(bodies, dtype=bool), np.inf, 0.0)
    found = nearest_pairs(x)
    assert found.distance == pytest.approx(distance.min((1, 2)), rel=1e-14)
    assert distance[np.arange(50), found.pair[:, 0], found.pair[:, 1]] == pytest.approx(found.distance, rel=1e-14)
    assert (found.pair[:, 0] < found.pair[:, 1]).all()


def test_a_body_that_leaves_does_not_set_the_scale(make_trajectory):
    t = np.linspace(0, 2 * math.pi, 400)
    pair = np.stack([np.cos(t), np.sin(t), 0 * t], -1)
    leaver = np.stack([3 + 100 * t, 0 * t, 0 * t], -1)
    *_, radius = view_of(np.stack([pair, -pair, leaver], 1), np.array([1.0, 1.0, 1e-6]))
    assert radius < 4  # not 300
    assert view_of(np.stack([pair, -pair], 1), np.ones(2)) == pytest.approx([0, 0, 0, 1], abs=1e-3)


# ---- what a page lets in and out -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    source = triple_file(folder / "source.h5", 5.0, HOSTILE)
    path = folder / "<script>alert(3)<\u2044script>&.h5"
    shutil.copy(source, path)
    write_explorer([str(path)], folder / "page.html")
    return folder / "page.html", path


def test_names_of_bodies_and_files_are_text_only(hostile):
    page, path = hostile
    elements = Elements(page.read_text(encoding="utf-8"))
    assert len(elements.texts["script"]) == 2  # the data, and the program
    assert [tag for tag, _ in elements.found if tag in ("img", "iframe", "object", "link", "base")] == []
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    (shown,) = data_of(page)["runs"]
    assert [name for _, name, _ in shown["bodies"]] == list(HOSTILE)
    assert shlex.split(shown["command"])[3] == str(path)


def test_the_policy_allows_this_script_and_this_style_and_no_request(hostile):
    text = hostile[0].read_text(encoding="utf-8")
    elements = Elements(text)
    (policy,) = [a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy"]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert set(allowed) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    for kind, content in (("script", elements.texts["script"][-1]), ("style", elements.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert allowed[f"{kind}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp|WebSocket|innerHTML|eval\(|document\.write", text)
    assert not [a for _, a in elements.found if {"src", "href", "style"} & set(a)]


@pytest.mark.parametrize(
    "value", [None, [], {}, "x", 3, [[]], [{"time": "now"}], [None], {"time": 1}, [math.nan], [10**400], [True]]
)
def test_outcomes_of_other_types_are_left_out(value):
    result = dict.fromkeys(
        ("events", "force_evaluations", "steps", "closest_approach", "status", "max_energy_error", "rejected_steps"), value
    )
    metadata = dict.fromkeys(("asked", "tol", "integrator", "criterion", "names", "units", "G", "created"), value)
    assert markers_of(result, 0) == []
    assert located_approach(result, 0) is None
    assert tolerance_of(metadata, 0) in (None, 3.0)
    assert forces_of(metadata, result, 0).exact is False
    assert all(isinstance(x, str) for fact in facts_of(metadata, result, 0, 1, 1.0, 1) for x in fact)


def test_events_that_a_file_lists_become_marks(tmp_path):
    given = {"events": [[{"time": 1.5, "kind": "escape", "bodies": [2], "value": 0.25}, {"time": None}, {"time": 2}]]}
    first, second = markers_of(given, 0)
    assert first == (1.5, "escape", (2,), "speed at infinity 0.25")
    assert second.time == 2.0


def test_events_that_were_asked_for_are_listed_in_the_file_and_marked_on_the_page(tmp_path):
    path, asked = tmp_path / "events.h5", [Encounter(below=0.5), Crossing(y=1.0, both=True)]
    how = {"criterion": "freefall:eta=0.02", "output": path, "output_steps": 1, "warn": False}
    done = simulate(named.triple(), t_end=20.0, events=asked, **how)
    later = resume(path, t_end=30.0, warn=False)
    found = sorted((e.time, e.kind, e.bodies, float(e.value)) for e in (*done.events, *later.events))
    assert {kind for _, kind, _, _ in found} == {"encounter", "crossing"}
    assert max(e.time for e in later.events) > 20.0
    write_explorer([str(path)], tmp_path / "page.html")
    (shown,) = data_of(tmp_path / "page.html")["runs"]
    texts = [(e["time"], e["kind"], tuple(e["bodies"]), e["text"].split(" ")[-1]) for e in shown["events"]]
    assert sorted(texts) == [(time, kind, bodies, repr(value)) for time, kind, bodies, value in found]


# ---- trainings, and the command line ---------------------------------------------------------------------------------
def test_a_training_is_shown_with_its_metrics_and_its_command(run, tmp_path):
    folder = training_folder(tmp_path / "runs" / "mine")
    shown = write_explorer([str(run), str(folder)], tmp_path / "page.html")
    assert shown["trainings"] == [{"label": "mine", "epochs": 3}]
    data = data_of(tmp_path / "page.html")
    (training,) = data["trainings"]
    metrics = {m["name"]: m["values"] for m in training["metrics"]}
    assert metrics["part1/mean_energy_error"] == [1e-5, 5e-6, 1e-5 / 3]
    assert set(metrics) == {"part1/mean_energy_error", "part1/acceptance_rate", "epoch_time"}
    assert shlex.split(training["command"])[:2] == ["aitimestepper", "train"]


def test_the_command_of_a_strangers_card_is_nothing_for_a_shell(tmp_path):
    import dataclasses

    from aitimestepper.models import save_model, shipped

    folder = training_folder(tmp_path / "odd")
    model = shipped("leapfrog")
    for given, expected in (
        ("aitimestepper train; rm -rf $HOME", ["aitimestepper", "'train;'", "rm", "-rf", "'$HOME'"]),
        ("rm -rf x", ["aitimestepper", "train", "--config"]),
        ("aitimestepper 'unfinished", ["aitimestepper", "train", "--config"]),
    ):
        save_model(folder / "model_epoch_0003.npz", dataclasses.replace(model, card={**model.card, "command": given}))
        write_explorer([str(folder)], tmp_path / "page.html")
        command = data_of(tmp_path / "page.html")["trainings"][0]["command"]
        assert list(shlex.shlex(command, punctuation_chars=True))[: len(expected)] == expected
        assert ";" not in list(shlex.shlex(command, punctuation_chars=True))


def test_a_batch_shows_the_systems_that_are_asked_for(tmp_path, two_body):
    batch = Bodies.stack([two_body(e) for e in (0.1, 0.3, 0.5, 0.6, 0.7)])
    simulate(batch, t_end=3.0, criterion="freefall:eta=0.1", output=tmp_path / "b.h5", output_steps=1)
    assert len(write_explorer([str(tmp_path / "b.h5")], tmp_path / "p.html")["runs"]) == 4
    chosen = write_explorer([str(tmp_path / "b.h5")], tmp_path / "p.html", systems=[4, 1])
    assert [r["label"] for r in chosen["runs"]] == ["b · system 4", "b · system 1"]
    with pytest.raises(UserError, match="systems 0 to 4"):
        write_explorer([str(tmp_path / "b.h5")], tmp_path / "p.html", systems=[5])


def test_simulations_are_known_by_their_content_and_named_apart(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(run, tmp_path / folder / "run.out")
    shown = write_explorer(["a/run.out", "b/run.out", str(run)], tmp_path / "page.html")
    assert [r["label"] for r in shown["runs"]] == ["a/run.out", "b/run.out", "triple"]


def test_the_command_writes_the_page_and_says_what_is_in_it(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(run), str(run), "-o", "page.html", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == (tmp_path / "page.html").stat().st_size
    assert [r["rows"] for r in said["runs"]] == [said["runs"][0]["rows"]] * 2
    assert main(["report", str(run), "--quiet"]) == 0
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "-o", "page.h5"], "ends in .html"),
        (["RUN", "--tol", "1e-3"], "--tol is for the comparison of one training"),
        (["nothing.h5"], "nothing.h5"),
        (["RUN", "nobody"], "no model or run nobody"),
        (["RUN", "-o", "no/such/../../page.txt"], "ends in .html"),
        (["RUN"] * 17, "17 runs are more than a page shows, 16"),
        (["RUN", "--systems", "1"], None),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(run, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code = main(["report", *(str(run) if a == "RUN" else a for a in arguments), "--quiet"])
    error = capsys.readouterr().err
    assert code == 2 if words else code == 0
    assert (words or "") in error
    assert error.count("\n") == (1 if words else 0)


def test_a_file_without_rows_is_one_sentence(run, tmp_path):
    with Snapshots(run) as s:
        saved = s.saved()
    given = {"metadata": saved.metadata, "initial": saved.initial, "arrays": saved.constants, "state": saved.state, "axes": 3}
    SnapshotWriter.create(tmp_path / "empty.h5", **given).close()
    with pytest.raises(UserError, match="holds no rows of system 0"):
        write_explorer([str(tmp_path / "empty.h5")], tmp_path / "page.html")
