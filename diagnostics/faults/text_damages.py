"""Damage to text: entries of other types in JSON, words in the place of numbers, lines that are missing or twice there."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
from archive_damages import other_array
from cases import Damage, Parts
from trees import changed_tree, shown

NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1e400", "-1e400", "1e-400", "9" * 30, "9" * 5000, "0x10", "1_0", "\u0661", "+-1")
TOKENS = ("x", '"x"', "''", "[]", "[[]]", "{a = 1}", "true", "None", "1979-05-27", "07:32:00", "1 2", "#", ",", "=", "1e")
ODD = ("'''", '"""', "\x00", "\ufeff", "[" * 50_000, "{a=" * 20_000, "x" * 100_000, '["a", 1]', "a.b.c", "\ud7ff", "\r")
WORDS = (*NUMBERS, *TOKENS, *ODD)
BROKEN_LINES = (b"", b"x", b"{}", b"null", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b"{" * 1000, b"1" * 5000)
LINES = (*BROKEN_LINES, b"[train]", b"[[train]]", b"train = 3")


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _word(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Put something else in the place of a word or a number."""
    text = _text(path)
    found = list(re.finditer(r"[\w.+-]+", text))
    which, word = found[rng.integers(len(found))], WORDS[rng.integers(len(WORDS))]
    _write(path, (text[: which.start()] + word + text[which.end() :]).encode())
    return f"{which[0]!r} at {which.start()} is {shown(word)}"


def _line(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Leave a line out, repeat it, exchange it, or put something else in its place."""
    lines = _text(path).encode().split(b"\n")
    k, way = int(rng.integers(len(lines))), int(rng.integers(5))
    if way == 0:
        del lines[k]
    elif way == 1:
        lines.insert(k, lines[rng.integers(len(lines))])
    elif way == 2:
        lines[k] = lines[k][: len(lines[k]) // 2]
    else:
        lines[k] = LINES[rng.integers(len(LINES))]
    _write(path, b"\n".join(lines))
    return f"line {k + 1}: way {way}"


def _entry(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Change an entry of JSON, or of a line of JSON."""
    text = _text(path)
    try:
        tree, words = changed_tree(json.loads(text), rng)
        content = json.dumps(tree)
    except json.JSONDecodeError:
        lines = text.splitlines()
        k = int(rng.integers(len(lines)))
        tree, words = changed_tree(json.loads(lines[k]), rng)
        lines[k], words = json.dumps(tree), f"line {k + 1}: {words}"
        content = "\n".join(lines) + "\n"
    _write(path, content.encode())
    return words


def _array(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Write a .npy file of another shape, type or number, of objects, or one that claims a size."""
    values, way = np.load(path), rng.random()
    if way < 0.1:
        with open(path, "wb") as f:
            np.lib.format.write_array_header_1_0(
                f, {"descr": "<f8", "fortran_order": False, "shape": (2 ** int(rng.integers(20, 62)), 7)}
            )
        return "claims a size"
    if way < 0.2:
        np.save(path, np.array([[1, "x"], [None, {}]], object), allow_pickle=True)
        return "holds objects"
    made, words = other_array(values, rng)
    np.save(path, made)
    return words


ON_LINES = (Damage("word", _word), Damage("line", _line))
ON_JSON = (Damage("entry", _entry), Damage("word", _word), Damage("line", _line))
ON_ARRAY = (Damage("array", _array),)
