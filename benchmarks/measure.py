"""What the benchmarks print: rows with a target."""

from __future__ import annotations

import math
from typing import NamedTuple

from aitimestepper.bench.timing import Effort

CAREFUL, QUICK = Effort(9, 0.3), Effort(3, 0.1, True)


class Row(NamedTuple):
    """One line of the result."""

    group: str
    what: str
    measured: float
    unit: str
    target: float | None = None
    at_least: bool = True  # the target is a lower bound; else an upper one
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def plain(self) -> dict[str, object]:
        """For JSON, which knows no NaN."""
        return {**self._asdict(), "measured": None if math.isnan(self.measured) else self.measured, "met": self.met}
