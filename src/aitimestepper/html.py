"""Cards in HTML for notebooks: a title, rows of names and values, and a table.

The styles are inline and take the colours of the notebook, so that a card is readable on a dark page, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

LINE = "1px solid rgba(128,128,128,.35)"
MOST_BODIES = 12  # in the table of a card
# `background` and `text-align` replace the stripes and the alignment that notebooks give to every table
_CELL = "padding:.15em .9em .15em 0;text-align:{};background:transparent;vertical-align:top;border:0"
_MUTED = "opacity:.7;white-space:nowrap"
_CARD = (
    f"display:inline-block;max-width:60em;overflow-x:auto;border:{LINE};border-radius:6px;padding:.5em .9em;"
    "font-size:.92em;line-height:1.4"
)


class Table(NamedTuple):
    """A table below the rows of a card; cells are shown as text, and those after the first column are aligned as numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]


def card(title: str, rows: Iterable[tuple[str, Any]], table: Table | None = None, note: str = "") -> str:
    """Return a card as HTML; every text in it is escaped. `note` is a sentence below."""
    parts = [f'<div style="font-weight:600;padding-bottom:.2em">{escape(str(title))}</div>']
    lines = [_line([_cell(name, more=_MUTED), _cell(value, more="overflow-wrap:anywhere")]) for name, value in rows]
    if lines:
        parts.append(_table(lines))
    if table is not None and table.rows:
        head = _line([_cell(word, "right" if k else "left", _MUTED) for k, word in enumerate(table.heads)])
        body = [_line([_cell(x, "right" if k else "left") for k, x in enumerate(row)]) for row in table.rows]
        parts.append(_table([head, *body]))
    if note:
        parts.append(f'<div style="opacity:.7;font-size:.92em">{escape(note)}</div>')
    return f'<div style="{_CARD}">{"".join(parts)}</div>'


def bodies_card(bodies: Any) -> str:
    """Return a `Bodies` as a card, with a table of those of the first system."""
    B, N, D = bodies.position.shape
    units = getattr(bodies, "units", None)
    known = "" if units is None else f"{units.name}, "
    rows = [
        ("units", f"{known}G = {bodies.G:.10g}"),
        ("time", f"{bodies.time[0]:.10g}"),
        ("softening", f"{bodies.softening[0]:g}"),
    ]
    if bodies.external_field is not None:
        rows.append(("outer field", type(bodies.external_field).__name__))
    names = bodies.names or tuple(map(str, range(N)))
    found = bodies.present[0].nonzero()[0]
    table = [
        [names[k], *(f"{x:.4g}" for x in (bodies.mass[0, k], *bodies.position[0, k], *bodies.velocity[0, k]))]
        for k in found[:MOST_BODIES].tolist()
    ]
    axes = "xyz"[:D]
    title = f"{len(found)} bodies in {D}D" if B == 1 else f"{B} systems of up to {N} bodies in {D}D; system 0:"
    more = f"and {len(found) - MOST_BODIES} more" if len(found) > MOST_BODIES else ""
    return card(title, rows, Table(("body", "mass", *axes, *(f"v{a}" for a in axes)), table), note=more)


def progress(words: str, share: float | None) -> str:
    """Return a bar of progress and words beside it; share: from 0 to 1, or None as long as it is unknown."""
    value = "" if share is None else f' value="{min(max(share, 0.0), 1.0):.4f}" max="1"'
    text = f'<code style="padding-left:.7em;background:transparent">{escape(words)}</code>'
    return f'<div style="white-space:nowrap"><progress{value} style="width:14em;vertical-align:middle"></progress>{text}</div>'


def _table(lines: Sequence[str]) -> str:
    style = "border-collapse:collapse;margin:.25em 0 0;border:0;color:inherit;font-size:inherit"
    return f'<table style="{style}">{"".join(lines)}</table>'


def _line(cells: Sequence[str]) -> str:
    return f'<tr style="background:transparent">{"".join(cells)}</tr>'


def _cell(value: Any, align: str = "left", more: str = "white-space:nowrap") -> str:
    return f'<td style="{_CELL.format(align)};{more}">{escape(str(value))}</td>'
