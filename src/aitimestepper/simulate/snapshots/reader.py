"""The reader of snapshot files: arrays of rows, states as `Bodies`, and the data to resume a run."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ...bodies import Bodies
from ...errors import SnapshotError, UserError
from ...fields import ExternalField, field_named
from .hdf5 import open_to_read, words
from .records import Column, newest_rows
from .slots import Arrays, Slot, arrays_in, newest_slot

INITIAL = ("mass", "position", "velocity", "present", "time", "softening")  # arrays of `Bodies`


class Saved(NamedTuple):
    """The data to resume a run."""

    metadata: dict[str, Any]
    initial: Arrays
    constants: Arrays
    state: Arrays
    rows: int  # number of rows before this state
    result: dict[str, Any]


class Snapshots:
    """A simulation on disk: S rows of B systems of N bodies in D axes, which may still be growing; see `refresh`.

    `len(s)` is S; `s[i]` is row i as `Bodies`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: Any = None
        self.refresh()

    def refresh(self) -> Snapshots:
        """Read the file again, with the rows and the result that it has now."""
        self.close()
        self._file, self.unclosed = open_to_read(self.path)
        self._known: dict[str, Any] = {}
        try:
            with self._reading():
                self._newest_slot = newest_slot(
                    self._file["state"]
                )  # before the rows, so that all rows of this state are there
                self._rows, self._newest = newest_rows(self._file["tail"][:])
        except SnapshotError:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return self._rows

    # ---- rows ---------------------------------------------------------------------------------------------------------
    @property
    def position(self) -> Column:
        """Positions, (S, B, N, D); only the part that is sliced is read."""
        return self.column("position")

    @property
    def velocity(self) -> Column:
        """Velocities, (S, B, N, D); only the part that is sliced is read."""
        return self.column("velocity")

    @property
    def time(self) -> np.ndarray:
        """Time of each row, (S, B); NaN in the rows after a system's end, as in all other columns of floats."""
        return self._array("time")

    @property
    def dt(self) -> np.ndarray:
        """Step that led to each row, (S, B), in units of time."""
        return self._array("dt")

    @property
    def energy(self) -> np.ndarray:
        """Energy at each row, (S, B); the work of a time-dependent field is subtracted."""
        return self._array("energy")

    @property
    def energy_error(self) -> np.ndarray:
        """Energy error at each row relative to the start of the run, (S, B)."""
        return self._array("energy_error")

    @property
    def steps(self) -> np.ndarray:
        """Number of steps taken until each row, (S, B); -1 after a system's end."""
        return self._array("steps")

    def column(self, name: str) -> Column:
        """Return a column of the rows by name, (S, ...); only the part that is sliced is read."""

        def stored(key: Any) -> np.ndarray:
            with self._reading():
                return np.asarray(self.dataset(name)[key])

        return Column(stored, self._newest[name], self._rows)

    def dataset(self, name: str) -> Any:
        """Return the HDF5 dataset of a column, without the newest rows; it stays open, and so does its cache of chunks."""
        return self._once(f"/{name}", lambda file: file[name])

    def _array(self, name: str) -> np.ndarray:
        return np.asarray(self._once(name, lambda _: self.column(name)[:]))

    def __getitem__(self, i: int) -> Bodies:
        """Return all systems at row i; a system that had ended before is in the state of its last row."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of {len(self)} in {self.path}")
        if "last" not in self._known:
            rows_with_data = np.where(np.isfinite(self.time), np.arange(len(self))[:, None], -1)
            self._known["last"] = np.maximum.accumulate(rows_with_data, axis=0)
        last, start = self._known["last"][i], self.initial
        found = {name: getattr(start, name).copy() for name in ("position", "velocity", "time")}
        for row in np.unique(last[last >= 0]).tolist():
            here = last == row
            found["time"][here] = self.column("time")[row][here]
            for name in ("position", "velocity"):
                found[name][here] = np.where(start.present[..., None], self.column(name)[row], 0.0)[here]
        return start.moved(**found)

    # ---- the run ------------------------------------------------------------------------------------------------------
    @property
    def metadata(self) -> dict[str, Any]:
        """Settings of the run, versions and units."""
        return self._once("metadata", lambda file: json.loads(file.attrs["metadata"]))

    @property
    def initial(self) -> Bodies:
        """The bodies at the start of the run."""
        return self._once("initial", self._bodies)

    @property
    def result(self) -> dict[str, Any]:
        """The outcome up to the newest saved state."""
        return self._slot().result

    @property
    def status(self) -> list[str]:
        """Status of each system, B words: `running` until it has ended."""
        return self.result.get("status") or ["running"] * self.position.shape[1]

    def saved(self) -> Saved:
        """Return the data to resume the run from the newest complete state."""
        slot = self._slot()
        with self._reading() as file:
            initial, constants = arrays_in(file["initial"]), arrays_in(file["constants"])
        return Saved(self.metadata, initial, constants, slot.state, slot.rows, slot.result)

    # ---- inside -------------------------------------------------------------------------------------------------------
    def _slot(self) -> Slot:
        if self._newest_slot is None:
            raise SnapshotError(
                f"{self.path}: both saved states are damaged, so the run cannot be continued; its {len(self)} rows can be read."
            )
        return self._newest_slot

    def _bodies(self, file: Any) -> Bodies:
        """Return the bodies at the start of the run, from the arrays that the file has of them."""
        arrays = {name: values for name, values in arrays_in(file["initial"]).items() if name in INITIAL}
        metadata = self.metadata
        G, names = float(metadata.get("G", 1.0)), metadata.get("names")
        return Bodies(**arrays, G=G, names=names, external_field=_field(metadata, G))

    def _once(self, name: str, read: Callable[[Any], Any]) -> Any:
        """Return a value that is read only once until the next `refresh`."""
        if name not in self._known:
            with self._reading() as file:
                self._known[name] = read(file)
        return self._known[name]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Any]:
        if self._file is None:
            raise ValueError(f"{self.path} was closed; use refresh() or open it again.")
        try:
            yield self._file
        except (OSError, RuntimeError, KeyError, json.JSONDecodeError) as error:
            raise SnapshotError(f"{self.path} is damaged, or was cut short while copying ({words(error)}).") from None


def read_state(path: str | Path) -> Saved:
    """Return the newest complete state of a file, with all that is needed to resume the run."""
    with Snapshots(path) as snapshots:
        return snapshots.saved()


def _field(metadata: dict[str, Any], G: float) -> ExternalField | None:
    """Return the outer field, or None with a warning if the text in the metadata cannot describe it."""
    text = metadata.get("external_field")
    try:
        return field_named(text, G)
    except UserError:
        words = f"the outer field of the run, {text}, cannot be made from its description: the bodies come without it."
        warnings.warn(f"{words} Bodies.replace(external_field=...) gives it to them.", UserWarning, stacklevel=2)
        return None
