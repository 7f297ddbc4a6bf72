"""The progress bar of a simulation: on stderr, and only if that is a terminal."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .progress import Status


class Bar:
    """A bar with the progress of a run, its speed, step and energy error, and the time that remains."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("simulating"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0, words="starting (the first run compiles for half a minute)")
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
        speed = (
            f"{status.steps_per_second / 1000:.3g}k" if status.steps_per_second >= 1000 else f"{status.steps_per_second:.3g}"
        )
        words = f"t {status.time:.6g}  {speed} steps/s  dt {status.dt:.2e}  error {status.max_energy_error:.1e}"
        self._bar.update(self._task, completed=done, words=words)
