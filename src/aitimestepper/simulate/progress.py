"""What a run tells while it is going on: types that progress bars and outputs share with the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Status(NamedTuple):
    """Where a run stands. Times and steps are those of the slowest system, the error that of the worst."""

    time: float
    t_end: float
    steps: int
    step_limit: float
    dt: float
    max_energy_error: float
    running: int
    steps_per_second: float


Watch = Callable[[Status], None]  # is called about ten times a second; what it raises ends the run
# takes rows of output: the start of the run as `Bodies`, and arrays (rows, systems, ...) by name
Sink = Callable[[Any, dict[str, np.ndarray]], None]
