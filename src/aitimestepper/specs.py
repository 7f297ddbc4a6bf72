"""`name:key=value,key=value`, the one notation for initial conditions, criteria and external fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .errors import UserError, nearest_name_hint


def build(text: str, makers: Mapping[str, Callable[..., Any]], what: str, error: type[UserError], **extra: Any) -> Any:
    """Call the maker that `text` names with the arguments it gives; `extra` fills parameters the text leaves open.

    A value without a key goes to the first parameter; that parameter takes all of the text if it is a path.
    """
    name, _, rest = text.partition(":")
    if name not in makers:
        raise error(f"unknown {what} {name!r}: {nearest_name_hint(name, makers)}")
    maker = makers[name]
    parameters = inspect.signature(maker, eval_str=True).parameters
    first = next(iter(parameters), "")
    items = [rest.removeprefix("path=")] if first == "path" and rest else [item for item in rest.split(",") if item]
    values: dict[str, Any] = {}
    for item in items:
        key, equals, value = ("", "", item) if first == "path" else item.partition("=")
        if not equals:
            key, value = first, item
        if key not in parameters:
            raise error(f"{text}: {name} has no argument {key!r}: {nearest_name_hint(key, parameters)}")
        values[key] = _convert(value, parameters[key].annotation, f"{text}: {key}", error)
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in values]
    missing = [m for m in missing if m not in extra]
    if missing:
        raise error(f"{text}: {name} needs {', '.join(missing)}: write {name}:{','.join(m + '=...' for m in missing)}.")
    return maker(**{k: v for k, v in extra.items() if k in parameters and k not in values}, **values)


def _convert(value: str, kind: Any, where: str, error: type[UserError]) -> Any:
    if kind is str or kind == (str | None):
        return value
    if kind is bool:
        if value.lower() in ("true", "yes", "1", "false", "no", "0"):
            return value.lower() in ("true", "yes", "1")
        raise error(f"{where} = {value!r} must be true or false.")
    try:
        return int(value) if kind in (int, int | None) else float(value)
    except ValueError:
        raise error(f"{where} = {value!r} must be a {'whole ' if kind in (int, int | None) else ''}number.") from None


def describe(makers: Mapping[str, Callable[..., Any]]) -> list[tuple[str, str]]:
    """(how to write it with its defaults, first line of its documentation) of each maker, for --list-..."""
    rows = []
    for name, maker in makers.items():
        arguments = ",".join(
            f"{p.name}={'...' if p.default is p.empty else p.default}" for p in inspect.signature(maker).parameters.values()
        )
        doc = (inspect.getdoc(maker) or "").partition("\n")[0]
        rows.append((f"{name}:{arguments}" if arguments else name, doc))
    return rows
