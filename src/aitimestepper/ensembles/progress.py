"""How far an ensemble is: what progress bars and functions of the user's own are told after every chunk."""

from __future__ import annotations

import time as clock
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

MOST_SHOWN = 4  # outcomes in a line


class EnsembleStatus(NamedTuple):
    """Progress of an ensemble."""

    done: int  # systems with a row, those of earlier calls too
    systems: int | None  # of the whole ensemble; None: not known before its end
    systems_per_second: float  # of this call; NaN before its first chunk
    remaining: float  # seconds; NaN where it is not known
    outcomes: dict[str, int]  # systems so far by outcome

    def words(self) -> str:
        """Return the outcomes so far in a line, as shares of the systems that are done."""
        found = Counter(self.outcomes).most_common()
        shares = [f"{name} {count / max(self.done, 1):.1%}" for name, count in found[:MOST_SHOWN]]
        return "  ".join([*shares, *(["..."] if len(found) > MOST_SHOWN else [])])


Watch = Callable[[EnsembleStatus], None]


class Counting:
    """Counts the rows that are written."""

    def __init__(self, systems: int | None, watch: Watch | None) -> None:
        self.systems, self._watch = systems, watch
        self._began, self._new, self.done = clock.perf_counter(), 0, 0
        self._outcomes: Counter[str] = Counter()

    def add(self, table: Any, new: bool = True) -> None:
        """Count the rows of a part, made now or found, and say so."""
        self.done += len(table)
        self._new += len(table) if new else 0
        name = "outcome" if "outcome" in table.column_names else "status"
        self._outcomes.update({str(one["values"]): one["counts"] for one in table[name].value_counts().to_pylist()})
        if self._watch is not None:
            self._watch(self.status())

    def status(self) -> EnsembleStatus:
        """Return the progress as of now."""
        seconds = clock.perf_counter() - self._began
        speed = self._new / seconds if self._new else float("nan")
        left = float("nan") if self.systems is None else (self.systems - self.done) / speed
        return EnsembleStatus(self.done, self.systems, speed, left, dict(self._outcomes))
