"""Bodies in text: plain rows, tables with a header (of spaces, commas, tabs; with units), and the formats of NEMO and AMUSE."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InitialConditionError, shown
from ..files import path_shown
from .columns import ELEMENTS, fields_of_columns, header_of

SEPARATORS = (",", ";", "\t")
NO_UNIT = ("", "-", "none", "1", "mass", "length", "time", "length/time", "length*time**-1")  # in AMUSE: of an N-body system
PLACES = {"x", "a", "q", "position"}  # one of these is in every header


def fields_of_text(text: str, path: Path) -> dict[str, Any]:
    """Return the arguments of `Bodies` or of `Bodies.from_elements` in a text, or raise an error that says what is wrong."""
    lines = text.splitlines()
    table = _table(lines, path)
    if table is not None:
        return fields_of_columns(table, path_shown(path))
    rows = [words for line in lines if (words := line.partition("#")[0].replace(",", " ").split())]
    if not rows:
        raise InitialConditionError(f"{path_shown(path)} is empty; write one row per body: mass, position, velocity.")
    snapshot = _nemo(rows, path)
    return fields_of_rows(_numbers(rows, path), path) if snapshot is None else snapshot


def fields_of_rows(rows: np.ndarray, path: Path) -> dict[str, Any]:
    """Return the arguments of `Bodies` in rows `mass, position..., velocity...`, (N, 5) or (N, 7)."""
    if rows.ndim != 2 or rows.shape[1] not in (5, 7):
        raise InitialConditionError(
            f"{path_shown(path)}: found shape {rows.shape}; every row must be mass, position, velocity: 5 numbers in 2D, 7 "
            "in 3D."
        )
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise InitialConditionError(
            f"{path_shown(path)}: row {row + 1}, column {column + 1} is {rows[row, column]}; all numbers must be finite."
        )
    _refuse_few(len(rows), path)
    dim = (rows.shape[1] - 1) // 2
    return {"mass": rows[:, 0], "position": rows[:, 1 : 1 + dim], "velocity": rows[:, 1 + dim :]}


def _refuse_few(bodies: int, path: Path) -> None:
    if bodies < 2:
        raise InitialConditionError(f"{path_shown(path)}: found {bodies} body; gravity needs at least 2 rows.")


def _numbers(rows: Sequence[Sequence[str]], path: Path) -> np.ndarray:
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        found = ", ".join(map(str, sorted(widths)[:5]))
        raise InitialConditionError(f"{path_shown(path)}: rows have [{found}] numbers; all must have 5 (2D) or 7 (3D).")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InitialConditionError(f"{path_shown(path)}: {str(error)[:100]}; all entries must be numbers.") from None


# ---- tables with a header ----------------------------------------------------------------------------------------------------
def _table(lines: Sequence[str], path: Path) -> dict[str, Any] | None:
    """Return the columns of a table by the names in its header, with units in brackets; None if there is no header."""
    number = next((k for k, line in enumerate(lines) if line.strip() and line.strip()[0] not in "#%"), None)
    if number is None:
        return None
    comments = [line.strip().lstrip("#% \t") for line in lines[:number] if line.strip()]
    first = lines[number]
    if _is_header(_split(first, None)):
        return _columns(_split(first, None), [], lines[number + 1 :], _separator(first), path)
    for k, comment in enumerate(comments):
        words, separator = _split(comment, None), _separator(first)
        if _is_header(words) and len(words) == len(_cells(first, separator)):
            units = _split(comments[k + 1], _separator(comment)) if k + 1 < len(comments) else []
            return _columns(words, units, lines[number:], separator, path)
    return None


def _separator(line: str) -> str | None:
    return next((sign for sign in SEPARATORS if sign in line), None)


def _split(line: str, separator: str | None) -> list[str]:
    """Return the words of a header; a unit in brackets belongs to the word before it, a product of units is one word."""
    separator = separator or _separator(line)
    if separator is not None:
        return [word.strip().strip('"') for word in line.split(separator)]
    line = re.sub(r"\s+(?=[\[(])", "", re.sub(r"\s*\*\s*(?=[a-zA-Z])", "*", re.sub(r"\s*/\s*", "/", line)))
    return re.findall(r"[^\s\[(]+(?:[\[(][^\])]*[\])])?", line)


def _is_header(words: Sequence[str]) -> bool:
    """Return whether some words name a mass and a place; a header has no numbers."""
    try:
        names = {header_of(word).name for word in words}
    except InitialConditionError:  # an unknown unit, which is an error once the columns are read
        names = {header_of(word.partition("[")[0].partition("(")[0]).name for word in words}
    return not any(map(_is_number, words)) and bool(names & {"mass", "M"}) and bool(names & PLACES)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word.lower() not in ("nan", "inf", "infinity")


def _cells(line: str, separator: str | None) -> list[str]:
    line = line.partition("#")[0]
    if separator is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=separator), [])]


def _columns(
    words: Sequence[str], units: Sequence[str], lines: Sequence[str], separator: str | None, path: Path
) -> dict[str, Any]:
    """Return the columns below a header; numbers are checked here, where the row can be named."""
    rows = [(number, cells) for number, line in enumerate(lines, 1) if any(cells := _cells(line, separator))]
    wrong = next(((number, cells) for number, cells in rows if len(cells) != len(words)), None)
    if wrong is not None:
        raise InitialConditionError(
            f"{path_shown(path)}: row {wrong[0]} below the header has {len(wrong[1])} entries, the header {len(words)}."
        )
    _refuse_few(len(rows), path)
    if len(units) == len(words) and not any("[" in word for word in words):
        words = [w if u.lower().replace(" ", "") in NO_UNIT else f"{w} [{u}]" for w, u in zip(words, units, strict=True)]
    found: dict[str, Any] = {}
    for k, word in enumerate(words):
        name = header_of(word).name
        if name is None:
            continue
        if word in found:
            raise InitialConditionError(f"{path_shown(path)} has several columns called {shown(word)}: keep one.")
        cells = [cells[k] for _, cells in rows]
        found[word] = cells if name == "names" else _column(cells, word, name in (*ELEMENTS, "primary"), path)
    return found


def _column(cells: Sequence[str], word: str, empty_first: bool, path: Path) -> np.ndarray:
    """Return a column of numbers; the first one of an orbital element may be empty."""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell) if cell else np.nan
        except ValueError:
            raise InitialConditionError(
                f"{path_shown(path)}: row {row + 1} of column {shown(word)} is {shown(cell)}, which is no number."
            ) from None
    row = int(np.isfinite(values[int(empty_first) :]).argmin()) + int(empty_first)
    if not np.isfinite(values[row]):
        raise InitialConditionError(
            f"{path_shown(path)}: row {row + 1} of column {shown(word)} is {cells[row] or 'empty'}; all numbers must be finite."
        )
    return values


# ---- NEMO --------------------------------------------------------------------------------------------------------------------
def _nemo(rows: Sequence[Sequence[str]], path: Path) -> dict[str, Any] | None:
    """Return the last snapshot of a text that NEMO's `stoa` wrote, or one of its form `ntmpv`; None if it is neither.

    stoa: N, the number of axes, the time, N masses, N positions, N velocities. ntmpv: N and the time in one row, then
    N rows mass, position, velocity. Both may be repeated.
    """
    read = _stoa if _widths(rows)[:4] == [1, 1, 1, 1] else _ntmpv if _widths(rows)[:1] == [2] else None
    found = None
    while read is not None and rows:
        found, used = read(rows, path)
        rows = rows[used:]
    return found


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [len(row) for row in rows]


def _stoa(rows: Sequence[Sequence[str]], path: Path) -> tuple[dict[str, Any], int]:
    n, axes = (_count(row, path) for row in (*rows[:2], ["", ""])[:2])
    end = 3 + 3 * n
    wanted = [1] * (3 + n) + [axes] * (2 * n)
    if axes not in (2, 3) or _widths(rows[:end]) != wanted:
        raise InitialConditionError(
            f"{path_shown(path)} begins as a snapshot of NEMO of {n} bodies in {axes} axes, but has no such rows after it."
        )
    mass, x, v = (_numbers(rows[3 + k * n : 3 + (k + 1) * n], path) for k in range(3))
    found = fields_of_rows(np.hstack([mass, x, v]), path)
    return found | {"time": float(_numbers(rows[2:3], path)[0, 0])}, end


def _ntmpv(rows: Sequence[Sequence[str]], path: Path) -> tuple[dict[str, Any], int]:
    n = _count(rows[0], path)
    if len(rows) < n + 1:
        raise InitialConditionError(f"{path_shown(path)} begins as a snapshot of {n} bodies, but has only {len(rows) - 1}.")
    found = fields_of_rows(_numbers(rows[1 : n + 1], path), path)
    return found | {"time": float(_numbers([rows[0][1:]], path)[0, 0])}, n + 1


def _count(row: Sequence[str], path: Path) -> int:
    word = row[0]
    if not word.isdecimal() or len(word) > 9:
        raise InitialConditionError(f"{path_shown(path)}: {shown(word)} must be a whole number, as a snapshot begins with it.")
    return int(word)
