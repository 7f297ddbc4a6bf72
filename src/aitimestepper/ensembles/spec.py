"""Specifications of ensembles in TOML: where the systems come from, how they are run, and where the table goes."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, nearest_name_hint, shown
from ..files import path_shown, read_bytes
from .distributions import Distribution, Range, distribution_of
from .drawn import END, END_RANGE, Drawn, OwnColumns
from .setups import SETUPS, refuse_unknown
from .sources import SEEDS

NUMBERS = {"tol": float, "dt_min": float, "dt_max": float, "max_steps": int, "guard": bool}
TEXTS = {"criterion": str, "integrator": str}
PHYSICS = {"G": float, "softening": float, "units": str}
RUN = {**NUMBERS, **TEXTS, "events": list, "chunk": int, "threads": int, "dim": int}
OF_DRAWN = {"systems": int, "seed": int, "periods": float, "function": str}
OTHER = {"source": str, "t_end": float, "out": str}
KEYS = {**RUN, **PHYSICS, **OF_DRAWN, **OTHER}
WORDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false", list: "a list of texts"}
POSITIVE = ("tol", "max_steps", "dt_min", "dt_max", "chunk", "threads", "systems", "periods", "G")


@dataclass(frozen=True)
class Spec:
    """What a file specifies."""

    source: Any  # for `ensemble`
    arguments: dict[str, Any]  # of `ensemble`
    out: str | None


def read_spec(path: str | Path) -> Spec:
    """Return the specification in a TOML file, or raise one sentence about what is wrong in it."""
    path = Path(path)
    try:
        content = tomllib.loads(read_bytes(path, "specification", ConfigError).decode())
    except RecursionError:
        raise ConfigError(f"{path_shown(path)} is not valid TOML: its values are nested too deeply.") from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path_shown(path)} is not valid TOML: {str(error).partition(';')[0]}.") from None
    try:
        return spec_of(content, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path_shown(path)}: {error}") from None


def spec_of(content: dict[str, Any], folder: Path = Path()) -> Spec:
    """Return the specification in tables as TOML has them; files in it are beside `folder`."""
    tables = {name: value for name, value in content.items() if name in SETUPS}
    given = {name: value for name, value in content.items() if name not in SETUPS}
    for name, value in given.items():
        if name not in KEYS:
            raise ConfigError(f"unknown key {name!r}: {nearest_name_hint(name, [*KEYS, *SETUPS])}")
        if name != END or not isinstance(value, dict):
            given[name] = _checked(name, value)
    if len(tables) + ("source" in given) != 1:
        raise ConfigError(f"it must say where the systems come from, once: source, or one of the tables {', '.join(SETUPS)}.")
    arguments = {name: given[name] for name in RUN if name in given}
    if "source" in given:
        return Spec(_source(given, folder), arguments | _without_table(given), given.get("out"))
    (setup, table) = next(iter(tables.items()))
    return Spec(_drawn(setup, table, given, folder), arguments, given.get("out"))


def _checked(name: str, value: Any) -> Any:
    """Return a value of the type that its key has, or raise an error."""
    kind: Any = KEYS[name]
    fits = isinstance(value, bool) if kind is bool else isinstance(value, (int, float) if kind is float else kind)
    fits = fits and (kind is bool or not isinstance(value, bool))
    if kind is list:
        fits = fits and all(isinstance(one, str) for one in value)
    if not fits:
        raise ConfigError(f"{name} = {shown(value)} must be {WORDS[kind]}.")
    if kind in (float, int):
        allowed = Range(0.0, 2.0**63 if kind is int else float("inf"), open_low=name in POSITIVE, open_high=kind is int)
        if not allowed.holds(value):
            raise ConfigError(f"{name} = {shown(value)} is out of range: it must be {allowed}.")
    return float(value) if kind is float else value


def _source(given: dict[str, Any], folder: Path) -> str:
    """Return a family with seeds, or the path of a file."""
    wrong = next((name for name in OF_DRAWN if name in given), None)
    if wrong is not None:
        raise ConfigError(f"{wrong} belongs to systems that are drawn from a table, not to a source.")
    text: str = given["source"]
    return text if SEEDS.fullmatch(text) and not text.partition(":")[0].endswith(".py") else str(folder / text)


def _without_table(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ensemble` that a drawn source has itself."""
    if isinstance(given.get(END), dict):
        raise ConfigError("t_end must be one number where the systems come from a source.")
    return {name: given[name] for name in (*PHYSICS, END) if name in given}


def _drawn(setup: str, table: Any, given: dict[str, Any], folder: Path) -> Drawn:
    """Return systems drawn from the distributions in a table."""
    if not isinstance(table, dict):
        raise ConfigError(f"{setup} = {shown(table)} must be a table: write [{setup}] above its columns.")
    if "systems" not in given:
        raise ConfigError(f"systems is missing: how many of [{setup}] shall be drawn?")
    if "dim" in given:
        raise ConfigError(f"dim belongs to families; [{setup}] has three axes.")
    if (END in given) == ("periods" in given) and "function" not in given:
        raise ConfigError("give either t_end, in the unit of time, or periods of the outermost orbit (of the binary).")
    own = _own(given["function"], folder) if "function" in given else None
    columns = _columns(setup, table, own is not None)
    if END in given:
        columns[END] = distribution_of(END, given[END], END_RANGE)
    more = {name: given[name] for name in ("seed", "periods", *PHYSICS) if name in given}
    return Drawn(setup, columns, given["systems"], own=own, **more)


def _columns(setup: str, table: dict[str, Any], any_name: bool) -> dict[str, Distribution]:
    """Return the distributions of a table by column; a function may use names that the set-up does not have."""
    known = SETUPS[setup].columns(table)
    found = {}
    if not any_name:
        refuse_unknown(setup, table, known)
    for name, value in table.items():
        allowed = known[name].allowed if name in known else Range()
        found[name] = distribution_of(f"[{setup}] {name}", value, allowed)
    return found


def _own(text: str, folder: Path) -> OwnColumns:
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ConfigError(f"function = {shown(text)} must be FILE.py:NAME.")
    return OwnColumns(folder / file, name)
