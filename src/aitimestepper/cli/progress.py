"""Progress on the terminal: bars on stderr when it is a terminal, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ..training.metrics import Recorder


def _bars(quiet: bool, *columns: Any) -> Progress:
    console = Console(stderr=True)
    disable = quiet or not (console.is_terminal and sys.stderr.isatty())
    return Progress(*columns, TimeRemainingColumn(compact=True), console=console, disable=disable, transient=True)


class TrainingProgress(Recorder):
    """Epoch, acceptance rate, retrains, Part 2 pass rate, dt, time left."""

    def __init__(self, first: int, epochs: int, steps_per_epoch: int, quiet: bool) -> None:
        self._bars = _bars(
            quiet,
            TextColumn("{task.description}"),
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
        )
        self._epochs = self._bars.add_task("epoch", total=epochs, completed=first - 1, words="")
        self._steps = self._bars.add_task(" part 1", total=steps_per_epoch, words="")
        self._bars.start()

    def collecting(self, epoch: int, step: int, retrains: int) -> None:
        """Part 1 moves on; during long retrains only the count changes."""
        self._bars.update(self._steps, completed=step, words=f"retrains {retrains}" if retrains else "")

    def record(self, metrics: Mapping[str, Any]) -> None:
        """An epoch has ended."""
        # 80 columns hold this with the bar and the time left
        words = (
            f"accept {metrics['part1/acceptance_rate']:.0%} retrain {metrics['part1/mean_retrain_iterations']:.2g} "
            f"part2 {metrics['part2/final_pass_rate']:.0%} dt {metrics['part1/mean_dt']:.1e}"
        )
        self._bars.update(self._epochs, completed=metrics["epoch"], words=words)
        self._bars.update(self._steps, completed=0, words="")

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()


@contextmanager
def task(words: str, quiet: bool) -> Iterator[Any]:
    """A bar for other long work; yields `progress(done, total, what is going on)`."""
    bars = _bars(quiet, TextColumn(words), BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn("{task.description}"))
    with bars:
        number = bars.add_task("")
        yield lambda done, total, now="": bars.update(number, completed=done, total=total, description=now)
