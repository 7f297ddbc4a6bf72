"""The three commands, as a user runs them."""

import json
import subprocess
import sys

import pytest
import torch

from aitimestepper import Config, LearnedStep, Symmetrized, load_checkpoint
from aitimestepper.cli.simulation import criterion_for
from aitimestepper.config import load_toml
from aitimestepper.training.checkpoints import find_checkpoint

SUMMARY = {"status", "time", "steps", "force_evaluations", "max_energy_error", "final_energy_error"}
SUMMARY |= {"momentum_error", "angular_momentum_error"}


def ok(done):
    assert done.returncode == 0, done.stderr
    return done


def test_train_then_simulate_with_nothing_respecified(command, trained):
    """INTG-01, INTG-03: the checkpoint brings the network, its features, physics and initial conditions."""
    assert {p.name for p in trained.iterdir()} == {
        "config.toml",
        "metrics.jsonl",
        "model_epoch_0002.pt",
        "model_epoch_0003.pt",
    }
    summary = json.loads(ok(command("simulate", "--model", "small", "--steps", "30", "--json")).stdout)
    assert set(summary) >= SUMMARY
    assert summary["status"] == "ok"
    assert summary["steps"] == 30
    assert summary["criterion"] == "learned"
    by_path = json.loads(ok(command("simulate", "--model", trained / "model_epoch_0003.pt", "--steps", "30", "--json")).stdout)
    assert by_path["max_energy_error"] == summary["max_energy_error"]


def test_config_toml_of_a_run_repeats_it(command, trained, tmp_path):
    """What was made up (the seed) is written down."""
    again = ok(command("train", "--config", trained / "config.toml", "--save-name", "again"))
    assert "run: runs/again" in again.stdout
    a, b = (load_checkpoint(find_checkpoint(tmp_path / "runs" / n)) for n in ("small", "again"))
    assert all(torch.equal(v, b.model_state[k]) for k, v in a.model_state.items())
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
    assert all(torch.equal(v, b.model_state[k]) for k, v in a.model_state.items())
    epochs = [json.loads(x)["epoch"] for x in (tmp_path / "runs" / "small" / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6]


def test_the_end_time_is_reached_exactly_and_is_never_overridden(command):
    """Trap 7; --duration is the same thing."""
    for flag in ("--t-end", "--duration"):
        summary = json.loads(ok(command("simulate", "--criterion", "freefall:eta=0.1", flag, "1.2345")).stdout)
        assert summary["time"] == 1.2345
        assert summary["status"] == "ok"
    default = json.loads(ok(command("simulate", "--criterion", "freefall:eta=0.2", "--ic", "kepler:e=0.1")).stdout)
    assert default["time"] == pytest.approx(10 * 2 * torch.pi)


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
    assert 0 < summary["max_energy_error"] < 1e-2
    assert summary["criterion"].startswith("symmetrized(") == wrapped


@pytest.mark.parametrize(
    ("flags", "criterion", "integrator"),
    [
        ("--criterion freefall:eta=0.1 --symmetrizer explicit", "symmetrized(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer explicit --symmetrized", "symmetrized(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer huayno", "huayno(freefall(0.1))", "leapfrog"),
        ("--criterion freefall:eta=0.1 --symmetrizer hmm --integrator suzuki4", "hmm(freefall(0.1), 3)", "suzuki4"),
        ("--tol 1e-3 --symmetrizer hmm", "hmm(learned, 3)", "suzuki4"),
    ],
)
def test_steps_are_made_time_symmetric_as_asked(command, flags, criterion, integrator):
    summary = json.loads(ok(command("simulate", "--ic", "kepler:e=0.5", "--t-end", "1.0", *flags.split())).stdout)
    assert (summary["criterion"], summary["integrator"]) == (criterion, integrator)
    assert summary["max_energy_error"] < 1e-2


def test_trial_steps_are_those_of_the_integrator_of_the_run():
    """`--integrator` names it for a criterion by name, also against the one in the criterion's own text."""
    config = Config(criterion="energybudget:tol=1e-3,integrator=suzuki4", integrator="kahan_li6", symmetrizer="hmm")
    assert criterion_for(config, {}, None).integrator == "kahan_li6"
    assert criterion_for(Config(symmetrizer="hmm", tol=1e-2), {}, None).integrator == "leapfrog"
    assert isinstance(criterion_for(Config(tol=1e-2), {}, None), Symmetrized)


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
        assert criterion.adapter.config.external_field == field
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
    assert [p.name for p in trained.glob("*.pt")] == ["model_epoch_0001.pt"]


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
        "(default: 0.0002)",
        "examples:",
    ):
        assert name in train
    assert "--t-end" in ok(command("simulate", "--help")).stdout


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


def test_a_movie_from_the_command_line(command, tmp_path):
    ok(
        command(
            "simulate", "--ic", "figure8", "--criterion", "freefall", "--t-end", "3", "--movie", "m.mp4", "--movie-seconds", "1"
        )
    )
    assert (tmp_path / "m.mp4").read_bytes()[4:8] == b"ftyp"


def test_module_and_version():
    done = subprocess.run([sys.executable, "-m", "aitimestepper", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("aitimestepper 0.")
    bad = subprocess.run(
        [sys.executable, "-m", "aitimestepper", "train", "--epochs", "0"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 2
    assert bad.stderr == "aitimestepper: error: epochs = 0 must be >= 1.\n"
