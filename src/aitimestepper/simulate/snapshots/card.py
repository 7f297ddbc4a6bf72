"""A file of snapshots as a card for notebooks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from ...html import card

if TYPE_CHECKING:
    from .reader import Snapshots

SETTINGS = {"criterion": "step", "integrator": "integrator", "tol": "tolerance", "created": "created"}


def html_of(snapshots: Snapshots) -> str:
    """Return the card; of a file that is damaged or closed it says what can be said."""
    rows, note = [("file", str(snapshots.path)), ("rows", str(len(snapshots)))], ""
    try:
        rows += _contents(snapshots)
    except (UserError, ValueError) as error:  # ValueError: it was closed
        note = str(error)
    return card("Simulation on disk", rows, note=note)


def _contents(snapshots: Snapshots) -> list[tuple[str, str]]:
    systems, bodies, axes = snapshots.position.shape[1:]
    time = snapshots.time[np.isfinite(snapshots.time)]
    rows = [("holds", f"{systems} {'system' if systems == 1 else 'systems'} of {bodies} bodies in {axes}D")]
    if len(time):
        rows.append(("time", f"{time.min():.10g} to {time.max():.10g}"))
    metadata = snapshots.metadata
    rows += [(words, str(metadata[name])) for name, words in SETTINGS.items() if metadata.get(name) is not None]
    rows.append(("status", ", ".join(f"{n} {word}" for word, n in Counter(snapshots.status).most_common())))
    return rows
