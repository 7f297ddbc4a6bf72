"""Writing files so that a crash, a full disk or a Ctrl-C never costs what was there before."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: the old file stays whole until the new one is complete."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; what was there before is untouched.") from None
    finally:
        with contextlib.suppress(OSError):  # gone after the rename; or its folder is none: that error is said already
            partial.unlink()
