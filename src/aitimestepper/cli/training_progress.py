"""Progress of a training on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from ..training.metrics import Recorder
from .terminal import bars


class TrainingProgress(Recorder):
    """Bars for the epochs and for what goes on inside one: acceptance rate, retrains, Part 2 pass rate, dt, time left."""

    def __init__(self, first: int, epochs: int, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=8), MofNCompleteColumn())
        self._bars = bars(quiet, *columns, TextColumn("{task.fields[words]}"))
        self._epochs = self._bars.add_task("epoch", total=epochs, completed=first - 1, words="")
        self._inside = self._bars.add_task(" part 1", total=1, words="")
        self._bars.start()

    def progress(self, stage: str, done: int, total: int, words: str) -> None:
        """Show how far a part is; during long retrains only their number changes."""
        self._bars.update(self._inside, description=f" {stage}", completed=done, total=total, words=words)

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Show the outcome of an epoch that has ended."""
        # 80 columns hold this with the bar and the time left
        words = (
            f"accept {metrics['part1/acceptance_rate']:.0%} retrain {metrics['part1/mean_retrain_iterations']:.2g} "
            f"part2 {metrics['part2/final_pass_rate']:.0%} dt {metrics['part1/mean_dt']:.1e}"
        )
        self._bars.update(self._epochs, completed=metrics["epoch"], words=words)
        self._bars.update(self._inside, completed=0, words="")

    def close(self) -> None:
        """Remove the bars."""
        self._bars.stop()


class EpochLines(Recorder):
    """A line on stderr for every epoch, for trainings whose epochs take minutes."""

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Print cost and compliance on the validation problems."""
        cost, compliance = metrics.get("validation/cost"), metrics.get("validation/compliance")
        if cost is not None:
            words = f"validation: {cost:.0f} forces a run, {compliance:.0%} within the tolerance before calibration (means)"
            print(f"epoch {metrics['epoch']}: {words}", file=sys.stderr)
