"""All settings, one line each with default, meaning and range, from which flags, TOML, docs/settings.md and all checks are derived."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import ConfigError, InitialConditionError, nearest_name_hint, shown
from .files import read_bytes
from .html import card
from .specs import LARGEST_INTEGER
from .units import constant_in, unit_system

FEATURE_TYPES = ("basic", "rich", "delta_mag", "invariant")
ACTIVATIONS = ("tanh", "relu", "gelu", "silu", "elu", "sigmoid")
INTEGRATORS = ("leapfrog", "suzuki4", "kahan_li6", "kahan_li8", "blanes_moan4", "blanes_moan6", "chin4")
MORE_INTEGRATORS = ("hermite4", "logh", "radau15")  # for simulations only: a network cannot be trained through them
SYMMETRIZERS = ("explicit", "huayno", "hmm")


def _setting(default: Any, help: str, **limits: Any) -> Any:
    """Return a dataclass field; `limits` may hold `above`, `least`, `below`, `most`, `choices`, and a `pattern` beside those.

    `one_name`: the text is the name of a folder inside another one.

    `by_judge`: defaults for the judges `step` and `run`, which take the place of None. `judge`: the only one that reads it.
    """
    return field(default=default, metadata={"help": help, **limits})


# The first setting of each section, in the order of the class; sections are the headings in --help and in docs/settings.md.
SECTION_STARTS = {
    "judge": "training",
    "feature_type": "network",
    "G": "physics",
    "ic": "initial conditions",
    "dtype": "run",
    "model": "simulation",
}


# fmt: off
@dataclass(frozen=True)
class Config:
    """The settings of training and simulation: frozen, checked when made, and stored whole in every checkpoint and model.

    Defaults that depend on the judge are filled in when a Config is made. So another judge means another Config, not a
    `dataclasses.replace(config, judge=...)`, which keeps those of the first.

    Examples:
        >>> from aitimestepper import Config
        >>> Config(epochs=3).energy_threshold
        0.0002
        >>> Config.from_dict({"judge": "run"}).epochs
        6
    """

    # training
    judge: str = _setting("step", "what accepts, in both parts: single steps whose energy error is small, or whole runs that stay within their tolerance at few force evaluations", choices=("step", "run"))
    epochs: int = _setting(None, "number of epochs; each is Part 1 (collect), then Part 2 (generalize)", least=1, by_judge=(1000, 6))
    steps_per_epoch: int = _setting(1, "accepted steps of every system per epoch", least=1, judge="step")
    energy_threshold: float = _setting(None, "Part 1: largest relative energy error of what is accepted: one step, or with judge run a reference run", above=0, by_judge=(2e-4, 1e-6))
    E_lower: float = _setting(1e-6, "lower edge of the error band: a step with a smaller error is shorter than it need be", above=0, judge="step")
    E_upper: float = _setting(1e-4, "upper edge of the error band (a smaller energy_threshold scales both edges down)", above=0, judge="step")
    replay_steps: int = _setting(None, "Part 2: largest number of minibatches per epoch, a safety limit only", least=1, by_judge=(1000, 400))
    replay_min_steps: int = _setting(None, "Part 2: smallest number of minibatches per epoch; they draw steps that are too short into the band", least=0, by_judge=(10, 350))
    replay_batch_size: int = _setting(None, "Part 2: samples per minibatch; with judge run problems of each family", least=1, by_judge=(512, 12))
    min_replay_size: int = _setting(2, "Part 2 is skipped for trajectories shorter than this", least=1, judge="step")
    max_retrain_steps: int | None = _setting(None, "Part 1: largest number of retrains on one state; none: until it passes", least=1, judge="step")
    retry_fallback: str = _setting("raise", "what happens at max_retrain_steps: raise an error, shrink dt until the step passes, or drop the system for this epoch", choices=("raise", "shrink", "drop"), judge="step")
    recheck_trajectory: bool = _setting(False, "after Part 2, verify every sample of the trajectory once more", judge="step")
    epoch_start: str = _setting("initial", "where an epoch starts: at the initial conditions, or where the last epoch ended", choices=("initial", "continue"), judge="step")
    lr: float = _setting(None, "learning rate of AdamW", above=0, by_judge=(1e-4, 5e-3))
    lr_decay: float = _setting(None, "learning rate of the last epoch over that of the first; in between it falls geometrically", above=0, most=1, by_judge=(1.0, 0.02))
    weight_decay: float = _setting(None, "weight decay of AdamW", least=0, by_judge=(1e-2, 1e-3))
    tolerances: tuple[float, ...] | None = _setting(None, "with judge run: relative energy errors of whole runs to learn and to calibrate for (none: those that suit the integrator)", least=1e-14, below=1, judge="run")
    validation: int = _setting(24, "with judge run: problems of each family to validate on, after every epoch", least=4, judge="run")
    calibration: int = _setting(128, "with judge run: problems of each family to calibrate on, at the end; 0: none, else 8 or more", least=0, judge="run")
    start: str | None = _setting(None, "begin with the network of this model: a run, a model file, or default (none: with an untrained one)")
    checkpoint_interval: int = _setting(None, "epochs between checkpoints (the last epoch is always saved)", least=1, by_judge=(10, 1))
    # network
    feature_type: str = _setting(None, "what the network is shown of the state; invariant: dimensionless sums over pairs, and the tolerance", choices=FEATURE_TYPES, by_judge=("delta_mag", "invariant"))
    history_len: int = _setting(0, "number of past states that the network is shown as well", least=0)
    normalize: bool = _setting(True, "divide features by scales of length, speed, acceleration and time, measured once, so that units do not matter")
    layers: tuple[int, ...] = _setting(None, "widths of the hidden layers", least=1, by_judge=((64, 64), (16,)))
    activation: str = _setting("tanh", "activation between layers", choices=ACTIVATIONS)
    dropout: float = _setting(0.0, "dropout while learning; never active while a step is chosen", least=0, below=1)
    fourier_features: int = _setting(0, "number of random Fourier features added to the input (0: none)", least=0)
    fourier_scale: float = _setting(1.0, "standard deviation of the frequencies of the Fourier features", above=0)
    # physics
    G: float = _setting(1.0, "gravitational constant", above=0)
    units: str | None = _setting(None, "units of all numbers, which set G: a length, a mass, and a time or a velocity, such as \"au Msun yr\" or \"pc Msun km/s\"; also solar, stellar, galactic, SI, cgs, nbody (none: any in which G is right)")
    softening: float = _setting(0.0, "Plummer softening length", least=0)
    integrator: str = _setting("leapfrog", "method that takes the step; hermite4 (also hermite4:n=3), logh and radau15 only simulate; a simulation for which none is given takes the one that its step is made for", choices=INTEGRATORS + MORE_INTEGRATORS, pattern=r"hermite4:n=\d+")
    dt_ceiling: float = _setting(None, "largest learned dt, in units of the system's shortest dynamical time", above=0, by_judge=(0.2, 0.7))
    external_field: str | None = _setting(None, "external field, such as tidal:M=1000,R0=20 or tidal:M=1000,R0=20,period=60")
    # initial conditions
    ic: str = _setting("kepler:e=0.5", "initial conditions by name or file, such as kepler:e=0.9,q=0.1 (see --list-ic)")
    ic_family: tuple[str, ...] | None = _setting(None, "families to sample problems from instead of ic, such as kepler triple my.py (see docs/bench.md; none: ic, or with judge run all families of the package)")
    num_orbits: int = _setting(None, "number of systems in the batch, sampled from the family that --ic names; with ic_family, of each family, and for judge run new ones in every epoch", least=1, most=1_000_000, by_judge=(1, 10))
    e_min: float = _setting(0.0, "two-body batches: smallest eccentricity", least=0, below=1, judge="step")
    e_max: float = _setting(0.9, "two-body batches: largest eccentricity", least=0, below=1, judge="step")
    q_min: float = _setting(1.0, "two-body batches: smallest mass ratio (log-uniform)", above=0, judge="step")
    q_max: float = _setting(1.0, "two-body batches: largest mass ratio (log-uniform)", above=0, judge="step")
    # run
    dtype: str = _setting("float64", "precision of the training; a simulation always computes in float64", choices=("float64", "float32"))
    device: str = _setting("auto", "where the training runs: cpu, cuda, cuda:1, ...; auto: a GPU if there is one")
    seed: int | None = _setting(None, "seed of everything that is random; none: a new one each time", least=0)
    save_name: str | None = _setting(None, "name of the run, whose outputs go to OUT_DIR/NAME (none: a time stamp)", one_name=True)
    out_dir: str = _setting("runs", "folder that holds the runs")
    wandb: bool = _setting(False, "also log to Weights & Biases (needs the extra wandb; WANDB_MODE=offline needs no network)")
    threads: int | None = _setting(None, "largest number of threads of simulations, also of those in a training (none: all cores); it changes no bit of the result", least=1)
    # simulation
    model: str | None = _setting(None, "model file (.npz), run folder or run name whose network chooses the step")
    criterion: str | None = _setting(None, "what chooses the step: a rule such as freefall:eta=0.02 (see --list-criteria), or a model")
    tol: float | None = _setting(None, "relative energy error of the run to stay below, for the default step, energybudget and networks calibrated on runs (none: 1e-6, or the nearest that the network is calibrated for)", above=0)
    symmetrized: bool | None = _setting(None, "make the steps time-symmetric, so that the energy does not drift; short for symmetrizer explicit (none: as the step is made, which for the package's and for calibrated networks is yes)")
    symmetrizer: str | None = _setting(None, "how the steps are made time-symmetric: from the last step, from the rate of change of the step, or by three trial steps for each", choices=SYMMETRIZERS)
    t_end: float | None = _setting(None, "end time, reached exactly (none: ten periods of the initial conditions)")
    steps: int | None = _setting(None, "stop after this many steps instead of at an end time", least=1)
    max_steps: int = _setting(10_000_000, "safety limit on the number of steps", least=1)
    dt_min: float | None = _setting(None, "smallest step", above=0)
    dt_max: float | None = _setting(None, "largest step", above=0)
    guard: bool = _setting(False, "make a step again, smaller, if it changes the energy by more than a tenth of tol; not for time-symmetric steps")
    output: str | None = _setting(None, "write the run to this HDF5 file, which can be read while it grows and after a kill (see inspect)")
    output_every: float | None = _setting(None, "time between rows of the output; it does not change the steps (none: a thousand rows)", above=0)
    times: tuple[float, ...] | None = _setting(None, "times of the rows of the output, in order, instead of regular ones")
    events: tuple[str, ...] | None = _setting(None, "what to look for between steps, such as encounter:below=0.01, collision:radius=0.001,action=merge, escape:beyond=100,stop=yes, crossing:y=1,body=1 (docs/events.md)")
    movie: str | None = _setting(None, "write a movie (MP4) of the run to this file")
    movie_seconds: float = _setting(12.0, "length of the movie", above=0)
    report: bool = _setting(False, "after training with `both`: compare with classical steps, and write report.html into the run folder")
    # fmt: on

    def __post_init__(self) -> None:
        """Convert what TOML and JSON do not distinguish (5 and 5.0, lists and tuples), then check every field."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is None and "by_judge" in f.metadata:
                value = f.metadata["by_judge"][self.judge == "run"]
            object.__setattr__(self, f.name, coerced(f.name, value))
        if self.units is not None:
            object.__setattr__(self, "G", _constant_of(self.units, self.G))
        self.validate()

    def validate(self) -> None:
        """Raise a `ConfigError` that names field, value and range for the first value out of range."""
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            for item in value if isinstance(value, tuple) else (value,):
                _check_range(f.name, item, f.metadata)
        for low, high in (("E_lower", "E_upper"), ("e_min", "e_max"), ("q_min", "q_max"), ("dt_min", "dt_max")):
            a, b = getattr(self, low), getattr(self, high)
            if a is not None and b is not None and (a > b or (low == "E_lower" and a == b)):
                raise ConfigError(f"{low} = {a} must be below {high} = {b}; give a smaller {low} or a larger {high}.")
        if self.t_end is not None and self.steps is not None:
            raise ConfigError(f"t_end = {self.t_end} and steps = {self.steps} both say when to stop; give only one of them.")
        if self.judge == "run" and (self.feature_type != "invariant" or self.dropout):
            raise ConfigError(f"judge = run needs feature_type = invariant and dropout = 0, not {self.feature_type} and {self.dropout:g}.")
        if self.judge == "step" and self.tolerances is not None:
            raise ConfigError(f"tolerances = {list(self.tolerances)} are those of whole runs: give judge = run, too, or leave them out.")
        if self.judge == "run" and 0 < self.calibration < 8:
            raise ConfigError(f"calibration = {self.calibration} must be 0 or >= 8.")
        if self.feature_type == "invariant" and self.history_len > 0:
            raise ConfigError(f"history_len = {self.history_len} must be 0 with feature_type = invariant: these features show no past states.")
        if self.symmetrized and self.symmetrizer not in (None, "explicit"):
            raise ConfigError(f"symmetrized = True is short for symmetrizer = explicit, but symmetrizer = {self.symmetrizer}; give only one of them.")
        if self.criterion is not None and self.model is not None:
            raise ConfigError(f"criterion = {self.criterion} and model = {self.model} both choose the step; give only one of them.")

    @property
    def energy_band(self) -> tuple[float, float]:
        """Lower and upper edge of the error band, never above `energy_threshold`: otherwise a failing step could have zero loss."""
        if self.E_upper <= self.energy_threshold:
            return self.E_lower, self.E_upper
        return 0.5 * self.energy_threshold * self.E_lower / self.E_upper, 0.5 * self.energy_threshold

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Return the settings of a mapping; an unknown key is an error that names the nearest known one."""
        known = field_types()
        if not isinstance(values, Mapping):
            raise ConfigError(f"settings must be a mapping of names to values, not {type(values).__name__} {shown(values)}.")
        for key in values:
            if key not in known:
                raise ConfigError(f"unknown setting {shown(key)}: {nearest_name_hint(str(key), known)}")
        return cls(**values)

    def _repr_html_(self) -> str:
        defaults, given = Config(judge=self.judge).to_dict(), self.to_dict()
        changed = [(name, str(value)) for name, value in given.items() if value != defaults[name] or name == "judge"]
        return card("Settings", changed, note="All others have their defaults.")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings in built-in types (tuples become lists), for JSON, TOML and checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def as_wandb_dict(self) -> dict[str, Any]:
        """Return every setting for an experiment tracker, with lists as text so that runs can be grouped by them."""
        return {k: "-".join(map(str, v)) if isinstance(v, list) else v for k, v in self.to_dict().items()}


def _constant_of(units: str, G: float) -> float:
    """Return the constant of gravity in the units, or G where that is one of its values; any other G than 1 is an error."""
    try:
        system = unit_system(units)
        if system is None and G != 1.0:
            raise ConfigError(f"G = {G:g} is not that of the units {units}, which is 1: leave one of the two out.")
        return constant_in(system, None if G == 1.0 else G)
    except InitialConditionError as error:
        raise ConfigError(str(error)) from None


@functools.cache
def field_types() -> dict[str, Any]:
    """Return the type of each setting by name; cached, because resolving costs 1 ms and every Config asks for every field."""
    return typing.get_type_hints(Config)


@functools.cache
def field_sections() -> dict[str, str]:
    """Return the section of each setting by name."""
    current, sections = "", {}
    for f in dataclasses.fields(Config):
        current = SECTION_STARTS.get(f.name, current)
        sections[f.name] = current
    return sections


def coerced(name: str, value: Any) -> Any:
    """Return `value` as the type of setting `name`, or raise a `ConfigError` that says what was expected."""
    kind = field_types()[name]
    if isinstance(kind, types.UnionType):
        if value is None:
            return None
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if not isinstance(value, (list, tuple)) or not value:
            raise ConfigError(f"{name} = {shown(value)} must be {_LISTS[inner]}.")
        expected = f"{name} = {shown(value)} must be {_LISTS[inner]}"
        return tuple(_one(x, inner, expected) for x in value)
    return _one(value, kind, f"{name} = {shown(value)} must be {_KINDS[kind]}")


_LISTS = {int: "one or more whole numbers, such as [64, 64]", float: "one or more numbers", str: "one or more names"}


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _one(value: Any, kind: type, expected: str) -> Any:
    """Return one value as its type, or raise a `ConfigError` that begins with `expected`."""
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, (int, float) if kind is float else kind):
        raise ConfigError(f"{expected}.")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ConfigError(f"{expected} below 2^63.")
    if isinstance(value, str) and not (value and value.isprintable()):
        raise ConfigError(f"{expected}, not empty and of printable characters.")
    return kind(value)


def _check_range(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} = {value} must be a finite number.")
    if limits.get("one_name") and not _is_one_name(value):
        raise ConfigError(
            f"{name} = {shown(value)} must be the name of one folder inside out_dir: at most {LONGEST_NAME} bytes, no / or \\, "
            "not . or .. ."
        )
    choices = limits.get("choices")
    if choices and value not in choices and not re.fullmatch(limits.get("pattern", r"(?!)"), value):
        raise ConfigError(f"{name} = {shown(value)} must be one of {', '.join(choices)}: {nearest_name_hint(str(value), choices)}")
    bounds = []
    ok = True
    for word, sign, test in (
        ("above", ">", lambda v, x: v > x),
        ("least", ">=", lambda v, x: v >= x),
        ("below", "<", lambda v, x: v < x),
        ("most", "<=", lambda v, x: v <= x),
    ):
        if word in limits:
            bounds.append(f"{sign} {limits[word]}")
            ok = ok and test(value, limits[word])
    if not ok:
        raise ConfigError(f"{name} = {value} must be {' and '.join(bounds)}.")


LONGEST_NAME = 200  # bytes; file systems allow 255, and what is written beside needs some


def _is_one_name(text: str) -> bool:
    """Return whether `text` names something inside a folder, whatever the system: it can lead to no other folder."""
    windows_drive = re.match(r"[A-Za-z]:", text)
    return text.strip(" .") != "" and not re.search(r"[/\\]", text) and not windows_drive and len(text.encode()) <= LONGEST_NAME


def load_toml(path: str | Path, command: str) -> dict[str, Any]:
    """Return the settings for `command` (train or simulate) in a TOML file: its table overrides the shared ones at the top."""
    raw = read_bytes(Path(path), "configuration", ConfigError)
    try:
        content = tomllib.loads(raw.decode())
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: its values are nested too deeply.") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of more than 4300 digits
        raise ConfigError(f"{path} is not valid TOML: {str(error).partition(';')[0]}.") from None
    tables = {name: content.pop(name, {}) for name in ("train", "simulate")}
    values = dict(content)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} = {shown(table)} must be a table: write [{name}] above its settings.")
        Config.from_dict({**content, **table})  # the table of the other command is checked too
        if command == name:
            values.update(table)
    return values
