"""A run made again from its file is the same run, to the bit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aitimestepper import Snapshots, resume, simulate
from aitimestepper.cli import main
from aitimestepper.errors import ConfigError
from aitimestepper.initial import named
from aitimestepper.simulate.repeating import repeat

COLUMNS = ("time", "dt", "energy", "energy_error", "steps")


@pytest.mark.parametrize(
    "how",
    [
        {"tol": 1e-4, "output_every": 0.5},
        {"criterion": "prs23", "output_steps": 2},
        {"criterion": "freefall:eta=0.05", "integrator": "leapfrog", "dt_max": 0.05, "output_steps": 1},
        {"criterion": "hutmakino", "guard": True, "tol": 1e-7, "output_steps": 1},
    ],
)
def test_a_run_is_repeated_to_the_same_bits(tmp_path, how):
    first, again = tmp_path / "first.h5", tmp_path / "again.h5"
    done = simulate(named.kozai(), t_end=12.0, output=first, warn=False, **how)
    repeated = repeat(first, output=again, warn=False)
    assert repeated.force_evaluations.tolist() == done.force_evaluations.tolist()
    assert np.array_equal(repeated.final.position, done.final.position)
    assert (repeated.criterion, repeated.integrator) == (done.criterion, done.integrator)
    with Snapshots(first) as a, Snapshots(again) as b:
        assert len(a) == len(b) > 5
        for name in COLUMNS:
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert np.array_equal(a.velocity[:], b.velocity[:])


def test_a_run_by_steps_is_repeated_to_its_end(tmp_path):
    first = tmp_path / "first.h5"
    done = simulate(named.figure8(), steps=37, criterion="freefall:eta=0.1", output=first)
    assert repeat(first).steps.tolist() == done.steps.tolist() == [37]


def test_a_run_that_was_made_longer_is_repeated_to_its_later_end(tmp_path):
    simulate(named.figure8(), t_end=1.0, criterion="freefall:eta=0.1", output=tmp_path / "r.h5")
    resume(tmp_path / "r.h5", t_end=2.0)
    again = repeat(tmp_path / "r.h5")
    assert again.final.time.tolist() == [2.0]
    whole = simulate(named.figure8(), t_end=2.0, criterion="freefall:eta=0.1")
    assert np.array_equal(again.final.position, whole.final.position)


@pytest.mark.parametrize("how", [{"t_end": -3.0}, {"t_end": 3.0, "times": [0.5, 1.5, 2.75]}])
def test_runs_backward_and_at_a_list_of_times_are_repeated(tmp_path, how):
    first, again = tmp_path / "first.h5", tmp_path / "again.h5"
    done = simulate(named.figure8(), criterion="freefall:eta=0.1", output=first, **how)
    assert np.array_equal(repeat(first, output=again).final.velocity, done.final.velocity)
    with Snapshots(first) as a, Snapshots(again) as b:
        assert np.array_equal(a.time, b.time)
        assert len(a) >= 3


def test_a_run_that_ended_at_an_event_is_repeated_to_it(tmp_path):
    how = {"criterion": "freefall:eta=0.02", "events": "encounter:below=0.4,stop=yes", "warn": False}
    done = simulate(named.triple(), t_end=30.0, output=tmp_path / "first.h5", **how)
    again = repeat(tmp_path / "first.h5", warn=False)
    assert again.status == done.status == ("event",)
    assert again.final.time[0] == done.final.time[0] < 30.0
    assert again.events[0].time == done.events[0].time


def test_a_run_that_went_on_from_another_one_is_refused(tmp_path):
    earlier = simulate(named.figure8(), t_end=1.0, criterion="freefall:eta=0.1")
    simulate(earlier, t_end=2.0, output=tmp_path / "later.h5")
    with pytest.raises(ConfigError, match="went on from an earlier one"):
        repeat(tmp_path / "later.h5")


def test_the_command_repeats_and_takes_no_other_settings(tmp_path, capsys):
    first = tmp_path / "first.h5"
    simulate(named.figure8(), t_end=1.0, criterion="freefall:eta=0.1", output=first)
    assert main(["simulate", "--repeat", str(first), "--output", str(tmp_path / "again.h5"), "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == str(tmp_path / "again.h5")
    assert main(["simulate", "--repeat", str(first), "--tol", "1e-3", "--quiet"]) == 2
    assert "--repeat takes every setting" in capsys.readouterr().err
    assert main(["simulate", "--repeat", str(first), "--output", str(first), "--quiet"]) == 2
    assert "exists" in capsys.readouterr().err
