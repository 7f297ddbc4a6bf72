"""Terminal output of all commands: JSON, tables of the width of the terminal, and progress bars on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

WIDTH = 100  # largest width of tables, and their width without a terminal
LEAST = 80  # smallest width at which numbers in tables are never broken


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(content, indent=2, allow_nan=False))


def console(**more: Any) -> Console:
    """Return a console for standard output as wide as the terminal, but at most `WIDTH` columns, also where there is none."""
    from rich.console import Console

    found = Console()
    return Console(width=min(found.width, WIDTH) if found.is_terminal else WIDTH, **more)


def print_rows(rows: Sequence[tuple[str, str]], whole: Collection[str] = ()) -> None:
    """Print a name and its words on each line, aligned; the words of names in `whole`, paths and commands, are not wrapped."""
    from rich.text import Text

    out = console(markup=False, highlight=False, emoji=False)
    indent = max(len(name) for name, _ in rows) + 2
    for name, words in rows:
        room = math.inf if name in whole else max(out.width - indent, 20)
        lines = [words] if len(words) <= room else wrap(words, int(room), break_long_words=False, break_on_hyphens=False)
        for k, line in enumerate(lines):
            out.print(Text.assemble((f"{'' if k else name:{indent}}", "bold"), line), soft_wrap=True)


def table_of(out: Console, texts: Sequence[str], numbers: Sequence[str], last: str | None = None, title: str = "") -> Table:
    """Return an empty table for `out` with columns of texts, of numbers and a last one of text, named by their heads.

    Texts are wrapped where the table would be too wide, numbers only on terminals of less than `LEAST` columns. Nothing is cut.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, header_style="bold", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for head in texts:
        table.add_column(head, overflow="fold")
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=out.width >= LEAST, overflow="fold")
    if last is not None:
        table.add_column(last, overflow="fold")
    return table


def bars(quiet: bool, *columns: Any) -> Progress:
    """Return progress bars with these columns and the time left, disabled unless stderr is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    errors = Console(stderr=True)
    disable = quiet or not (errors.is_terminal and sys.stderr.isatty())
    return Progress(*columns, TimeRemainingColumn(compact=True), console=errors, disable=disable, transient=True)


@contextmanager
def task(name: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Show a progress bar for a long task, and yield `progress(done, total, stage)`."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    bar = bars(quiet, TextColumn(name), BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn("{task.description}"))
    with bar:
        number = bar.add_task("")
        yield lambda done, total, stage="": bar.update(number, completed=done, total=total, description=stage)
