"""Plots of a run: what is drawn is the run, whatever it comes from, and no global state of matplotlib is touched."""

import dataclasses
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pytest

import aitimestepper
from aitimestepper import Bodies, Constant, Simulation, Snapshots, simulate
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.initial.named import kepler, triple
from aitimestepper.report import plots
from aitimestepper.report.run_data import run_data
from aitimestepper.simulate.recording import TrajectoryRecorder

PAGE = (Path(__file__).parents[2] / "docs" / "plots.md").read_text(encoding="utf-8")
SPACE = [[0.0, 0.0, 0.1], [1.0, 0.0, -0.2], [0.0, 3.0, 0.3]]
SPEED = [[0.0, 0.0, 0.0], [0.0, 1.0, 0.1], [-0.5, 0.0, 0.0]]


class Trajectory(NamedTuple):
    """States at chosen times, as of a simulation."""

    time: np.ndarray
    position: np.ndarray
    velocity: np.ndarray


class Held(NamedTuple):
    """Anything with a trajectory and bodies."""

    trajectory: Trajectory
    bodies: Bodies
    tol: float | None = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def orbit(folder):
    """Two revolutions of a pair with names, at a tolerance."""
    start = Bodies(*kepler(e=0.6, q=0.5)[:3], names=["A", "B"])
    return simulate(start, t_end=4 * np.pi, tol=1e-4, output=folder / "orbit.h5")


@pytest.fixture(scope="module")
def hierarchy(folder):
    return simulate(triple(i=0.0), t_end=60.0, tol=1e-5, output=folder / "triple.h5")


def held(result) -> Held:
    """The rows of a file as a trajectory without steps and errors."""
    with Snapshots(result.output) as s:
        return Held(Trajectory(s.time[:, 0], s.position[:], s.velocity[:]), s.initial)


def line(ax, k=0):
    return np.array(ax.lines[k].get_data())


def test_paths_are_ellipses_about_the_centre_of_mass(orbit):
    """The heavier body has e = 0.6 about the centre of mass, with an axis of 1/3: every vertex lies on that ellipse."""
    ax = plots.plot_orbits(orbit)
    for k, a in ((0, 1 / 3), (1, 2 / 3)):
        x, y = line(ax, k)
        assert len(x) > 1000
        side = 1 if x.max() > -x.min() else -1  # where its apocentre is
        r = np.hypot(x, y)
        cos = -side * x / r
        assert np.allclose(r, a * (1 - 0.6**2) / (1 + 0.6 * cos), rtol=2e-3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B"]
    assert ax.get_aspect() == 1.0
    end = np.concatenate([dots.get_offsets() for dots in ax.collections])
    assert np.array_equal(end, orbit.final.position[0])


def test_a_run_is_a_path_snapshots_a_result_or_anything_with_a_trajectory(orbit):
    wanted = line(plots.plot_orbits(str(orbit.output)), 1)
    with Snapshots(orbit.output) as s:
        assert np.array_equal(line(plots.plot_orbits(s), 1), wanted)
    assert np.array_equal(line(plots.plot_orbits(orbit), 1), wanted)
    # its steps are unknown, so that it is interpolated with more caution
    found = line(plots.plot_orbits(held(orbit)), 1)
    assert np.abs(found - wanted).max() < 1e-3
    recorder = TrajectoryRecorder()
    simulate(kepler(e=0.6), t_end=1.0, criterion=Constant(1e-2), output_steps=1, sinks=(recorder.take,))
    assert line(plots.plot_steps(recorder.trajectory()))[1] == pytest.approx(1e-2)


def test_the_system_that_is_asked_for_is_drawn_without_absent_bodies(folder):
    two, three = Bodies(*kepler(e=0.3)[:3]), Bodies(*triple(i=0.0)[:2], triple(i=0.0).velocity)
    flat = Bodies(three.mass, three.position[..., :2], three.velocity[..., :2])
    both = Bodies.stack([two, flat])
    simulate(both, t_end=[2.0, 9.0], tol=1e-3, output=folder / "both.h5")
    pair, trio = (run_data(folder / "both.h5", system) for system in (0, 1))
    assert (len(pair.names), len(trio.names)) == (2, 3)
    assert (pair.time[-1], trio.time[-1]) == pytest.approx((2.0, 9.0), abs=0.01)  # rows are 0.009 apart
    assert np.isfinite(pair.position).all()


def test_energy_errors_are_those_of_the_run_beside_the_tolerance(orbit):
    ax = plots.plot_energy(orbit)
    time, error = line(ax, 0)
    with Snapshots(orbit.output) as s:
        assert np.array_equal(time, s.time[:, 0])
        assert np.allclose(error, np.maximum(np.abs(s.energy_error[:, 0]), 1e-17), rtol=0)
    assert line(ax, 1)[1] == pytest.approx([1e-4, 1e-4])
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < error.max() < 1e-4 < high
    # from positions and velocities alone, to rounding
    again = line(plots.plot_energy(held(orbit)))[1]
    assert np.abs(again - error).max() < 1e-13


def test_steps_are_those_of_the_run_but_the_last_which_is_cut(folder):
    simulate(kepler(e=0.5), t_end=1.005, criterion=Constant(1e-2), output=folder / "steps.h5")
    time, dt = line(plots.plot_steps(folder / "steps.h5"))
    assert len(time) > 500
    assert time[0] == 0.0
    assert dt == pytest.approx(1e-2)  # the start, to which no step led, and rows inside the last step, of 0.005, included


def test_elements_of_a_pair_are_constant(orbit):
    above, below = plots.plot_elements(orbit)
    assert line(above)[1] == pytest.approx(1.0, rel=1e-3)
    assert line(below)[1] == pytest.approx(0.6, rel=1e-3)
    assert above.get_legend().get_title().get_text() == "orbit about A"
    named = plots.plot_elements(orbit, pair=("B", 0))
    assert np.allclose(line(named[0])[1], line(above)[1], rtol=1e-12)


def test_the_outer_orbit_of_a_triple_is_about_the_centre_of_mass_of_the_inner_pair(hierarchy):
    above, below = plots.plot_elements(hierarchy, primary=(0, 1))
    assert len(above.lines) == 1
    assert line(above)[1] == pytest.approx(10.0, rel=0.05)
    assert line(below)[1] == pytest.approx(0.4, abs=0.05)
    about_one = plots.plot_elements(hierarchy, primary=0)
    assert np.ptp(line(about_one[1], 1)[1]) > 5 * np.ptp(line(below)[1])


def test_an_orbit_that_is_not_bound_has_no_axis():
    away = Bodies([1.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.5, 3.0]])
    result = simulate(away, t_end=1.0, criterion=Constant(1e-2))
    one = Held(
        Trajectory(
            np.array([0.0, 1.0]),
            np.stack([away.position, result.final.position]),
            np.stack([away.velocity, result.final.velocity]),
        ),
        away,
    )
    above, below = plots.plot_elements(one)
    assert np.isnan(line(above)[1]).all()
    assert (line(below)[1] > 1).all()


def test_planes_and_a_body_at_rest(folder):
    start = Bodies([1.0, 1e-3, 1e-3], SPACE, SPEED, names=["Sun", "a", "b"])
    simulate(start, t_end=1.0, tol=1e-4, output=folder / "space.h5")
    with Snapshots(folder / "space.h5") as s:
        x = s.position[:, 0]
    ax = plots.plot_orbits(folder / "space.h5", axes="zx", about="Sun")
    assert np.array_equal(line(ax, 0), np.zeros_like(line(ax, 0)))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z", "x")
    wanted = (x[:, 2] - x[:, 0])[:, [2, 0]]
    rows = np.isin(line(ax, 2)[0], wanted[:, 0])
    assert rows.sum() >= len(wanted) - 1
    assert np.allclose(line(plots.plot_orbits(folder / "space.h5", about=0), 0), 0)


def test_rows_too_far_apart_for_a_path_are_dots(folder):
    path = folder / "rare.h5"
    simulate(kepler(e=0.2), t_end=300.0, criterion=Constant(0.02), output=path, output_every=2.5)
    ax = plots.plot_orbits(path)
    assert [one.get_linestyle() for one in ax.lines] == ["None", "None"]
    with Snapshots(path) as s:
        assert np.array_equal(line(ax, 0).T, s.position[:, 0, 0])


def test_many_rows_are_thinned_and_the_last_is_drawn(folder, monkeypatch):
    monkeypatch.setattr("aitimestepper.report.run_data.MOST_ROWS", 100)
    simulate(kepler(e=0.2), t_end=10.0, criterion=Constant(0.05), output=folder / "many.h5", output_every=0.0103)
    data = run_data(folder / "many.h5")
    assert 90 <= len(data.time) <= 103
    with Snapshots(folder / "many.h5") as s:
        assert (data.time[0], data.time[-1]) == (s.time[0, 0], s.time[-1, 0])
        assert np.array_equal(data.position[-1], s.position[-1, 0])
    assert (np.diff(data.time) > 0).all()


def test_units_are_in_the_labels(orbit):
    class Units(NamedTuple):
        labels: tuple

    data = dataclasses.replace(run_data(orbit), units=Units(("au", "Msun", "yr", "km/s")))
    ax = plots.plot_orbits(data)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [au]", "y [au]")
    assert plots.plot_steps(data).get_ylabel() == "time step [yr]"
    assert plots.plot_energy(data).get_xlabel() == "time [yr]"
    assert plots.plot_elements(data)[0].get_ylabel() == "semi-major axis [au]"
    assert plots.plot_orbits(orbit).get_xlabel() == "x"


@pytest.mark.parametrize("scale", [1e-100, 1e-20, 1e20, 1e100])
def test_any_units_fill_the_picture(orbit, scale):
    data = run_data(orbit)
    there = dataclasses.replace(data, position=data.position * scale, velocity=data.velocity * scale)
    low, high = plots.plot_orbits(there).get_xlim()
    assert high - low == pytest.approx(scale * np.ptp(data.position[..., 0]), rel=0.2)


def test_a_column_that_is_damaged_counts_as_unknown(orbit, monkeypatch):
    real = Snapshots.column

    def damaged(self, name):
        values = real(self, name)[:]
        if name == "energy_error":
            values[5] = np.nan
        return values

    wanted = line(plots.plot_energy(orbit))[1]
    monkeypatch.setattr(Snapshots, "column", damaged)
    assert line(plots.plot_energy(orbit))[1] == pytest.approx(wanted, abs=1e-13)  # from positions and velocities


def test_numbers_that_cannot_be_drawn_are_refused(orbit):
    rows = held(orbit)
    far = rows.trajectory._replace(position=rows.trajectory.position * 1e200)
    with pytest.raises(UserError, match="so large that they cannot be drawn"):
        plots.plot_orbits(rows._replace(trajectory=far))


def test_a_simulation_is_drawn_from_its_start_to_now(orbit):
    sim = Simulation(orbit.limits.start, tol=1e-4, t_end=13.0)
    with pytest.raises(UserError, match="at its start"):
        plots.plot_orbits(sim)
    sim.integrate(4.0)
    data = run_data(sim)
    assert (data.time[0], data.time[-1], data.tol) == (0.0, 4.0, 1e-4)
    assert np.array_equal(data.position[-1], sim.position)
    assert data.energy_error[-1] == pytest.approx(abs(sim.energy_error))
    assert line(plots.plot_steps(sim))[1][-1] > 0


def test_times_that_were_asked_for_are_drawn():
    times = np.linspace(0.0, 3.0, 50)
    result = simulate(kepler(e=0.3), times=times, criterion=Constant(0.01))
    data = run_data(result)
    assert np.array_equal(data.time, times)
    assert np.array_equal(data.position, result.trajectory.position[:, 0])
    assert np.array_equal(
        line(plots.plot_energy(result))[1][1:], np.maximum(np.abs(result.trajectory.energy_error[1:, 0]), 1e-17)
    )


def test_a_run_backward_in_time_ends_where_it_ends(folder):
    result = simulate(kepler(e=0.3), t_end=-2.0, criterion=Constant(0.01), output=folder / "back.h5")
    data = run_data(result)
    assert (np.diff(data.time) > 0).all()
    assert data.time[-1] == 0.0
    ax = plots.plot_orbits(result)
    with Snapshots(result.output) as s:
        assert np.array_equal(ax.collections[0].get_offsets(), s.position[-1, 0])
    assert line(plots.plot_steps(result))[1] == pytest.approx(0.01)
    rows = held(result)
    assert line(plots.plot_energy(rows))[1][-1] <= 1e-17  # at the start


def test_axes_that_are_given_are_drawn_in(orbit):
    from aitimestepper.report.style import new_figure

    axes = new_figure(500, 500).subplots(2, 2)
    assert plots.plot_orbits(orbit, ax=axes[0, 0]) is axes[0, 0]
    assert plots.plot_energy(orbit, ax=axes[0, 1]) is axes[0, 1]
    assert list(plots.plot_elements(orbit, ax=axes[1])) == list(axes[1])
    with pytest.raises(UserError, match="draws in two axes, and ax has 1"):
        plots.plot_elements(orbit, ax=axes[0, 0])


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda r: plots.plot_orbits(3), "int 3 holds no rows to draw"),
        (lambda r: plots.plot_orbits(dataclasses.replace(r, output=None)), "SimulationResult .* holds no rows"),
        (lambda r: plots.plot_orbits("nothing.h5"), "nothing.h5"),
        (lambda r: plots.plot_orbits(r, system=1), "system = 1: the run has systems 0 to 0"),
        (lambda r: plots.plot_orbits(r, system=True), "system = True"),
        (lambda r: plots.plot_orbits(r, axes="xz"), "axes = 'xz' must be two of x, y"),
        (lambda r: plots.plot_orbits(r, axes="xx"), "must be two of"),
        (lambda r: plots.plot_orbits(r, axes=None), "must be two of"),
        (lambda r: plots.plot_orbits(r, about="C"), "there is no body 'C' in the run: "),
        (lambda r: plots.plot_orbits(r, about=2), "there is no body 2"),
        (lambda r: plots.plot_elements(r, pair=(0, 0)), "two different numbers"),
        (lambda r: plots.plot_elements(r, pair=(0,)), "must be two bodies"),
        (lambda r: plots.plot_elements(r, pair=(0, 1), primary=0), "give one of them"),
        (lambda r: plots.plot_elements(r, primary=(0, 1)), "leave at least one body"),
        (lambda r: plots.plot_elements(r, primary=()), "leave at least one body"),
        (lambda r: plots.plot_steps(held(r)), "holds no steps"),
        (lambda r: plots.plot_energy(held(r)._replace(bodies=None)), "no bodies"),
        (lambda r: plots.plot_orbits(Held(Trajectory(*(x[:1] for x in held(r).trajectory)), r.final)), "has 1 rows"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(orbit, draw, words):
    with pytest.raises(UserError, match=words) as found:
        draw(orbit)
    assert "\n" not in str(found.value)


def test_rows_that_are_no_numbers_are_refused(orbit):
    rows = held(orbit)
    broken = rows.trajectory._replace(velocity=np.full_like(rows.trajectory.velocity, np.nan))
    with pytest.raises(UserError, match="not finite"):
        plots.plot_orbits(rows._replace(trajectory=broken))


def test_a_figure_of_its_own_touches_no_setting(orbit):
    before = dict(matplotlib.rcParams)
    figure = plots.plot_orbits(orbit).figure
    assert dict(matplotlib.rcParams) == before
    assert figure.get_layout_engine() is not None


def test_matplotlib_is_loaded_by_a_plot_and_pyplot_never(folder, orbit):
    code = f"""
import sys
import aitimestepper
assert "plots" in dir(aitimestepper) and "movie" in dir(aitimestepper)
plots = aitimestepper.plots
assert callable(aitimestepper.movie)
print([m for m in ("matplotlib", "h5py", "numba") if m in sys.modules])
ax = plots.plot_orbits({str(orbit.output)!r})
print("matplotlib.pyplot" in sys.modules, len(ax.lines))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[]", "False 2"], done.stderr


def test_without_matplotlib_a_plot_names_the_extra(orbit, monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"a plot needs matplotlib: pip install 'aitimestepper\[report\]'"):
        plots.plot_orbits(orbit)


def test_a_movie_is_one_call(orbit, folder):
    import imageio_ffmpeg

    path = aitimestepper.movie(orbit, folder / "run.mp4", seconds=0.5, fps=8)
    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (4, pytest.approx(0.5))
    # rows without their steps have no panel for these
    aitimestepper.movie(held(orbit), folder / "held.mp4", seconds=0.25, fps=8)
    assert (folder / "held.mp4").stat().st_size > 5000


def test_the_page_about_plots_runs_and_its_commands_are_understood(tmp_path, monkeypatch, capsys):
    from aitimestepper.cli import arguments, main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the command line sets
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    shorter = code.replace("t_end=400.0", "t_end=40.0").replace("seconds=6", "seconds=0.25")
    assert shorter.count("40.0") == shorter.count("0.25") == 1
    exec(compile(shorter, "plots.md", "exec"), {})
    assert (tmp_path / "triple.mp4").stat().st_size > 5000
    lines = re.findall(r"^aitimestepper .*", PAGE, flags=re.M)
    assert {line.split()[1] for line in lines} == {"plot", "doctor", "completion"}
    for line in lines:
        words = shlex.split(line)[1:]
        assert arguments.parse(words).command == words[0]
        if words[0] == "plot":
            assert main(words) == 0, capsys.readouterr()
    assert {path.name for path in tmp_path.glob("*.[psd]*")} == {"orbits.pdf", "outer.pdf", "energy.svg", "steps.png"}


def test_where_pyplot_is_in_use_it_shows_the_figure(orbit):
    code = f"""
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import aitimestepper
ax = aitimestepper.plots.plot_energy({str(orbit.output)!r})
print(plt.get_fignums() == [ax.figure.number], plt.gca() is ax)
own = plt.figure().subplots()
print(aitimestepper.plots.plot_steps({str(orbit.output)!r}, ax=own) is own, len(plt.get_fignums()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["True True", "True 2"], done.stderr


def test_a_simulation_draws_itself():
    sim = Simulation(triple(), tol=1e-4, t_end=20.0).integrate(10.0)
    assert len(sim.plot().lines) > 0
    assert sim.plot("energy").get_yscale() == "log"
    with pytest.raises(ConfigError, match="plot: 'orbit' is none"):
        sim.plot("orbit")
