"""Sweeps over the settings of trainings: what is asked for, what is made, and what is made again."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from aitimestepper.config import load_toml
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.training.study import run_sweep
from aitimestepper.training.sweep import Sweep, read_sweep

MEMORY = 'storage = "sqlite:///:memory:"\n'  # quicker than a file
SPEC = """
trials = 6
seed = 3
metric = "loss"
[train]
epochs = 3
[range]
lr = { low = 1e-4, high = 1e-2, log = true }
layers = [[8], [8, 8]]
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    """Return a function that writes and reads a specification in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def written(text: str = SPEC) -> Sweep:
        Path("try.toml").write_text(text)
        return read_sweep(Path("try.toml"))

    return written


class Training:
    """A training without a network: its loss falls with the epochs, the lower the learning rate the better."""

    def __init__(self, stop_at: tuple[int, int] | None = None) -> None:
        self.stop_at, self.epochs, self.settings = stop_at, [], []

    def __call__(self, settings, recorder) -> Path:
        number = int(settings["save_name"].removeprefix("trial-"))
        self.settings.append(settings)
        for epoch in range(1, 4):
            if (number, epoch) == self.stop_at:
                raise KeyboardInterrupt
            self.epochs.append((number, epoch))
            recorder.record({"epoch": epoch, "loss": settings["lr"] * len(settings["layers"]) + 1.0 / epoch})
        return Path(settings["out_dir"]) / settings["save_name"]


def test_a_sweep_finds_the_best_and_keeps_its_settings(spec):
    sweep, train = spec(SPEC.replace("trials = 6", "trials = 6\nprune = false")), Training()
    done = run_sweep(sweep, train)
    assert (len(done.trials), done.made) == (6, 6)
    values = [s["lr"] * len(s["layers"]) + 1.0 / 3.0 for s in train.settings]
    assert done.best.value == pytest.approx(min(values), rel=1e-14)
    assert done.settings == {"epochs": 3, **done.best.settings}
    assert all(1e-4 <= s["lr"] <= 1e-2 and s["layers"] in ([8], [8, 8]) for s in train.settings)
    assert len({s["lr"] for s in train.settings}) == 6
    assert [sorted(trial.epochs) for trial in done.trials] == [[1, 2, 3]] * 6
    assert run_sweep(sweep, train).made == 0  # there is nothing to do again


def test_a_sweep_that_was_stopped_goes_on_as_if_it_had_not(spec, monkeypatch):
    whole = run_sweep(spec(), Training())
    Path("other").mkdir()
    monkeypatch.chdir("other")
    sweep = spec()
    first, second = Training(stop_at=(3, 2)), Training()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, first)
    resumed = run_sweep(sweep, second)
    assert resumed.trials == whole.trials
    assert resumed.made == 3
    assert {number for number, _ in second.epochs} == {3, 4, 5}


def test_a_training_that_falls_behind_is_ended_early(spec):
    train = Training()

    def worse_and_worse(settings, recorder):
        return train({**settings, "lr": 1.0 + int(settings["save_name"][-2:])}, recorder)

    done = run_sweep(spec(MEMORY + SPEC), worse_and_worse)
    assert [trial.state for trial in done.trials] == ["complete"] * 4 + ["pruned"] * 2
    assert [len(trial.epochs) for trial in done.trials] == [3] * 4 + [2] * 2
    assert done.best.number == 0


def test_settings_that_were_tried_are_not_trained_again(spec):
    train = Training()
    text = SPEC.replace("lr = { low = 1e-4, high = 1e-2, log = true }", "lr = [0.001]").replace("trials = 6", "trials = 12")
    done = run_sweep(spec(MEMORY + text), train)
    assert len(done.trials) == 12
    assert len(train.settings) == 2  # of the two that there are
    assert done.best.settings == {"lr": 0.001, "layers": [8]}


def test_one_training_that_fails_does_not_end_the_sweep(spec):
    train = Training()

    def some(settings, recorder):
        if settings["save_name"] == "trial-0001":
            raise UserError("the energy threshold is out of reach.")
        return train(settings, recorder)

    done = run_sweep(spec(MEMORY + SPEC), some)
    assert [trial.state for trial in done.trials].count("fail") == 1

    def none(settings, recorder):
        raise UserError("the energy threshold is out of reach.")

    with pytest.raises(UserError, match=r"no training .* came to its end: the energy threshold is out of reach"):
        run_sweep(spec(MEMORY + SPEC), none)


def test_another_study_of_the_name_and_a_metric_that_is_none_are_refused(spec):
    run_sweep(spec(), Training())
    with pytest.raises(UserError, match="made with other settings"):
        run_sweep(spec(SPEC.replace("1e-2", "1e-1")), Training())
    with pytest.raises(ConfigError, match="metric = 'lost' is no number of an epoch: did you mean 'loss'"):
        run_sweep(spec(MEMORY + SPEC.replace('"loss"', '"lost"')), Training())
    with pytest.raises(UserError, match="storage = 'nosql://x' cannot be used"):
        run_sweep(spec(f'storage = "nosql://x"\nname = "c"\n{SPEC}'), Training())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("trials = 6", "trails = 6", "unknown key 'trails': did you mean 'trials'"),
        ("epochs = 3", "epoch = 3", "epoch.*did you mean 'epochs'"),
        ("lr = {", "lrr = {", "lrr.*did you mean 'lr'"),
        ("low = 1e-4", "low = -1e-4", "log is for low > 0"),
        ("low = 1e-4, high = 1e-2, log = true", "low = -1e-4, high = 1e-2", "lr = -0.0001 must be > 0"),
        ("low = 1e-4, high = 1e-2", "low = 1e-2, high = 1e-4", "must be two numbers in order"),
        ("low = 1e-4, high = 1e-2", "lo = 1e-4, high = 1e-2", "unknown key 'lo': did you mean 'low'"),
        ("[[8], [8, 8]]", "[[8], [0]]", "layers = 0 must be >= 1"),
        ("[[8], [8, 8]]", "3", "range of layers = 3 is none"),
        ("epochs = 3", "epochs = 3\nlr = 0.1", "lr is under .train. and under .range."),
        ("layers = [[8], [8, 8]]", "seed = [1, 2]", "seed is no setting to sweep"),
        ("trials = 6", "trials = 0", "trials = 0 must be a whole number"),
        ("trials = 6", 'direction = "up"', "direction = 'up'"),
        ("trials = 6", "name = '../x'", "save_name"),
        ("[range]", "[ranges]", "unknown key 'ranges': did you mean 'range'"),
        ("trials = 6", "trials = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_specification_is_named_before_anything_starts(spec, old, new, words):
    with pytest.raises(ConfigError, match=words):
        spec(SPEC.replace(old, new))
    assert not Path("runs").exists()


def test_the_command_trains_and_the_best_settings_train_again(command, tmp_path):
    text = """
trials = 2
[train]
ic = "kepler:e=0.6"
epochs = 2
steps_per_epoch = 2
feature_type = "basic"
seed = 1
[range]
lr = [1e-4, 1e-3]
layers = [[8], [4]]
"""
    (tmp_path / "small.toml").write_text(text)
    done = command("sweep", "small.toml", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    folder = tmp_path / "runs" / "small"
    assert (summary["metric"], sum(summary["trials"].values()), summary["trained"]) == ("part1/mean_dt", 2, 2)
    assert {"best.toml", "sweep.db", "sweep.png"} <= {path.name for path in folder.iterdir()}
    best = load_toml(folder / "best.toml", "train")
    assert best["lr"] == summary["best"]["settings"]["lr"]
    assert best["layers"] == summary["best"]["settings"]["layers"]
    lines = (folder / f"trial-{summary['best']['trial']:04}" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["part1/mean_dt"] == summary["best"]["value"]
    more = command("sweep", "small.toml", "--trials", "3")
    assert more.returncode == 0, more.stderr
    assert more.stderr.count("trial ") == 1
    again = command("train", "--config", folder / "best.toml", "--save-name", "again", "--json")
    assert json.loads(again.stdout)["final_metrics"]["part1/mean_dt"] == summary["best"]["value"]
    wrong = command("sweep", "none.toml")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "none.toml: No such file" in wrong.stderr
    assert "TOML" not in wrong.stderr


# ---- stopped at any moment, and damaged ------------------------------------------------------------------------------------
class _Stop(BaseException):
    """The end of a process, as far as it can be had inside one."""


@pytest.mark.parametrize("name", ["add_trial", "suggest_float", "set_user_attr", "report", "tell"])
def test_stopped_after_any_word_to_the_database_it_goes_on_as_if_it_had_not(spec, monkeypatch, name):
    """The words are those about trial 1, except for reports; nothing is lost and nothing is drawn again."""
    import optuna

    text = SPEC.replace("trials = 6", "trials = 3")
    whole = run_sweep(spec(MEMORY + text), Training())
    kind = optuna.Study if name in ("add_trial", "tell") else optuna.trial.Trial
    real, calls = getattr(kind, name), []

    def stopping(self, *args, **more):
        calls.append(real(self, *args, **more))
        if len(calls) == 2:
            raise _Stop
        return calls[-1]

    monkeypatch.setattr(kind, name, stopping)
    with pytest.raises(_Stop):
        run_sweep(spec(text), Training())
    monkeypatch.setattr(kind, name, real)
    assert run_sweep(spec(text), Training()).trials == whole.trials


def test_a_training_that_fell_behind_when_it_was_stopped_is_ended(spec, monkeypatch):
    import optuna

    def worse(train):
        return lambda settings, recorder: train({**settings, "lr": 1.0 + int(settings["save_name"][-2:])}, recorder)

    real, asked = optuna.trial.Trial.should_prune, []

    def stopping(self):
        asked.append(self.number)
        if asked.count(4) == 2:
            raise _Stop
        return real(self)

    monkeypatch.setattr(optuna.trial.Trial, "should_prune", stopping)
    with pytest.raises(_Stop):
        run_sweep(spec(), worse(Training()))
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", real)
    done = run_sweep(spec(), worse(Training()))
    assert [len(trial.epochs) for trial in done.trials] == [3] * 4 + [2] * 2


def test_trainings_that_no_database_knows_are_not_taken_for_its_own(spec):
    sweep = spec()
    run_sweep(sweep, Training())
    (sweep.folder / "trial-0000").mkdir()
    (sweep.folder / "trial-0000/model_epoch_0003.pt").touch()
    assert run_sweep(sweep, Training()).made == 0
    (sweep.folder / "sweep.db").unlink()
    with pytest.raises(UserError, match=r"runs/try holds trainings of which the study .* knows nothing: move them away"):
        run_sweep(sweep, Training())


WRONG = {
    "trial_values": "value",
    "trial_params": "param_value",
    "trial_intermediate_values": "intermediate_value",
}


def spoil(sweep: Sweep, table: str, trial: int) -> None:
    """Change a number of a trial in the database."""
    with sqlite3.connect(sweep.folder / "sweep.db") as database:
        rows = f"select min(rowid) from {table} where trial_id = {trial + 1}"
        database.execute(f"update {table} set {WRONG[table]} = {WRONG[table]} * 1.0625 where rowid = ({rows})")
    database.close()


@pytest.mark.parametrize("table", WRONG)
def test_other_numbers_in_a_database_are_seen(spec, table):
    sweep = spec(SPEC.replace("trials = 6", "trials = 2"))
    run_sweep(sweep, Training())
    spoil(sweep, table, 0)
    with pytest.raises(UserError, match=r"trial 0 of the study try in .* is damaged: put back a copy|cannot be used"):
        run_sweep(sweep, Training())


@pytest.mark.parametrize("table", ["trial_params", "trial_intermediate_values"])
def test_other_numbers_of_a_trial_that_was_stopped_are_seen(spec, table):
    sweep = spec(SPEC.replace("trials = 6", "trials = 2"))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, Training(stop_at=(1, 3)))
    spoil(sweep, table, 1)
    with pytest.raises(UserError, match=r"trial 1 of the study try in .* is damaged: put back a copy"):
        run_sweep(sweep, Training())


@pytest.mark.parametrize("damage", ["half", "zeros", "text", "folder"])
def test_a_database_that_is_none_is_refused_in_a_sentence(spec, damage):
    sweep = spec(SPEC.replace("trials = 6", "trials = 2"))
    run_sweep(sweep, Training())
    path = sweep.folder / "sweep.db"
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"half": content[: len(content) // 2], "zeros": bytes(len(content)), "text": b"none"}[damage])
    with pytest.raises(UserError) as refused:
        run_sweep(sweep, Training())
    assert len(str(refused.value).splitlines()) == 1


def test_a_database_that_is_gone_meanwhile_is_missed(spec):
    sweep, train = spec(), Training()

    def removing(settings, recorder):
        if settings["save_name"] == "trial-0001":
            (sweep.folder / "sweep.db").unlink()
        return train(settings, recorder)

    with pytest.raises(UserError, match=r"sweep.db.*(it was removed, or replaced, meanwhile|cannot be used)"):
        run_sweep(sweep, removing)
