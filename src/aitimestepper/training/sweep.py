"""Sweeps: many trainings whose settings Optuna chooses, ended early where they fall behind, and continued where they stopped.

A study is in a database. Each trial is a training in a folder of its own, whose metric is reported after every epoch. The
random numbers of a trial depend on the seed and its number alone, so that a sweep that was stopped goes on as if it had not.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..config import Config
from ..errors import ConfigError, UserError, nearest_name_hint, require, shown
from ..files import make_folder, read_bytes
from .metrics import Recorder

KEYS = ("name", "trials", "metric", "direction", "storage", "out_dir", "seed", "prune", "train", "range")
RANGE = ("low", "high", "log", "step", "choices")
Direction = Literal["minimize", "maximize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
# by judge: what is looked at unless the specification says otherwise
METRICS = {"run": ("validation/cost", "minimize"), "step": ("part1/mean_dt", "maximize")}
NOT_SWEPT = ("judge", "seed", "save_name", "out_dir", "device", "threads", "wandb", "checkpoint_interval")
FIRST_EPOCHS, FIRST_TRIALS = 2, 4  # before which nothing is pruned

# trains with settings, tells the recorder about every epoch, and returns the folder; it goes on with a run that is there
Train = Callable[[dict[str, Any], Recorder], Path]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The specification of a sweep."""

    name: str
    trials: int
    metric: str
    direction: Direction
    storage: str
    folder: Path
    seed: int
    prune: bool
    train: dict[str, Any]  # settings of every training
    ranges: dict[str, dict[str, Any]]  # of each setting that is swept

    def words(self) -> str:
        """Return what the trials of a study have in common, as text."""
        same = {
            "train": self.train,
            "range": self.ranges,
            "metric": self.metric,
            "direction": self.direction,
            "seed": self.seed,
        }
        return json.dumps(same, sort_keys=True)


class Trial(NamedTuple):
    """A trial of a study."""

    number: int
    state: str  # complete, pruned, fail or running
    value: float | None
    settings: dict[str, Any]
    epochs: dict[int, float]  # the metric after each


class Done(NamedTuple):
    """The trials of a study, and the best of them."""

    sweep: Sweep
    trials: list[Trial]
    best: Trial
    settings: dict[str, Any]  # of the best, as `train --config` takes them
    made: int  # trials of this call


# ---- the specification -----------------------------------------------------------------------------------------------------
def read_sweep(path: Path) -> Sweep:
    """Return the specification in a TOML file, with every setting and range checked."""
    raw = read_bytes(path, "specification", ConfigError)
    try:
        content = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {str(error).partition(';')[0]}.") from None
    for key in content:
        if key not in KEYS:
            raise ConfigError(f"{path}: unknown key {shown(key)}: {nearest_name_hint(key, KEYS)}")
    tables = {key: content.get(key, {}) for key in ("train", "range")}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {key} = {shown(table)} must be a table: write [{key}] above its settings.")
    train, ranges = tables["train"], {name: _range(name, given) for name, given in tables["range"].items()}
    if not ranges:
        raise ConfigError(
            f"{path} sweeps no setting: give a table [range] with lines such as lr = {{low = 1e-4, high = 1e-2}}."
        )
    config = Config.from_dict(train)
    for name, given in ranges.items():
        _check_range_of(name, given, train)
    metric, direction = METRICS[config.judge]
    metric = _text("metric", content.get("metric", metric))
    way = _direction(content.get("direction", "minimize" if "metric" in content else direction))
    name = _text("name", content.get("name", path.stem))
    folder = Path(Config.from_dict({"out_dir": content.get("out_dir", "runs"), "save_name": name}).out_dir) / name
    storage = _text("storage", content.get("storage", f"sqlite:///{folder / 'sweep.db'}"))
    trials, seed, prune = content.get("trials", 20), content.get("seed", 0), content.get("prune", True)
    for key, value, least in (("trials", trials, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise ConfigError(f"{key} = {shown(value)} must be a whole number >= {least}.")
    if not isinstance(prune, bool):
        raise ConfigError(f"prune = {shown(prune)} must be true or false.")
    return Sweep(name, trials, metric, way, storage, folder, seed, prune, train, ranges)


def _direction(value: Any) -> Direction:
    for known in DIRECTIONS:
        if value == known:
            return known
    raise ConfigError(f"direction = {shown(value)} must be one of {', '.join(DIRECTIONS)}.")


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ConfigError(f"{key} = {shown(value)} must be text.")
    return value


def _range(name: str, given: Any) -> dict[str, Any]:
    """Return the range of a setting in its one form: choices, or low, high, log and step."""
    example = f"{name} = {{low = 1, high = 4}} or {{choices = [1, 4]}}"
    if isinstance(given, list):
        given = {"choices": given}
    if not isinstance(given, dict):
        raise ConfigError(f"range of {name} = {shown(given)} is none; write {example}.")
    for key in given:
        if key not in RANGE:
            raise ConfigError(f"range of {name}: unknown key {shown(key)}: {nearest_name_hint(key, RANGE)}")
    if "choices" in given:
        choices = given["choices"]
        if len(given) > 1 or not isinstance(choices, list) or not choices:
            raise ConfigError(f"range of {name}: choices = {shown(choices)} must be a list, without low, high, log and step.")
        return {"choices": choices}
    low, high, log, step = given.get("low"), given.get("high"), given.get("log", False), given.get("step")
    numbers = [low, high, *([] if step is None else [step])]
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) for x in numbers) or low >= high:  # type: ignore[operator]
        raise ConfigError(f"range of {name}: low = {shown(low)}, high = {shown(high)} must be two numbers in order: {example}.")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)) or (step is not None and step <= 0):  # type: ignore[operator]
        raise ConfigError(f"range of {name}: log is for low > 0 and without step, and a step is above 0.")
    return {"low": low, "high": high, "log": log, "step": step}


def _check_range_of(name: str, given: dict[str, Any], train: Mapping[str, Any]) -> None:
    """Raise an error unless both ends of a range, or all choices, are values that the setting may have."""
    values = given["choices"] if "choices" in given else [given["low"], given["high"]]
    if name in NOT_SWEPT:
        raise ConfigError(f"{name} is no setting to sweep: give it under [train], or leave it out.")
    if name in train:
        raise ConfigError(f"{name} is under [train] and under [range]: give one of them.")
    for value in values:
        Config.from_dict({**train, name: value})


# ---- the study -------------------------------------------------------------------------------------------------------------
def run_sweep(sweep: Sweep, train: Train, tell: Callable[[Trial], None] = lambda trial: None) -> Done:
    """Make the trials of a study that are missing, and return all of them. tell: is told about each that has ended.

    A trial that was stopped goes on; one whose settings were tried before takes the result of that one.
    """
    require("optuna", "sweep", "a sweep")
    make_folder(sweep.folder)
    study = _study(sweep)
    made = 0
    while (trial := _next(study, sweep)) is not None:
        tell(_run(study, sweep, trial, train))
        made += 1
    trials = [_plain(one, sweep) for one in study.get_trials(deepcopy=False)]
    complete = [one for one in trials if one.state == "complete" and one.value is not None]
    if not complete:
        reasons = [one.user_attrs.get("reason", "") for one in study.get_trials(deepcopy=False)]
        raise UserError(f"no training of the sweep {sweep.name} came to its end: {next(filter(None, reasons), 'all failed')}")
    sign = 1.0 if sweep.direction == "minimize" else -1.0
    best = min(complete, key=lambda one: (sign * float(one.value or 0.0), one.number))
    return Done(sweep, trials, best, {**sweep.train, **best.settings}, made)


def _study(sweep: Sweep) -> Any:
    """Return the study in its database, made anew if it is not there."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(FIRST_TRIALS, FIRST_EPOCHS) if sweep.prune else optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            storage=sweep.storage, study_name=sweep.name, direction=sweep.direction, pruner=pruner, load_if_exists=True
        )
    except Exception as error:  # whatever a database or its driver raises
        raise UserError(f"storage = {shown(sweep.storage)} cannot be used: {_first_line(error)}.") from None
    before = study.user_attrs.get("specification")
    if before is None and not study.get_trials(deepcopy=False):
        study.set_user_attr("specification", sweep.words())
    elif before != sweep.words():
        raise UserError(f"the study {sweep.name} in {shown(sweep.storage)} was made with other settings; give another name.")
    return study


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _next(study: Any, sweep: Sweep) -> Any:
    """Return the trial to make next: one of this folder that was stopped, or a new one; None if there are enough."""
    import optuna

    running = optuna.trial.TrialState.RUNNING
    known = study.get_trials(deepcopy=False)
    mine = [one for one in known if one.state == running and one.user_attrs.get("folder") == str(sweep.folder.resolve())]
    if mine:
        return optuna.trial.Trial(study, mine[0]._trial_id)
    if len(known) >= sweep.trials:
        return None
    study.sampler = optuna.samplers.TPESampler(seed=(sweep.seed * 1_000_003 + len(known)) % 2**32)
    trial = study.ask()
    trial.set_user_attr("folder", str(sweep.folder.resolve()))
    return trial


def _run(study: Any, sweep: Sweep, trial: Any, train: Train) -> Trial:
    """Make one trial, or what is left of it, and return it."""
    import optuna

    state = optuna.trial.TrialState
    given = {name: _suggested(trial, name, one) for name, one in sweep.ranges.items()}
    same = _tried(study, trial)
    recorder = _Reports(trial, sweep, study)
    try:
        if same is not None:
            study.tell(trial, same.value)
        else:
            train({**sweep.train, **given, "save_name": f"trial-{trial.number:04}", "out_dir": str(sweep.folder)}, recorder)
            value = recorder.value()
            study.tell(trial, value) if math.isfinite(value) else study.tell(trial, state=state.FAIL)
    except optuna.TrialPruned:
        study.tell(trial, state=state.PRUNED)
    except _UnknownMetric as error:
        study.tell(trial, state=state.FAIL)
        raise ConfigError(str(error)) from None
    except UserError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=state.FAIL)
    return _plain(study.get_trials(deepcopy=False)[trial.number], sweep)


def _suggested(trial: Any, name: str, given: dict[str, Any]) -> Any:
    """Return the value of a setting in a trial; lists go by their text, for databases hold no lists."""
    if "choices" in given:
        texts = {json.dumps(choice): choice for choice in given["choices"]}
        return texts[trial.suggest_categorical(name, list(texts))]
    low, high, log, step = (given[key] for key in ("low", "high", "log", "step"))
    if isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int)):
        return trial.suggest_int(name, low, high, step=step or 1, log=log)
    return trial.suggest_float(name, float(low), float(high), step=step, log=log)


def _tried(study: Any, trial: Any) -> Any:
    """Return a trial that came to its end with the same settings; None if there is none."""
    complete = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
    return next((one for one in complete if one.params == trial.params), None)


def _plain(one: Any, sweep: Sweep) -> Trial:
    """Return a trial of Optuna as plain values."""
    settings = {
        name: json.loads(value) if "choices" in sweep.ranges.get(name, {}) else value for name, value in one.params.items()
    }
    value = one.value if one.state.name == "COMPLETE" else None
    return Trial(one.number, one.state.name.lower(), value, settings, dict(sorted(one.intermediate_values.items())))


class _UnknownMetric(Exception):
    """A metric that no epoch has."""


class _Reports(Recorder):
    """Reports the metric of every epoch to Optuna, and ends a training that falls behind."""

    def __init__(self, trial: Any, sweep: Sweep, study: Any) -> None:
        self.trial, self.sweep = trial, sweep
        self.values = dict(study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Report an epoch; a training that goes on may make one again that was reported before it stopped."""
        import optuna

        name, epoch = self.sweep.metric, int(metrics["epoch"])
        value = metrics.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            numbers = [k for k, v in metrics.items() if isinstance(v, (int, float)) and not isinstance(v, bool)]
            raise _UnknownMetric(f"metric = {shown(name)} is no number of an epoch: {nearest_name_hint(name, numbers)}")
        if epoch in self.values:
            return
        self.values[epoch] = float(value)
        with warnings.catch_warnings(action="ignore"):
            self.trial.report(float(value), epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    def value(self) -> float:
        """Return the metric of the network that a training leaves: of the best epoch with judge run, else of the last one."""
        if not self.values:
            return math.nan
        if not self.sweep.metric.startswith("validation/"):
            return self.values[max(self.values)]
        return (min if self.sweep.direction == "minimize" else max)(self.values.values())
