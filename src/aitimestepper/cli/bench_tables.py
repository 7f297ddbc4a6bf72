"""The results of `aitimestepper bench` as tables on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from ..bench.comparison import Comparison
from ..bench.records import Record, Results
from .terminal import table_of

CELLS = 40  # columns of text that a table needs for each tolerance
SHORT = {"symmetrized": "sym"}  # forms of a rule as tables on the terminal name them
FEWEST = (("forces", "forces"), ("charged_forces", "charged"))


def short(value: float | None) -> str:
    """Return a number with two or three digits and a letter, such as 3.41k for 3412."""
    if value is None or not math.isfinite(value):
        return "-"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.0f}{letter}" if scaled >= 99.5 else f"{scaled:.3g}{letter}"
    return f"{value:.0f}"


def label(record: Record) -> str:
    """Return the rule of a record, and its form if that is not the plain one."""
    return record.criterion if record.variant == "plain" else f"{record.criterion}, {record.variant}"


def short_label(record: Record) -> str:
    """Return `label` with a short word for the form."""
    return label(replace(record, variant=SHORT.get(record.variant, record.variant)))


def show_steps(results: Results, out: Console) -> None:
    """Print a table for each integrator: forces when calibrated, fitted to the same compliance, and in hindsight."""
    records = [r for r in results.records if r.family == "all"]
    worst = worst_families(results)
    for integrator in dict.fromkeys(r.integrator for r in records):
        own = [r for r in records if r.integrator == integrator]
        tolerances = sorted({r.tolerance for r in own if r.tolerance is not None}, reverse=True)
        beside = max(1, (out.width - max(len(short_label(r)) for r in own)) // CELLS)
        for first in range(0, len(tolerances), beside):
            _show_tolerances(own, worst, tolerances[first : first + beside], f"{integrator}: force evaluations", out)
    out.print(_legend(results))
    _show_charges(records, out)


def worst_families(results: Results) -> dict[tuple[Any, ...], float]:
    """Return the compliance of the worst family, by the key of the record of all families."""
    found: dict[tuple[Any, ...], float] = {}
    for r in results.records:
        if r.family != "all" and r.compliance is not None:
            key = replace(r, family="all").key
            found[key] = min(found.get(key, 1.0), r.compliance)
    return found


def _show_tolerances(
    own: Sequence[Record], worst: dict[tuple[Any, ...], float], tolerances: Sequence[float], title: str, out: Console
) -> None:
    heads = [head for tol in tolerances for head in (f"{tol:.0e}\ncalibrated", "\nfitted", "\ncharged", "\nbest")]
    table = table_of(out, [""], heads, title=title)
    cells = {(short_label(r), r.mode, r.tolerance): r for r in own}
    for name in dict.fromkeys(short_label(r) for r in own):
        for mode, shown in (("calibrated", name), ("asked", "  as asked")):
            if any((name, mode, tol) in cells for tol in tolerances):
                row: list[str] = []
                for tol in tolerances:
                    here, fitted, hindsight = (cells.get((name, m, tol)) for m in (mode, "fitted", "hindsight"))
                    row += _cells(here, fitted, hindsight, worst, mode == "calibrated")
                table.add_row(shown, *row)
    out.print(table)
    for tol in tolerances:
        best = [f"{short_label(r)} {short(getattr(r, by))} ({words})" for by, words in FEWEST if (r := _best(own, tol, by))]
        out.print(f"  {tol:.0e}, the fewest when fitted: {'; '.join(best) or 'no rule within the budget'}")


def complying(record: Record, worst: dict[tuple[Any, ...], float]) -> str:
    """Return the compliance over all families and, if known, in the worst one, such as 90/75%."""
    if record.compliance is None:
        return "-"
    least = worst.get(record.key)
    return f"{100 * record.compliance:.0f}%" if least is None else f"{100 * record.compliance:.0f}/{100 * least:.0f}%"


def _cells(
    own: Record | None, fitted: Record | None, hindsight: Record | None, worst: dict[tuple[Any, ...], float], first: bool
) -> list[str]:
    """Return the cells of one rule and tolerance; the second row of a rule shows only the cells that differ from the first."""
    calibrated = "-" if own is None or own.compliance is None else f"{short(own.forces)} {complying(own, worst):>7}"
    if not first:
        return [calibrated, "", "", ""]
    return [
        calibrated,
        short(fitted.forces if fitted is not None else None),
        short(fitted.charged_forces if fitted is not None else None),
        short(hindsight.forces if hindsight is not None else None),
    ]


def _best(records: Sequence[Record], tol: float, by: str) -> Record | None:
    known = [r for r in records if r.mode == "fitted" and r.tolerance == tol and getattr(r, by) is not None]
    return min(known, key=lambda r: float(getattr(r, by)), default=None)


def _legend(results: Results) -> str:
    about, share = results.settings.get("measured_on", {}), results.settings.get("share", 0.9)
    lines = (
        f"{about.get('problems')} problems of {about.get('suite')}, split {about.get('split')}; geometric means.",
        f"calibrated: at the constant with which {share:.0%} of train comply",
        "in %: compliance of the measured problems, and in the worst family",
        f"fitted: at the constant with which {share:.0%} of the measured problems comply",
        "charged: the same with the cost of choosing the step",
        "best: in hindsight, at the best constant of each problem",
        f"-: not within {short(results.settings.get('budget'))} forces a run; sym: symmetrized",
    )
    return "\n".join(lines)


def _show_charges(records: Sequence[Record], out: Console) -> None:
    charges = {short_label(r): r.more["charge"] for r in records if "charge" in r.more}
    if not charges:
        return
    sizes = list(next(iter(charges.values())))
    title = "cost of choosing one step, in force evaluations on this machine"
    table = table_of(out, ["N ="], sizes, title=title)
    for name, row in charges.items():
        table.add_row(name, *(f"{row[n]:.2f}" for n in sizes))
    out.print(table)


def show_comparison(found: Comparison, out: Console, everything: bool) -> None:
    """Print what changed and, with `everything`, also what did not."""
    table = table_of(out, ("rule", "measured on"), ("before", "after"), "change, 95 %")
    shown = [c for c in found.changes if everything or c.verdict != "same"]
    for c in shown:
        r, tol = c.record, "" if c.record.tolerance is None else f"{c.record.tolerance:.0e} "
        before, after = (_number(c.quantity, x) for x in (c.before, c.after))
        change, low, high = (f"{x:+.0%}" if c.quantity == "compliance" else f"{x:.3g}x" for x in (c.change, c.low, c.high))
        where = f"{r.family} {tol}{r.mode}: {c.quantity}"
        table.add_row(f"{r.integrator} {short_label(r)}", where, before, after, f"{c.verdict}: {change}, {low} to {high}")
    if shown:
        out.print(table)
    if found.differences:
        out.print(f"[bold]not measured alike[/bold]: {', '.join(found.differences)} differ, which contributes to every change")
    counts = {v: sum(c.verdict == v for c in found.changes) for v in ("better", "worse", "same")}
    out.print(
        f"{counts['better']} better, {counts['worse']} worse, {counts['same']} the same within noise; "
        f"chance alone would make {0.05 * len(found.changes):.0f} look changed. "
        f"Only in the first file: {found.only_before}, only in the second: {found.only_after}."
    )


def _number(quantity: str, value: float) -> str:
    return short(value) if quantity == "forces" else f"{value:.0%}" if quantity == "compliance" else f"{value:.1e}"
