"""`name:key=value,key=value`, the one notation for initial conditions, criteria and external fields."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, TypeVar

from .errors import UserError, nearest_name_hint, shown

Made = TypeVar("Made")
LARGEST_INTEGER = 2**63 - 1  # files, arrays and random streams hold no larger ones


def build(text: str, makers: Mapping[str, Callable[..., Any]], what: str, error: type[UserError], **extra: Any) -> Any:
    """Call the maker that `text` names, a function or a class, with the arguments in `text`.

    `extra` has values for parameters that are not in the text. A value without a key goes to the first parameter. If that is
    called `path`, it takes the whole text after the name. Numbers are finite; those that the maker cannot compute with raise
    an `error` that names the text.
    """
    if not isinstance(text, str):
        raise error(f"{what} = {shown(text)} must be text, such as {next(iter(makers))!r}.")
    name, _, rest = text.partition(":")
    if name not in makers:
        raise error(f"unknown {what} {shown(name)}: {nearest_name_hint(name, makers)}")
    maker = makers[name]
    parameters = inspect.signature(maker, eval_str=True).parameters
    given = {}
    for key, value in _items(rest, next(iter(parameters), "")):
        if key not in parameters:
            raise error(f"{text}: {name} has no argument {shown(key)}: {nearest_name_hint(key, parameters)}")
        given[key] = converted(value, parameters[key].annotation, f"{text}: {key}", error)
    values = {key: value for key, value in extra.items() if key in parameters} | given
    missing = [p.name for p in parameters.values() if p.default is Parameter.empty and p.name not in values]
    if missing:
        raise error(f"{text}: {name} needs {', '.join(missing)}: write {name}:{','.join(m + '=...' for m in missing)}.")
    return computed(text, error, lambda: maker(**values))


def computed(text: str, error: type[UserError], make: Callable[[], Made]) -> Made:
    """Return what `make` returns; where its numbers are too large or vanish on the way, raise an `error` that names `text`."""
    try:
        return make()
    except UserError:
        raise
    except (ArithmeticError, ValueError) as cause:
        raise error(
            f"{text} cannot be computed with these numbers ({cause}); choose units in which they are nearer to 1."
        ) from None


def _items(rest: str, first: str) -> list[tuple[str, str]]:
    """Return the (key, value) pairs of what follows the name; `first` is the name of the first parameter."""
    if first == "path" and rest:
        return [(first, rest.removeprefix("path="))]
    pairs = [item.partition("=") for item in rest.split(",") if item]
    return [(key, value) if equals else (first, key) for key, equals, value in pairs]


def converted(value: str, annotation: Any, where: str, error: type[UserError]) -> Any:
    """Return `value` as the simplest type of the annotation; one that allows several numbers gives one number."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if str in kinds:
        return value
    if bool in kinds:
        if value.lower() in ("true", "yes", "1", "false", "no", "0"):
            return value.lower() in ("true", "yes", "1")
        raise error(f"{where} = {shown(value)} must be true or false.")
    whole = int in kinds
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        raise error(f"{where} = {shown(value)} must be a {'whole ' if whole else ''}number.") from None
    if not (abs(number) <= LARGEST_INTEGER if whole else math.isfinite(number)):
        raise error(f"{where} = {shown(value)} must be {'a whole number below 2^63' if whole else 'a finite number'}.")
    return number


def describe(makers: Mapping[str, Callable[..., Any]]) -> list[tuple[str, str]]:
    """Return (how to write it, first line of its documentation) of each maker.

    Arguments are shown with their defaults, required ones with `...`, and those whose default is None in brackets.
    """
    rows = []
    for name, maker in makers.items():
        written = name
        for number, parameter in enumerate(inspect.signature(maker).parameters.values()):
            written += _described(parameter, "," if number else ":")
        rows.append((written, (inspect.getdoc(maker) or "").partition("\n")[0]))
    return rows


def _described(parameter: Parameter, separator: str) -> str:
    if parameter.default is None:
        return f"[{separator}{parameter.name}=...]"
    return f"{separator}{parameter.name}={'...' if parameter.default is Parameter.empty else parameter.default}"
