"""ensemble(): the rows are those of single runs, whatever the source, the chunks, and how often it was stopped."""

from __future__ import annotations

import json
import sys
import tracemalloc

import numpy as np
import pytest
from ensemble_tables import TOL, N, same

import aitimestepper as ats
from aitimestepper import Bodies, simulate
from aitimestepper.errors import ConfigError, MissingExtraError, UserError
from aitimestepper.initial.scattering import binary_meets_single
from aitimestepper.initial.suite_file import save_suite
from aitimestepper.initial.suites import make_suite


def test_every_row_is_the_run_of_its_system_alone(suite, whole):
    start, ends = suite.batch()
    for k in (0, 7, N - 1):
        alone = simulate(start.select(k), t_end=ends[k], tol=TOL, warn=False)
        for name in ("steps", "force_evaluations", "max_energy_error", "final_energy_error", "within_tolerance"):
            assert whole[name][k] == getattr(alone, name)[0], name
        assert whole["closest_distance"][k] == alone.closest_approach.distance[0]
        assert (whole["closest_one"][k], whole["closest_other"][k]) == tuple(alone.closest_approach.pair[0])
        assert whole["status"][k] == alone.status[0]
        assert whole["time"][k] == ends[k]
    assert whole["number"].tolist() == list(range(N))
    assert len(whole) == N
    assert whole.finished


def test_every_source_gives_the_same_rows(suite, whole, tmp_path):
    start, ends = suite.batch()
    singles = [(start.select(k), ends[k]) for k in range(N)]
    save_suite(suite, tmp_path / "suite.h5")
    sources = {
        "seeds": ("triple", range(N)),
        "text": f"triple:0-{N}",
        "file": tmp_path / "suite.h5",
        "generator": (one for one in singles),
        "list": singles,
        "batches of 7": ((start.select(rows), ends[rows]) for rows in np.split(np.arange(N), [7, 14, 21])),
    }
    for name, source in sources.items():
        for chunk in (5, None):
            if name not in ("generator", "batches of 7") or chunk == 5:
                assert same(ats.ensemble(source, tol=TOL, chunk=chunk), whole), (name, chunk)
    assert same(ats.ensemble(start, t_end=ends, tol=TOL, chunk=10, threads=1), whole)
    given = {"mass": start.mass, "position": start.position, "velocity": start.velocity}
    assert same(ats.ensemble(given, t_end=ends, tol=TOL), whole)
    assert ats.ensemble(("triple", range(3, 9)), tol=TOL)["seed"].tolist() == [3, 4, 5, 6, 7, 8]


def test_no_row_depends_on_the_kinds_of_the_others():
    """Encounters get another integrator than bound systems do, in whatever chunks they come."""
    met = binary_meets_single(np.random.default_rng(5), [0.3, 0.8, 1.1, 1.4], 1.5)
    bound = make_suite(("triple",), "train", 4).batch()[0]
    order = [0, 4, 1, 5, 6, 2, 7, 3]
    start = Bodies.stack([met, bound]).select(order)
    whole = ats.ensemble(start, t_end=20.0, tol=1e-5)
    names = np.array(["blanes_moan6"] * 4 + ["blanes_moan4"] * 4)[order]
    assert whole["integrator"].tolist() == names.tolist()
    for chunk in (1, 3):
        assert same(ats.ensemble(start, t_end=20.0, tol=1e-5, chunk=chunk), whole)


def test_systems_of_different_numbers_of_bodies_axes_and_constants_are_one_table():
    mixed = make_suite(("planets", "cluster", "kepler"), "train", 4)
    found = ats.ensemble(mixed, tol=TOL, chunk=5)
    for k, case in enumerate(mixed.cases):
        own = Bodies(*case.initial[:3], G=case.initial.G, softening=case.softening)
        alone = simulate(own, t_end=case.t_end, tol=TOL, warn=False)
        assert found["max_energy_error"][k] == alone.max_energy_error[0], case.name
        assert found["bodies"][k] == case.size
        assert found["integrator"][k] == alone.integrator  # that of a long run does not depend on its neighbours
    assert found.counts("family") == {"cluster": 4, "kepler": 4, "planets": 4}


def test_a_table_of_parquet_files_that_other_programs_read(whole, tmp_path):
    import pandas

    found = ats.ensemble(f"triple:0-{N}", tol=TOL, out=tmp_path / "t", chunk=10)
    assert sorted(p.name for p in (tmp_path / "t").glob("part*")) == [f"part-00000{k}.parquet" for k in range(3)]
    frame = pandas.concat([pandas.read_parquet(p) for p in sorted((tmp_path / "t").glob("part*"))], ignore_index=True)
    assert np.array_equal(frame["max_energy_error"], whole["max_energy_error"])
    assert found.to_pandas().equals(frame)
    assert found.counts("status") == {"ok": N}
    assert found["within_tolerance"].dtype == bool
    again = ats.Ensemble.load(tmp_path / "t")
    assert (len(again), again.finished, again.columns) == (N, True, found.columns)
    with pytest.raises(ConfigError, match="did you mean 'max_energy_error'"):
        again["max_energy_eror"]
    manifest = json.loads((tmp_path / "t/ensemble.json").read_text())
    assert (manifest["version"], manifest["systems"], manifest["chunk"]) == (ats.__version__, N, 10)
    assert manifest["spec"]["source"] == {"kind": "family", "name": "triple", "first": 0, "stop": N, "dim": 3}


def test_a_system_that_breaks_off_is_a_row_with_its_status():
    """Two bodies that fall on each other from rest, among others that go round each other."""
    mass, position = np.ones((3, 2)), np.zeros((3, 2, 2))
    position[:, 1, 0], velocity = 1.0, np.zeros((3, 2, 2))
    velocity[[0, 2], 1, 1] = 1.0
    found = ats.ensemble((mass, position, velocity), t_end=5.0, tol=1e-4, max_steps=2000)
    assert found["status"][[0, 2]].tolist() == ["ok", "ok"]
    assert found["status"][1] != "ok"
    assert found["within_tolerance"].tolist() == [True, False, True]
    assert found["time"][1] < 5.0


def test_events_are_counted_and_end_their_system_alone():
    found = ats.ensemble("kepler:0-8", t_end=20.0, tol=TOL, events="encounter:below=0.3,stop=yes", chunk=3)
    near = found["closest_distance"] < 0.3
    assert 0 < near.sum() < 8
    assert np.array_equal(found["status"] == "event", near)
    assert np.array_equal(found["events"] == 1, near)
    assert (found["time"][~near] == 20.0).all()


def test_columns_of_ones_own_and_what_is_wrong_with_them():
    def outcomes(start, result):
        return {"mass": start.mass.sum(1), "fate": ["near" if r < 0.3 else "far" for r in result.closest_approach.distance]}

    seen = []
    found = ats.ensemble("kepler:0-6", t_end=7.0, tol=TOL, outcomes=outcomes, chunk=2, progress=seen.append)
    assert np.allclose(found["mass"], 1.0)
    assert sum(found.counts("fate").values()) == 6
    assert np.array_equal(found["fate"] == "near", found["closest_distance"] < 0.3)
    assert [status.done for status in seen] == [2, 4, 6]
    assert (seen[-1].systems, seen[-1].remaining, sum(seen[-1].outcomes.values())) == (6, 0.0, 6)
    for wrong, words in (
        (lambda start, result: 3, "must return columns by name"),
        (lambda start, result: {"x": [1.0]}, r"column 'x' has the shape \(1,\)"),
        (lambda start, result: {"seed": result.steps}, "have a column 'seed'"),
    ):
        with pytest.raises(ConfigError, match=words):
            ats.ensemble("kepler:0-6", t_end=7.0, tol=TOL, outcomes=wrong)


def test_a_family_of_ones_own(tmp_path):
    code = """
def pair(rng, dim):
    from aitimestepper import Bodies
    return Bodies(0.5, [[-0.5, 0], [0.5, 0]], [[0, -0.5], [0, rng.uniform(0.4, 0.6)]]), 3.0


def broken(rng, dim):
    return 1 / 0
"""
    (tmp_path / "my.py").write_text(code)
    found = ats.ensemble(f"{tmp_path}/my.py:pair:3-8", tol=TOL, chunk=2)
    assert found["seed"].tolist() == [3, 4, 5, 6, 7]
    assert (found["time"] == 3.0).all()
    assert len(set(found["closest_distance"].tolist())) == 5
    with pytest.raises(UserError, match="ZeroDivisionError"):
        ats.ensemble(f"{tmp_path}/my.py:broken:3-8", tol=TOL)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "tripel:0-4"}, "did you mean 'triple'"),
        ({"source": "triple"}, "such as 'triple:0-1000'"),
        ({"source": "triple:4-4"}, "FIRST < STOP"),
        ({"source": ("triple", range(0, 8, 2))}, "FIRST < STOP"),
        ({"source": "missing.h5"}, "missing.h5"),
        ({"source": "my.toml"}, "is a specification"),
        ({"source": iter([3])}, "needs mass, position and velocity"),
        ({"source": iter([])}, "no systems"),
        ({"chunk": 0}, "chunk = 0"),
        ({"chunk": True}, "chunk = True"),
        ({"tol": -1.0}, "tol = -1"),
        ({"t_end": float("nan")}, "t_end = nan"),
        ({"t_end": "soon"}, "t_end = 'soon'"),
        ({"progress": 3}, "progress = 3"),
        ({"outcomes": 3}, "outcomes = 3"),
        ({"resume": True}, "give out"),
        ({"softening": 0.1}, "softening is given, but the problems"),
        ({"criterion": "freefal"}, "freefal"),
        ({"client": 5}, "client = 5"),
    ],
)
def test_bad_input_is_one_sentence(given, words):
    with pytest.raises(UserError, match=words):
        ats.ensemble(**{"source": "triple:0-4", "tol": TOL} | given)


def test_end_times_are_asked_for_where_there_are_none(suite):
    start, ends = suite.batch()
    for source in (start, iter([start])):
        with pytest.raises(ConfigError, match="t_end is missing"):
            ats.ensemble(source, tol=TOL)
    with pytest.raises(ConfigError, match="one for each of 24 systems"):
        ats.ensemble(start, t_end=ends[:3], tol=TOL)
    with pytest.raises(ConfigError, match="some items of the source come with an end time"):
        ats.ensemble(iter([(start, ends), start]), tol=TOL)


def test_memory_is_that_of_a_chunk_not_of_all_systems(tmp_path):
    """Ten times as many systems, the same peak: what is held is a chunk, and counts."""
    rng = np.random.default_rng(1)

    def systems(batches):
        for _ in range(batches):
            position = np.array([[-0.5, 0.0], [0.5, 0.0]]) + 0.01 * rng.normal(size=(500, 2, 2))
            yield Bodies(0.5, position, np.broadcast_to([[0.0, -0.5], [0.0, 0.5]], (500, 2, 2)))

    def peak(batches):
        tracemalloc.start()
        ats.ensemble(systems(batches), t_end=0.05, tol=TOL, chunk=500, out=tmp_path / str(batches))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    few, many = peak(2), peak(20)
    assert many < 1.2 * few
    assert len(ats.Ensemble.load(tmp_path / "20")) == 10_000


def test_without_pyarrow_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow: pip install 'aitimestepper\[ensemble\]'"):
        ats.ensemble("triple:0-4", tol=TOL)
