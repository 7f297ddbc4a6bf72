"""Parts of a page that a program makes: between two marks, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def print_or_write(page: Path, begin: str, end: str, make: Callable[[], str]) -> None:
    """Print what `make` returns, or with --write put it between the marks of the page."""
    if "--write" not in sys.argv:
        print(make())
        return
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{make()}\n{end}{after}", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
