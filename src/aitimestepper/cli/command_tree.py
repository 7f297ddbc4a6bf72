"""All commands with their flags and the values these take, from the parser of the command line: what shells complete."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..config import INTEGRATORS, MORE_INTEGRATORS
from ..criteria.catalogue import CRITERIA
from ..initial.families import FAMILIES
from ..initial.named import MAKERS
from .arguments import SHORT, build_parser

# names that flags take besides those that their own text lists
NAMES: dict[str, tuple[str, ...]] = {
    "ic": tuple(MAKERS),
    "criterion": tuple(CRITERIA),
    "criteria": (*CRITERIA, "learned"),
    "integrator": (*INTEGRATORS, *MORE_INTEGRATORS),
    "integrators": (*INTEGRATORS, *MORE_INTEGRATORS),
    "ic_family": tuple(FAMILIES),
    "families": tuple(FAMILIES),
    "model": ("default",),
    "start": ("default",),
    "variants": ("plain", "symmetrized", "huayno", "hmm"),
    "split": ("train", "validation", "test"),
}
FILES = ("model", "start", "output", "movie", "out_dir", "config", "resume", "run", "file", "before", "after")


class Argument(NamedTuple):
    """A flag, or a word without one (then `flags` is empty)."""

    flags: tuple[str, ...]
    help: str  # on one line
    values: tuple[str, ...]  # that can be completed
    files: bool  # whether it can be a file
    takes: str  # "none", "one" or "many" values


class Command(NamedTuple):
    """A command: its words (`bench steps`), its flags, its words without flags, and its subcommands."""

    words: str
    help: str
    flags: tuple[Argument, ...]
    places: tuple[Argument, ...]
    commands: tuple[Command, ...]


def command_tree() -> Command:
    """Return the program itself as a command."""
    return _command(build_parser(), "", "")


def every_command(tree: Command) -> Iterator[Command]:
    """Yield a command and all below it."""
    yield tree
    for command in tree.commands:
        yield from every_command(command)


def _command(parser: argparse.ArgumentParser, words: str, help_text: str) -> Command:
    inner: list[Command] = []
    arguments: list[Argument] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner = _commands_of(action, words)
        else:
            arguments.append(_argument(action))
    flags = tuple(a for a in arguments if a.flags)
    return Command(words, help_text, flags, tuple(a for a in arguments if not a.flags), tuple(inner))


def _commands_of(action: Any, words: str) -> list[Command]:
    """Return the subcommands; a short form of a command has the flags of that."""
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    parsers: Mapping[str, argparse.ArgumentParser] = action.choices
    return [
        _command(
            parsers[SHORT[name][0]] if name in SHORT and not words else parser, f"{words} {name}".strip(), helps.get(name, "")
        )
        for name, parser in parsers.items()
    ]


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    listed = metavar[1:-1].split(",") if metavar.startswith("{") else list(action.choices or ())
    values = (*map(str, listed), *NAMES.get(action.dest, ())) if not listed or action.dest not in NAMES else NAMES[action.dest]
    takes = "none" if action.nargs == 0 else "many" if action.nargs in ("+", "*") or isinstance(action.nargs, int) else "one"
    files = takes != "none" and (action.dest in FILES or "FILE" in metavar)
    help_text = " ".join((action.help or "").replace("%%", "%").split())
    return Argument(tuple(action.option_strings), help_text, values if takes != "none" else (), files, takes)
