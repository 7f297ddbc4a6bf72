"""Results of a study: one tidy JSON, a record for each measurement. The schema is described in docs/bench.md."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gzip
import importlib.metadata
import json
import math
import os
import platform
import typing
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import UserError
from ..evaluation.statistics import share_error
from ..files import (
    LinesFile,
    WriterLock,
    conforms,
    make_folder,
    parse_json,
    path_shown,
    read_bytes,
    read_json_lines,
    write_atomically,
)

SCHEMA, VERSION = "aitimestepper-bench", 1
PACKAGES = ("numpy", "numba", "torch", "rebound", "heyoka")  # recorded where they are installed
DIGITS = 4  # significant digits of the results of each problem


@dataclass(frozen=True)
class Record:
    """One measurement: one criterion, one integrator, one tolerance, one family (or `all` of them).

    Numbers that do not exist are None: the error of a run that broke off, a value that was chosen for each problem, the forces
    at a tolerance that no value reaches.
    """

    study: str
    suite: str
    family: str
    split: str | None
    seeds: list[int] | None  # numbers of the problems in the split: the first, and one past the last
    criterion: str
    variant: str
    integrator: str
    tolerance: float | None
    mode: str  # asked, calibrated, fitted, hindsight; matched (by forces), run, pieces (at `value`), published
    n: int
    value: float | None = None  # the criterion's own number
    compliance: float | None = None
    compliance_interval: list[float | None] | None = None  # 95 %
    forces: float | None = None  # geometric mean
    forces_interval: list[float | None] | None = None  # 95 %; an end of None: many resamples are beyond the budget
    charged_forces: float | None = None  # `forces` with the cost of choosing the steps
    error_quantiles: dict[str, float | None] = field(default_factory=dict)  # 0.1, 0.5, 0.9, 1 of the largest errors
    worst: str | None = None  # the problem with the largest error
    unfinished: int = 0  # runs that the budget stopped
    wall_time: float | None = None  # seconds, of all runs together
    more: dict[str, Any] = field(default_factory=dict)  # quantities of this study only
    errors: list[float | None] | None = None  # largest relative energy error of each problem
    forces_each: list[float] | None = None  # force evaluations of each problem

    @property
    def key(self) -> tuple[Any, ...]:
        """Identity of the measurement: two records of the same quantity have the same key."""
        given = self.value if self.mode in ("run", "pieces") else None  # in other modes the value is a result
        contender = (self.criterion, self.variant, self.integrator)
        return (self.study, self.suite, self.family, self.split, *contender, self.tolerance, self.mode, given)


REQUIRED = {f.name for f in dataclasses.fields(Record) if f.default is f.default_factory is dataclasses.MISSING}


@dataclass(frozen=True)
class Results:
    """All records of a study, with its settings."""

    study: str
    command: str
    settings: dict[str, Any]
    records: list[Record]
    cases: list[str] = field(default_factory=list)  # names of the problems, in the order of `errors` and `forces_each`
    created: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    cores: int = 0

    def save(self, path: str | Path) -> Path:
        """Write the results whole or not at all, one line a record; a name ending in .gz means compression, to a tenth."""
        head = {
            "schema": SCHEMA,
            "version": VERSION,
            "study": self.study,
            "command": self.command,
            "created": self.created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": self.versions or versions(),
            "cores": self.cores or os.cpu_count(),
            "settings": self.settings,
            "cases": self.cases,
        }
        lines = ",\n".join(json.dumps(plain(r), allow_nan=False) for r in self.records)
        text = json.dumps(head, allow_nan=False, indent=1)[:-2] + f',\n "records": [\n{lines}\n]}}\n'
        content = text.encode()
        write_atomically(Path(path), gzip.compress(content, mtime=0) if _is_compressed(path) else content)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a file, or raise an error of one sentence that says what it is instead."""
        try:
            content = parse_json(text_of(path))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{path_shown(path)} is not JSON ({error}).") from None
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"{path} is JSON, but not a result of `aitimestepper bench`: it does not say {SCHEMA!r}.")
        if content.get("version") != VERSION:
            raise UserError(f"{path} has version {content.get('version')}, this program reads {VERSION}; measure anew.")
        try:
            records = [record_from(row) for row in content["records"]]
            rest = {f.name: content[f.name] for f in dataclasses.fields(cls) if f.name != "records"}
        except (LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path_shown(path)} is damaged: {error}.") from None
        kinds = typing.get_type_hints(cls)
        for name, value in rest.items():
            if not conforms(value, kinds[name]):
                raise UserError(f"{path_shown(path)} is damaged: {name} is {str(value)[:60]}.")
        return cls(records=records, **rest)


KINDS = typing.get_type_hints(Record)


def record_from(row: dict[str, Any]) -> Record:
    """Return the record that a row of JSON describes, without unknown names, or raise a TypeError that says why not."""
    given = {name: value for name, value in row.items() if name in KINDS}
    for name, value in given.items():
        if not conforms(value, KINDS[name]):
            raise TypeError(f"{name} of a record is {str(value)[:60]}")
    record = Record(**given)
    lists = [x for x in (record.errors, record.forces_each) if x is not None]
    intervals = [x for x in (record.compliance_interval, record.forces_interval) if x is not None]
    if any(len(x) != record.n for x in lists) or any(len(x) != 2 for x in intervals):
        raise TypeError(f"lists of a record have other lengths than its {record.n} problems")
    forces = [record.forces, *(record.forces_interval or ()), *(record.forces_each or ())]
    if not all(x is None or x >= 0 for x in forces) or 0 in (record.forces_interval or ()):
        raise TypeError("its forces are no counts")
    return record


def text_of(path: str | Path) -> str:
    """Return the JSON text in a file, decompressed if its name ends in .gz."""
    content = read_bytes(Path(path), "results")
    try:
        return (gzip.decompress(content) if _is_compressed(path) else content).decode()
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise UserError(f"cannot read {path_shown(path)}: {error}.") from None


def _is_compressed(path: str | Path) -> bool:
    return Path(path).suffix == ".gz"


def plain(record: Record) -> dict[str, Any]:
    """Return a record as a dict for JSON, without quantities that were not measured and without infinities."""
    row = {k: _finite(v) for k, v in dataclasses.asdict(record).items()}
    return {k: v for k, v in row.items() if k in REQUIRED or (v is not None and v != {})}


def _finite(value: Any) -> Any:
    """Return a value with None in place of numbers that are not finite, which JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def versions() -> dict[str, str]:
    """Return the versions of everything that the results depend on."""
    found = {"aitimestepper": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def rounded(values: np.ndarray) -> list[float | None]:
    """Return numbers rounded to `DIGITS` digits, with None for an infinite one."""
    return [float(f"{v:.{DIGITS - 1}e}") if math.isfinite(v) else None for v in values.tolist()]


def quantiles(errors: np.ndarray) -> dict[str, float | None]:
    """Return quantiles of the errors: 0.9 is the smallest one that at least 90 % of the problems do not exceed."""
    return {f"{q:g}": _finite(float(share_error(errors, q))) for q in (0.1, 0.5, 0.9, 1.0)}


class Partial:
    """Finished parts of a study on disk, one line each, so that a study that was stopped can continue.

    The first line holds the settings and versions, so that parts of another study are never used.
    """

    def __init__(self, path: Path, settings: dict[str, Any], fresh: bool = False) -> None:
        self.path = path.with_name(path.name + ".partial")
        self.done: dict[str, list[Record]] = {}
        make_folder(self.path.parent)
        self._lock = WriterLock(self.path)
        try:
            self._file = self._begun(parse_json(json.dumps({**settings, "versions": versions()})), fresh)
        except BaseException:
            self._lock.release()
            raise

    def _begun(self, head: dict[str, Any], fresh: bool) -> LinesFile:
        rows = [] if fresh or not os.path.lexists(self.path) else read_json_lines(self.path, "parts of a study")
        if len(rows) > 1 and rows[0] != head:
            raise UserError(
                f"{self.path} holds {len(rows) - 1} parts of a study with other settings or versions that was stopped; "
                "give --fresh to drop them, or another --out."
            )
        for row in rows[1:]:
            with contextlib.suppress(LookupError, TypeError, AttributeError):  # no part: it is measured again
                self.done[str(row["part"])] = [record_from(r) for r in row["records"]]
        return LinesFile(self.path, [head, *(self._row(part) for part in self.done)])

    def _row(self, part: str) -> dict[str, Any]:
        return {"part": part, "records": [plain(record) for record in self.done[part]]}

    def add(self, part: str, records: Iterable[Record]) -> None:
        """Store the records of a finished part."""
        self.done[part] = list(records)
        self._file.append(self._row(part))

    def stop(self) -> None:
        """Release the file, so that others can continue the study."""
        self._file.close()
        self._lock.release()

    def close(self) -> None:
        """Delete the file: everything is in the result."""
        self.path.unlink(missing_ok=True)
        self._lock.release()
