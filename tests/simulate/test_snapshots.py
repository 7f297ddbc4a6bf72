"""What is written is read back to the bits: at once, while it is written, after a kill, a torn write, a full disk."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import snapshot_rows
from snapshot_rows import new_file, rows_between, same_rows, start_of, state_after

from aitimestepper import Snapshots
from aitimestepper.errors import UserError
from aitimestepper.fields import field_to_plain, tidal
from aitimestepper.simulate.snapshots import SnapshotWriter, read_state
from aitimestepper.simulate.snapshots.records import FIELDS, chunk_shape, rows_per_chunk

SHAPES = [(1, 2, 2), (2, 50, 3), (3, 700, 3), (1, 50_000, 3), (40, 2_000, 2)]


# ---- what comes back ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_come_back_to_the_bits(tmp_path, shape):
    """At every place in a chunk and over its edges, at once, after closing, after going on, and by plain HDF5."""
    path, chunk = tmp_path / "run.h5", rows_per_chunk(*shape)
    writer, written = new_file(path, shape), 0
    for more in (1, chunk - 1, 1, chunk, 2 * chunk + 1):
        writer.append(rows_between(written, written + more, shape))
        written += more
        with Snapshots(path) as s:
            assert len(s) == written
            assert same_rows(s, shape)
    writer.save_state(state_after(written), {})
    writer.close()
    with SnapshotWriter.reopen(path) as writer:
        writer.append(rows_between(written, written + chunk, shape))
    with Snapshots(path) as s, h5py.File(path) as plain:
        assert len(s) == written + chunk
        assert same_rows(s, shape)
        assert all(np.array_equal(plain[name], s.column(name)) for name in FIELDS)


@pytest.mark.parametrize("shape", SHAPES)
def test_chunks_are_of_sensible_size(tmp_path, shape):
    new_file(tmp_path / "run.h5", shape).close()
    with h5py.File(tmp_path / "run.h5") as f:
        for name in FIELDS:
            assert f[name].maxshape[0] is None
            assert (f[name].compression, f[name].shuffle) == ("gzip", True)
            assert 8 * np.prod(f[name].chunks) <= 1 << 20
        position = 8 * np.prod(f["position"].chunks)
        assert position >= 1 << 16 or f["position"].chunks == (1024, *shape)
    assert chunk_shape(1, (1, 10**6, 3)) == (1, 1, 43690, 3)


ROWS = [0, -1, 108, 109, 250, [3, 250, 3, 0], [], np.arange(251) % 50 == 1]
SLICES = [slice(*x) for x in ((None,), (100, 120), (None, None, -1), (240, 3, -7), (5, 5), (None, None, 13), (300, 400))]
MORE = [(slice(100, 120), 1), (7, 0, slice(2, 9)), (..., 2), (-1, ..., 0), ()]


@pytest.mark.parametrize("key", [*ROWS, *SLICES, *MORE], ids=str)
def test_columns_are_sliced_like_arrays(tmp_path, key):
    """251 rows: two chunks of 109 in the file, the rest in its tail."""
    with new_file(tmp_path / "run.h5", rows=251), Snapshots(tmp_path / "run.h5") as s:
        truth = rows_between(0, 251)["position"]
        assert s.position.shape == truth.shape
        assert np.array_equal(s.position[key], truth[key])
        assert s.position[key].shape == truth[key].shape


def test_rows_that_are_not_there(tmp_path):
    with new_file(tmp_path / "run.h5", rows=3), Snapshots(tmp_path / "run.h5") as s:
        for bad in (3, -4):
            with pytest.raises(IndexError, match=rf"row {bad} of 3"):
                s.position[bad]
            with pytest.raises(IndexError, match=rf"row {bad} of 3"):
                s[bad]
        assert len(list(s)) == 3


def test_rows_as_bodies(tmp_path, random_system, padded):
    """A system that has ended stays where it was; absent bodies stay absent; G and the outer field come along."""
    p = padded(random_system(n=3, systems=2, G=2.0, softening=0.1), 4)
    rows = rows_between(0, 5, (2, 4, 3))
    for name in ("time", "dt", "position", "velocity", "energy", "energy_error"):
        rows[name][3:, 1] = np.nan
    rows["dt"][0] = np.nan
    metadata = {"G": 2.0, "field": field_to_plain(tidal(M=3, R0=9, G=2.0))}
    path = tmp_path / "run.h5"
    with SnapshotWriter.create(path, metadata=metadata, initial=p.arrays(), arrays={}, state={}, axes=3) as writer:
        writer.append(rows)
    with Snapshots(path) as s:
        assert np.array_equal(s.initial.position, p.position)
        assert np.array_equal(s.initial.softening, p.softening)
        first, last = s[1], s[-1]
        assert np.array_equal(first.position[:, :3], rows["position"][1, :, :3])
        assert np.array_equal(last.time, [rows["time"][4, 0], rows["time"][2, 1]])
        assert np.array_equal(last.velocity[1, :3], rows["velocity"][2, 1, :3])
        assert not last.position[:, 3].any()
        assert last.external_field.M == 3
        assert np.isfinite(last.total_energy()).all()
        assert np.isnan(s.energy[3:, 1]).all()
        assert s.status == ["running", "running"]


def test_a_field_of_ones_own_is_told_of(tmp_path):
    """Energies of bodies without it would be wrong in silence."""
    with new_file(tmp_path / "run.h5", metadata={"field": "own"}), Snapshots(tmp_path / "run.h5") as s:
        with pytest.warns(UserWarning, match=r"a function of its user's own, .*Bodies\.replace\(external_field=\.\.\.\)"):
            assert s.initial.external_field is None
        assert s.initial.G == 1


def test_a_file_without_rows(tmp_path):
    with new_file(tmp_path / "run.h5"), Snapshots(tmp_path / "run.h5") as s:
        assert len(s) == len(s.time) == len(s.position[:]) == 0
        assert s.result == {}


def test_all_that_it_takes_to_go_on_comes_back(tmp_path):
    path = tmp_path / "run.h5"
    metadata = {
        "tol": np.float64(1e-6),
        "dt_max": float("inf"),
        "lowered": {"kind": "x", "inner": {"x": np.arange(3)}},
    }
    weights = {"weight": np.random.default_rng(1).normal(size=(40, 11)), "scale": np.array(2.0)}
    writer = new_file(path, rows=5, metadata=metadata, arrays=weights)
    assert read_state(path).rows == 0
    for k in range(3):
        result = {"status": ["ok", "stuck"], "words": "é" * 100**k}  # the last is longer than what was set aside for it
        writer.save_state({**state_after(5), "count": np.array(k)}, result)
    with pytest.raises(ValueError, match="another 'x'"):
        writer.save_state({**state_after(5), "x": np.zeros(3)}, {})
    with pytest.raises(ValueError, match=r"rows of position have shape \(2, 2, 50, 2\), not \(2, 2, 50, 3\)"):
        writer.append({**rows_between(5, 7), "position": np.zeros((2, 2, 50, 2))})
    writer.close()
    writer.close()
    saved = read_state(path)
    assert saved.metadata == {
        "tol": 1e-6,
        "dt_max": float("inf"),
        "lowered": {"kind": "x", "inner": {"x": [0, 1, 2]}},
    }
    assert all(np.array_equal(saved.constants[name], x) for name, x in weights.items())
    assert all(np.array_equal(saved.initial[name], x) for name, x in start_of().items())
    assert saved.state["count"] == 2
    assert saved.state["memory"].shape == (2, 0)
    assert saved.rows == 5
    assert saved.result["words"] == "é" * 100**2
    with Snapshots(path) as s:
        assert s.status == ["ok", "stuck"]


# ---- kills ----------------------------------------------------------------------------------------------------------
class Writers:
    """Starts processes that write a file, and kills them."""

    def __init__(self, path: Path) -> None:
        script = Path(snapshot_rows.__file__)
        self.path, self.said, self.pid = path, path.with_name(path.name + ".said"), None
        self._server = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self) -> None:
        self.said.write_text("")
        self._server.stdin.write(f"{self.path}\n")
        self._server.stdin.flush()
        self.pid = int(self._server.stdout.readline())
        while not self.said.read_text().endswith("\n"):
            time.sleep(0.001)

    def kill(self) -> tuple[int, int]:
        """(rows, saved rows) that the writer knew to be safe when it died."""
        os.kill(self.pid, signal.SIGKILL)
        self.pid = None
        assert int(self._server.stdout.readline()) == -signal.SIGKILL
        rows, saved = re.findall(r"^(\d+) (\d+)$", self.said.read_text(), flags=re.M)[-1]
        return int(rows), int(saved)

    def end(self) -> None:
        if self.pid is not None:
            self.kill()
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()


@pytest.fixture
def writers(tmp_path):
    made = Writers(tmp_path / "run.h5")
    yield made
    made.end()


def test_killed_at_any_moment_and_resumed(writers, tmp_path):
    """Fifteen times: what had been written is there, to the bits, and the next writer goes on from the newest state."""
    delays, saved_before = np.random.default_rng(5).uniform(0, 0.05, 15), 0
    for delay in delays:
        writers.start()
        time.sleep(delay)
        rows, saved = writers.kill()
        with Snapshots(writers.path) as s:
            assert s.unclosed
            assert len(s) >= rows
            assert same_rows(s)
        state = read_state(writers.path)
        assert len(s) >= state.rows >= saved >= saved_before
        assert (state.state["x"] == state.rows).all()
        assert state.result.get("rows", 0) == state.rows
        saved_before = state.rows
    with SnapshotWriter.reopen(writers.path) as writer:
        assert writer.rows == saved_before > 100
    with Snapshots(writers.path) as s:
        assert not s.unclosed
        assert len(s) == saved_before
        assert same_rows(s)
    assert {p.name for p in tmp_path.iterdir()} == {"run.h5", "run.h5.said"}


def test_reading_while_another_process_writes(writers):
    """Every look shows whole rows, at least all that the writer knew of before; also through plain h5py, chunk by chunk."""
    writers.start()
    seen, until = [], time.monotonic() + 1
    with Snapshots(writers.path) as s:
        while time.monotonic() < until or len(set(seen)) < 5:
            known = int(writers.said.read_text().split()[-2])
            s.refresh()
            assert len(s) >= known
            assert same_rows(s)
            assert (state := s.saved()).state["count"] == state.rows <= len(s)
            with h5py.File(writers.path, "r", swmr=True) as plain:
                truth = rows_between(0, len(plain["position"]))
                assert np.array_equal(plain["position"], truth["position"])
            seen.append(len(s))
        with pytest.raises(UserError, match=r"run\.h5 is being written already"):
            SnapshotWriter.reopen(writers.path)
    assert seen == sorted(seen)
    writers.kill()
    SnapshotWriter.reopen(writers.path).close()
