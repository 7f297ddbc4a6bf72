"""Results of a study: one tidy JSON, a record for each measurement. The schema is described in docs/bench.md."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..errors import UserError
from ..evaluation.statistics import share_error
from ..files import WriterLock, write_atomically

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
            content = json.loads(read_text(path))
        except (OSError, EOFError) as error:
            raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}.") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not JSON ({error}).") from None
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"{path} is JSON, but not a result of `aitimestepper bench`: it does not say {SCHEMA!r}.")
        if content.get("version") != VERSION:
            raise UserError(f"{path} has version {content.get('version')}, this program reads {VERSION}; measure anew.")
        known = {f.name for f in dataclasses.fields(Record)}
        try:
            records = [Record(**{k: v for k, v in row.items() if k in known}) for row in content["records"]]
            rest = {f.name: content[f.name] for f in dataclasses.fields(cls) if f.name != "records"}
            return cls(records=records, **rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged: {error}.") from None


def read_text(path: str | Path) -> str:
    """Return the JSON text in a file, decompressed if its name ends in .gz."""
    content = Path(path).read_bytes()
    return (gzip.decompress(content) if _is_compressed(path) else content).decode()


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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(self.path)
        try:
            self._begin(json.dumps({**settings, "versions": versions()}, sort_keys=True), fresh)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, head: str, fresh: bool) -> None:
        lines = [] if fresh else self._lines()
        whole = [head]
        if len(lines) > 1 and lines[0] != head:
            raise UserError(
                f"{self.path} holds {len(lines) - 1} parts of a study with other settings or versions that was stopped; "
                "give --fresh to drop them, or another --out."
            )
        for line in lines[1:]:
            try:
                row = json.loads(line)
                self.done[row["part"]] = [Record(**r) for r in row["records"]]
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # the last line of a run that was killed while writing it
            whole.append(line)
        write_atomically(self.path, "".join(f"{line}\n" for line in whole).encode())

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text().splitlines()
        except OSError:
            return []

    def add(self, part: str, records: Iterable[Record]) -> None:
        """Store the records of a finished part."""
        self.done[part] = list(records)
        with open(self.path, "a") as f:
            f.write(json.dumps({"part": part, "records": [plain(r) for r in self.done[part]]}) + "\n")

    def stop(self) -> None:
        """Release the file, so that others can continue the study."""
        self._lock.release()

    def close(self) -> None:
        """Delete the file: everything is in the result."""
        self.path.unlink(missing_ok=True)
        self._lock.release()
