"""The rows of an ensemble are those of simulations of its systems one by one, whatever the chunks and threads."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from isolated import WrongError
from stress_draws import Request

from aitimestepper import Bodies, Ensemble, ensemble, simulate
from aitimestepper.ensembles.rows import columns_of

TEXTS = ("status", "integrator")


def check_table(start: Bodies, asked: Request) -> str:
    """Run the systems as an ensemble and one by one, and hold the rows against each other."""
    given: dict[str, Any] = {**asked.given, "criterion": asked.criterion, "integrator": asked.integrator}
    if importlib.util.find_spec("pyarrow") is None:
        return "ensemble: no pyarrow"
    table = ensemble(start, **given, chunk=3, threads=2)
    for b in range(len(start)):
        alone = start.select([b])
        _compare(columns_of(alone, simulate(alone, **given, threads=1, warn=False)), table, b)
    return f"ensemble {table['status'][0]}"


def _compare(row: dict[str, np.ndarray], table: Ensemble, b: int) -> None:
    """Raise an error unless row b of the table has the bits of this one."""
    for name, values in row.items():
        one, other = values[0], table[name][b]
        if not (one == other or (name not in TEXTS and np.isnan(one) and np.isnan(other))):
            raise WrongError(f"row {b} of the ensemble: {name} is {other!r}, of the system alone {one!r}")
