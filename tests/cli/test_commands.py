"""The commands that train and simulate, as a user runs them."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from aitimestepper import (
    HutMakinoMcMillan,
    SimulationResult,
    Snapshots,
    Symmetrized,
    simulate,
)
from aitimestepper.cli import COMMANDS
from aitimestepper.cli.arguments import SECTIONS
from aitimestepper.cli.simulation import settings_for, step_for
from aitimestepper.policy import cheapest_splitting

SUMMARY = {"status", "time", "steps", "force_evaluations", "max_energy_error", "final_energy_error"}
SUMMARY |= {"momentum_error", "angular_momentum_error"}


def ok(done):
    assert done.returncode == 0, done.stderr
    return done


def test_the_end_time_is_reached_exactly_and_is_never_overridden(command):
    """Trap 7; --duration is the same thing."""
    for flag in ("--t-end", "--duration"):
        summary = json.loads(ok(command("simulate", "--criterion", "freefall:eta=0.1", flag, "1.2345")).stdout)
        assert summary["time"] == 1.2345
        assert summary["status"] == "ok"
    default = json.loads(ok(command("simulate", "--criterion", "freefall:eta=0.2", "--ic", "kepler:e=0.1")).stdout)
    assert default["time"] == pytest.approx(10 * 2 * np.pi)


@pytest.mark.parametrize(
    "ic", ["kepler:e=0.9,q=0.1", "figure8", "burrau", "plummer:n=8,seed=1", "random:n=3", "kozai", "solar", "agekyan"]
)
def test_initial_conditions_by_name(command, ic):
    summary = json.loads(ok(command("simulate", "--ic", ic, "--criterion", "freefall:eta=0.02", "--steps", "20")).stdout)
    assert summary["steps"] == 20
    assert summary["max_energy_error"] < 1e-3
    assert summary["momentum_error"] < 1e-13
    assert summary["angular_momentum_error"] < 1e-13


@pytest.mark.parametrize(
    "criterion",
    ["constant:dt=0.01", "freefall", "hutmakino", "aarseth:eta=0.002", "tidal", "prs23", "boekholt", "energybudget:tol=1e-3"],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_criterion_by_name(command, criterion, wrapped):
    flags = ["--symmetrized"] if wrapped else []
    done = ok(command("simulate", "--ic", "kepler:e=0.5", "--criterion", criterion, "--t-end", "1.0", *flags))
    summary = json.loads(done.stdout)
    assert summary["time"] == 1.0
    assert summary["max_energy_error"] < 1e-2
    assert (summary["integrator"] == "radau15") == (criterion == "prs23")
    assert summary["criterion"].startswith("symmetrized(") == wrapped


@pytest.mark.parametrize(
    ("flags", "criterion", "integrator"),
    [
        ("--criterion freefall:eta=0.1 --symmetrizer explicit", "symmetrized(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer explicit --symmetrized", "symmetrized(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer huayno", "huayno(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer hmm --integrator suzuki4", "hmm(freefall(0.1), 3)", "suzuki4"),
        ("--tol 1e-3 --symmetrizer hmm", "hmm(learned, 3)", cheapest_splitting(1e-3)),
    ],
)
def test_steps_are_made_time_symmetric_as_asked(command, flags, criterion, integrator):
    summary = json.loads(ok(command("simulate", "--ic", "kepler:e=0.5", "--t-end", "1.0", *flags.split())).stdout)
    assert (summary["criterion"], summary["integrator"]) == (criterion, integrator)
    assert summary["max_energy_error"] < 1e-2


@pytest.mark.parametrize(
    ("given", "wrapper", "integrator"),
    [
        ({"tol": 1e-2, "symmetrizer": "hmm"}, HutMakinoMcMillan, cheapest_splitting(1e-2)),
        ({"tol": 1e-2, "symmetrized": True}, Symmetrized, cheapest_splitting(1e-2)),
        ({"tol": 1e-6, "integrator": "blanes_moan6", "symmetrized": True}, Symmetrized, "blanes_moan6"),
        ({"criterion": "energybudget:tol=1e-3,integrator=suzuki4", "symmetrizer": "hmm"}, HutMakinoMcMillan, "suzuki4"),
        ({"criterion": "freefall", "integrator": "kahan_li6", "symmetrizer": "hmm"}, HutMakinoMcMillan, "kahan_li6"),
        ({"criterion": "default", "tol": 1e-4, "symmetrizer": "hmm"}, HutMakinoMcMillan, cheapest_splitting(1e-4)),
    ],
)
def test_a_wrapper_stands_around_what_the_policy_chooses(given, wrapper, integrator):
    config, model = settings_for(given)
    criterion, method = step_for(config, given, model)
    assert (type(criterion), method) == (wrapper, integrator)
    assert not isinstance(criterion.criterion, Symmetrized)


def test_without_a_symmetrizer_the_policy_decides_alone():
    """What simulate() makes of a tolerance is decided in policy.py, the same for Python and the command line."""
    for given, expected in (
        ({"tol": 1e-4}, (None, "auto")),
        ({"criterion": "prs23"}, ("prs23", "auto")),
        ({"criterion": "prs23", "integrator": "hermite4:n=3"}, ("prs23", "hermite4:n=3")),
    ):
        assert step_for(*settings_for(given)[:1], given, None) == expected


@pytest.mark.parametrize(
    ("flags", "criterion", "integrator"),
    [
        ("--criterion prs23", "prs23(0.175", "radau15"),
        ("--criterion prs23:eta=0.1", "prs23(0.1)", "radau15"),
        ("--criterion prs23 --integrator leapfrog", "prs23(0.02)", "leapfrog"),
        ("--criterion lastterm", "lastterm(1e-09)", "radau15"),
        ("--criterion freefall --integrator hermite4:n=3", "freefall(0.02)", "hermite4:n=3"),
        ("--criterion freefall --integrator hermite4", "freefall(0.02)", "hermite4"),
        ("--criterion default --tol 1e-3", "symmetrized(learned)", cheapest_splitting(1e-3)),
        ("--model default --tol 1e-3", "symmetrized(learned)", cheapest_splitting(1e-3)),
        ("--tol 1e-12", "prs23(", "radau15"),
    ],
)
def test_criterion_and_integrator_of_a_run(command, flags, criterion, integrator):
    summary = json.loads(ok(command("simulate", "--ic", "kepler:e=0.5", "--t-end", "1.0", *flags.split())).stdout)
    assert summary["criterion"].startswith(criterion)
    assert summary["integrator"] == integrator
    assert summary["time"] == 1.0


def test_a_tolerance_and_whether_the_run_stayed_within_it(command):
    summary = json.loads(ok(command("simulate", "--tol", "1e-4", "--ic", "kepler:e=0.5", "--t-end", "10")).stdout)
    assert summary["tol"] == 1e-4
    assert summary["within_tolerance"] is True
    assert summary["max_energy_error"] < 1e-4
    assert "within_tolerance" not in json.loads(ok(command("simulate", "--criterion", "freefall", "--steps", "3")).stdout)


def test_a_file_of_bodies_runs_for_ten_periods_of_its_tightest_pair(command, tmp_path):
    """Two stars, and a third one so far away that ten crossing times of the system would be 1e6 orbits."""
    (tmp_path / "b.txt").write_text("0.5 -0.5 0 0 -0.5\n0.5 0.5 0 0 0.5\n1e-6 1e5 0 0 0\n")
    summary = json.loads(ok(command("simulate", "--ic", "file:b.txt", "--criterion", "freefall:eta=0.2")).stdout)
    assert summary["time"] == pytest.approx(10 * 2 * np.pi, rel=1e-6)


def test_a_table_with_units_runs_in_them(command, tmp_path):
    (tmp_path / "p.csv").write_text("name,m [Msun],a [au],e\nSun,1,,\nJupiter,9.55e-4,5.203,0.0484\n")
    flags = ("--ic", "file:p.csv", "--criterion", "freefall:eta=0.2")
    years = json.loads(ok(command("simulate", *flags, "--output", "run.h5")).stdout)
    assert years["time"] == pytest.approx(118.6, rel=1e-3)  # ten orbits of Jupiter
    with Snapshots(tmp_path / "run.h5") as rows:
        assert (rows.initial.units.name, rows.initial.names) == ("au Msun (au / yr)", ("Sun", "Jupiter"))
    days = json.loads(ok(command("simulate", *flags, "--units", "au Msun day")).stdout)
    assert days["time"] == pytest.approx(365.25 * years["time"], rel=1e-12)


def test_the_command_line_and_python_give_the_same_run(command):
    """The same decisions, the same bits."""
    from aitimestepper.initial.named import kepler

    summary = json.loads(ok(command("simulate", "--ic", "kepler:e=0.7", "--tol", "1e-5", "--t-end", "7")).stdout)
    result: SimulationResult = simulate(kepler(e=0.7), tol=1e-5, t_end=7.0)
    python = result.summary()
    for content in (summary, python):
        content.pop("wall_time")
    assert summary == python


def test_an_output_that_exists_is_refused_in_words_for_both(command, tmp_path):
    flags = ("simulate", "--criterion", "freefall", "--t-end", "1", "--output", "run.h5")
    ok(command(*flags))
    done = command(*flags)
    sentence = "run.h5 exists; pass overwrite=True (--overwrite on the command line) or another name."
    assert (done.returncode, done.stderr) == (2, f"aitimestepper: error: {sentence}\n")
    ok(command(*flags, "--overwrite"))
    assert "leave out --tol" in command("simulate", "--resume", "run.h5", "--tol", "1e-3").stderr
    further = json.loads(ok(command("simulate", "--resume", "run.h5", "--t-end", "2")).stdout)
    assert (further["time"], further["criterion"]) == (2.0, "freefall(0.02)")


def test_a_batch_has_one_summary_a_system(command):
    done = ok(
        command("simulate", "--ic", "kepler", "--num-orbits", "3", "--seed", "1", "--criterion", "freefall", "--t-end", "2")
    )
    summary = json.loads(done.stdout)
    assert len(summary["systems"]) == 3
    assert {s["time"] for s in summary["systems"]} == {2.0}
    assert len({s["steps"] for s in summary["systems"]}) > 1


def test_softening_g_and_limits_reach_the_physics(command):
    def steps(*flags):
        return json.loads(ok(command("simulate", "--criterion", "freefall:eta=0.02", "--t-end", "3", *flags)).stdout)

    plain = steps()
    assert steps("--G", "4", "--ic", "kepler:e=0.5")["steps"] > 1.5 * plain["steps"]  # twice as fast, the same 3 time units
    assert steps("--softening", "0.5")["steps"] < 0.8 * plain["steps"]
    assert steps("--dt-max", "0.005")["dt_max"] == 0.005
    assert steps("--dt-min", "0.02")["dt_min"] == 0.02
    assert steps("--integrator", "suzuki4")["force_evaluations"] == 5 * plain["steps"] + 1


@pytest.mark.parametrize("what", ["ic", "criteria"])
def test_lists(command, what):
    text = ok(command("simulate", f"--list-{what}")).stdout
    for name in {"ic": ("kepler", "burrau", "plummer", "file:path"), "criteria": ("constant", "prs23", "energybudget")}[what]:
        assert name in text


def test_help_teaches(command):
    done = ok(command("--help"))
    for word in ("examples:", "train", "simulate", "both", "--config"):
        assert word in done.stdout
    train = ok(command("train", "--help")).stdout
    for name in (
        "--energy-threshold",
        "--steps-per-epoch",
        "--epochs",
        "--max-retrain-steps",
        "(default: 0.0002 / 1e-06)",
        "examples:",
    ):
        assert name in train
    assert "--t-end" in ok(command("simulate", "--help")).stdout


def test_a_movie_from_the_command_line(command, tmp_path):
    ok(
        command(
            "simulate", "--ic", "figure8", "--criterion", "freefall", "--t-end", "3", "--movie", "m.mp4", "--movie-seconds", "1"
        )
    )
    assert (tmp_path / "m.mp4").read_bytes()[4:8] == b"ftyp"


def test_every_command_has_its_module_and_loads_no_other():
    """A simulation loads nothing of trainings, studies, pictures, or tables on the terminal."""
    program = (
        "import sys\n"
        "from aitimestepper.cli import main\n"
        "code = main(['simulate', '--criterion', 'freefall', '--steps', '3', '--quiet'])\n"
        "heavy = ('torch', 'rich', 'matplotlib', 'h5py', 'wandb', 'aitimestepper.bench', 'aitimestepper.evaluation')\n"
        "assert not [m for m in sys.modules if m.startswith(heavy)], sys.modules\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(COMMANDS) == {*SECTIONS, "inspect", "bench", "ensemble", "sweep", "plot", "completion", "doctor"}


def test_module_and_version():
    done = subprocess.run([sys.executable, "-m", "aitimestepper", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("aitimestepper 0.")
    bad = subprocess.run(
        [sys.executable, "-m", "aitimestepper", "simulate", "--steps", "0"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 2
    assert bad.stderr == "aitimestepper: error: steps = 0 must be >= 1.\n"


def test_problems_of_a_family_end_where_the_family_says(command):
    """Ten orbits of a Kepler problem, a crossing of others; each system has its own end."""
    done = ok(command("simulate", "--ic-family", "kepler", "triple", "--num-orbits", "2", "--tol", "1e-3", "--json"))
    ends = [system["time"] for system in json.loads(done.stdout)["systems"]]
    assert ends[:2] == [10 * 2 * math.pi] * 2
    assert len(set(ends)) == 3


def test_events_and_output_times_from_the_command_line(command, tmp_path):
    flags = ["--ic", "kepler:e=0.5", "--criterion", "freefall:eta=0.01", "--t-end", "7", "--output", str(tmp_path / "run.h5")]
    more = ["--times", "0", "2.5", "1", "--events", "encounter:below=0.51", "crossing:y=1,body=1"]
    refused = command("simulate", *flags, *more)
    assert refused.returncode == 2
    assert "times: 2.5 is followed by 1" in refused.stderr
    summary = json.loads(ok(command("simulate", *flags, *[word for word in more if word != "1"])).stdout)
    assert {event["kind"]: event["bodies"] for event in summary["events"]} == {"crossing": [1], "encounter": [0, 1]}
    assert [event["time"] for event in summary["events"]] == pytest.approx([math.pi] * 2, abs=1e-3)
    with Snapshots(tmp_path / "run.h5") as rows:
        assert rows.time[:, 0].tolist() == [0.0, 2.5]
    stopped = json.loads(ok(command("simulate", *flags[:-2], "--events", "encounter:below=0.51,stop=yes")).stdout)
    assert (stopped["status"], stopped["time"]) == ("event", summary["events"][1]["time"])
    backward = json.loads(ok(command("simulate", "--ic", "kepler:e=0.5", "--tol", "1e-4", "--t-end=-3")).stdout)
    assert backward["time"] == -3.0
