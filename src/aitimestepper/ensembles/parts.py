"""Parts of a table: the rows of a chunk as a Parquet file, whole or not there at all.

Every page of a part has a checksum that is verified when it is read. Its metadata say of which ensemble it is, which chunk it
holds, and with which systems that chunk began.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SnapshotError, UserError, require
from ..files import open_regular, parse_json, path_shown, write_atomically

KEY = b"aitimestepper"
WHAT = "part of an ensemble"


class Label(NamedTuple):
    """What the metadata of a part say."""

    ensemble: str  # checksum of the specification
    part: int
    first: int  # number of its first system
    rows: int
    start: str  # checksum of the systems before their run


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


def write_part(path: Path, table: Any, label: Label) -> None:
    """Write the rows of a chunk, whole or not at all."""
    image = io.BytesIO()
    labelled = table.replace_schema_metadata({KEY: json.dumps(label._asdict()).encode()})
    parquet().write_table(labelled, image, write_page_checksum=True)
    write_atomically(path, image.getvalue())


def read_part(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Return the table of a part, or only some of its columns; a damaged file raises one sentence."""
    with open_regular(path, WHAT, SnapshotError) as f:
        try:
            return parquet().read_table(f, columns=columns, page_checksum_verification=True, use_threads=False)
        except UserError:
            raise
        except Exception as error:  # whatever pyarrow raises for a file that is damaged or none
            words = str(error).partition("\n")[0]
            raise SnapshotError(f"{path_shown(path)} is damaged, or no {WHAT}: {words}.") from None


def label_of(path: Path) -> Label | None:
    """Return what a part says of itself if all of it can be read and is whole, else None."""
    try:
        table = read_part(path)
        label = Label(**parse_json((table.schema.metadata or {})[KEY]))
    except (UserError, KeyError, TypeError, ValueError):
        return None
    return label if label.rows == len(table) else None
