"""Reports during a run: the types that progress bars and outputs share with the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Status(NamedTuple):
    """Status of a run. Times are those of the slowest system; steps and error are the largest of all systems."""

    time: float
    t_end: float
    steps: int
    step_limit: float
    dt: float
    max_energy_error: float
    running: int
    steps_per_second: float


Watch = Callable[[Status], None]  # called about ten times a second; an exception from it ends the run
# takes rows of output: the start of the run as `Bodies`, and arrays (rows, systems, ...) by name
Sink = Callable[[Any, dict[str, np.ndarray]], None]
