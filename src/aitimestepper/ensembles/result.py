"""The result of an ensemble: a table with a row a system, of which columns are read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError, nearest_name_hint, require, shown
from ..policy import choose
from .folder import Manifest, part_paths
from .parts import arrow, read_part


class Ensemble:
    """The table of an ensemble, in the order of its systems: in a folder of Parquet files, or in memory.

    Examples:
        >>> import tempfile
        >>> from aitimestepper import Ensemble, ensemble
        >>> found = ensemble("triple:0-20", tol=1e-4, out=tempfile.mkdtemp() + "/triples")
        >>> len(Ensemble.load(found.folder)), found.finished
        (20, True)
    """

    def __init__(self, folder: Path | None, manifest: Manifest, tables: Sequence[Any] = ()) -> None:
        """Take the parts in a folder, or tables of pyarrow in memory."""
        self.folder, self.manifest = folder, manifest
        self._parts = list(tables) if folder is None else part_paths(folder, manifest)
        self._rows: int | None = None
        self._columns: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """Return what is in a folder, finished or not."""
        return cls(Path(folder), Manifest.read(Path(folder)))

    def __len__(self) -> int:
        """Return the number of systems that have been run."""
        if self._rows is None:
            self._rows = sum(len(self._read(part, ["number"])) for part in self._parts)
        return self._rows

    def __repr__(self) -> str:
        state = "finished" if self.finished else f"of {self.manifest.systems or 'an unknown number'}, not finished"
        return f"<Ensemble of {len(self)} systems, {state}: {', '.join(self.columns)}>"

    @property
    def finished(self) -> bool:
        """Whether all systems have been run."""
        return self.manifest.finished

    @property
    def spec(self) -> dict[str, Any]:
        """Source and settings, as the manifest holds them."""
        return self.manifest.spec

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        if not self._parts:
            return ()
        if not self._columns:
            self._columns = tuple(self._read(self._parts[0], None).column_names)
        return self._columns

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a column as an array, (systems,)."""
        return np.asarray(self.table([self._checked(name)])[name].to_numpy())

    def counts(self, name: str = "outcome") -> dict[Any, int]:
        """Return how many systems have each value of a column, the most frequent first."""
        name, parts = self._checked(name), []
        for part in self._parts:  # one at a time, so that memory does not grow with the systems
            parts.append(np.unique(np.asarray(self._read(part, [name])[name].to_numpy()), return_counts=True))
        if not parts:
            return {}
        values, place = np.unique(np.concatenate([one for one, _ in parts]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([count for _, count in parts])).astype(int)
        order = np.argsort(-counts, kind="stable")
        return {values[k].item() if isinstance(values[k], np.generic) else values[k]: int(counts[k]) for k in order}

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Return the whole table, or some of its columns, as a table of pyarrow."""
        pa = arrow()
        read = [self._read(part, columns) for part in self._parts]
        return pa.concat_tables([table.replace_schema_metadata() for table in read]) if read else pa.table({})

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Return the whole table, or some of its columns, as a table of pandas."""
        require("pandas", "pandas", "Ensemble.to_pandas")
        return self.table(columns).to_pandas()

    def methods(self) -> list[tuple[str, str]]:
        """Return criterion and integrator of the systems that have been run, in words; the most frequent first."""
        given = self.spec["settings"]

        def criterion(integrator: str) -> str:
            if given["criterion"] is not None:
                return str(given["criterion"])
            return str(choose(None, given["tol"], integrator, given["guard"]).criterion)

        return [(criterion(name), name) for name in self.counts("integrator")] if len(self) else []

    def _checked(self, name: str) -> str:
        """Return the name of a column, or raise one sentence about the columns that there are."""
        if name not in self.columns:
            raise ConfigError(f"the ensemble has no column {shown(name)}: {nearest_name_hint(str(name), self.columns)}")
        return name

    def _read(self, part: Any, columns: Sequence[str] | None) -> Any:
        """Return the columns of a part, from its file or from memory."""
        if isinstance(part, Path):
            return read_part(part, columns, self.manifest.sha256)
        return part if columns is None else part.select(list(columns))
