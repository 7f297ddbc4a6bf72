"""A run that was stopped, by Ctrl-C or by a kill, goes on to the same bits; one that had ended goes on to a later end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stopped_runs
from stopped_runs import EVERY, PLANS, at_turn, recorded, same_rows, short_turns, started

from aitimestepper import Snapshots, resume
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import ConfigError, SnapshotError
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.kernels import plan


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A folder with every run of `PLANS`, killed in its first turn and in its ninth."""
    folder = tmp_path_factory.mktemp("killed")
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, stopped_runs.__file__, folder], check=True, timeout=120, env=where)
    return folder


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def stopped(path: Path, turn: int, **given) -> None:
    """A run that Ctrl-C ends after so many turns."""
    with short_turns(), pytest.raises(KeyboardInterrupt):
        simulate(**given, output=path, progress=at_turn(turn, interrupt), overwrite=True)


@pytest.mark.parametrize("name", PLANS)
def test_after_ctrl_c_a_run_goes_on_to_the_same_bits_and_rows(name, tmp_path, same_result):
    whole, path = tmp_path / "whole.h5", tmp_path / "stopped.h5"
    uninterrupted = recorded(whole, name)
    stopped(path, 5, **PLANS[name], output_every=EVERY)
    with Snapshots(path) as s:
        assert "running" in s.status
        assert not s.unclosed
    with pytest.raises(KeyboardInterrupt):
        resume(path, progress=at_turn(1, interrupt))
    assert same_result(resume(path), uninterrupted)
    assert same_rows(path, whole)


@pytest.mark.parametrize(("name", "turn"), [(name, 9) for name in PLANS] + [("batch", 1), ("radau15", 1)])
def test_after_a_kill_a_run_goes_on_to_the_same_bits_and_rows(name, turn, killed, tmp_path, same_result):
    """Killed between the rows of a turn and its state: those rows are dropped and made again."""
    uninterrupted = recorded(tmp_path / "whole.h5", name)
    path = killed / f"{name} {turn}.h5"
    with Snapshots(path) as s:
        assert s.unclosed
        assert s.saved().rows <= len(s) < 33
    assert same_result(resume(path), uninterrupted)
    assert same_rows(path, tmp_path / "whole.h5")


def test_a_file_of_a_version_that_remembered_less_is_refused(tmp_path, monkeypatch):
    """It would be read beyond its end."""
    path = tmp_path / "stopped.h5"
    stopped(path, 5, **PLANS["symmetrized"], output_every=EVERY)
    monkeypatch.setattr(plan, "WRAP_MEMORY", plan.WRAP_MEMORY + 1)
    before = path.read_bytes()
    with pytest.raises(SnapshotError, match=r"needed to resume: memory of its state has the type float64 and the shape"):
        resume(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["symmetrized", "logh", "radau15 own", "batch", "looking back", "limited kahan_li8"])
def test_a_stopped_run_may_be_given_a_later_end(name, tmp_path, same_result):
    """The same bits as a run that was meant to go there from the beginning; the file knows the new end."""
    whole, path = tmp_path / "whole.h5", tmp_path / "stopped.h5"
    later = simulate(**{**PLANS[name], "t_end": 3.0}, output=whole, output_every=EVERY)
    stopped(path, 1, **PLANS[name], output_every=EVERY)
    with Snapshots(path) as s:
        ended = [status == "ok" for status in s.status]
    r = resume(path, t_end=3.0)
    assert r.final.time.tolist() == [3.0] * len(r.final.time)
    if not any(ended):
        assert same_result(r, later)
        assert same_rows(path, whole)
    with Snapshots(path) as s:
        assert s.metadata["t_end"] == s.metadata["asked"]["t_end"] == 3.0


@pytest.mark.parametrize("name", PLANS)
def test_a_finished_run_goes_on_to_a_later_end_with_its_rows_in_time(name, tmp_path):
    path = tmp_path / "run.h5"
    first = recorded(path, name)
    r = resume(path, t_end=3.0)
    assert r.status == ("ok",) * len(r.status)
    assert r.final.time.tolist() == [3.0] * len(r.final.time)
    assert (r.steps > first.steps).all()
    assert (r.max_energy_error >= first.max_energy_error).all()
    with Snapshots(path) as s:
        assert s.time[-1, 0] == 3.0 or name == "batch"
        for b, begin in enumerate(PLANS[name]["particle"].time.tolist()):
            mine = s.time[np.isfinite(s.time[:, b]), b]
            assert mine.tolist() == [begin + k * EVERY for k in range(len(mine))]
            assert 3.0 - EVERY < mine[-1] <= 3.0
    whole = simulate(**{**PLANS[name], "t_end": 3.0})
    scale = 50 * max(whole.max_energy_error.max(), 1e-12)
    assert abs(r.final.position - whole.final.position).max() < scale


def test_a_finished_run_is_not_changed_by_going_on(tmp_path, same_result):
    path = tmp_path / "run.h5"
    first = recorded(path, "symmetrized")
    again = resume(path)
    assert same_result(again, first)
    with Snapshots(path) as s:
        assert len(s) == 33
    with pytest.raises(ConfigError, match=r"t_end = 1\.0 must be a finite number after t = 2, the time of the run"):
        resume(path, t_end=1.0)
    with pytest.raises(ConfigError, match="t_end = '3' must be a finite number"):
        resume(path, t_end="3")
    with pytest.raises(ConfigError, match="threads = 0 must be a whole number"):
        resume(path, threads=0)


def test_a_run_by_steps_goes_on_to_the_same_bits(tmp_path, same_result):
    given = {
        "particle": started(initial.kepler(0.6)),
        "steps": 200,
        "criterion": Symmetrized(FreeFall(0.03)),
        "output_steps": 7,
    }
    whole = simulate(**given, output=tmp_path / "whole.h5")
    stopped(tmp_path / "stopped.h5", 4, **given)
    assert same_result(resume(tmp_path / "stopped.h5"), whole)
    assert same_rows(tmp_path / "stopped.h5", tmp_path / "whole.h5")
