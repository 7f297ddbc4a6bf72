"""`--list-ic` and `--list-criteria`: the initial conditions and criteria that have names."""

from __future__ import annotations

from ..criteria.catalogue import CRITERIA
from ..initial.named import MAKERS
from ..specs import describe
from .arguments import Request
from .terminal import console, print_json, table_of


def run(request: Request) -> int:
    """Print the list that was asked for, and return the exit code."""
    rows = describe(MAKERS if request.listing == "ic" else CRITERIA)
    if request.json:
        print_json(dict(rows))
        return 0
    out = console(markup=False, highlight=False)
    table = table_of(out, ("write", "what it is"), ())
    for written, meaning in rows:
        table.add_row(written, meaning)
    out.print(table)
    return 0
