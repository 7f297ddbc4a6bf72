import dataclasses
import json
import math

import pytest

from aitimestepper import Config
from aitimestepper.config import INTEGRATORS, MORE_INTEGRATORS, field_sections, load_toml
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import INTEGRATORS as ALL_INTEGRATORS
from aitimestepper.integrators import SPLITTINGS

CONTRACT = {
    "epochs": 1000,
    "steps_per_epoch": 1,
    "energy_threshold": 2e-4,
    "replay_steps": 1000,
    "replay_batch_size": 512,
    "min_replay_size": 2,
    "max_retrain_steps": None,
    "E_lower": 1e-6,
    "E_upper": 1e-4,
    "history_len": 0,
    "feature_type": "delta_mag",
    "lr": 1e-4,
    "weight_decay": 1e-2,
    "dtype": "float64",
    "device": "auto",
    "num_orbits": 1,
    "seed": None,
    "save_name": None,
    "epoch_start": "initial",
    "checkpoint_interval": 10,
}


def test_fixed_defaults():
    """Contract 4."""
    assert {k: getattr(Config(), k) for k in CONTRACT} == CONTRACT


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("energy_threshold", 0, "energy_threshold = 0.0 must be > 0"),
        ("energy_threshold", -1e-4, "energy_threshold = -0.0001 must be > 0"),
        ("energy_threshold", math.nan, "energy_threshold = nan must be a finite number"),
        ("steps_per_epoch", 0, "steps_per_epoch = 0 must be >= 1"),
        ("epochs", 0, "epochs = 0 must be >= 1"),
        ("epochs", 2.5, "epochs = 2.5 must be a whole number"),
        ("epochs", True, "epochs = True must be a whole number"),
        ("lr", "fast", "lr = 'fast' must be a number"),
        ("dropout", 1.0, "dropout = 1.0 must be >= 0 and < 1"),
        ("feature_type", "basik", "feature_type = 'basik' .*did you mean 'basic'"),
        ("layers", [], "layers = \\[\\] must be one or more whole numbers"),
        ("layers", [64, 0], "layers = 0 must be >= 1"),
        ("E_lower", 1e-3, "E_lower = 0.001 must be below E_upper = 0.0001"),
        ("lr", 10**400, "lr = 1000.* must be a number below 2\\^63"),
        pytest.param("lr", 10**5000, "lr = a number of thousands of digits must be a number below 2", id="digits"),
        ("seed", 2**63, "seed = 9223372036854775808 must be a whole number below 2"),
        ("layers", [64, 2**63], "layers = .* must be one or more whole numbers, such as .* below 2"),
        ("layers", [64] * 1000, None),
        ("layers", ["64"] * 1000, r"layers = .{57}\.\.\. must be one or more whole numbers"),
        ("tolerances", [math.nan], "tolerances = nan must be a finite number"),
        ("judge", ["step"], "judge = .* must be text"),
        ("ic", "", "ic = '' must be text, not empty and of printable characters"),
        ("model", "a\0b", r"model = 'a\\x00b' must be text, not empty and of printable characters"),
        ("output", "a\nb", "output = .* of printable characters"),
        ("ic_family", ["kepler", ""], "ic_family = .* must be one or more names, not empty and of printable characters"),
        ("out_dir", "\udc80", "out_dir = .* of printable characters"),
        ("num_orbits", 10**9, "num_orbits = 1000000000 must be >= 1 and <= 1000000"),
    ],
)
def test_a_value_out_of_range_names_field_value_and_range(name, value, words):
    """CONF-01 ... CONF-03."""
    if words is None:
        Config.from_dict({name: value})
        return
    with pytest.raises(ConfigError, match=words):
        Config.from_dict({name: value})


@pytest.mark.parametrize("name", ["a", "run 1", "é☃", "...a", ".hidden", "x" * 200, "run-20260101-000000"])
def test_the_name_of_a_run_is_one_folder(name):
    assert Config(save_name=name).save_name == name


@pytest.mark.parametrize(
    "name", ["../../x", "/tmp/x", "a/b", "a\\b", ".", "..", "...", " ", "C:", "C:x", "x" * 201, "☃" * 70, "a/"]
)
def test_no_name_of_a_run_leads_to_another_folder(name):
    with pytest.raises(ConfigError, match=r"save_name = .* must be the name of one folder inside out_dir"):
        Config(save_name=name)


@pytest.mark.parametrize("values", [None, 3, "lr", [1]])
def test_settings_are_a_mapping(values):
    with pytest.raises(ConfigError, match="settings must be a mapping of names to values"):
        Config.from_dict(values)
    with pytest.raises(ConfigError, match="unknown setting 3: known"):
        Config.from_dict({3: 4})


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown setting 'energy_treshold': did you mean 'energy_threshold'"):
        Config.from_dict({"energy_treshold": 1e-3})


def test_frozen_and_round_trip():
    config = Config(layers=(200, 1000, 1000, 200), seed=4, t_end=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0  # type: ignore[misc]
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.t_end == 3.0
    assert isinstance(config.t_end, float)
    flat = config.as_wandb_dict()
    assert flat["layers"] == "200-1000-1000-200"
    assert set(flat) == set(config.to_dict())


def test_every_setting_has_a_help_text_and_a_section():
    for f in dataclasses.fields(Config):
        assert 10 < len(f.metadata["help"]) < 200, f.name
        assert not f.metadata["help"].endswith("."), f.name
        assert field_sections()[f.name], f.name


def test_toml_shared_then_the_table_of_the_command(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("softening = 0.1\nlr = 1e-3\n[train]\nlr = 2e-3\nepochs = 7\n[simulate]\nt_end = 5\n")
    assert load_toml(path, "train") == {"softening": 0.1, "lr": 2e-3, "epochs": 7}
    assert load_toml(path, "simulate") == {"softening": 0.1, "lr": 1e-3, "t_end": 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr = ", "not valid TOML"),
        ("lrr = 1", "unknown setting 'lrr': did you mean 'lr'"),
        ("[simulate]\nepocs = 1", "unknown setting 'epocs'"),
        ("[trian]\nlr = 1", "unknown setting 'trian'"),
        ("lr = " + "[" * 5000, "not valid TOML"),
        ("lr = " + "{a=" * 5000, "not valid TOML: its values are nested too deeply"),
        ("epochs = " + "9" * 5000, "not valid TOML: Exceeds the limit"),
        ('save_name = "../x"', "save_name = '../x' must be the name of one folder"),
        ("train = 3", r"train = 3 must be a table: write \[train\]"),
    ],
)
def test_bad_toml_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_toml(path, "train")


@pytest.mark.parametrize("name", ["leapfrog", "kahan_li8", "hermite4", "hermite4:n=3", "hermite4:n=20", "logh", "radau15"])
def test_integrators_are_known_by_name_and_hermite_by_its_number_too(name):
    assert Config(integrator=name).integrator == name


@pytest.mark.parametrize("name", ["hermite", "hermite4:", "hermite4:3", "hermite4:n=", "hermite4:n=-1", "leapfrog:n=3", "auto"])
def test_other_integrators_are_one_sentence_that_lists_them(name):
    with pytest.raises(ConfigError, match=f"integrator = '{name}' must be one of leapfrog, .*radau15: "):
        Config(integrator=name)


def test_the_names_of_integrators_are_those_that_exist():
    assert {*INTEGRATORS, *MORE_INTEGRATORS} == {*ALL_INTEGRATORS}
    assert set(INTEGRATORS) == set(SPLITTINGS)


def test_two_ways_to_say_when_to_stop_or_how_to_step_are_refused():
    """Trap 7: a duration silently overridden by another setting."""
    with pytest.raises(ConfigError, match=r"t_end = 3.0 and steps = 4"):
        Config(t_end=3, steps=4)
    with pytest.raises(ConfigError, match="criterion = freefall and model = x"):
        Config(criterion="freefall", model="x")


def test_settings_that_exclude_each_other_are_refused():
    with pytest.raises(ConfigError, match="history_len = 2 must be 0 with feature_type = invariant"):
        Config(feature_type="invariant", history_len=2)
    with pytest.raises(ConfigError, match=r"symmetrized = True .* symmetrizer = hmm; give only one"):
        Config(symmetrized=True, symmetrizer="hmm")
    assert Config(symmetrized=True, symmetrizer="explicit").symmetrizer == "explicit"
    with pytest.raises(ConfigError, match=r"symmetrizer = 'huaino' must be one of .*did you mean 'huayno'"):
        Config(symmetrizer="huaino")


# ---- defaults by judge ------------------------------------------------------------------------------------------------------
def test_defaults_depend_on_the_judge():
    """Contract 4 holds under `step`; what is given is kept under both."""
    step, run = Config(), Config(judge="run")
    assert (step.epochs, step.lr, step.layers, step.num_orbits, step.energy_threshold) == (1000, 1e-4, (64, 64), 1, 2e-4)
    assert (run.feature_type, run.epochs, run.energy_threshold, run.layers) == ("invariant", 6, 1e-6, (16,))
    assert Config(judge="run", lr=1e-2, epochs=3).epochs == 3
    for config in (step, run, Config(judge="run", tolerances=[1e-3], ic_family=["kepler"])):
        assert Config.from_dict(config.to_dict()) == config
        assert Config.from_dict({**config.to_dict(), "lr": None}).lr == {"step": 1e-4, "run": 5e-3}[config.judge]


def test_tolerances_are_those_of_runs():
    with pytest.raises(ConfigError, match=r"tolerances = \[1e-05\] are those of whole runs: give judge = run"):
        Config(tolerances=(1e-5,))
