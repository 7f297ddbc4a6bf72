"""Systems drawn from distributions: a source that makes the same systems in whatever chunks it is asked for."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, UserError, shown
from ..files import path_shown, read_bytes
from ..plugins import load_module
from .chunks import Chunk, one_batch, systems_in_chunk
from .distributions import Distribution, Range, uniforms
from .setups import SETUPS, Column, refuse_unknown
from .sources import Source

END = "t_end"  # the column of end times
END_RANGE = Range(0.0, open_low=True)


@dataclass(frozen=True)
class OwnColumns:
    """A function of the user's: it takes columns by name, and returns them changed, row by row."""

    path: Path
    name: str

    def plain(self) -> dict[str, str]:
        """Return what says which function it is."""
        digest = hashlib.sha256(read_bytes(self.path, "Python file of columns", ConfigError)).hexdigest()
        return {"file": self.path.name, "name": self.name, "sha256": digest}

    def function(self) -> Callable[[dict[str, np.ndarray]], Any]:
        """Run the file, and return the function in it."""
        module = load_module(self.path, "a function of columns")
        found = getattr(module, self.name, None)
        if not inspect.isfunction(found):
            raise ConfigError(f"{path_shown(self.path)} has no function {self.name!r}: write def {self.name}(columns): ...")
        return found

    def changed(self, columns: dict[str, np.ndarray], function: Callable[..., Any]) -> dict[str, np.ndarray]:
        """Return the columns that the function makes of those that were drawn."""
        systems = len(next(iter(columns.values()), ()))
        try:
            made = function(dict(columns))
            found = {str(name): np.array(np.broadcast_to(np.asarray(x, float), (systems,))) for name, x in made.items()}
        except UserError:
            raise
        except Exception as error:  # a user's own code
            words = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"{self.name} of {path_shown(self.path)} must return columns by name, a number for each of {systems} systems; "
                f"it ended with {words}."
            ) from error
        return found


@dataclass(frozen=True)
class Drawn(Source):
    """Systems of a set-up, whose columns are drawn from distributions."""

    setup: str
    columns: dict[str, Distribution]  # what is given; t_end is one of them
    systems: int
    seed: int = 0
    periods: float | None = None  # end times as multiples of the set-up's period
    G: float | None = None
    units: str | None = None
    softening: float = 0.0
    own: OwnColumns | None = None

    def __post_init__(self) -> None:
        if self.own is None:
            self._known(self.columns)
        else:
            self._function  # noqa: B018  a mistake in the file shows before anything runs

    @cached_property
    def _function(self) -> Callable[..., Any]:
        assert self.own is not None
        return self.own.function()

    @property
    def portable(self) -> bool:  # type: ignore[override]
        """Whether no file of the user's is needed, which may be on this machine alone."""
        return self.own is None

    @property
    def count(self) -> int:
        """Number of systems."""
        return self.systems

    @property
    def size(self) -> int:
        """Number of systems in a chunk."""
        return systems_in_chunk(self.chunk(0, 1).groups[0].bodies.mass.shape[1])

    def plain(self) -> dict[str, Any]:
        """Return everything that the numbers depend on."""
        return {
            "kind": self.setup,
            "columns": {name: one.plain() for name, one in self.columns.items()},
            **{name: getattr(self, name) for name in ("systems", "seed", "periods", "G", "units", "softening")},
            "function": None if self.own is None else self.own.plain(),
        }

    def chunk(self, first: int, count: int) -> Chunk:
        """Return systems `first` to `first + count - 1`; what was drawn are columns of the table."""
        columns = {name: self._drawn(name, one, first, count) for name, one in self.columns.items()}
        if self.own is not None:
            columns = self.own.changed(columns, self._function)
        known = self._known(dict.fromkeys(columns) if self.own is None else columns)
        columns |= {
            name: self._drawn(name, one.default, first, count)
            for name, one in known.items()
            if name not in columns and one.default is not None
        }
        for name, one in known.items():
            _refuse_out_of_range(name, columns[name], one.allowed, first)
        setup = SETUPS[self.setup]
        bodies = setup.bodies({name: columns[name] for name in known if name != END}, **self._physics())
        return one_batch(first, bodies, self._ends(columns, bodies.G), columns)

    def _physics(self) -> dict[str, Any]:
        return {"G": self.G, "units": self.units, "softening": self.softening}

    def _drawn(self, name: str, distribution: Distribution, first: int, count: int) -> np.ndarray:
        return distribution.at(uniforms(self.seed, name, first, count))

    def _known(self, given: dict[str, Any]) -> dict[str, Column]:
        """Return the columns of the set-up, or raise an error for one that is unknown or missing; a function may add others."""
        names = [name for name in given if name != END]
        known = SETUPS[self.setup].columns(names)
        if self.own is None:
            refuse_unknown(self.setup, names, known)
        missing = [name for name, one in known.items() if one.default is None and name not in given]
        if missing:
            raise ConfigError(f"[{self.setup}] needs {', '.join(missing)}: give each a number or a distribution.")
        return known | ({END: Column(END_RANGE)} if END in given else {})

    def _ends(self, columns: dict[str, np.ndarray], G: float) -> np.ndarray | None:
        """Return the end time of each system; None where none is said."""
        if END in columns:
            return columns[END]
        return None if self.periods is None else self.periods * SETUPS[self.setup].period(columns, G)


def _refuse_out_of_range(name: str, values: np.ndarray, allowed: Range, first: int) -> None:
    wrong = ~allowed.holds(values)
    if wrong.any():
        k = int(wrong.argmax())
        raise ConfigError(f"{name} = {shown(values[k])} of system {first + k} is out of range: it must be {allowed}.")
