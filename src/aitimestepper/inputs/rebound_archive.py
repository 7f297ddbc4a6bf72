"""Archives of REBOUND (Simulationarchive), read by REBOUND itself in a process of its own.

REBOUND trusts its files: of 300 damaged archives, 55 ended the process that read them (5.2.2). Here only the child ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, InitialConditionError, missing_extra, shown
from ..files import pack_arrays, path_shown
from ..files.archives import unpack_content
from .rebound_simulation import fields_of_simulation

if TYPE_CHECKING:
    import subprocess

MAGIC = b"REBOUND Binary File. Version: "
PATIENCE = 60.0  # seconds
COMMAND = "from aitimestepper.inputs.rebound_archive import child; child()"
NUMBERS = ("mass", "position", "velocity", "time", "softening", "G")


def fields_of_archive(content: bytes, path: Path) -> dict[str, Any]:
    """Return the arguments of `Bodies` for the last state in an archive of REBOUND."""
    _refuse_another_version(content, path)
    made = _run(content, path)
    words = made.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if "Integrator not found" in words:
        raise InitialConditionError(
            f"{path_shown(path)} has an integrator that REBOUND does not know; one of this package is read by "
            "aitimestepper.rebound.load, whose simulation can be given instead."
        )
    if made.returncode != 0 or not made.stdout:
        why = f"REBOUND says: {words[:200]}" if made.returncode > 0 and words else "REBOUND ends while it reads it"
        raise InitialConditionError(f"{path_shown(path)} is damaged: {why}.")
    try:
        about, arrays = unpack_content(made.stdout, path, "archive")
    except CheckpointError:
        raise InitialConditionError(f"{path_shown(path)} is damaged: what REBOUND reads in it is no simulation.") from None
    if about["warnings"]:
        raise InitialConditionError(f"{path_shown(path)} is damaged: REBOUND says: {shown(about['warnings'][0])}.")
    fields: dict[str, Any] = {name: arrays[name] for name in NUMBERS}
    fields |= {name: float(arrays[name]) for name in ("time", "softening", "G")}
    return fields | {"names": about["names"], "units": about["units"]}


def _run(content: bytes, path: Path) -> subprocess.CompletedProcess[bytes]:
    import subprocess  # here and below: what `import aitimestepper` need not load

    places = os.pathsep.join(place for place in sys.path if place)
    environment = {**os.environ, "PYTHONPATH": places}
    try:
        return subprocess.run(
            [sys.executable, "-W", "always", "-c", COMMAND],
            input=content,
            capture_output=True,
            timeout=PATIENCE,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InitialConditionError(f"{path_shown(path)} is damaged: reading it takes more than {PATIENCE:.0f} s.") from None


def _refuse_another_version(content: bytes, path: Path) -> None:
    """Raise an error for an archive of another version of REBOUND than the installed one, or where there is none."""
    import importlib.metadata

    try:
        own = importlib.metadata.version("rebound")
    except importlib.metadata.PackageNotFoundError:
        raise missing_extra("rebound", "rebound", "reading an archive of REBOUND") from None
    version = content[len(MAGIC) :][:16].partition(b"\0")[0].decode(errors="replace")
    if version.split(".")[:2] != own.split(".")[:2]:
        raise InitialConditionError(
            f"{path_shown(path)} was written by REBOUND {shown(version)}, and {own} is installed: install the version that "
            "wrote it, or write it again with this one."
        )


def child() -> None:
    """Read an archive from standard input, and write its last state to standard output."""
    import warnings

    import rebound

    with warnings.catch_warnings(record=True) as caught:
        fields = fields_of_simulation(rebound.Simulationarchive(sys.stdin.buffer.read())[-1])
    units = fields.pop("units")
    about = {
        "warnings": [str(w.message) for w in caught if "function pointer" not in str(w.message)],
        "names": fields.pop("names", None),
        "units": None if units is None else units.name,
    }
    sys.stdout.buffer.write(pack_arrays(about, {name: np.asarray(value) for name, value in fields.items()}))
