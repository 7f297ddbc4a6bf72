"""`name:key=value,key=value`, the one notation for initial conditions, criteria and external fields."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

from .errors import UserError, nearest_name_hint


def build(text: str, makers: Mapping[str, Callable[..., Any]], what: str, error: type[UserError], **extra: Any) -> Any:
    """Call the maker that `text` names, a function or a class, with the arguments in `text`.

    `extra` has values for parameters that are not in the text. A value without a key goes to the first parameter. If that is
    called `path`, it takes the whole text after the name.
    """
    name, _, rest = text.partition(":")
    if name not in makers:
        raise error(f"unknown {what} {name!r}: {nearest_name_hint(name, makers)}")
    maker = makers[name]
    parameters = inspect.signature(maker, eval_str=True).parameters
    given = {}
    for key, value in _items(rest, next(iter(parameters), "")):
        if key not in parameters:
            raise error(f"{text}: {name} has no argument {key!r}: {nearest_name_hint(key, parameters)}")
        given[key] = _convert(value, parameters[key].annotation, f"{text}: {key}", error)
    values = {key: value for key, value in extra.items() if key in parameters} | given
    missing = [p.name for p in parameters.values() if p.default is Parameter.empty and p.name not in values]
    if missing:
        raise error(f"{text}: {name} needs {', '.join(missing)}: write {name}:{','.join(m + '=...' for m in missing)}.")
    return maker(**values)


def _items(rest: str, first: str) -> list[tuple[str, str]]:
    """Return the (key, value) pairs of what follows the name; `first` is the name of the first parameter."""
    if first == "path" and rest:
        return [(first, rest.removeprefix("path="))]
    pairs = [item.partition("=") for item in rest.split(",") if item]
    return [(key, value) if equals else (first, key) for key, equals, value in pairs]


def _convert(value: str, annotation: Any, where: str, error: type[UserError]) -> Any:
    """Return `value` as the simplest type of the annotation; one that allows several numbers gives one number."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if str in kinds:
        return value
    if bool in kinds:
        if value.lower() in ("true", "yes", "1", "false", "no", "0"):
            return value.lower() in ("true", "yes", "1")
        raise error(f"{where} = {value!r} must be true or false.")
    whole = int in kinds
    try:
        return int(value) if whole else float(value)
    except ValueError:
        raise error(f"{where} = {value!r} must be a {'whole ' if whole else ''}number.") from None


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
