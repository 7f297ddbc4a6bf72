"""Reading files that are not trusted: only regular files, and one sentence about anything that cannot be read."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import types
import typing
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import UserError


def open_regular(path: Path, what: str, error: type[UserError] = UserError) -> BinaryIO:
    """Open a regular file to read its bytes, or raise `error` with one sentence.

    what: the word for such a file in the sentence. Reading a pipe or a device could block forever.
    """
    try:
        # without O_NONBLOCK, opening a pipe would wait for its other end
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as cause:
        raise error(f"cannot read the {what} {path_shown(path)}: {reason(cause)}.") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = "Is a directory" if stat.S_ISDIR(mode) else "it is no regular file, but a pipe or a device"
    raise error(f"cannot read the {what} {path_shown(path)}: {kind}.")


def read_bytes(path: Path, what: str, error: type[UserError] = UserError) -> bytes:
    """Return the content of a regular file, or raise `error` with one sentence."""
    with open_regular(path, what, error) as f:
        try:
            return f.read()
        except (OSError, MemoryError) as cause:
            raise error(f"cannot read the {what} {path_shown(path)}: {reason(cause)}.") from None


def read_text(path: Path, what: str, error: type[UserError] = UserError) -> str:
    """Return the text of a regular file in UTF-8, or raise `error` with one sentence."""
    try:
        return read_bytes(path, what, error).decode()
    except UnicodeDecodeError as cause:
        raise error(f"{path_shown(path)} is no text: {cause}.") from None


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text, or raise ValueError; also for text whose nesting is too deep for the parser."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its lists are nested too deeply") from None


def read_json_lines(path: Path, what: str, error: type[UserError] = UserError) -> list[dict[str, Any]]:
    """Return the records of a file with one JSON object a line, without lines that are none: a kill cuts the last one short."""
    records = []
    for line in read_bytes(path, what, error).decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            record = parse_json(line)
            if isinstance(record, dict):
                records.append(record)
    return records


def conforms(value: Any, kind: Any) -> bool:
    """Return whether a value from JSON is of a type such as `dict[str, float | None]`; integers are floats, too."""
    parts, origin = typing.get_args(kind), typing.get_origin(kind)
    if kind is Any:
        return True
    if isinstance(kind, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(conforms(x, parts[0]) for x in value)
    if origin is dict:
        return isinstance(value, dict) and all(conforms(k, parts[0]) and conforms(x, parts[1]) for k, x in value.items())
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False  # no array holds it
    return isinstance(value, (int, float) if kind is float else kind)


def place_of(path: Path) -> tuple[int, int] | None:
    """Return which file a path leads to, by device and number; None: there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def reason(cause: BaseException) -> str:
    """Return in words why the operating system refused a file."""
    if isinstance(cause, MemoryError):
        return "it is larger than the memory"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause).partition("\n")[0]
    return str(cause).partition("\n")[0]  # such as a NUL in the name


def path_shown(path: Path | str) -> str:
    """Return a path as messages show it: on one line, and cut short."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 200 else f"{text[:100]}...{text[-60:]}"
