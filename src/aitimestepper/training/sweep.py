"""Specifications of sweeps: many trainings whose settings are chosen within ranges."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ..config import Config
from ..errors import ConfigError, nearest_name_hint, shown
from ..files import read_bytes

KEYS = ("name", "trials", "metric", "direction", "storage", "out_dir", "seed", "prune", "train", "range")
RANGE = ("low", "high", "log", "step", "choices")
Direction = Literal["minimize", "maximize"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
# by judge: what is looked at unless the specification says otherwise
METRICS = {"run": ("validation/cost", "minimize"), "step": ("part1/mean_dt", "maximize")}
NOT_SWEPT = ("judge", "seed", "save_name", "out_dir", "device", "threads", "wandb", "checkpoint_interval")


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


def read_sweep(path: Path) -> Sweep:
    """Return the specification in a TOML file, with every setting and range checked."""
    raw = read_bytes(path, "specification", ConfigError)
    try:
        content = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {str(error).partition(';')[0]}.") from None
    return sweep_of(content, path)


def sweep_of(content: Mapping[str, Any], path: Path) -> Sweep:
    """Return the specification in tables as TOML has them; `path` is the file that they are from."""
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
