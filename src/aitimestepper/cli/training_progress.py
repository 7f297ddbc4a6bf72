"""Progress of a training on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from ..training.metrics import Recorder
from .terminal import bars


class TrainingProgress(Recorder):
    """Bars for epochs and Part 1: acceptance rate, retrains, Part 2 pass rate, dt, time left."""

    def __init__(self, first: int, epochs: int, steps_per_epoch: int, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=8), MofNCompleteColumn())
        self._bars = bars(quiet, *columns, TextColumn("{task.fields[words]}"))
        self._epochs = self._bars.add_task("epoch", total=epochs, completed=first - 1, words="")
        self._steps = self._bars.add_task(" part 1", total=steps_per_epoch, words="")
        self._bars.start()

    def collecting(self, epoch: int, step: int, retrains: int) -> None:
        """Show how far Part 1 is; during long retrains only their number changes."""
        self._bars.update(self._steps, completed=step, words=f"retrains {retrains}" if retrains else "")

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Show the outcome of an epoch that has ended."""
        # 80 columns hold this with the bar and the time left
        words = (
            f"accept {metrics['part1/acceptance_rate']:.0%} retrain {metrics['part1/mean_retrain_iterations']:.2g} "
            f"part2 {metrics['part2/final_pass_rate']:.0%} dt {metrics['part1/mean_dt']:.1e}"
        )
        self._bars.update(self._epochs, completed=metrics["epoch"], words=words)
        self._bars.update(self._steps, completed=0, words="")

    def close(self) -> None:
        """Remove the bars."""
        self._bars.stop()
