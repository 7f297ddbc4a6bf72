"""Parts of a table: the rows of a chunk as a Parquet file, whole or not there at all.

Its metadata say of which ensemble it is, which chunk it holds, with which systems that chunk began, and the checksum of every
column, which is verified when the column is read: the checksums of the pages of a Parquet file leave out its footer.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SnapshotError, UserError, require
from ..files import conforms, open_regular, parse_json, path_shown, write_atomically
from .settings import checksum

KEY = b"aitimestepper"
WHAT = "part of an ensemble"
NAME = re.compile(r"part-(\d{6,})\.parquet")


class Label(NamedTuple):
    """What the metadata of a part say."""

    ensemble: str  # checksum of the specification
    part: int
    first: int  # number of its first system
    rows: int
    start: str  # checksum of the systems before their run


KINDS = {"ensemble": str, "part": int, "first": int, "rows": int, "start": str, "columns": dict[str, str]}


def arrow() -> Any:
    """Return pyarrow, or raise an error that says how to install it."""
    return require("pyarrow", "ensemble", "the table of an ensemble")


def parquet() -> Any:
    """Return the part of pyarrow that reads and writes Parquet files."""
    return require("pyarrow.parquet", "ensemble", "the table of an ensemble")


def table_of(columns: dict[str, np.ndarray]) -> Any:
    """Return columns as a table of pyarrow."""
    pa = arrow()
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def part_path(folder: Path, number: int) -> Path:
    """Return the path of the part with that number."""
    return folder / f"part-{number:06d}.parquet"


def write_part(path: Path, table: Any, label: Label) -> None:
    """Write the rows of a chunk, whole or not at all."""
    image = io.BytesIO()
    about = {**label._asdict(), "columns": {name: _checksum_of(table[name]) for name in table.column_names}}
    labelled = table.replace_schema_metadata({KEY: json.dumps(about | {"seal": checksum(about)}).encode()})
    texts = [name for name in table.column_names if _is_text(table[name])]
    # numbers hardly ever repeat: looking for those that do takes as long as writing them
    parquet().write_table(labelled, image, write_page_checksum=True, use_dictionary=texts)
    write_atomically(path, image.getvalue())


def read_part(path: Path, columns: Sequence[str] | None = None, ensemble: str | None = None) -> Any:
    """Return the table of a part, or only some of its columns; a damaged file raises one sentence.

    ensemble: checksum of the specification of the ensemble that it must be a part of, under that name.
    """
    table, label = _read(path, columns)
    if ensemble is not None and (label.ensemble != ensemble or path != part_path(path.parent, label.part)):
        raise SnapshotError(f"{path_shown(path)} is part {label.part} of another ensemble, or of this one under another name.")
    return table


def label_of(path: Path) -> Label | None:
    """Return what a part says of itself if all of it can be read and is whole, else None."""
    try:
        return _read(path, None)[1]
    except UserError:
        return None


def _read(path: Path, columns: Sequence[str] | None) -> tuple[Any, Label]:
    """Return the table of a part and its label, after all that is there is found to be what was written."""
    with open_regular(path, WHAT, SnapshotError) as f:
        try:
            table = parquet().read_table(f, columns=columns, page_checksum_verification=True, use_threads=False)
            return table, _verified(table, columns)
        except UserError:
            raise
        except Exception as error:  # whatever pyarrow raises for a file that is damaged or none
            words = str(error).partition("\n")[0]
            raise SnapshotError(f"{path_shown(path)} is damaged, or no {WHAT}: {words}.") from None


def _verified(table: Any, columns: Sequence[str] | None) -> Label:
    """Return the label of a table, or raise ValueError unless its columns are those that it was written with."""
    about = parse_json((table.schema.metadata or {})[KEY])
    seal, sums = about.pop("seal"), about["columns"]
    fits = all(conforms(about[name], kind) for name, kind in KINDS.items())
    if not fits or seal != checksum(about) or len(table) != about["rows"]:
        raise ValueError("its label is another one")
    if table.column_names != [name for name in (sums if columns is None else columns) if name in sums]:
        raise ValueError("its columns have other names")
    wrong = next((name for name in table.column_names if sums[name] != _checksum_of(table[name])), None)
    if wrong is not None:
        raise ValueError(f"the column {wrong} holds other values")
    return Label(*(about[name] for name in Label._fields))


def _checksum_of(column: Any) -> str:
    """Return the SHA-256 checksum of type and values of a column."""
    found = hashlib.sha256(str(column.type).encode())
    if arrow().types.is_primitive(column.type) and not column.null_count:
        found.update(np.ascontiguousarray(column.to_numpy()).data)
    else:
        found.update(_json_of(column).encode())
    return found.hexdigest()


def _json_of(column: Any) -> str:
    """Return the values of a column as a list in JSON; text that is there several times is put into JSON once."""
    if not _is_text(column):
        return json.dumps(column.to_pylist())
    coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    words = [json.dumps(value) for value in coded.dictionary.to_pylist()]
    return f"[{', '.join([words[k] for k in coded.indices.to_numpy().tolist()])}]"


def _is_text(column: Any) -> bool:
    return bool(arrow().types.is_string(column.type))
