"""The progress bar of a simulation: on stderr if that is a terminal, and below the cell of a notebook."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .notebook_bar import NotebookBar, in_notebook
from .progress import Status

STARTING = "starting (the first run compiles for half a minute)"


class Shown(Protocol):
    """How a bar is shown."""

    def start(self) -> None:
        """Show the bar."""

    def show(self, share: float, words: str) -> None:
        """Show how much is done, from 0 to 1, and words beside it."""

    def stop(self) -> None:
        """Take the bar away."""


class TerminalBar:
    """A bar on stderr, if that is a terminal."""

    def __init__(self, words: str) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(bar_width=20), TextColumn("{task.fields[words]}"), TimeRemainingColumn(compact=True))
        self._bar = Progress(
            TextColumn("simulating"), *columns, console=console, disable=not console.is_terminal, transient=True
        )
        self._task = self._bar.add_task("", total=1.0, words=words)

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def show(self, share: float, words: str) -> None:
        """Show how much is done, from 0 to 1, and words beside it."""
        self._bar.update(self._task, completed=share, words=words)

    def stop(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class Bar:
    """A bar with the progress of a run, its speed, step and energy error."""

    def __init__(self) -> None:
        self._bar: Shown = NotebookBar(STARTING) if in_notebook() else TerminalBar(STARTING)
        self._first: float | None = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, status: Status) -> None:
        """Show the status of the run."""
        if self._first is None:
            self._first = status.time
        if math.isfinite(status.t_end):
            done = abs(status.time - self._first) / max(abs(status.t_end - self._first), 5e-324)
        else:
            done = status.steps / status.step_limit
        speed = _short(status.steps_per_second)
        words = f"t {status.time:.6g}  {speed} steps/s  dt {status.dt:.2e}  error {status.max_energy_error:.1e}"
        self._bar.show(done, words)


def _short(number: float) -> str:
    """Return a number of three digits, with k or M for thousands and millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
