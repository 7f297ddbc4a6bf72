"""Snapshot files that are damaged, foreign, in the way, locked, or on a full disk: one sentence, and nothing lost."""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from snapshot_rows import new_file, rows_between, same_rows, state_after

from aitimestepper import Snapshots
from aitimestepper.errors import SnapshotError, UserError
from aitimestepper.simulate.snapshots import SnapshotWriter, read_state
from aitimestepper.simulate.snapshots.hdf5 import known_to_be_written

HERE = Path(__file__).parent


def damage(path: Path, dataset: str, byte: int) -> None:
    """Turn over a bit where a dataset has its bytes."""
    with h5py.File(path) as f:
        at = (f[dataset].id.get_offset() or f[dataset].id.get_chunk_info(0).byte_offset) + byte
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# ---- damage ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("part", "byte"), [("state", 100), ("result", 3), ("state", 0), ("state", 8), ("state", 24)])
def test_of_a_torn_state_the_other_one_is_taken(tmp_path, part, byte):
    """To go on from, but not as the outcome of the run, which it is not."""
    path = tmp_path / "run.h5"
    with new_file(path) as writer:
        for n in (4, 8, 12):
            writer.append(rows_between(n - 4, n))
            writer.save_state(state_after(n), {"rows": n})
    assert read_state(path).rows == 12
    damage(path, f"state/1/{part}", byte)
    saved = read_state(path)
    assert (saved.rows, saved.result, saved.state["count"]) == (8, {"rows": 8}, 8)
    with Snapshots(path) as s, pytest.raises(SnapshotError, match="its newest saved state is damaged; aitimestepper simulate"):
        _ = s.status
    with SnapshotWriter.reopen(path) as writer:
        assert writer.rows == 8
    for slot in (0, 1):
        damage(path, f"state/{slot}/{part}", byte)
    with pytest.raises(SnapshotError, match=r"both saved states are damaged.* its 8 rows can be read"):
        read_state(path)
    with Snapshots(path) as s:
        assert same_rows(s)
    with pytest.raises(SnapshotError, match="both saved states"):
        SnapshotWriter.reopen(path)


def test_a_torn_row_ends_the_rows(tmp_path):
    """In a file that was not closed: a kill tears the newest row, which was not known to be written."""
    path = tmp_path / "run.h5"
    writer = new_file(path, rows=109 + 20)
    content = path.read_bytes()
    writer.close()
    with h5py.File(path) as f:
        size = f["tail"].dtype.itemsize
        last = f["tail"].id.get_offset() + (109 + 19) * size
        known = f["known"].id.get_offset()
    torn = content[:last] + bytes(size) + content[last + size :]
    before = torn[:known] + known_to_be_written(109 + 19, 0).tobytes() + torn[known + 24 :]
    path.write_bytes(before)
    with Snapshots(path) as s:
        assert len(s) == 109 + 19
        assert same_rows(s)
    path.write_bytes(torn)
    with pytest.raises(SnapshotError, match=r"run\.h5 is damaged: 129 rows were written, and row 128 is not what it was"):
        Snapshots(path)


def test_a_damaged_row_is_missed(tmp_path):
    """The number of rows is known twice; in a file that was closed, all rows are also in their columns."""
    path = tmp_path / "run.h5"
    writer = new_file(path, rows=109 + 20)
    writer.save_state(state_after(109 + 20), {})
    content = path.read_bytes()
    writer.close()
    with h5py.File(path) as f:
        size, start = f["tail"].dtype.itemsize, f["tail"].id.get_offset()
    for row in (109 + 17, 109):
        damage(path, "tail", row * size + 50)
        with Snapshots(path) as s:
            assert len(s) == 129
            assert same_rows(s)
    with SnapshotWriter.reopen(path) as again:  # the tail is made anew
        again.append(rows_between(129, 150))
        assert again.rows == 150
    with Snapshots(path) as s:
        assert same_rows(s)
        assert len(s) == 150
    for row in (109 + 17, 109):
        at = start + row * size + 50
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(SnapshotError, match=rf"129 rows were written, and row {row} is not what it was"):
            Snapshots(path)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_files_cut_short(tmp_path, closed):
    """Also one that was never closed, which HDF5 itself would wait for."""
    whole, path = tmp_path / "whole.h5", tmp_path / "cut.h5"
    writer = new_file(whole, rows=1000)
    content = whole.read_bytes()
    writer.close()
    content = whole.read_bytes() if closed else content
    began = time.monotonic()
    for size in (7, 30, 100, 5000, len(content) // 2, len(content) - 5000, len(content) - 1):
        path.write_bytes(content[:size])
        words = "it is not an HDF5 file" if size == 7 else "is damaged, or was cut short while copying"
        with pytest.raises(SnapshotError, match=rf"cut\.h5.*{words}"):
            Snapshots(path)
        with pytest.raises(SnapshotError, match=r"cut\.h5"):
            SnapshotWriter.reopen(path)
    assert time.monotonic() - began < 20
    path.write_bytes(content)
    with Snapshots(path) as s:
        assert len(s) == 1000
        assert same_rows(s)


def test_a_damaged_chunk_is_an_error_where_it_is_read(tmp_path):
    path = tmp_path / "run.h5"
    new_file(path, rows=1000).close()
    damage(path, "position", 5000)
    with Snapshots(path) as s:
        assert len(s.time) == 1000
        assert s.position[-1].shape == (2, 50, 3)
        with pytest.raises(SnapshotError, match=r"run\.h5 is damaged"):
            s.position[0]


def test_foreign_and_missing_files(tmp_path):
    path = tmp_path / "x.h5"
    for content in (b"", b"hello\n" * 1000, np.random.default_rng(0).bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(SnapshotError, match=r"x\.h5 does not hold a simulation: it is not an HDF5 file"):
            Snapshots(path)
    for libver in ("earliest", "latest"):
        with h5py.File(path, "w", libver=libver) as f:
            f["tail"] = np.zeros(3)
        with pytest.raises(SnapshotError, match=r"x\.h5 is HDF5, but not a simulation"):
            read_state(path)
    new_file(path, overwrite=True).close()
    for version in range(1, 7):
        with h5py.File(path, "r+") as f:
            f.attrs["version"] = version
        for read in (Snapshots, read_state, SnapshotWriter.reopen):
            with pytest.raises(SnapshotError, match=rf"x\.h5 has format version {version}, this program reads 8: use"):
                read(path)
    with h5py.File(path, "w") as f:  # as earlier versions wrote it
        f.attrs.update({"format": "aitimestepper-snapshots", "version": 2, "metadata": "{}"})
        f["tail"], f["state/0/stamp"] = np.zeros(3), np.zeros(3)
    with pytest.raises(SnapshotError, match=r"x\.h5 has format version 2, this program reads 8: use"):
        read_state(path)
    with pytest.raises(SnapshotError, match=r"none\.h5: No such file"):
        Snapshots(tmp_path / "none.h5")
    with pytest.raises(SnapshotError, match=r"cannot read .*: Is a directory"):
        SnapshotWriter.reopen(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


# ---- in the way -----------------------------------------------------------------------------------------------------
def test_what_exists_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "run.h5"
    new_file(path, rows=3).close()
    with pytest.raises(UserError, match=r"run\.h5 exists; pass overwrite=True .* or another name\."):
        new_file(path)
    with pytest.raises(UserError, match=r"there is no folder .*nowhere; make it first"):
        new_file(tmp_path / "nowhere" / "run.h5")
    with Snapshots(path) as s:
        assert len(s) == 3
    new_file(path, rows=4, overwrite=True).close()
    with Snapshots(path) as s:
        assert len(s) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_the_old_file_is_kept_when_the_new_one_cannot_be_made(tmp_path):
    path = tmp_path / "run.h5"
    new_file(path, rows=3).close()
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*run\.h5: File too large; what was there before is untouched"):
            new_file(path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(TypeError):
        new_file(path, overwrite=True, state={"x": np.array(["words"])})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    new_file(path, rows=1, overwrite=True).close()  # and nothing stands in the way of the next one


def test_one_writer_at_a_time_and_links_are_followed(tmp_path):
    path, link = tmp_path / "run.h5", tmp_path / "link.h5"
    link.symlink_to(path)
    with new_file(path, rows=3) as writer:
        for other in (path, link):
            with pytest.raises(UserError, match=r"is being written already; wait until that ends"):
                SnapshotWriter.reopen(other)
        with pytest.raises(UserError, match="is being written"):
            new_file(path, overwrite=True)
        writer.append(rows_between(3, 5))
        writer.save_state(state_after(5), {})
    with SnapshotWriter.reopen(link, ({"G": 3.0}, np.zeros((1, 1)))) as writer:
        writer.append(rows_between(5, 9))
    assert link.is_symlink()
    with Snapshots(path) as s:
        assert len(s) == 9
        assert same_rows(s)
        assert s.initial.G == 3


def test_what_was_closed_is_continued_as_it_is_and_others_are_written_anew(tmp_path):
    path = tmp_path / "run.h5"
    with new_file(path, rows=300) as writer:
        writer.save_state(state_after(300), {"n": 1})
    first = path.stat().st_ino
    more = "import sys\nfrom snapshot_rows import *\n"
    more += "with SnapshotWriter.reopen(sys.argv[1]) as writer: writer.append(rows_between(300, 450))"
    with Snapshots(path) as reader:  # is not in the way of the other process
        subprocess.run([sys.executable, "-c", more, str(path)], cwd=HERE, check=True)
        assert path.stat().st_ino == first
        assert len(reader) == 300
        assert same_rows(reader)
        assert len(reader.refresh()) == 450
        assert same_rows(reader)
    with SnapshotWriter.reopen(path) as writer:  # the last 150 rows belong to no state
        assert writer.rows == 300
    assert path.stat().st_ino != first
    with Snapshots(path) as s:
        assert len(s) == 300
        assert same_rows(s)
        assert s.result == {"n": 1}


# ---- full disk ------------------------------------------------------------------------------------------------------
FULL_DISK = """
import os, resource, sys
from snapshot_rows import *
from aitimestepper.errors import UserError
from aitimestepper.simulate.snapshots import writer as module

writer = new_file(sys.argv[1], rows=300)
writer.save_state(state_after(300), {})
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[1]) + 3_000_000,) * 2)
else:  # HDF5 itself meets it
    os.dup2(os.open(sys.argv[1], os.O_RDONLY), writer._file.id.get_vfd_handle())
    module.reserve = lambda *_: None
sentences = []
for attempt in range(1000):
    try:
        writer.append(rows_between(writer.rows, writer.rows + 250))
        writer.save_state(state_after(writer.rows), {})
    except UserError as error:
        sentences.append(str(error))
writer.close()
print(len(set(sentences)), sentences[0], flush=True)
"""


@pytest.mark.parametrize(("kind", "reason"), [("limit", "File too large"), ("broken", "Bad file descriptor")])
def test_a_full_disk(tmp_path, kind, reason):
    """One sentence, the same again, no crash of HDF5 at the end; what was saved is there, and the run goes on from it."""
    path = tmp_path / "run.h5"
    run = [sys.executable, "-W", "error", "-c", FULL_DISK, str(path), kind]
    done = subprocess.run(run, cwd=HERE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    saved = read_state(path)
    assert done.stdout == (
        f"1 cannot write {path}: {reason}; the first {saved.rows} rows are safe, and "
        f"`aitimestepper simulate --resume {path}` goes on from there.\n"
    )
    assert saved.rows > 300 if kind == "limit" else saved.rows == 300
    assert (saved.state["x"] == saved.rows).all()
    with Snapshots(path) as s:
        assert len(s) >= saved.rows
        assert same_rows(s)
    with SnapshotWriter.reopen(path) as writer:
        writer.append(rows_between(saved.rows, saved.rows + 500))
    with Snapshots(path) as s:
        assert len(s) == saved.rows + 500
        assert same_rows(s)


def test_a_full_disk_while_a_file_is_written_anew(tmp_path):
    path = tmp_path / "run.h5"
    with new_file(path, rows=900) as writer:
        writer.save_state(state_after(900), {})
        writer.append(rows_between(900, 1000))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (len(before) // 8, len(before) - 10_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(UserError, match=r"cannot go on with .*run\.h5, .*: File too large; it is untouched"):
                SnapshotWriter.reopen(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    SnapshotWriter.reopen(path).close()
    assert read_state(path).rows == 900


@pytest.mark.parametrize("way", ["removed", "replaced", "its folder"])
def test_a_file_that_is_gone_while_it_is_written_is_said(tmp_path, way):
    """What is written to a file without a name is nowhere."""
    path = tmp_path / "here/run.h5"
    path.parent.mkdir()
    writer = new_file(path)
    writer.append(rows_between(0, 4))
    writer.save_state(state_after(4), {"rows": 4})
    path.rename(tmp_path / "elsewhere")
    if way == "replaced":
        path.write_bytes(b"of another program")
    if way == "its folder":
        shutil.rmtree(path.parent)
    writer.append(rows_between(4, 8))
    with pytest.raises(UserError, match=r"run.h5: it was removed, or replaced, while it was written"):
        writer.save_state(state_after(8), {"rows": 8})
    with pytest.raises(UserError, match="it was removed"):
        writer.append(rows_between(8, 12))
    assert not path.exists() or path.read_bytes() == b"of another program"
    assert not path.with_name("run.h5.lock").exists()


def test_a_file_that_is_gone_before_it_is_closed_is_said(tmp_path):
    writer = new_file(tmp_path / "run.h5")
    writer.append(rows_between(0, 4))
    (tmp_path / "run.h5").unlink()
    with pytest.raises(UserError, match="it was removed"):
        writer.close()
