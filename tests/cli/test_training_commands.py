"""The commands that train, in processes of their own, and simulations with what they trained."""

import json
import os

import numpy as np
import pytest

from aitimestepper import (
    Config,
    LearnedStep,
    load_checkpoint,
)
from aitimestepper.cli.simulation import problem_for, settings_for
from aitimestepper.config import load_toml
from aitimestepper.models import load_model
from aitimestepper.training.checkpoints import find_checkpoint

SUMMARY = {"status", "time", "steps", "force_evaluations", "max_energy_error", "final_energy_error"}
SUMMARY |= {"momentum_error", "angular_momentum_error"}


def ok(done):
    assert done.returncode == 0, done.stderr
    return done


def test_train_then_simulate_with_nothing_respecified(command, trained):
    """INTG-01, INTG-03: the model brings the network, its features, physics and initial conditions."""
    saved = {f"model_epoch_000{epoch}.{kind}" for epoch in (2, 3) for kind in ("pt", "npz")}
    assert {p.name for p in trained.iterdir()} == {"config.toml", "metrics.jsonl", *saved}
    summary = json.loads(ok(command("simulate", "--model", "small", "--steps", "30", "--json")).stdout)
    assert set(summary) >= SUMMARY
    assert summary["status"] == "ok"
    assert summary["steps"] == 30
    assert summary["criterion"] == "learned"
    for flag, name in (
        ("--model", trained / "model_epoch_0003.npz"),
        ("--model", trained / "model_epoch_0003.pt"),
        ("--model", trained),
        ("--criterion", "small"),
    ):
        more = ["--ic", "kepler:e=0.6"] if flag == "--criterion" else []
        again = json.loads(ok(command("simulate", flag, name, *more, "--steps", "30", "--json")).stdout)
        assert again["max_energy_error"] == summary["max_energy_error"], (flag, name)


def test_config_toml_of_a_run_repeats_it(command, trained, tmp_path):
    """What was made up (the seed) is written down."""
    again = ok(command("train", "--config", trained / "config.toml", "--save-name", "again"))
    assert "run: runs/again" in again.stdout
    a, b = (load_checkpoint(find_checkpoint(tmp_path / "runs" / n)) for n in ("small", "again"))
    assert all(v.equal(b.model_state[k]) for k, v in a.model_state.items())
    assert load_toml(trained / "config.toml", "train")["seed"] == 1
    unseeded = ok(command("train", "--epochs", "1", "--save-name", "unseeded"))
    assert unseeded.returncode == 0
    assert isinstance(load_toml(tmp_path / "runs" / "unseeded" / "config.toml", "train")["seed"], int)


def test_flags_override_toml_overrides_defaults(command, tmp_path):
    (tmp_path / "c.toml").write_text(
        'ic = "kepler:e=0.2"\nsave_name = "x"\n[train]\nepochs = 2\nlr = 5e-3\n[simulate]\nsteps = 7\ncriterion = "freefall"\n'
    )
    ok(command("train", "--config", "c.toml", "--lr", "2e-3"))
    config = load_checkpoint(find_checkpoint(tmp_path / "runs" / "x")).config
    assert (config.lr, config.epochs, config.ic, config.weight_decay) == (2e-3, 2, "kepler:e=0.2", Config().weight_decay)
    assert json.loads(ok(command("simulate", "--config", "c.toml")).stdout)["steps"] == 7
    assert json.loads(ok(command("simulate", "--config", "c.toml", "--steps", "9")).stdout)["steps"] == 9


def test_resume_ends_in_the_same_bits(command, trained, tmp_path):
    ok(command("train", "--resume", "small", "--epochs", "6"))
    settings = "--ic kepler:e=0.6 --epochs 6 --steps-per-epoch 4 --checkpoint-interval 2 --seed 1 --save-name whole"
    ok(command("train", *settings.split(), "--feature-type", "basic"))
    a, b = (load_checkpoint(tmp_path / "runs" / n / "model_epoch_0006.pt") for n in ("small", "whole"))
    assert all(v.equal(b.model_state[k]) for k, v in a.model_state.items())
    epochs = [json.loads(x)["epoch"] for x in (tmp_path / "runs" / "small" / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6]


def test_a_network_trained_in_float32_simulates_in_float64(command, tmp_path):
    """INTG-03; precision and device are those of a training, so a simulation does not offer them."""
    flags = "--dtype float32 --epochs 1 --steps-per-epoch 3 --ic kepler:e=0.3 --seed 3 --save-name single"
    ok(command("train", *flags.split()))
    summary = json.loads(ok(command("simulate", "--model", "single", "--t-end", "3")).stdout)
    assert summary["max_energy_error"] < 1e-3
    assert summary["momentum_error"] < 1e-14
    model = load_model(tmp_path / "runs" / "single" / "model_epoch_0001.npz")
    assert all(values.dtype == np.float64 for values in model.weights.values())
    for flag in ("--dtype", "--device", "--save-name", "--dt-ceiling"):
        done = command("simulate", flag, "x")
        assert done.returncode == 2
        assert f"{flag} is a setting of train and both, not of simulate." in done.stderr


def test_a_model_under_other_physics(trained):
    """The bodies of the training stay; what is given of the physics replaces that of the training."""
    for given, G, softening in (({"G": 4.0}, 4.0, 0.0), ({"softening": 0.1}, 1.0, 0.1), ({}, 1.0, 0.0)):
        given = {"model": str(trained), **given}
        config, model = settings_for(given)
        bodies = problem_for(config, given, model).bodies
        assert (bodies.G, bodies.softening[0]) == (G, softening)
        np.testing.assert_array_equal(bodies.position, model.initial_conditions.position)
    given = {"model": str(trained), "G": 4.0, "external_field": "tidal:M=50,R0=10"}
    config, model = settings_for(given)
    assert problem_for(config, given, model).bodies.external_field.G == 4.0


def test_training_and_simulating_in_an_outer_field(command, tmp_path):
    """Fixed and moving; the run's summary leaves momentum out, which the field does not conserve."""
    for name, field in (("fixed", "tidal:M=50,R0=10"), ("moving", "tidal:M=50,R0=10,period=20")):
        ok(
            command(
                "train",
                "--ic",
                "kepler:e=0.4",
                "--epochs",
                "2",
                "--steps-per-epoch",
                "5",
                "--external-field",
                field,
                "--save-name",
                name,
            )
        )
        criterion = LearnedStep.load(tmp_path / "runs" / name)
        assert criterion.model.config.external_field == field
        stored = load_checkpoint(find_checkpoint(tmp_path / "runs" / name)).initial_conditions
        assert stored.external_field.time_dependent == (name == "moving")
        summary = json.loads(ok(command("simulate", "--model", name, "--t-end", "2")).stdout)
        assert summary["momentum_error"] is None
        assert summary["max_energy_error"] < 1e-3


def test_both_trains_and_simulates(command, tmp_path):
    done = ok(
        command("both", "--ic", "kepler:e=0.3", "--epochs", "2", "--steps-per-epoch", "5", "--save-name", "b", "--t-end", "3")
    )
    summary = json.loads(done.stdout)
    assert summary["criterion"] == "learned"
    assert summary["time"] == 3.0
    assert (tmp_path / "runs" / "b" / "model_epoch_0002.pt").exists()


def test_json_is_all_there_is_on_standard_output(command):
    done = ok(command("train", "--epochs", "1", "--save-name", "j", "--json"))
    content = json.loads(done.stdout)
    assert content["epochs_completed"] == 1
    assert content["run"] == "runs/j"
    assert done.stderr == ""


def test_overwrite_starts_anew(command, trained):
    ok(command("train", "--save-name", "small", "--epochs", "1", "--overwrite"))
    assert {p.name for p in trained.glob("model_*")} == {"model_epoch_0001.pt", "model_epoch_0001.npz"}


def test_wandb_for_real_in_its_offline_mode(command, tmp_path):
    """The extra, without a network: the run's file holds every metric of every epoch."""
    ok(
        command(
            "train",
            "--epochs",
            "2",
            "--steps-per-epoch",
            "3",
            "--save-name",
            "w",
            "--wandb",
            WANDB_MODE="offline",
            WANDB_SILENT="true",
        )
    )
    (log,) = (tmp_path / "runs" / "w").rglob("*.wandb")
    raw = log.read_bytes()
    for name in (
        b"part1/acceptance_rate",
        b"part2/final_pass_rate",
        b"part1/warmup_discarded",
        b"part2/max_rel_dE",
        b"energy_threshold",
    ):
        assert name in raw
    assert len((tmp_path / "runs" / "w" / "metrics.jsonl").read_text().splitlines()) == 2


# ---- one training, two judges ---------------------------------------------------------------------------------------------
FAMILY = """
import numpy as np
import pytest
from aitimestepper import Bodies

def pairs(rng, dim):
    e = rng.uniform(0.2, 0.8)
    x, v = np.zeros((2, dim)), np.zeros((2, dim))
    x[1, 0], v[1, 1] = 1 + e, np.sqrt((1 - e) / (1 + e))
    return Bodies([1.0, 1e-3], x, v), 6.0
"""
SMALL_RUN_FLAGS = """--judge run --tolerances 1e-2 1e-3 --integrator leapfrog --layers 4 --num-orbits 2 --epochs 2
--replay-steps 8 --replay-min-steps 4 --validation 4 --calibration 8 --seed 1"""
SMALL_RUN = SMALL_RUN_FLAGS.split()


def test_both_judges_work_alike_on_a_family_of_ones_own(command, tmp_path):
    """Steps, then runs that begin with their network; the commands that they print next work."""
    (tmp_path / "my.py").write_text(FAMILY)
    steps = ["--ic-family", "my.py", "--num-orbits", "3", "--feature-type", "invariant", "--layers", "4", "--epochs", "2"]
    one = ok(command("train", *steps, "--steps-per-epoch", "3", "--seed", "1", "--save-name", "steps"))
    other = ok(command("train", *SMALL_RUN, "--ic-family", "my.py", "--start", "steps", "--save-name", "runs"))
    folder = tmp_path / "runs"
    for done, name in ((one, "steps"), (other, "runs")):
        assert {p.name for p in (folder / name).iterdir()} >= {"config.toml", "metrics.jsonl", "model_epoch_0002.pt"}
        following = done.stdout.partition("next: aitimestepper ")[2].split()
        summary = json.loads(ok(command(*following, "--steps", "5")).stdout)
        assert len(summary["systems"]) == 3 if name == "steps" else summary["status"] == "ok"
    names = [set(json.loads((folder / n / "metrics.jsonl").read_text().splitlines()[0])) for n in ("steps", "runs")]
    assert names[0] < names[1]  # and how it did in validation
    model = load_model(folder / "runs" / "model_epoch_0002.npz")
    assert model.card["families"] == ["my.py:pairs"]
    assert model.card["command"].startswith("aitimestepper train --judge run")
    told = ok(command("simulate", "--model", "runs", "--ic", "kepler:e=0.5", "--tol", "1e-3", "--t-end", "6")).stdout
    assert json.loads(told)["criterion"] == "symmetrized(learned)"
    plain = ok(command("simulate", "--model", "runs", "--ic", "kepler:e=0.5", "--no-symmetrized", "--t-end", "6")).stdout
    assert json.loads(plain)["criterion"] == "learned"


def test_tune_is_short_for_a_training_on_runs_and_can_be_resumed(command, tmp_path):
    (tmp_path / "my.py").write_text(FAMILY)
    flags = [*SMALL_RUN[2:], "--ic-family", "my.py"]
    ok(command("tune", *flags, "--save-name", "short"))
    ok(command("train", "--judge", "run", *flags, "--save-name", "long"))
    short, long = (load_model(tmp_path / "runs" / n / "model_epoch_0002.npz") for n in ("short", "long"))
    assert all(np.array_equal(short.weights[name], values) for name, values in long.weights.items())
    assert short.calibration == long.calibration
    (tmp_path / "runs" / "long" / "model_epoch_0002.pt").unlink()  # as if it had been stopped after the first epoch
    (tmp_path / "runs" / "long" / "model_epoch_0002.npz").unlink()
    ok(command("train", "--resume", "long"))
    assert load_model(tmp_path / "runs" / "long" / "model_epoch_0002.npz").card["command"] == long.card["command"]
    assert "validation problems" in ok(command("train", "--resume", "long")).stdout  # finished: its card is known
    early = ok(command("inspect", "runs/long/model_epoch_0001.npz")).stdout
    assert "my.py:pairs" in early
    assert "kepler" not in early
    assert load_model(tmp_path / "runs" / "long" / "model_epoch_0002.npz") == long
    refused = command("train", "--resume", "long", "--tolerances", "1e-4")
    assert refused.returncode == 2
    assert "a resumed run keeps its settings" in refused.stderr


def test_both_with_judge_run_takes_the_problem_of_the_simulation(command, tmp_path):
    (tmp_path / "my.py").write_text(FAMILY)
    done = ok(
        command("both", *SMALL_RUN, "--ic-family", "my.py", "--ic", "figure8", "--t-end", "3", "--save-name", "b", "--report")
    )
    summary = json.loads(done.stdout)
    assert (summary["status"], summary["time"]) == ("ok", 3.0)
    assert "Asked for 0.01, it got" in done.stderr
    assert "Asked, got, saved" in (tmp_path / "runs" / "b" / "report.html").read_text(encoding="utf-8")


def test_none_can_be_given_and_the_network_of_the_start_may_be_gone(command, tmp_path):
    (tmp_path / "my.py").write_text(FAMILY)
    ok(command("tune", *SMALL_RUN[2:], "--ic-family", "my.py", "--save-name", "first"))
    flags = [*SMALL_RUN[2:], "--ic-family", "my.py", "--lr", "none", "--start", "first", "--save-name", "second"]
    ok(command("tune", *flags))
    for path in (tmp_path / "runs" / "first").iterdir():
        path.unlink()
    ok(command("train", "--resume", "second", "--epochs", "3"))
    config = load_checkpoint(tmp_path / "runs" / "second" / "model_epoch_0003.pt").config
    assert config.lr == 5e-3
    again = ok(command("simulate", "--tol", "1e-10", "--no-symmetrized", "--ic", "kepler:e=0.5", "--t-end", "5"))
    assert json.loads(again.stdout)["integrator"] == "radau15"
    logh = ok(command("simulate", "--integrator", "logh", "--no-symmetrized", "--tol", "1e-6", "--t-end", "5"))
    assert json.loads(logh.stdout)["tol"] == 1e-6


def test_a_network_of_single_steps_has_no_tolerance(command, trained):
    """It is refused, with a guard it is the guard's."""
    refused = command("simulate", "--model", "small", "--tol", "1e-8", "--t-end", "3")
    assert refused.returncode == 2
    assert "this network is not calibrated for the error of a run" in refused.stderr
    guarded = json.loads(ok(command("simulate", "--model", "small", "--tol", "1e-8", "--guard", "--t-end", "3")).stdout)
    assert guarded["rejected_steps"] > 0


def test_what_went_wrong_is_said_once_on_the_command_line(command, trained):
    """A network of two bodies in a chaotic problem of three."""
    done = command("simulate", "--model", "small", "--ic", "burrau", "--t-end", "20")
    assert done.stderr.count("aitimestepper: warning:") == 1
    assert "so that its result means little" in done.stderr
    assert json.loads(done.stdout)["steps_outside_training"] is None


INPUTS = {
    "start": (["tune", "--ic-family", "kepler", "--start", "first.npz"], "first.npz"),
    "ic": (["train", "--ic", "file:bodies.txt"], "bodies.txt"),
    "ic_family": (["tune", "--ic-family", "my.py", "kepler"], "my.py"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_run_whose_inputs_have_changed_is_not_continued(command, tmp_path, name):
    """It is refused by the name of what changed, and continued once that is back; the command given starts it anew."""
    (tmp_path / "my.py").write_text(FAMILY)
    (tmp_path / "bodies.txt").write_text("1 0 0 0 0.5\n1 1 0 0 -0.5\n")
    if name == "start":
        ok(command("tune", *SMALL_RUN[2:], "--ic-family", "kepler", "--save-name", "first"))
        newest = max((tmp_path / "runs" / "first").glob("*.npz"))
        newest.rename(tmp_path / "first.npz")
    flags, file = INPUTS[name]
    small = SMALL_RUN[2:] if flags[0] == "tune" else ["--epochs", "2", "--replay-steps", "5", "--quiet"]
    ok(command(flags[0], *small, *flags[1:], "--save-name", "run"))
    run, path = tmp_path / "runs" / "run", tmp_path / file
    before, content = {p.name: p.read_bytes() for p in run.iterdir()}, path.read_bytes()
    path.write_bytes(content + b"\n")
    refused = command("train", "--resume", "run", "--epochs", "3")
    assert refused.returncode == 2, refused.stderr
    anew = f"train --config {os.path.join('runs', 'run', 'config.toml')} --overwrite"
    assert f"{name} = {file}: this file has changed since the run began" in refused.stderr
    assert refused.stderr.endswith(f"start anew: aitimestepper {anew}\n")
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before
    path.unlink()
    gone = command("train", "--resume", "run", "--epochs", "3")
    if name == "ic_family":  # it is read again; the network of start and the bodies of ic are in the checkpoint
        assert (gone.returncode, f"{name} = {file}: this file is gone since the run began" in gone.stderr) == (2, True)
        path.write_bytes(content)
        ok(command("train", "--resume", "run", "--epochs", "3"))
    else:
        assert gone.returncode == 0, gone.stderr
    path.write_bytes(content)
    ok(command(*anew.split()))
    assert [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]
