"""Where PyTorch is not installed everything but training works, and training names the extra."""

import dataclasses
import json
import subprocess
import sys

import pytest

from aitimestepper.models import FOLDER, save_model, shipped

BLOCKED = "import sys; sys.modules['torch'] = None; from aitimestepper.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def without_torch(tmp_path):
    """The command line in a process in which torch cannot be imported."""

    def run(*arguments):
        command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("command", ["train", "both", "tune"])
def test_a_training_is_one_sentence_that_names_the_extra(without_torch, tmp_path, command):
    done = without_torch(command)
    assert done.returncode == 2
    name = {"tune": "train"}.get(command, command)  # the short form of a command
    assert done.stderr == f"aitimestepper: error: aitimestepper {name} needs PyTorch: pip install 'aitimestepper[train]'.\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_simulations_with_output_and_inspect_work(without_torch):
    flags = "--tol 1e-3 --ic kepler:e=0.5 --t-end 3 --output run.h5"
    summary = json.loads(without_torch("simulate", *flags.split()).stdout)
    assert (summary["status"], summary["criterion"]) == ("ok", "symmetrized(learned)")
    assert json.loads(without_torch("simulate", "--resume", "run.h5", "--t-end", "4").stdout)["time"] == 4.0
    assert json.loads(without_torch("inspect", "run.h5", "--json").stdout)["kind"] == "simulation"


def test_models_are_used_and_described(without_torch):
    model = FOLDER / "chin4.npz"
    flags = ("--symmetrized", "--tol", "1e-4", "--ic", "kepler:e=0.5", "--t-end", "3")
    summary = json.loads(without_torch("simulate", "--model", model, *flags).stdout)
    assert (summary["criterion"], summary["integrator"]) == ("symmetrized(learned)", "chin4")
    assert json.loads(without_torch("inspect", model, "--json").stdout)["kind"] == "model"


def test_studies_are_measured(without_torch):
    flags = "--quick --families kepler --train 4 --test 4 --integrators leapfrog --tol 1e-2 --criteria freefall learned"
    done = without_torch("bench", "steps", *flags.split())
    assert done.returncode == 0, done.stderr
    assert "learned, sym " in done.stdout


@pytest.mark.parametrize("arguments", ["--help", "train --help", "bench --help", "tune --help", "simulate --list-criteria"])
def test_help_and_lists_work(without_torch, arguments):
    assert without_torch(*arguments.split()).returncode == 0


def test_a_report_about_a_model_is_written(without_torch, tmp_path):
    """Of a network for one family, on whose problems the classical rules are calibrated: for all families that takes 12 s."""
    (tmp_path / "mine").mkdir()
    model = shipped("leapfrog")
    of_kepler = dataclasses.replace(model, config=dataclasses.replace(model.config, ic_family=("kepler",)))
    save_model(tmp_path / "mine" / "model_epoch_0001.npz", of_kepler)
    done = without_torch("report", "mine", "--ic", "kepler:e=0.3", "--t-end", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["report"] == "mine/report.html"
    page = (tmp_path / "mine" / "report.html").read_text()
    assert "Asked, got, saved" in page
    assert (tmp_path / "mine" / "report.png").stat().st_size > 10_000
    nowhere = without_torch("report", "nobody", "--ic", "kepler")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (2, 1)
    assert "there is no model or run nobody" in nowhere.stderr
