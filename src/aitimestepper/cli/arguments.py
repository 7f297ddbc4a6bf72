"""The flags, made from the fields of Config; they override the settings of a TOML file."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .._version import __version__
from ..config import Config, field_sections, field_types, load_toml
from ..errors import ConfigError, UserError, nearest_name_hint
from .bench_arguments import add_bench, command_parser
from .ensemble_arguments import add_ensemble
from .help_texts import DESCRIPTION, EPILOG
from .sweep_arguments import add_sweep
from .tool_arguments import add_completion, add_doctor, add_plot

# the sections of settings that a command takes as flags; a TOML file may hold more
SECTIONS = {
    "train": ("training", "network", "physics", "initial conditions", "run"),
    "simulate": ("simulation", "physics", "initial conditions", "run"),
    "report": ("simulation", "physics", "initial conditions", "run"),
    "both": ("training", "network", "physics", "initial conditions", "run", "simulation"),
}
TRAINING = ("train", "both")
# settings that are flags of these commands only
ONLY = {
    "report": ("both",),
    "model": ("simulate",),
    "criterion": ("simulate",),
    **dict.fromkeys(("wandb", "dtype", "device", "save_name", "dt_ceiling"), TRAINING),
}
# flags that are no settings
SPECIAL = ("resume", "overwrite", "json", "quiet", "listing", "file", "runs", "page", "systems", "repeat")
OWN_FLAGS = ("bench", "ensemble", "sweep", "plot", "completion", "doctor")  # commands whose flags are no settings
SHORT = {"tune": ("train", "--judge", "run")}  # short forms of commands


@dataclass(frozen=True)
class Request:
    """The command and the settings that the user asked for."""

    command: str
    settings: dict[str, Any]  # settings given by TOML or flags; for `both` those of its training
    simulation: dict[str, Any]  # settings of the simulation
    resume: str | None = None
    overwrite: bool = False
    json: bool = False
    quiet: bool = False
    listing: str | None = None  # "ic" or "criteria"
    file: str | None = None  # to inspect
    runs: tuple[str, ...] = ()  # of a report
    page: str | None = None  # of a report that shows recorded runs
    systems: tuple[int, ...] = ()  # of each file of several systems
    repeat: str | None = None  # the file of a run to make again
    options: argparse.Namespace | None = None  # of commands whose flags are no settings
    text: str = ""  # the command line, for the card of a model


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one sentence, raised instead of printed with the whole usage."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: '" in message and self.prog == "aitimestepper":
            word = message.partition("invalid choice: '")[2].partition("'")[0]
            raise ConfigError(f"unknown command {word!r}: {nearest_name_hint(word, [*SECTIONS, 'inspect', *OWN_FLAGS])}")
        raise UserError(f"{message}; see {self.prog} --help")


def parse(argv: Sequence[str]) -> Request:
    """Return the request in the arguments; `--help` and `--version` end the program here."""
    parser, text = build_parser(), shlex.join(["aitimestepper", *argv])
    if argv and argv[0] in SHORT:
        argv = [*SHORT[argv[0]], *argv[1:]]
    if argv and argv[0] in OWN_FLAGS:
        return Request(argv[0], {}, {}, options=parser.parse_args(list(argv), argparse.Namespace(words=list(argv))), text=text)
    known, unknown = parser.parse_known_args(list(argv))
    values: dict[str, Any] = {name: None if value == [None] else value for name, value in vars(known).items()}
    if unknown:
        _refuse_unknown(unknown, values["command"])
    command = values.pop("command")
    config_file = values.pop("config", None)
    if command == "report":
        values["runs"] = tuple(values["runs"])
        values["model"] = values["runs"][0]
    special = {k: values.pop(k) for k in SPECIAL if k in values}
    if special.get("resume") == "":
        raise ConfigError("--resume = '' names no run: give its folder, its name, or a file.")
    train, simulate = ({**(load_toml(config_file, c) if config_file else {}), **values} for c in ("train", "simulate"))
    if command == "both" and "ic_family" in train and "ic" in simulate:  # those of the training, that of the simulation
        train.pop("ic", None)
        for name in ("ic_family", "num_orbits"):
            simulate.pop(name, None)
    for given in (train, simulate):
        if "ic" in given and "ic_family" in given:
            raise ConfigError(f"ic = {given['ic']} and ic_family = {given['ic_family']} both name the problems: give one.")
    settings = simulate if command in ("simulate", "report") else train
    return Request(command, settings, simulate, **special, text=text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="aitimestepper",
        description=DESCRIPTION,
        epilog=EPILOG[""],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aitimestepper {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("train", "train a network in two phases"),
        ("simulate", "run a simulation with a network or a classical step"),
        ("both", "train, then simulate with the result"),
        ("report", "write a page to explore recorded runs, or one that compares a network with classical steps"),
    ):
        sub = commands.add_parser(
            name,
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
            epilog=EPILOG[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        _add_command_flags(sub, name)
        _add_settings(sub, name)
    commands.add_parser("tune", help="short for train --judge run")
    _add_inspect(commands)
    add_plot(commands)
    add_bench(commands)
    add_ensemble(commands)
    add_sweep(commands)
    add_completion(commands)
    add_doctor(commands)
    return parser


def _add_inspect(commands: Any) -> None:
    parser = command_parser(commands, "inspect", "describe what a simulation or a model file holds", EPILOG["inspect"])
    parser.add_argument(
        "file", metavar="FILE", help="a simulation (.h5), a model (.npz, or the .pt beside it), or the folder of a training run"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")


def _add_command_flags(parser: argparse.ArgumentParser, command: str) -> None:
    if command == "report":
        parser.add_argument(
            "runs", metavar="RUN", nargs="+", help="a simulation (.h5), a run folder, the name of a run, or a model file (.npz)"
        )
        page = parser.add_argument_group("the page about recorded runs")
        page.add_argument(
            "-o", dest="page", metavar="FILE.html", help="the page to write, report.html for simulations or several runs"
        )
        page.add_argument(
            "--systems",
            dest="systems",
            type=int,
            nargs="+",
            metavar="N",
            help="the systems of a batch to show (the first four)",
        )
    group = parser.add_argument_group("this command")
    group.add_argument("--config", metavar="FILE.toml", help="settings from a TOML file; flags override it")
    group.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")
    group.add_argument("--quiet", action="store_true", help="no progress")
    listing = group.add_mutually_exclusive_group()
    listing.add_argument("--list-ic", dest="listing", action="store_const", const="ic", help="list the initial conditions")
    listing.add_argument("--list-criteria", dest="listing", action="store_const", const="criteria", help="list the criteria")
    group.add_argument("--overwrite", action="store_true", help="start anew where a run or an output file of this name exists")
    if command == "simulate":
        group.add_argument(
            "--resume",
            metavar="FILE.h5",
            help="continue the run in an output file, to the same bits; --t-end makes it longer",
        )
        group.add_argument("--repeat", metavar="FILE.h5", help="make the run in an output file again, with all its settings")
    if command == "train":
        group.add_argument("--resume", metavar="RUN", help="continue a run, to the same bits as if it had not stopped")


def _add_settings(parser: argparse.ArgumentParser, command: str) -> None:
    groups: dict[str, Any] = {}
    sections, kinds = field_sections(), field_types()
    for f in dataclasses.fields(Config):
        section = sections[f.name]
        if section not in SECTIONS[command] or command not in ONLY.get(f.name, (command,)):
            continue
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        _add_setting(groups[section], f, kinds[f.name])


def _add_setting(group: Any, f: dataclasses.Field[Any], kind: Any) -> None:
    flag = "--" + f.name.replace("_", "-")
    flags = [flag, "--duration"] if f.name == "t_end" else [flag]
    help_text = f"{f.metadata['help']} (default: {default_text(f)})".replace("%", "%%")
    if kind is bool or bool in typing.get_args(kind):
        group.add_argument(*flags, dest=f.name, action=argparse.BooleanOptionalAction, help=help_text)
        return
    extra: dict[str, Any] = {"nargs": "+"} if any(typing.get_origin(k) is tuple for k in (kind, *typing.get_args(kind))) else {}
    choices = f.metadata.get("choices")
    metavar = "{" + ",".join(choices) + "}" if choices else f.name.upper()
    group.add_argument(
        *flags, dest=f.name, type=_converter(kind, "by_judge" in f.metadata), metavar=metavar, help=help_text, **extra
    )


def default_text(f: dataclasses.Field[Any]) -> str:
    """Return the default of a setting as text; `step / run` where it depends on the judge."""

    def words(value: Any) -> str:
        return "none" if value is None else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)

    both = f.metadata.get("by_judge")
    return words(f.default) if both is None else f"{words(both[0])} / {words(both[1])}"


def _converter(kind: Any, by_judge: bool) -> Callable[[str], Any]:
    """Return a function that converts the text of a flag, or each of several, to this type; `none` is None where allowed."""
    optional = isinstance(kind, types.UnionType) or by_judge
    inner = kind
    if isinstance(kind, types.UnionType):
        inner = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    base: Callable[[str], Any] = typing.get_args(inner)[0] if typing.get_origin(inner) is tuple else inner

    def convert(text: str) -> Any:
        return None if optional and text.lower() == "none" else base(text)

    convert.__name__ = {int: "whole number", float: "number"}.get(base, "text")  # type: ignore[call-overload]
    return convert


def _refuse_unknown(unknown: Sequence[str], command: str) -> NoReturn:
    word = unknown[0].partition("=")[0]
    if not word.startswith("--"):
        raise ConfigError(
            f"unexpected argument {word!r}; settings are given as --name value, see aitimestepper {command} --help"
        )
    sections = field_sections()
    known = ["--" + n.replace("_", "-") for n in sections]
    name = word[2:].replace("-", "_")
    if name in sections:
        others = [c for c, s in SECTIONS.items() if sections[name] in s and c in ONLY.get(name, (c,))]
        hint = " The tolerances of a training are --tolerances." if name == "tol" else ""
        raise ConfigError(f"{word} is a setting of {_listed(others)}, not of {command}.{hint}")
    extra = ["--config", "--json", "--quiet", "--duration", "--list-ic", "--list-criteria"]
    raise ConfigError(f"unknown flag {word}: {nearest_name_hint(word, [*known, *extra])}")


def _listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join(x for x in (", ".join(words[:-1]), words[-1]) if x)


def to_toml(values: dict[str, Any]) -> str:
    """Return flat settings as TOML, without those that are None, which TOML cannot express."""

    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return str(value)

    return "".join(f"{key} = {text(value)}\n" for key, value in values.items() if value is not None)


def run_folder(config: Config) -> Path:
    """Return the folder for the outputs of a named run."""
    return Path(config.out_dir) / str(config.save_name)
