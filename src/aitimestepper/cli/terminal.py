"""Terminal output of all commands: JSON, tables of the width of the terminal, and progress bars on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

WIDTH = 160  # width of tables without a terminal


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(content, indent=2, allow_nan=False))


def console(width: int = WIDTH, **more: Any) -> Console:
    """Return a console for standard output as wide as the terminal, or of `width` columns where there is none."""
    from rich.console import Console

    return Console(width=None if Console().is_terminal else width, **more)


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
