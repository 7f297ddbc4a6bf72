"""`aitimestepper inspect` describes a file and names what can be done with it; foreign files are one sentence."""

import json
import re
import shlex
from dataclasses import replace

import h5py
import numpy as np
import pytest

from aitimestepper import FreeFall, Simulation
from aitimestepper.cli.arguments import parse
from aitimestepper.initial import triple
from aitimestepper.models import FOLDER, load_model, save_model
from aitimestepper.simulate.snapshots import SnapshotWriter

METADATA = {
    "program": "aitimestepper",
    "version": "0.1.0",
    "created": "2026-01-02T03:04:05",
    "versions": {"python": "3.11.7", "numpy": "2.4.6"},
    "criterion": "symmetrized(freefall(0.02))",
    "integrator": "suzuki4",
    "tol": 1e-6,
    "t_end": 60.0,
    "steps": None,
    "dt_max": float("inf"),
    "G": 1.0,
    "units": "G = 1, any consistent units",
}
RESULT = {
    "status": ["ok", "stuck"],
    "time": [60.0, 31.5],
    "steps": [1000, 10],
    "max_energy_error": [2.5e-7, float("nan")],
    "closest_approach": {"pair": [[0, 2], [1, 2]], "distance": [0.0312, 0.5], "time": [15.8301, 2.0]},
}


def write(path, result, metadata=METADATA, rows=7, systems=2):
    """A simulation of three bodies; the writer still has it open."""
    shape = (systems, 3, 2)
    initial = {"mass": np.ones(shape[:2]), "position": np.ones(shape), "velocity": np.ones(shape)}
    initial |= {"present": np.ones(shape[:2], bool), "time": np.zeros(systems), "softening": np.zeros(systems)}
    writer = SnapshotWriter.create(path, metadata=metadata, initial=initial, arrays={}, state={}, axes=2)
    scalars = {name: np.full((rows, systems), 0.5) for name in ("dt", "energy", "energy_error")}
    time = np.linspace(0, 60, rows)[:, None] * np.ones(systems)
    time[3:, 1:] = np.nan
    vectors = {name: np.ones((rows, *shape)) for name in ("position", "velocity")}
    writer.append({"time": time, **scalars, **vectors, "steps": np.ones((rows, systems), int)})
    writer.save_state({}, result)
    return writer


def lines_of(done) -> dict[str, str]:
    assert (done.returncode, done.stderr) == (0, "")
    whole = re.sub(r"\n +", " ", done.stdout)  # a line that was wrapped is indented where it goes on
    return dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in whole.splitlines())


def test_a_finished_simulation(command, tmp_path):
    write(tmp_path / "run[1].h5", RESULT).close()
    lines = lines_of(command("inspect", "run[1].h5"))
    size = (tmp_path / "run[1].h5").stat().st_size
    assert lines.pop("simulation") == f"run[1].h5 ({size / 1e3:.0f} kB)"
    assert lines == {
        "status": "finished: 1 ok, 1 stuck",
        "holds": "2 systems of 3 bodies in 2D",
        "rows": "7, t = 0 to 60",
        "criterion": "symmetrized(freefall(0.02))",
        "integrator": "suzuki4",
        "tolerance": "1e-06",
        "end time": "60",
        "units": "G = 1, any consistent units",
        "created": "2026-01-02T03:04:05",
        "steps taken": "at most 1000 (system 0), median 505",
        "largest energy error": "at most 2.5e-07 (system 0), median 2.5e-07",
        "closest approach": "0.0312 between bodies 0 and 2 of system 0, at t = 15.8301",
        "versions": "aitimestepper 0.1.0, python 3.11.7, numpy 2.4.6",
    }


def test_one_json_object_for_other_programs(command, tmp_path):
    write(tmp_path / "run.h5", RESULT).close()
    done = command("inspect", "run.h5", "--json")
    content = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert content["kind"] == "simulation"
    assert content["progress"] == "finished"
    assert content["status"] == ["ok", "stuck"]
    assert (content["systems"], content["bodies"], content["axes"], content["rows"]) == (2, 3, 2, 7)
    assert content["time"] == [0.0, 60.0]
    assert content["result"]["max_energy_error"] == [2.5e-7, None]
    assert content["result"]["closest_approach"] == RESULT["closest_approach"]
    assert content["settings"]["dt_max"] is None
    assert content["size"] == (tmp_path / "run.h5").stat().st_size


@pytest.mark.parametrize("systems", [1, 2])
def test_one_that_is_being_written_was_left_or_interrupted(command, tmp_path, systems):
    """It can be resumed as soon as nobody writes it any more, and the table says how."""
    writer = write(tmp_path / "run.h5", {"status": ["running", "ok"][:systems]}, systems=systems)
    lines = lines_of(command("inspect", "run.h5"))
    assert lines["status"] == "being written now (" + ("running)" if systems == 1 else "1 running, 1 ok)")
    assert "next" not in lines
    writer.close()
    lines = lines_of(command("inspect", "run.h5"))
    assert lines["status"].startswith("stopped before its end")
    assert lines["next"] == "aitimestepper simulate --resume run.h5"
    with SnapshotWriter.reopen(tmp_path / "run.h5") as writer:
        writer.save_state({}, {"status": ["interrupted", "ok"][:systems]})
    content = json.loads(command("inspect", "run.h5", "--json").stdout)
    assert content["progress"] == "unfinished"
    assert lines_of(command("inspect", "run.h5"))["status"].startswith("interrupted")


def test_a_file_that_says_little(command, tmp_path):
    """Metadata and result may lack everything."""
    write(tmp_path / "run.h5", {}, metadata={}, rows=0, systems=1).close()
    lines = lines_of(command("inspect", "run.h5"))
    assert set(lines) == {"simulation", "status", "holds", "rows", "next"}
    assert lines["rows"] == "0"
    assert lines["holds"] == "1 system of 3 bodies in 2D"
    assert json.loads(command("inspect", "run.h5", "--json").stdout)["time"] is None


def test_a_model_the_checkpoint_beside_it_and_a_run(command, trained):
    by_file = lines_of(command("inspect", trained / "model_epoch_0002.npz"))
    assert by_file["epochs"] == "2"
    assert by_file["trained on"] == "kepler:e=0.6"
    assert by_file["network"].startswith("FullyConnectedNN, layers 64 64, ")
    assert by_file["features"] == "basic, 11 inputs"
    assert by_file["integrator"] == "leapfrog"
    assert by_file["energy threshold"] == "0.0002"
    assert by_file["last epoch"].startswith("acceptance rate ")
    assert lines_of(command("inspect", trained / "model_epoch_0002.pt")) == by_file
    for run in (trained, "small"):
        found = json.loads(command("inspect", run, "--json").stdout)
        assert (found["kind"], found["epochs"]) == ("model", 3)
        following = parse(shlex.split(found["next"])[1:])
        assert following.command == "simulate"
        assert (trained / "model_epoch_0003.npz").samefile(trained.parents[1] / following.simulation["model"])


def test_a_calibrated_model_says_what_its_card_knows(command):
    card = load_model(FOLDER / "leapfrog.npz").card
    found = json.loads(command("inspect", FOLDER / "leapfrog.npz", "--json").stdout)
    families = ", ".join(card["families"])
    assert found["calibrated_for"] == [0.1, 0.01, 0.001, 0.0001]
    assert found["trained_on"] == families
    assert (found["seed"], found["hours"]) == (card["seed"], card["hours"])
    assert [[row["tol"], row["factor"]] for row in found["calibration"]] == card["calibration"]
    assert [[row["tol"], row["sensitive_factor"]] for row in found["calibration"]] == card["sensitive_calibration"]
    for row, score in zip(found["calibration"], card["validation"], strict=True):
        assert row["calibrated_tolerance"] == row["tol"] * row["factor"]
        assert {name: score[name] for name in ("compliance", "worst_compliance", "forces")}.items() <= row.items()
    assert "energy_threshold" not in found
    done = command("inspect", FOLDER / "leapfrog.npz")
    text = " ".join(done.stdout.split())
    assert "features invariant, 9 inputs" in text
    assert f"trained on runs of {families}; " in text
    (tol, factor), score = card["calibration"][0], card["validation"][0]
    own = card["sensitive_calibration"][0][1]
    first = f"{tol:g} {factor:.3g} {tol * factor:.3g} {own:.3g} {score['compliance']:.0%} {score['worst_compliance']:.0%}"
    assert f"calibrated for tolerance factor calibrated sensitive within worst {first} 0.01 " in text
    assert "kepler:e" not in text


@pytest.mark.parametrize(
    ("card", "trained_on"),
    [
        ({"families": ["kepler", "mine"], "seed": 4, "hours": 1.25}, "runs of kepler, mine; seed 4, 1.2 hours"),
        ({"plan": {"families": ["kepler"]}, "hours": 0.1}, "runs of kepler; 6 minutes"),
        ({}, "runs of problems that its card does not name"),
    ],
)
def test_cards_that_say_less(command, tmp_path, card, trained_on):
    """A card without a plan, without families, without a validation; the initial conditions of the settings never count."""
    calibration = [[1e-4, 0.5], [1e-2, 2.0]]
    save_model(tmp_path / "tuned.npz", replace(load_model(FOLDER / "leapfrog.npz"), card={"calibration": calibration, **card}))
    lines = command("inspect", "tuned.npz").stdout.splitlines()
    assert next(line for line in lines if line.startswith("trained on")).split(maxsplit=2)[2] == trained_on
    first = next(k for k, line in enumerate(lines) if line.startswith("calibrated for"))
    assert lines[first].split() == ["calibrated", "for", "tolerance", "factor", "calibrated"]
    assert [line.split() for line in lines[first + 1 : first + 3]] == [["0.01", "2", "0.02"], ["0.0001", "0.5", "5e-05"]]
    assert lines[first + 3].startswith("next")


def test_paths_and_commands_are_on_one_line_however_long(command, tmp_path):
    path = tmp_path / f"{'long_name_' * 12}.h5"
    write(path, {"status": ["interrupted"]}, systems=1).close()
    lines = command("inspect", path, FORCE_COLOR="1", TERM="dumb", COLUMNS="60").stdout.splitlines()
    assert f"aitimestepper simulate --resume {path}" in lines[-1]
    assert str(path) in lines[0]


def test_a_model_moved_out_of_its_run_is_described_without_its_epochs(command, trained, tmp_path):
    (tmp_path / "mine.npz").write_bytes((trained / "model_epoch_0002.npz").read_bytes())
    lines = lines_of(command("inspect", "mine.npz"))
    assert "epochs" not in lines
    assert lines["next"] == "aitimestepper simulate --model mine.npz"


def test_foreign_files_are_one_sentence(command, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty.h5").touch()
    (tmp_path / "folder").mkdir()
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["x"] = np.zeros(3)
    write(tmp_path / "run.h5", RESULT).close()
    whole = (tmp_path / "run.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    for name in ("alone.pt", "zip.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
    for name, words in (
        ("notes.txt", "notes.txt is neither a simulation (.h5) nor a model (.npz) of aitimestepper"),
        ("empty.h5", "empty.h5 is neither"),
        ("none.h5", "cannot read the file none.h5: No such file"),
        ("folder", "folder holds no model"),
        ("nowhere", "there is no model or run nowhere"),
        ("other.h5", "other.h5 is HDF5, but not a simulation of aitimestepper"),
        ("cut.h5", "cut.h5 is damaged, or was cut short"),
        ("zip.npz", "zip.npz is not a model of aitimestepper, or is damaged"),
        ("alone.pt", "there is no alone.npz beside alone.pt"),
    ):
        done = command("inspect", name)
        assert (done.returncode, done.stdout) == (2, ""), name
        assert done.stderr.startswith("aitimestepper: error: ")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_its_own_arguments(command):
    assert parse(["inspect", "run.h5", "--json"]).file == "run.h5"
    for arguments, words in (
        ("inspect", "required: FILE; see aitimestepper inspect --help"),
        ("inspect a.h5 --jsn", "did you mean '--json'"),
        ("inspect a.h5 --tol 3", "--tol is a setting of simulate, report and both, not of inspect"),
        ("inspekt a.h5", "did you mean 'inspect'"),
    ):
        done = command(*arguments.split())
        assert done.returncode == 2
        assert words in done.stderr
    done = command("inspect", "--help")
    assert "aitimestepper inspect run.h5" in done.stdout


def test_the_file_of_a_simulation_is_for_python_and_has_no_rows_to_draw(command, tmp_path):
    Simulation(triple(), criterion=FreeFall(0.1)).integrate(1.0).save(tmp_path / "sim.h5")
    content = json.loads(command("inspect", "sim.h5", "--json").stdout)
    assert (content["progress"], content["next"]) == ("held", "aitimestepper.Simulation.load('sim.h5')")
    assert "output_every" not in content["settings"]
    shown = command("inspect", "sim.h5").stdout
    assert "a Simulation, which goes on in Python" in shown
    assert "--resume" not in shown
    for words in (("plot", "orbits", "sim.h5", "-o", "sim.pdf"), ("report", "sim.h5", "-o", "sim.html")):
        refused = command(*words)
        assert refused.returncode == 2
        assert "sim.h5 holds a Simulation, of which a file has no rows: load it with Simulation.load" in refused.stderr
