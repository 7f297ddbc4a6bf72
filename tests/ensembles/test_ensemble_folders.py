"""The folder of an ensemble: what was stopped goes on, damage is seen, and what is done stays whatever goes wrong."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal

import numpy as np
import pytest
from ensemble_tables import TOL, N, same

import aitimestepper as ats
from aitimestepper.ensembles import ensemble as module
from aitimestepper.ensembles import folder as folders
from aitimestepper.errors import ConfigError, SnapshotError, UserError


def counted(monkeypatch):
    """Count the systems that are run from now on."""
    ran = []
    real = module.done

    def count(task, *more):
        ran.append(task.systems)
        return real(task, *more)

    monkeypatch.setattr(module, "done", count)
    return ran


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_stopped_goes_on_and_nothing_is_done_twice(suite, whole, tmp_path, monkeypatch, streamed):
    start, ends = suite.batch()

    def source():
        return ((start.select(k), ends[k]) for k in range(N)) if streamed else f"triple:0-{N}"

    def stop(status):
        if status.done >= 10:
            os.kill(os.getpid(), signal.SIGINT)

    out, arguments = tmp_path / "t", {"tol": TOL, "chunk": 5, "out": tmp_path / "t"}
    with pytest.raises(KeyboardInterrupt, match=r"10 (of 24 )?systems are in .*resume=True"):
        ats.ensemble(source(), progress=stop, **arguments)
    assert len(ats.Ensemble.load(out)) == 10
    assert not ats.Ensemble.load(out).finished
    with pytest.raises(UserError, match="holds this ensemble already: go on with resume=True"):
        ats.ensemble(source(), **arguments)
    os.truncate(out / "part-000001.parquet", 1000)  # a copy that a broken disk left behind
    ran = counted(monkeypatch)
    found = ats.ensemble(source(), resume=True, **arguments)
    assert ran == [5, 5, 5, 4]
    assert found.finished
    assert same(found, whole)
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    assert same(ats.ensemble(source(), resume=True, **arguments), whole)
    assert ran == [5, 5, 5, 4]
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before


def test_damage_to_any_byte_of_a_part_is_seen_and_that_part_is_made_again(tmp_path, monkeypatch, whole):
    out = tmp_path / "t"
    arguments = {"tol": TOL, "chunk": 12, "out": out}
    right = ats.ensemble(f"triple:0-{N}", **arguments).to_pandas()
    path = out / "part-000000.parquet"
    good = path.read_bytes()
    rng, seen = np.random.default_rng(5), 0
    for place in rng.integers(4, len(good) - 8, 12).tolist():
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        words = ""
        try:
            assert ats.Ensemble.load(out).to_pandas().equals(right)  # the byte was one of its statistics
        except SnapshotError as error:
            words = str(error)
            seen += 1
        assert words == "" or "part-000000.parquet is damaged" in words
    assert seen >= 4
    path.write_bytes(good[:-3])
    ran = counted(monkeypatch)
    assert same(ats.ensemble(f"triple:0-{N}", resume=True, **arguments), whole)
    assert ran == [12]
    assert path.read_bytes() == good


def test_another_ensemble_and_another_version_are_refused_and_what_is_there_stays(tmp_path, monkeypatch):
    out = tmp_path / "t"
    ats.ensemble("triple:0-4", tol=TOL, out=out)
    before = {p: p.read_bytes() for p in out.iterdir()}
    for changed, word in (
        ({"tol": 1e-4}, r"settings.tol \(0.001 there, 0.0001 here\)"),
        ({"source": "triple:0-5"}, "source.stop"),
        ({"source": "kepler:0-4"}, "source.name"),
        ({"events": "encounter:below=0.1"}, "settings.events"),
    ):
        given = {"source": "triple:0-4", "tol": TOL, "out": out, "resume": True} | changed
        with pytest.raises(UserError, match=f"holds another ensemble: {word}"):
            ats.ensemble(**given)
    monkeypatch.setattr(folders, "__version__", "99.0")
    monkeypatch.setattr(folders.Manifest.__init__, "__defaults__", ("99.0", False))
    with pytest.raises(UserError, match=r"was begun by version '0.*', this is 99\.0.*choose another folder"):
        ats.ensemble("triple:0-4", tol=TOL, out=out, resume=True)
    assert {p: p.read_bytes() for p in out.iterdir()} == before
    (out / "ensemble.json").write_text("{}")
    with pytest.raises(SnapshotError, match=r"ensemble.json is damaged, or no manifest"):
        ats.Ensemble.load(out)


def test_a_generator_that_raises_or_gives_other_systems_is_one_sentence(suite, tmp_path):
    start, ends = suite.batch()

    def systems(upto, shift=0.0):
        for k in range(N):
            if k == upto:
                raise RuntimeError("no more of them")
            one = start.select(k)
            yield one.replace(position=one.position + shift), ends[k]

    arguments = {"tol": TOL, "chunk": 5, "out": tmp_path / "t"}
    with pytest.raises(ConfigError, match=r"at item 12 with RuntimeError: no more of them; 10 systems are in .*resume=True"):
        ats.ensemble(systems(12), **arguments)
    assert len(ats.Ensemble.load(tmp_path / "t")) == 10
    with pytest.raises(ConfigError, match=r"gives other systems than before \(0 to 4 differ\)"):
        ats.ensemble(systems(None, shift=1.0), resume=True, **arguments)
    assert len(ats.ensemble(systems(None), resume=True, **arguments)) == N


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(tmp_path, monkeypatch):
    real, left = os.fsync, itertools.count(-2)  # the manifest and the first part

    def fsync(descriptor):
        if next(left) >= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    arguments = {"tol": TOL, "chunk": 4, "out": tmp_path / "t"}
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", fsync)
        with pytest.raises(UserError, match=r"No space left.*; 4 of 12 systems are in .*resume=True"):
            ats.ensemble("triple:0-12", **arguments)
    names = sorted(p.name for p in (tmp_path / "t").iterdir())
    assert [n for n in names if n.startswith("part")] == ["part-000000.parquet"]
    assert not [n for n in names if n.endswith(".partial")]
    assert same(ats.ensemble("triple:0-12", resume=True, **arguments), ats.ensemble("triple:0-12", tol=TOL))


def test_two_processes_never_write_to_one_folder(tmp_path):
    ats.ensemble("triple:0-4", tol=TOL, out=tmp_path / "t")
    lock = folders.WriterLock(tmp_path / "t/ensemble.json")
    with pytest.raises(UserError, match="is being written already"):
        ats.ensemble("triple:0-4", tol=TOL, out=tmp_path / "t", resume=True)
    lock.release()
    assert len(ats.ensemble("triple:0-4", tol=TOL, out=tmp_path / "t", resume=True)) == 4


def test_a_part_of_another_ensemble_or_of_another_number_is_refused_and_made_again(tmp_path, whole):
    arguments = {"tol": TOL, "chunk": 12}
    right = ats.ensemble(f"triple:0-{N}", out=tmp_path / "t", **arguments).to_pandas()
    ats.ensemble(f"triple:{N}-{2 * N}", out=tmp_path / "u", **arguments)
    path = tmp_path / "t/part-000001.parquet"
    for other in (tmp_path / "u/part-000001.parquet", tmp_path / "t/part-000000.parquet"):
        path.write_bytes(other.read_bytes())
        with pytest.raises(SnapshotError, match=r"part-000001.parquet is part [01] of another ensemble, or of this one under"):
            ats.Ensemble.load(tmp_path / "t").counts()
        assert same(ats.ensemble(f"triple:0-{N}", out=tmp_path / "t", resume=True, **arguments), whole)
    assert ats.Ensemble.load(tmp_path / "t").to_pandas().equals(right)


@pytest.mark.parametrize("part", [0, 1])
def test_a_part_that_is_gone_is_missed_and_made_again(tmp_path, whole, part):
    arguments = {"tol": TOL, "chunk": 12, "out": tmp_path / "t"}
    ats.ensemble(f"triple:0-{N}", **arguments)
    (tmp_path / f"t/part-00000{part}.parquet").unlink()
    with pytest.raises(SnapshotError, match=rf"part-00000{part}.parquet is gone: the same call with resume=True"):
        ats.Ensemble.load(tmp_path / "t")
    assert same(ats.ensemble(f"triple:0-{N}", resume=True, **arguments), whole)


def test_a_folder_that_vanishes_meanwhile_is_missed(tmp_path, whole):
    arguments = {"tol": TOL, "chunk": 5, "out": tmp_path / "t"}

    def watch(status):
        if status.done == 10:
            shutil.rmtree(tmp_path / "t")

    with pytest.raises(SnapshotError, match=r"part-000000.parquet is gone"):
        ats.ensemble(f"triple:0-{N}", progress=watch, **arguments)
    assert same(ats.ensemble(f"triple:0-{N}", resume=True, **arguments), whole)


def test_text_that_is_none_in_a_part_is_damage(tmp_path):
    """A flipped bit in the footer of a Parquet file, which has no checksum, makes other values and names of columns."""
    ats.ensemble("triple:0-8", tol=TOL, out=tmp_path / "t")
    path = tmp_path / "t/part-000000.parquet"
    good = path.read_bytes()
    assert good.count(b"max_energy_error") >= 2
    path.write_bytes(good.replace(b"max_energy_error", b"min_energy_error"))
    with pytest.raises(SnapshotError, match=r"part-000000.parquet is damaged"):
        ats.Ensemble.load(tmp_path / "t").columns  # noqa: B018
