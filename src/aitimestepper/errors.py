"""Errors that a user can cause. Each has one sentence: what is wrong, which value, what to do."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

LONGEST = 60  # characters of a value that messages show
LONGEST_SENTENCE = 900


class UserError(ValueError):
    """Base of all errors that the command line reports in one line, with exit code 2."""

    def __str__(self) -> str:
        """Return the sentence on one line; what came from a file may hold anything."""
        text = on_one_line(super().__str__())
        return text if len(text) <= LONGEST_SENTENCE else f"{text[: LONGEST_SENTENCE - 100]} ... {text[-90:]}"


class ConfigError(UserError):
    """A setting is unknown or out of range."""


class InitialConditionError(UserError):
    """The given bodies cannot be simulated."""


class CheckpointError(UserError):
    """A file is not a checkpoint or model of this program, is damaged, or does not fit the network."""


class SnapshotError(UserError):
    """A file does not hold a simulation of this program, or is damaged."""


class RetryLimitError(UserError):
    """Part 1 used up `max_retrain_steps` on one state."""


class UnreachableThresholdError(UserError):
    """The energy threshold needs more digits than the arithmetic has."""


class SimulationWarning(UserWarning):
    """A simulation missed its tolerance, broke off, or went where its result is not to be trusted.

    Examples:
        >>> import warnings
        >>> from aitimestepper import FreeFall, SimulationWarning, simulate
        >>> from aitimestepper.initial import kepler
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", SimulationWarning)
        ...     try:
        ...         result = simulate(kepler(e=0.99), t_end=62.8, criterion=FreeFall(0.5))
        ...     except SimulationWarning as told:
        ...         print("a warning, with the remedy")
        a warning, with the remedy
    """


class SlowPythonWarning(UserWarning):
    """A function that the user wrote runs in Python inside the compiled loop."""


class MissingExtraError(UserError, ImportError):
    """An optional part of the program needs a package that is not installed."""


def on_one_line(text: str) -> str:
    """Return the text with escapes for line breaks and all else that a terminal does not print."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def missing_extra(module: str, extra: str, what: str) -> MissingExtraError:
    """Return the error that says what needs `module`, and which extra of this package installs it."""
    name = {"torch": "PyTorch"}.get(module, module)
    return MissingExtraError(f"{what} needs {name}: pip install 'aitimestepper[{extra}]'.")


def require(module: str, extra: str, what: str) -> Any:
    """Return `module`, imported, or raise `missing_extra(module, extra, what)`."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise missing_extra(module.partition(".")[0], extra, what) from None


def shown(value: Any) -> str:
    """Return a value as messages show it: text in quotes, on one line, and long values cut short."""
    try:
        text = repr(value) if isinstance(value, str) else " ".join(str(value).split())
    except ValueError:  # Python prints no integer of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def nearest_name_hint(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the closest known name, else the list of known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name[:LONGEST], known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}."
