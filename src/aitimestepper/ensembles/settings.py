"""How the systems of an ensemble are run: the arguments of `simulate` that all of them share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bodies import Bodies
from ..criteria.base import Criterion
from ..errors import ConfigError, shown
from ..events import OWN, Event, as_events, event_to_plain
from ..policy import Kind, choose
from ..simulate.result import SimulationResult

# takes the bodies before a run and its result; returns columns (B,) by name
Outcomes = Callable[[Bodies, SimulationResult], dict[str, np.ndarray]]
PLAIN = ("t_end", "tol", "integrator", "max_steps", "dt_min", "dt_max", "guard")


@dataclass(frozen=True)
class Settings:
    """The arguments of `simulate` that all systems share, and what makes columns of outcomes."""

    t_end: float | None = None  # None: the source has one for each system
    tol: float | None = None
    criterion: Criterion | str | Path | None = None
    integrator: str = "auto"
    events: tuple[Event, ...] = ()
    max_steps: int | None = None
    dt_min: float | None = None
    dt_max: float | None = None
    guard: bool = False
    outcomes: Outcomes | None = None  # None: those of the package

    @classmethod
    def of(cls, events: Any = None, **given: Any) -> Settings:
        """Return settings, or raise an error for those that could run no system."""
        made = cls(events=as_events(events), **given)
        t_end = made.t_end
        if t_end is not None and (isinstance(t_end, (bool, str)) or not math.isfinite(t_end)):
            raise ConfigError(f"t_end = {shown(t_end)} must be a finite number.")
        if made.outcomes is not None and not callable(made.outcomes):
            raise ConfigError(f"outcomes = {shown(made.outcomes)} must be a function (start, result) -> columns by name.")
        choose(made.criterion, made.tol, made.integrator, made.guard)  # refuses what does not fit before anything runs
        return made

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `simulate`, without the end time."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("t_end", "outcomes")]
        return {name: getattr(self, name) for name in names}

    def integrators(self) -> np.ndarray:
        """Return the integrator of each kind of runs, (2, 2): short and long ones, which are encounters or are not."""

        def name(kind: Kind) -> str:
            return str(choose(self.criterion, self.tol, self.integrator, self.guard, lambda: kind).integrator)

        return np.array([[name(Kind(long, encounters)) for encounters in (False, True)] for long in (False, True)])

    def plain(self) -> dict[str, Any]:
        """Return what says how the systems are run, for JSON; of functions of one's own their names."""
        found = {name: getattr(self, name) for name in PLAIN}
        found["criterion"] = None if self.criterion is None else str(self.criterion)
        events = [(event, event_to_plain(event)) for event in self.events]
        found["events"] = [{OWN: _named(vars(event).get("function"))} if p == OWN else p for event, p in events]
        found["outcomes"] = None if self.outcomes is None else _named(self.outcomes)
        return found


def _named(function: Any) -> str:
    module = getattr(function, "__module__", "")
    return f"{module}.{getattr(function, '__qualname__', type(function).__name__)}"


def as_json(plain: Any) -> Any:
    """Return values as JSON holds them: lists for tuples and arrays, and numbers of Python."""
    return json.loads(json.dumps(plain, default=_number))


def checksum(plain: Any) -> str:
    """Return the SHA-256 checksum of values as JSON holds them."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _number(value: Any) -> Any:
    """Return a number or an array of NumPy for JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise ConfigError(f"{shown(value)} is a value that no file of an ensemble can hold.")
