"""The reader of snapshot files: arrays of rows, states as `Bodies`, and the data to resume a run."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ...bodies import Bodies
from ...errors import SnapshotError, UserError, shown
from ...fields import OWN, field_from_plain
from ...files import conforms, is_being_written, path_shown
from ...files.hdf5 import Opened, all_stored
from ...units import units_from_plain
from .card import html_of
from .contents import Contents, Run, contents_of, run_of
from .hdf5 import PAUSE, TRIES, words
from .records import FIELDS, Column
from .slots import Arrays, Slot


class Saved(NamedTuple):
    """The data to resume a run."""

    metadata: dict[str, Any]
    initial: Arrays
    constants: Arrays
    state: Arrays
    rows: int  # number of rows before this state
    result: dict[str, Any]
    newest: bool = True  # False: a newer state was written, and is damaged


class Snapshots:
    """A simulation on disk: S rows of B systems of N bodies in D axes, which may still be growing; see `refresh`.

    `len(s)` is S; `s[i]` is row i as `Bodies`. Nothing in the file is trusted: anything that no run can have written raises a
    `SnapshotError`.

    Examples:
        >>> import tempfile
        >>> from aitimestepper import Snapshots, simulate
        >>> from aitimestepper.initial import triple
        >>> path = tempfile.mkdtemp() + "/run.h5"
        >>> result = simulate(triple(), t_end=50.0, tol=1e-5, output=path, output_every=10.0)
        >>> with Snapshots(path) as rows:
        ...     rows.time[:, 0].tolist(), rows.position.shape  # (S, B) and (S, B, N, D)
        ([0.0, 10.0, 20.0, 30.0, 40.0, 50.0], (6, 1, 3, 3))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened: Opened | None = None
        self.refresh()

    def refresh(self) -> Snapshots:
        """Read the file again, with the rows and the result that it has now.

        A file that is being written may have to be read again, which takes half a second at most.
        """
        self.close()
        for attempt in range(TRIES):
            try:
                self._open()
                return self
            except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
                self.close()
                if attempt == TRIES - 1 or not is_being_written(self.path):
                    raise self._in_words(error) from None
                time.sleep(PAUSE)
        return self

    def _open(self) -> None:
        self._known: dict[str, Any] = {}
        self._opened = Opened(self.path, "simulation")
        self.unclosed = self._opened.unclosed
        self._run: Run = run_of(self._opened.file, self.path)
        self._contents: Contents = contents_of(self._run, self.unclosed)

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __enter__(self) -> Snapshots:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return self._contents.rows

    def __repr__(self) -> str:
        systems, bodies, axes = self._contents.newest["position"].shape[1:]
        return f"Snapshots({str(self.path)!r}: {len(self)} rows, systems={systems}, bodies={bodies}, axes={axes})"

    def _repr_html_(self) -> str:
        return html_of(self)

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

        return Column(stored, self._contents.newest[name], len(self))

    def dataset(self, name: str) -> Any:
        """Return the HDF5 dataset of a column, without the newest rows; it stays open, and so does its cache of chunks."""
        return self._once(f"/{name}", lambda: self._column_on_disk(name))

    def look_at_columns(self) -> None:
        """Raise a `SnapshotError` if the rows of some column are not all there."""
        with self._reading():
            for name in FIELDS:
                self.dataset(name)

    def _column_on_disk(self, name: str) -> Any:
        """Return the dataset of a column after a look at its index, which takes as long as all else in opening the file."""
        dataset = self._run.datasets[name]
        if not all_stored(dataset, len(self) - len(self._contents.newest)):
            raise SnapshotError(f"{path_shown(self.path)} is damaged: rows of {name} are missing; get it again.")
        return dataset

    def _array(self, name: str) -> np.ndarray:
        return np.asarray(self._once(name, lambda: self.column(name)[:]))

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
        return self._run.metadata

    @property
    def initial(self) -> Bodies:
        """The bodies at the start of the run."""
        return self._once("initial", self._bodies)

    @property
    def result(self) -> dict[str, Any]:
        """The outcome up to the newest saved state."""
        if not self.saved().newest:
            raise SnapshotError(
                f"{path_shown(self.path)}: its newest saved state is damaged; aitimestepper simulate --resume makes it again "
                "from the one before."
            )
        return self._slot().result

    @property
    def status(self) -> list[str]:
        """Status of each system, B words: `running` until it has ended."""
        words = self.result.get("status") or ["running"] * self.position.shape[1]
        if not conforms(words, list[str]):
            raise SnapshotError(f"{path_shown(self.path)} is refused: its status = {shown(words)} is none.")
        return list(words)

    def saved(self) -> Saved:
        """Return the data to resume the run from the newest complete state."""
        slot, run = self._slot(), self._run
        return Saved(run.metadata, run.initial, run.constants, slot.state, slot.rows, slot.result, self._contents.is_newest)

    @property
    def can_grow(self) -> bool:
        """Whether a writer can go on in the file as it is, and need not write it anew."""
        return self._contents.writable and not self.unclosed and len(self) == self._slot().rows

    @property
    def sequence(self) -> int:
        """Number of the newest complete state."""
        return self._slot().sequence

    # ---- inside -------------------------------------------------------------------------------------------------------
    def _slot(self) -> Slot:
        if self._contents.slot is None:
            raise SnapshotError(
                f"{self.path}: both saved states are damaged, so the run cannot be continued; its {len(self)} rows can be read."
            )
        return self._contents.slot

    def _bodies(self) -> Bodies:
        """Return the bodies at the start of the run."""
        metadata, field = self.metadata, self.metadata.get("field")
        if field == OWN:
            warnings.warn(
                "the outer field of the run is a function of its user's own, which is not in the file: the bodies come without "
                "it. Bodies.replace(external_field=...) gives it to them.",
                UserWarning,
                stacklevel=2,
            )
            field = None
        try:
            outer, G, names = field_from_plain(field), float(metadata.get("G", 1.0)), metadata.get("names")
            initial: dict[str, Any] = self._run.initial
            units = units_from_plain(metadata.get("unit_system"))
            return Bodies(**initial, G=G, names=names, external_field=outer, units=units)
        except UserError as error:
            raise SnapshotError(f"{path_shown(self.path)} is refused: {error}") from None
        except (TypeError, ValueError, LookupError) as error:
            raise self._in_words(error) from None

    def _once(self, name: str, read: Callable[[], Any]) -> Any:
        """Return a value that is read only once until the next `refresh`."""
        if name not in self._known:
            if self._opened is None:
                raise ValueError(f"{self.path} was closed; use refresh() or open it again.")
            self._known[name] = read()
        return self._known[name]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        if self._opened is None:
            raise ValueError(f"{self.path} was closed; use refresh() or open it again.")
        try:
            yield
        except (OSError, RuntimeError, LookupError, MemoryError) as error:
            raise self._in_words(error) from None

    def _in_words(self, error: Exception) -> SnapshotError:
        """Return an error of one sentence for what went wrong in reading."""
        if isinstance(error, SnapshotError):
            return error
        return SnapshotError(f"{path_shown(self.path)} is damaged, or was cut short while copying ({words(error)}).")


def read_state(path: str | Path) -> Saved:
    """Return the newest complete state of a file, with all that is needed to resume the run."""
    with Snapshots(path) as snapshots:
        return snapshots.saved()
