"""The progress bar of an ensemble: on stderr, and only if that is a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .progress import EnsembleStatus


class Bar:
    """A bar with the systems that are done, their outcomes, the speed, and the time that remains."""

    def __init__(self, systems: int | None) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("systems"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=systems, words="starting (the first run compiles for half a minute)")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, status: EnsembleStatus) -> None:
        """Show the progress."""
        words = f"{status.systems_per_second:.3g}/s  {status.words()}"
        self._bar.update(self._task, completed=status.done, words=words)
