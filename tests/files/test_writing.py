"""Everything that is written leaves by one door: regular files only, no links followed, modes kept, nothing lost or left."""

import json
import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from aitimestepper.errors import UserError
from aitimestepper.files import LinesFile, WriterLock, is_being_written, make_folder, replacement, write_atomically


@contextmanager
def disk_of(size):
    """A limit on the size of files stands in for a full disk: a write fails on its way, as it would there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- what is replaced ------------------------------------------------------------------------------------------------
def test_only_regular_files_are_replaced(tmp_path):
    """As root, `os.replace` would put a file in the place of /dev/null."""
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for path, words in ((fifo, "a device, a pipe or a socket"), (folder, "a folder")):
        with pytest.raises(UserError, match=rf"cannot write .*: it is {words}, and only files are replaced"):
            write_atomically(path, b"x")
    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    with pytest.raises(UserError, match=r"cannot write /dev/null: it is a device"):
        write_atomically(type(tmp_path)("/dev/null"), b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fifo", "folder"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_modes_are_kept(tmp_path, mode):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode


def test_a_new_file_has_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "x", b"new")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "x") == 0o640


def test_a_link_is_replaced_and_its_target_untouched(tmp_path):
    target, link, broken = tmp_path / "target", tmp_path / "link", tmp_path / "broken"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    broken.symlink_to(tmp_path / "nowhere")
    for path in (link, broken):
        write_atomically(path, b"new")
        assert not path.is_symlink()
        assert path.read_bytes() == b"new"
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path, monkeypatch):
    """Also if somebody could foresee the name of the temporary file."""
    monkeypatch.setattr("aitimestepper.files.writing.secrets.token_hex", lambda n: "0" * 2 * n)
    target, path = tmp_path / "target", tmp_path / "x"
    target.write_bytes(b"precious")
    (tmp_path / f".x.{'0' * 16}.partial").symlink_to(target)
    with pytest.raises(UserError, match=r"cannot write .*x: File exists"):
        write_atomically(path, b"new")
    assert target.read_bytes() == b"precious"
    assert not path.exists()


# ---- what goes wrong -------------------------------------------------------------------------------------------------
def test_on_a_full_disk_the_old_file_stays(tmp_path):
    path = tmp_path / "x"
    write_atomically(path, b"old")
    with disk_of(1000), pytest.raises(UserError, match=r"cannot write .*: File too large; what was there before is untouched"):
        write_atomically(path, b"n" * 5000)
    with pytest.raises(ZeroDivisionError), replacement(path) as partial:
        partial.write_bytes(b"half" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "x/" + "n" * 300])
def test_names_that_no_file_can_have_are_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match=r"cannot write") as error:
        write_atomically(tmp_path / name, b"x")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot make the folder .*: (File exists|Not a directory)"):
        make_folder(tmp_path / "x" / "y")
    with pytest.raises(UserError, match=r"cannot write .*: Not a directory"):
        write_atomically(tmp_path / "x" / "y", b"")


KILLED = """
import os, sys
from pathlib import Path
from aitimestepper.files import replacement
with replacement(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    os._exit(9)
"""


def test_what_killed_processes_leave_is_removed_by_the_next(tmp_path):
    path, other = tmp_path / "x", tmp_path / ".x.notes.partial"
    other.write_bytes(b"of somebody else")
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    with replacement(path):  # a living one is left alone
        write_atomically(path, b"first")
        assert len(list(tmp_path.iterdir())) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [".x.notes.partial", "x"]


# ---- records ---------------------------------------------------------------------------------------------------------
def test_records_are_appended_whole_or_not_at_all(tmp_path):
    path = tmp_path / "records"
    lines = LinesFile(path, [{"n": 0}])
    lines.append({"n": 1})
    with disk_of(300), pytest.raises(UserError, match=r"cannot write .*File too large; earlier records are still there"):
        lines.append({"n": "x" * 1000})
    lines.append({"n": 2})
    lines.close()
    lines.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"n": 0}, {"n": 1}, {"n": 2}]


# ---- locks -----------------------------------------------------------------------------------------------------------
def test_a_lock_makes_no_file_through_a_link(tmp_path):
    path, target = tmp_path / "x", tmp_path / "target"
    (tmp_path / "x.lock").symlink_to(target)
    with pytest.raises(UserError, match=r"cannot write .*x: .*symbolic links"):
        WriterLock(path)
    assert not target.exists()
    assert not is_being_written(path)


def test_a_pipe_in_the_place_of_a_lock(tmp_path):
    os.mkfifo(tmp_path / "x.lock")
    assert not is_being_written(tmp_path / "x")
    with pytest.raises(UserError, match=r"cannot write .*the file of its lock is no file"):
        WriterLock(tmp_path / "x")


def test_one_writer_at_a_time(tmp_path):
    path, link = tmp_path / "x", tmp_path / "link"
    link.symlink_to(path)
    lock = WriterLock(path)
    with pytest.raises(UserError, match="is being written already"):
        WriterLock(path)
    assert is_being_written(path)
    assert is_being_written(link)
    lock.release()
    lock.release()
    assert not is_being_written(path)
    assert [p.name for p in tmp_path.iterdir()] == ["link"]


def test_lines_that_would_go_nowhere_are_refused(tmp_path):
    lines = LinesFile(tmp_path / "it.jsonl")
    lines.append({"n": 1})
    (tmp_path / "it.jsonl").rename(tmp_path / "elsewhere")
    lines.append({"n": 2})  # under another name it is there still
    (tmp_path / "elsewhere").unlink()
    with pytest.raises(UserError, match=r"it.jsonl: it was removed, or replaced, while it was written"):
        lines.append({"n": 3})
    lines.close()
