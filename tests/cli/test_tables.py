"""Tables are at most 100 columns wide, fit into 80, and lose nothing where they are narrow."""

import dataclasses
import functools
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from aitimestepper.bench.comparison import compare
from aitimestepper.bench.records import Results
from aitimestepper.cli import bench_tables, study_tables, terminal

RESULTS = Path(__file__).resolve().parents[2] / "docs"
FILES = ("bench/steps", "bench/curves", "bench/rl", "bench/longrun")
SHOW = {
    "steps": bench_tables.show_steps,
    "curves": study_tables.show_curves,
    "rl": study_tables.show_rl,
    "longrun": study_tables.show_longrun,
}
LONG = "learned:/a/folder/with/a/very/long/name/that/goes/on/and/on/until/it/is/wider/than/any/terminal/model_epoch_0100.npz"


@functools.cache
def results_of(name: str) -> Results:
    return Results.load(RESULTS / f"{name}.json.gz")


def lines_at(width, show, *arguments):
    out = Console(width=width, file=io.StringIO())
    show(*arguments[:1], out, *arguments[1:])
    lines = out.file.getvalue().splitlines()
    assert lines
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    return lines


def words(lines) -> set[str]:
    """All words without the rules below heads; a word that is broken or cut is another one."""
    return set(" ".join(lines).split()) - {line.strip() for line in lines if set(line.strip()) == {"─"}}


@pytest.mark.parametrize("name", FILES)
def test_results_are_whole_at_every_width(name):
    results = results_of(name)
    wide = words(lines_at(400, SHOW[results.study], results))
    assert words(lines_at(100, SHOW[results.study], results)) == wide
    assert words(lines_at(80, SHOW[results.study], results)) == wide
    assert len(wide) > 50


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("width", [50, 80, 100])
def test_long_names_and_narrow_terminals_break_words_but_cut_nothing(name, width):
    results = results_of(name)
    records = [dataclasses.replace(r, criterion=LONG) if r.criterion == "freefall" else r for r in results.records]
    renamed = dataclasses.replace(results, records=records)
    wide, narrow = (lines_at(w, SHOW[results.study], renamed) for w in (400, width))
    assert _letters(narrow) >= _letters(wide)


def _letters(lines) -> int:
    """Number of letters and digits outside titles and heads, which repeat when a table is split."""
    return sum(len(re.findall(r"[a-z0-9]", line)) for line in lines)


def test_a_comparison_is_whole_at_every_width():
    results = results_of("bench/steps")
    some = dataclasses.replace(results, records=results.records[:120])
    found = compare(some, some)
    wide = words(lines_at(400, bench_tables.show_comparison, found, True))
    assert "same:" in wide
    for width in (80, 100):
        assert words(lines_at(width, bench_tables.show_comparison, found, True)) == wide


@pytest.mark.parametrize("columns", [40, 72, 160])
def test_tables_are_as_wide_as_the_terminal_up_to_a_limit(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert terminal.console().width == terminal.WIDTH == 100
    monkeypatch.setenv("FORCE_COLOR", "1")  # how rich is told that its output is a terminal
    assert terminal.console().width == min(columns, 100)


@pytest.mark.parametrize("arguments", [("bench", "suite"), ("simulate", "--list-ic"), ("simulate", "--list-criteria")])
def test_lists_fit(command, arguments):
    for environment in ({}, {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "80"}):
        lines = command(*arguments, **environment).stdout.splitlines()
        assert max(map(len, lines)) <= int(environment.get("COLUMNS", 100))
        assert "…" not in "".join(lines)
