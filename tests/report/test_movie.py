from __future__ import annotations

import itertools
import stat
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from aitimestepper.criteria.classical import Constant
from aitimestepper.errors import UserError
from aitimestepper.report import encoder, movie
from aitimestepper.report.movie import HEIGHT, WIDTH, write_movie
from aitimestepper.report.orbits import dot_areas, positions_at, trails_of, view_of
from aitimestepper.report.series import angular_momentum_error, momentum_error, series_of, shown_dt
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.recording import TrajectoryRecorder


def decoded(path: Path) -> tuple[str, np.ndarray]:
    """Return ffmpeg's line on the video stream, and the frames (F, height, width, 3)."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    stream = next(line for line in done.stderr.decode().splitlines() if "Video: h264" in line)
    return stream, np.frombuffer(done.stdout, dtype=np.uint8).reshape(-1, HEIGHT, WIDTH, 3)


def recorded(bodies, **run) -> TrajectoryRecorder:
    """Record every step of a run."""
    recorder = TrajectoryRecorder()
    simulate(bodies, **run, output_steps=1, sinks=(recorder.take,))
    return recorder


@pytest.fixture
def escaping(random_system) -> TrajectoryRecorder:
    """Five bodies in space, one of them without mass and leaving at 50 times the speed of the others."""
    b = random_system(n=5, seed=2)
    mass, velocity = b.mass.copy(), b.velocity.copy()
    mass[0, 4], velocity[0, 4] = 0.0, 50.0
    return recorded(b.replace(mass=mass, velocity=velocity), steps=60)


# ---- the file --------------------------------------------------------------------------------------------------------
def test_a_movie_of_two_bodies_in_the_plane_decodes(orbit, tmp_path):
    counted = []
    path = write_movie(orbit, tmp_path / "new" / "run.mp4", seconds=1.2, fps=10, progress=lambda *x: counted.append(x))
    assert path == tmp_path / "new" / "run.mp4"
    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (12, pytest.approx(1.2))
    stream, frames = decoded(path)
    assert "yuv420p" in stream
    assert f" {WIDTH}x{HEIGHT}" in stream
    assert " 10 fps" in stream
    assert len(frames) == 12
    assert counted == [(n, 12) for n in range(1, 13)]
    assert list(path.parent.iterdir()) == [path]
    # the bodies move between all frames, and the left of the panels (names, ticks) never does
    for before, after in itertools.pairwise(frames):
        assert (np.abs(before[:, :640].astype(int) - after[:, :640]) > 60).sum() > 500
    labels = frames[:, :, 730:820].astype(int)
    assert np.abs(labels - labels[0]).max() < 40  # what the compression leaves


def test_a_movie_of_bodies_in_space_with_one_escaping_decodes(escaping, tmp_path):
    path = write_movie(
        escaping.trajectory(), tmp_path / "run.MP4", seconds=0.5, fps=8, title="a_b $ {x} \\frac 重力 " + "long " * 40
    )
    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (4, pytest.approx(0.5))
    _, frames = decoded(path)
    assert (np.abs(frames[0].astype(int) - frames[-1]) > 60).sum() > 2000


def test_an_old_movie_is_replaced(orbit, tmp_path):
    path = tmp_path / "run.mp4"
    path.write_bytes(b"old")
    write_movie(orbit, path, seconds=0.3, fps=10)
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 3


@pytest.mark.parametrize("script", ["cat > /dev/null; echo disk is full >&2; exit 1", "echo disk is full >&2; exit 1"])
def test_a_failing_encoder_leaves_the_old_movie(orbit, tmp_path, monkeypatch, script):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    for module in (encoder, movie):
        monkeypatch.setattr(module, "ffmpeg_program", lambda: str(program))
    path = tmp_path / "run.mp4"
    path.write_bytes(b"old")
    with pytest.raises(UserError, match=r"cannot write .*run\.mp4: disk is full; what was there before is untouched\."):
        write_movie(orbit, path, seconds=0.5, fps=10)
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ffmpeg", "run.mp4"]


def test_an_interrupted_movie_leaves_the_old_one(orbit, tmp_path):
    path = tmp_path / "run.mp4"
    path.write_bytes(b"old")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(orbit, path, seconds=0.5, fps=10, progress=interrupt)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_one_sentence(orbit, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*what was there before is untouched"):
        write_movie(orbit, tmp_path / "file" / "run.mp4", seconds=0.3, fps=10)


# ---- what cannot be made ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["run.gif", "run", "run.mp4.txt"])
def test_another_suffix_is_one_sentence(orbit, tmp_path, name):
    with pytest.raises(UserError, match=r"only MP4 is made; give a name that ends in \.mp4\."):
        write_movie(orbit, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"seconds": 0.0}, {"seconds": float("nan")}, {"fps": 0}])
def test_a_length_that_is_no_length_is_one_sentence(orbit, tmp_path, changes):
    with pytest.raises(UserError, match="both must be positive"):
        write_movie(orbit, tmp_path / "run.mp4", **changes)


@pytest.mark.parametrize("times", [[2.0], [2.0, 2.0]])
def test_a_run_that_took_no_time_is_one_sentence(make_trajectory, tmp_path, times):
    with pytest.raises(UserError, match=r"took no time \(t = 2 to 2\); simulate further"):
        write_movie(make_trajectory(times, np.ones((1, 2, 2))), tmp_path / "run.mp4")


@pytest.mark.parametrize(("missing", "package"), [("imageio_ffmpeg", "imageio-ffmpeg"), ("matplotlib.figure", "matplotlib")])
def test_without_the_extra_the_sentence_names_it(orbit, tmp_path, monkeypatch, missing, package):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf"^a movie needs {package}: pip install 'aitimestepper\[report\]'\.$"):
        write_movie(orbit, tmp_path / "run.mp4")


# ---- where the bodies are --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [2, 3])
def test_interpolation_is_exact_for_cubic_motion(make_trajectory, dim):
    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=(4, 3, dim))
    recorded = np.sort(rng.uniform(-1, 2, 9))
    times = np.sort(np.append(rng.uniform(recorded[0], recorded[-1], 40), recorded))
    expected = make_trajectory(times, coefficients).position
    assert np.abs(positions_at(make_trajectory(recorded, coefficients), times) - expected).max() < 1e-13


def test_interpolation_between_leapfrog_steps_is_as_good_as_the_steps(two_body):
    """Halving the step divides the error between the states by 4 (leapfrog), not by less."""

    def largest_gap(steps: int) -> float:
        def run(n: int) -> TrajectoryRecorder:
            return recorded(two_body(e=0.3), t_end=4.0, criterion=Constant(4.0 / n))

        times = np.linspace(0, 4, 301)
        fine = run(1600).trajectory()
        return float(np.abs(positions_at(run(steps).trajectory(), times) - positions_at(fine, times)).max())

    assert largest_gap(50) / largest_gap(100) == pytest.approx(4, rel=0.1)


def test_bodies_recorded_too_rarely_do_not_swing_out(make_trajectory):
    """A circle of radius 1 recorded every 10.3 revolutions: the cubic would leave it by 9 radii."""
    time = np.arange(12) * 10.3
    angle = 2 * np.pi * time
    position = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None] * np.array([1.0, -1.0])[:, None]
    velocity = 2 * np.pi * np.stack([-np.sin(angle), np.cos(angle)], -1)[:, None] * np.array([1.0, -1.0])[:, None]
    changes = {"position": position, "velocity": velocity}
    times = np.linspace(time[0], time[-1], 500)
    thinned = make_trajectory(time, np.zeros((1, 2, 2)), **changes, dt=np.full(12, 0.01))
    assert np.linalg.norm(positions_at(thinned, times), axis=-1).max() <= 1 + 1e-12
    whole = make_trajectory(time, np.zeros((1, 2, 2)), **changes)
    assert np.linalg.norm(positions_at(whole, times), axis=-1).max() > 5


def test_the_view_holds_a_run_and_not_an_escaper(escaping, orbit):
    trajectory = escaping.trajectory()
    view = view_of(trajectory)
    assert not view.outside(trajectory.position[:, :4]).any()
    assert view.outside(trajectory.position[-1, 4])
    assert not view.outside(trajectory.position[0, 4])
    assert view.half.max() < 0.2 * np.abs(trajectory.position[-1, 4]).max()
    assert view.half.min() >= 0.4 * view.half.max()
    assert not view_of(orbit, aspect=1.5).outside(orbit.position).any()
    np.testing.assert_allclose(view_of(orbit, aspect=1.5).half[0], 1.5 * view_of(orbit, aspect=1.5).half[1])


def test_the_view_of_a_light_companion_far_out_holds_it(two_body):
    """Far out is not escaping: a planet at 1000 times the distance of its star from the centre."""
    trajectory = recorded(two_body(e=0.8, q=1e-3), t_end=6.0).trajectory()
    assert not view_of(trajectory).outside(trajectory.position).any()


def test_trails_end_at_the_bodies_and_fade(orbit):
    trails = trails_of(orbit, view_of(orbit), 100)
    here = positions_at(orbit, np.array([3.0]))[0]
    points, strength = trails.behind(3.0, here)
    np.testing.assert_array_equal(points[-1], here)
    assert strength[-1] == 1
    assert (np.diff(strength) > 0).all()
    assert strength[0] < 0.1
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    assert gaps.max() < 0.03 * view_of(orbit).half.max()  # no corners


def test_dots_grow_with_the_mass_and_massless_bodies_are_visible():
    areas = dot_areas(np.array([0.0, 1e-3, 0.5, 1.0]))
    assert (np.diff(areas) > 0).all()
    assert areas[0] > 8  # points squared: 4 pixels across
    assert (dot_areas(np.ones(1000)) > 0.5).all()


# ---- what is shown beside them ---------------------------------------------------------------------------------------
def test_conserved_quantities_are_those_of_the_summary(random_system):
    recorder = TrajectoryRecorder()
    result = simulate(random_system(n=4), steps=50, output_steps=1, sinks=(recorder.take,))
    trajectory = recorder.trajectory()
    assert momentum_error(trajectory)[-1] == pytest.approx(result.momentum_error[0].item(), rel=1e-9, abs=1e-15)
    assert angular_momentum_error(trajectory)[-1] == pytest.approx(result.angular_momentum_error[0].item(), rel=1e-9, abs=1e-15)
    assert [s.name for s in series_of(trajectory)] == [
        "energy",
        "relative energy error",
        "momentum error",
        "angular momentum error",
        "time step dt",
    ]


def test_the_step_that_lands_on_the_end_is_not_shown(make_trajectory):
    trajectory = make_trajectory([0.0, 1.0, 2.0, 2.1], np.ones((1, 2, 2)))
    np.testing.assert_array_equal(shown_dt(trajectory), [1, 1, 1, 1])
    np.testing.assert_allclose(trajectory.dt, [1, 1, 1, 0.1])
