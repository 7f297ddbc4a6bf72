"""The folder of an ensemble: a manifest that says what is in it, and one Parquet file a chunk.

The manifest is written before the first part and again at the end. A part is finished if it is there and whole, so that
nothing is done twice, whatever ended the process before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import SnapshotError, UserError, shown
from ..files import WriterLock, conforms, make_folder, parse_json, path_shown, read_bytes, write_atomically
from .parts import NAME, Label, label_of, part_path, write_part
from .settings import checksum

FORMAT, VERSION = "aitimestepper-ensemble", 2
MANIFEST = "ensemble.json"
FIELDS = {"spec": dict[str, Any], "systems": int | None, "chunk": int | None, "version": str, "finished": bool}


@dataclass(frozen=True)
class Manifest:
    """What an ensemble is: the numbers in its parts are those of this version of the program."""

    spec: dict[str, Any]  # source and settings
    systems: int | None  # None: not known before the end
    chunk: int | None  # systems in a chunk; None: the first chunk tells
    version: str = __version__
    finished: bool = False

    @property
    def sha256(self) -> str:
        """Checksum of what is run."""
        return checksum(self.spec)

    def text(self) -> bytes:
        """Return the content of the file."""
        about = {"format": FORMAT, "format_version": VERSION, **vars(self), "spec_sha256": self.sha256}
        return json.dumps(about | {"seal": checksum(about)}, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Return the manifest in a folder, or raise one sentence that says why there is none."""
        path = folder / MANIFEST
        try:
            about = parse_json(read_bytes(path, "manifest of an ensemble", SnapshotError))
            seal = about.pop("seal")
            if about["format"] != FORMAT or about["format_version"] != VERSION:
                raise SnapshotError(f"{path_shown(path)} is of another format than {FORMAT} {VERSION}.")
            if seal != checksum(about) or not all(conforms(about[name], kind) for name, kind in FIELDS.items()):
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, UserError):
                raise
            raise SnapshotError(f"{path_shown(path)} is damaged, or no manifest of an ensemble.") from None
        return cls(**{name: about[name] for name in FIELDS})


def part_paths(folder: Path, manifest: Manifest | None = None) -> list[Path]:
    """Return the paths of all parts in a folder, in order; of an ensemble that is finished, none may be missing."""
    try:
        found = {int(match[1]): Path(entry.path) for entry in os.scandir(folder) if (match := NAME.fullmatch(entry.name))}
    except OSError as error:
        raise SnapshotError(f"cannot read the folder {path_shown(folder)}: {error.strerror}.") from None
    if manifest is not None and manifest.finished and manifest.systems and manifest.chunk:
        missing = next((n for n in range(-(-manifest.systems // manifest.chunk)) if n not in found), None)
        if missing is not None:
            path = part_path(folder, missing)
            raise SnapshotError(f"{path_shown(path)} is gone: the same call with resume=True (--resume) makes it again.")
    return [found[number] for number in sorted(found)]


class Folder:
    """A folder that parts are written to, by one process at a time."""

    def __init__(self, path: Path, manifest: Manifest, resume: bool) -> None:
        """Begin a folder, or go on in one that holds parts of the same ensemble."""
        self.path = path
        make_folder(path)
        self._lock = WriterLock(path / MANIFEST)
        try:
            self.manifest = self._begun(manifest, resume)
        except BaseException:
            self.close()
            raise

    def _begun(self, manifest: Manifest, resume: bool) -> Manifest:
        there = os.path.lexists(self.path / MANIFEST)
        if not there and part_paths(self.path):
            raise UserError(f"{path_shown(self.path)} holds parts without a manifest: choose another folder.")
        if not there:
            write_atomically(self.path / MANIFEST, manifest.text())
            return manifest
        before = Manifest.read(self.path)
        _refuse_another(self.path, before, manifest)
        if not resume:
            raise UserError(
                f"{path_shown(self.path)} holds this ensemble already: go on with resume=True (--resume), or choose another "
                "folder."
            )
        return before

    def finished_parts(self) -> dict[int, Label]:
        """Return the labels of all parts that are whole, by number; those that are not are made again."""
        found = {}
        for path in part_paths(self.path):
            label = label_of(path)
            if label is not None and label.ensemble == self.manifest.sha256 and path == part_path(self.path, label.part):
                found[label.part] = label
        return found

    def write(self, table: Any, number: int, start: str) -> None:
        """Write the rows of a chunk."""
        first = table["number"][0].as_py()
        write_part(part_path(self.path, number), table, Label(self.manifest.sha256, number, first, len(table), start))

    def note(self, **changes: Any) -> None:
        """Write the manifest again with other values."""
        changed = Manifest(**vars(self.manifest) | changes)
        if changed != self.manifest:
            write_atomically(self.path / MANIFEST, changed.text())
            self.manifest = changed

    def close(self) -> None:
        """Let another process write here."""
        self._lock.release()


def _refuse_another(path: Path, there: Manifest, wanted: Manifest) -> None:
    """Raise an error unless the folder holds parts of the ensemble that is wanted, made by this version."""
    if there.version != wanted.version:
        raise UserError(
            f"{path_shown(path)} was begun by version {shown(there.version)}, this is {wanted.version}, whose numbers may "
            "differ in the last bits: finish it with that version, or choose another folder."
        )
    if there.sha256 != wanted.sha256:
        name = next(_differences(there.spec, wanted.spec), "its source")
        raise UserError(f"{path_shown(path)} holds another ensemble: {name} differs; choose another folder.")
    if wanted.chunk is not None and there.chunk not in (None, wanted.chunk) and there.systems != there.chunk:
        raise UserError(f"{path_shown(path)} has chunks of {there.chunk} systems, not {wanted.chunk}: leave chunk out.")


def _differences(one: dict[str, Any], other: dict[str, Any], within: str = "") -> Iterator[str]:
    """Yield the names of values that differ."""
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{within}{name}.")
        elif a != b:
            yield f"{within}{name} ({shown(a)} there, {shown(b)} here)"
