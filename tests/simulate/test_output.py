"""Output does not change a run, and the file says what the run was."""

from __future__ import annotations

import resource
import signal

import numpy as np
import pytest
from stopped_runs import EVERY, PLANS, T_END, at_turn, recorded, same_rows, short_turns, started

from aitimestepper import Snapshots, resume
from aitimestepper.bodies import ARRAYS, Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.initial import named as initial
from aitimestepper.simulate import advance as compiled
from aitimestepper.simulate import first_state
from aitimestepper.simulate.engine import simulate


# ---- output and the run ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PLANS)
def test_output_changes_no_bit_of_the_run(name, tmp_path, same_result):
    plain = simulate(**PLANS[name])
    assert plain.status == ("ok",) * len(plain.status)
    assert 90 < plain.steps.max() < 230
    for k, more in enumerate(({"output_every": 0.0173}, {"output_steps": 3}, {})):
        with_output = simulate(**PLANS[name], output=tmp_path / f"{k}.h5", **more)
        assert same_result(with_output, plain)
        assert with_output.output == tmp_path / f"{k}.h5"


@pytest.mark.parametrize("name", PLANS)
def test_rows_are_at_exact_multiples_and_say_what_the_state_is(name, tmp_path):
    r = recorded(tmp_path / "run.h5", name)
    start = PLANS[name]["particle"]
    with Snapshots(tmp_path / "run.h5") as s:
        for b, begin in enumerate(start.time.tolist()):
            count = round((T_END - begin) / EVERY) + 1 if (T_END - begin) % EVERY == 0 else int((T_END - begin) / EVERY) + 1
            assert s.time[:count, b].tolist() == [begin + k * EVERY for k in range(count)]
            assert np.isnan(s.time[count:, b]).all()
            assert s.energy_error[:count, b].max() <= r.max_energy_error[b] * 1.5 + 1e-14
            assert (np.diff(s.steps[:count, b]) >= 0).all()
        for i in (0, 7, len(s) - 1):
            state = s[i]
            there = np.isfinite(s.time[i])
            if start.external_field is None:
                rounding = 1e-15 * np.abs(state.potential_energy()[there]).max()  # a parabolic pair has no other energy
                np.testing.assert_allclose(s.energy[i][there], state.total_energy()[there], rtol=1e-13, atol=rounding)
        assert np.array_equal(s[0].position, start.position)
        if name != "batch":
            assert np.array_equal(s[-1].position, r.final.position)
            assert np.array_equal(s[-1].velocity, r.final.velocity)
            assert s.energy_error[-1, 0] == r.final_energy_error[0]


@pytest.mark.parametrize("name", PLANS)
def test_a_row_inside_a_step_is_what_a_run_that_ends_there_comes_to(name, tmp_path):
    """To the bits: both are a shorter step from the same state. Gauss-Radau reads its polynomial instead, to rounding."""
    run = PLANS[name]
    recorded(tmp_path / "run.h5", name)
    with Snapshots(tmp_path / "run.h5") as s:
        for i in (3, 9):
            start, time = run["particle"], s.time[i]
            ends = simulate(**{**run, "particle": start.select(0), "t_end": time[0]}).final
            n = ends.position.shape[1]
            row = np.stack([s.position[i, 0], s.velocity[i, 0]])[:, :n]
            there = np.stack([ends.position[0], ends.velocity[0]])
            if name.startswith("radau15"):
                np.testing.assert_allclose(row, there, rtol=0, atol=3e-13)
            elif name == "guard":  # a step so short may pass where the whole one was rejected
                np.testing.assert_allclose(row, there, rtol=0, atol=1e-3)
            else:
                assert np.array_equal(row[:, start.present[0]], there[:, start.present[0]])


@pytest.mark.parametrize("name", ["batch", "radau15"])
def test_rows_do_not_depend_on_the_room_there_is_for_them(name, tmp_path, monkeypatch, same_result):
    """Four rows in memory, where a fast system must wait for a slow one; 64 rows are due in one step."""
    first = recorded(tmp_path / "roomy.h5", name)
    with monkeypatch.context() as m:
        m.setattr(first_state, "ROW_MEMORY", 1)
        assert same_result(recorded(tmp_path / "tight.h5", name), first)
        simulate(
            started(initial.kepler(0.5)), t_end=2.0, criterion=Constant(1.0), output=tmp_path / "long.h5", output_every=1 / 64
        )
    assert same_rows(tmp_path / "tight.h5", tmp_path / "roomy.h5")
    with Snapshots(tmp_path / "long.h5") as s:
        assert s.time[:, 0].tolist() == [k / 64 for k in range(129)]
        assert s.steps[:, 0].tolist() == [0] + [1] * 64 + [2] * 64


def test_rows_by_steps(tmp_path):
    start = started(initial.kepler(0.5))
    r = simulate(start, t_end=1.0, criterion=Constant(0.03), output=tmp_path / "run.h5", output_steps=5)
    with Snapshots(tmp_path / "run.h5") as s:
        assert s.steps[:, 0].tolist() == [0, 5, 10, 15, 20, 25, 30]
        assert s.time[:, 0].tolist() == pytest.approx([0.15 * k for k in range(7)], rel=1e-14)
        assert s.dt[1:, 0].tolist() == [0.03] * 6
        assert s.result["steps"] == [34] == r.steps.tolist()


def test_by_default_there_are_about_a_thousand_rows(tmp_path):
    start = started(initial.kepler(0.5))
    simulate(start, t_end=7.3, criterion=Constant(0.03), output=tmp_path / "time.h5")
    simulate(start, steps=5000, criterion=Constant(0.03), output=tmp_path / "steps.h5")
    for name in ("time", "steps"):
        with Snapshots(tmp_path / f"{name}.h5") as s:
            assert len(s) == 1001
    with Snapshots(tmp_path / "time.h5") as s:
        assert s.time[-1, 0] == 7.3


@pytest.mark.parametrize(("begin", "t_end"), [(1.0, 1.0), (1e9, 1e9 + 1e-6)])
def test_a_run_too_short_for_rows_in_between_has_those_of_its_steps(begin, t_end, tmp_path):
    """A thousandth of the run would be below the round-off of its time: rows that never get further."""
    simulate(started(initial.kepler(0.5), time=begin), t_end=t_end, criterion=Constant(0.03), output=tmp_path / "run.h5")
    with Snapshots(tmp_path / "run.h5") as s:
        assert s.time[:, 0].tolist() == sorted({begin, t_end})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"output_every": 0.0}, "output_every = 0.0 must be a positive time"),
        ({"output_every": float("nan")}, "output_every = nan must be a positive time"),
        ({"output_steps": 0}, "output_steps = 0 must be a whole number, 1 or more"),
        ({"output_steps": 1.5}, "output_steps = 1.5 must be a whole number, 1 or more"),
        ({"output_every": "1"}, "output_every = '1' must be a positive time"),
        ({"output_every": 1e-17}, "output_every = 1e-17 is below the round-off of the times of the run"),
        ({"output_steps": 2, "output_every": 0.1}, "output_steps = 2 and output_every = 0.1: give only one of them"),
    ],
)
def test_when_rows_are_due_is_checked_before_a_file_is_made(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        simulate(started(initial.kepler()), t_end=1.0, output=tmp_path / "run.h5", **given)
    assert not list(tmp_path.iterdir())


# ---- what the file says ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["limited kahan_li8", "batch", "learned", "moving field"])
def test_the_file_says_what_the_run_was_and_how_it_ended(name, tmp_path):
    r, start = recorded(tmp_path / "run.h5", name), PLANS[name]["particle"]
    with Snapshots(tmp_path / "run.h5") as s:
        for key in ARRAYS:
            assert np.array_equal(getattr(s.initial, key), getattr(start, key)), key
        assert s.initial.G == start.G
        assert s.status == list(r.status)
        assert s.result["time"] == r.final.time.tolist()
        for key in ("steps", "force_evaluations", "rejected_steps", "max_energy_error", "final_energy_error"):
            assert s.result[key] == getattr(r, key).tolist(), key
        assert s.result["momentum_error"] == (None if r.momentum_error is None else r.momentum_error.tolist())
        near = s.result["closest_approach"]
        assert near == {k: getattr(r.closest_approach, k).tolist() for k in ("pair", "distance", "time")}
        assert s.metadata["criterion"] == r.criterion
        assert s.metadata["integrator"] == r.integrator
        assert s.metadata["t_end"] == T_END
        assert s.metadata["output_every"] == EVERY
        if start.external_field is not None:
            again = s.initial.total_energy()
            np.testing.assert_allclose(again, start.total_energy(), rtol=1e-14)


def test_systems_that_end_early_leave_rows_of_nothing(tmp_path):
    """One at its end from the start, one that collides, one that goes all the way."""
    colliding = Bodies([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    batch = Bodies.stack([started(initial.kepler(0.1), time=5.0), colliding, started(initial.kepler(0.1))])
    r = simulate(batch, t_end=5.0, criterion=Constant(1.0), output=tmp_path / "run.h5", output_every=0.5)
    assert r.status == ("ok", "non_finite", "ok")
    with Snapshots(tmp_path / "run.h5") as s:
        assert np.isfinite(s.time).sum(0).tolist() == [1, 3, 11]
        assert (np.isnan(s.position[:]).all((2, 3)) == np.isnan(s.time)).all()
        assert (s.steps[:, 1] == [0, 1, 1] + [-1] * 8).all()
        assert np.array_equal(s[-1].position, r.final.position)
        assert s.status == ["ok", "non_finite", "ok"]


def test_closest_approaches_are_in_the_file(tmp_path):
    simulate(started(initial.kepler(0.8)), t_end=4.0, criterion=EnergyBudget(1e-8, "kahan_li8"), output=tmp_path / "run.h5")
    with Snapshots(tmp_path / "run.h5") as s:
        near = s.result["closest_approach"]
    assert near["pair"] == [[0, 1]]
    assert near["distance"] == pytest.approx([0.2], rel=1e-5)


# ---- files that are in the way --------------------------------------------------------------------------------------
def test_an_existing_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "run.h5"
    recorded(path, "leapfrog")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"run\.h5 exists; pass overwrite=True .* or another name"):
        recorded(path, "symmetrized")
    assert path.read_bytes() == before
    path.with_name("notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt exists"):
        recorded(tmp_path / "notes.txt", "leapfrog")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert recorded(path, "symmetrized", overwrite=True).status == ("ok",)
    with Snapshots(path) as s:
        assert s.metadata["criterion"] == "symmetrized(freefall(0.035))"
    assert {p.name for p in tmp_path.iterdir()} == {"run.h5", "notes.txt"}
    with pytest.raises(UserError, match="there is no folder"):
        recorded(tmp_path / "missing" / "run.h5", "leapfrog")


def test_a_full_disk_ends_the_run_and_leaves_what_was_written(tmp_path, same_result):
    """A limit on the file size stands in for the full disk. With room again, the run goes on to the same bits."""
    given = {"particle": started(initial.plummer(64)), "t_end": 0.5, "criterion": Constant(1e-3), "output_steps": 1}
    whole = simulate(**given, output=tmp_path / "whole.h5")
    path, limits = tmp_path / "run.h5", resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
        compiled.TURN = 0.1

    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with short_turns(), pytest.raises(UserError, match=r"cannot write .*run\.h5: .*the first \d+ rows are safe"):
            simulate(**given, output=path, progress=at_turn(4, fill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    with Snapshots(path) as s:
        assert 64 <= len(s) < 501
        assert s.time[:, 0].tolist() == pytest.approx([1e-3 * k for k in range(len(s))], rel=1e-12)
    assert same_result(resume(path), whole)
    assert same_rows(path, tmp_path / "whole.h5")
