"""The tables of docs/bench.md, made from the files in docs/bench/.

python docs/bench_tables.py          print them
python docs/bench_tables.py --write  put them into docs/bench.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pages import print_or_write, table

from aitimestepper.bench.records import Record, Results
from aitimestepper.cli.bench_tables import complying, label, short, worst_families
from aitimestepper.cli.study_tables import cheapest_rows

HERE = Path(__file__).resolve().parent
PAGE = HERE / "bench.md"
BEGIN, END = "<!-- results: made by docs/bench_tables.py -->", "<!-- end of results -->"
FEWEST = {"forces": "force evaluations", "charged_forces": "with what choosing costs"}


def steps_tables(results: Results) -> Iterator[str]:
    """Yield, for each integrator, every rule at every tolerance, and the rule to beat."""
    about = results.settings["measured_on"]
    yield (
        f"### Step quality\n\n`{results.command}`: {about['problems']} problems of {about['suite']}, split "
        f"`{about['split']}`, at most {short(results.settings['budget'])} forces a run. Each cell: calibrated on `train` "
        "(with the share of `test` that then complies, and that of its worst family) / fitted / hindsight, geometric-mean "
        "force evaluations; –: not within the budget."
    )
    records = [r for r in results.records if r.family == "all"]
    for integrator in dict.fromkeys(r.integrator for r in records):
        own = [r for r in records if r.integrator == integrator]
        tolerances = sorted({r.tolerance for r in own if r.tolerance is not None}, reverse=True)
        yield f"#### {integrator}\n\n" + _rules(own, tolerances, worst_families(results))
    yield "#### The rule to beat\n\n" + _winners(records)
    yield "#### What one choice of a step costs, in force evaluations\n\n" + _charges(records)


def _rules(own: Sequence[Record], tolerances: Sequence[float], worst: dict[tuple[Any, ...], float]) -> str:
    cells = {(label(r), r.mode, r.tolerance): r for r in own}
    rows = []
    for name in dict.fromkeys(label(r) for r in own):
        row = []
        for tol in tolerances:
            calibrated, fitted, hindsight = (cells.get((name, m, tol)) for m in ("calibrated", "fitted", "hindsight"))
            row.append(f"{_measured(calibrated, worst)} / {_forces(fitted)} / {_forces(hindsight)}")
        rows.append([name, *row])
        if any((name, "asked", tol) in cells for tol in tolerances):
            asked = [_measured(cells.get((name, "asked", tol)), worst) for tol in tolerances]
            rows.append([f"{name}: as asked", *asked])
    return table(["rule", *(f"{t:.0e}" for t in tolerances)], rows)


def _measured(record: Record | None, worst: dict[tuple[Any, ...], float]) -> str:
    return "–" if record is None or record.compliance is None else f"{_forces(record)} ({complying(record, worst)})"


def _forces(record: Record | None) -> str:
    known = record is not None and record.forces is not None and record.compliance != 0
    return short(record.forces) if known and record is not None else "–"


def _winners(records: Sequence[Record]) -> str:
    """Return who takes the fewest forces when fitted, choosing charged or not, and how many rules are within the noise."""
    rows = []
    for integrator in dict.fromkeys(r.integrator for r in records):
        for tol in sorted({r.tolerance for r in records if r.tolerance is not None}, reverse=True):
            here = [r for r in records if r.integrator == integrator and r.tolerance == tol]
            fitted = [r for r in here if r.mode == "fitted" and r.forces is not None]
            known = [r for r in here if r.mode == "hindsight" and r.forces is not None]
            limit = min(known, key=lambda r: r.forces or 0, default=None)
            words = [*(_winner(fitted, by) for by in FEWEST), "–" if limit is None else f"{label(limit)} {short(limit.forces)}"]
            rows.append([integrator, f"{tol:.0e}", *words])
    return table(["integrator", "tolerance", *(f"fewest {words}" for words in FEWEST.values()), "hindsight"], rows)


def _winner(fitted: Sequence[Record], by: str) -> str:
    """Return the best rule; others whose interval reaches down to it may be as good."""
    best = min(fitted, key=lambda r: float(getattr(r, by)), default=None)
    if best is None:
        return "–"
    value = float(getattr(best, by))
    near = [r for r in fitted if r is not best and _lowest(r) * getattr(r, by) / (r.forces or 1.0) <= value]
    return f"{label(best)} {short(value)}" + (f" ({len(near)} within noise)" if near else "")


def _lowest(record: Record) -> float:
    low = record.forces_interval[0] if record.forces_interval else None
    return 0.0 if low is None else low


def _charges(records: Sequence[Record]) -> str:
    charges = {label(r): r.more["charge"] for r in records if "charge" in r.more}
    sizes = list(next(iter(charges.values())))
    lines = ["| N = | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    return "\n".join(
        [*lines, *(f"| {name} | " + " | ".join(f"{row[n]:.2f}" for n in sizes) + " |" for name, row in charges.items())]
    )


def longrun_tables(results: Results) -> Iterator[str]:
    """Yield largest and final error of every rule on every problem; drift and reversal on one of them."""
    settings = results.settings
    yield (
        f"### Long runs\n\n`{results.command}`: {settings['orbits']} orbits ({settings['orbits'] // 10} periods of the "
        f"figure-eight), all rules at {settings['forces']:.0f} forces a period. Largest / final relative energy error."
    )
    problems = [name for name in dict.fromkeys(r.family for r in results.records) if not name.startswith("longrun")]
    who = list(dict.fromkeys((r.integrator, label(r)) for r in results.records))
    cells = {(r.integrator, label(r), r.family): r for r in results.records}
    rows = []
    for one in who:
        found = [cells[(*one, problem)] for problem in problems]
        rows.append(
            [f"{one[0]}, {one[1]}", *(f"{_e(r.error_quantiles.get('1'))} / {_e(r.more['final_error'])}" for r in found)]
        )
    yield table(["rule", *problems], rows)
    yield "Drift of the energy error a period, and bits of 53 lost by running back, at e = 0.9:"
    rows = []
    for one in who:
        more = cells[(*one, "kepler0.9")].more
        rows.append(
            [f"{one[0]}, {one[1]}", f"{_e(more['drift_per_orbit'])} ± {_e(more['drift_error'])}", _e(more["bits_lost"], ".0f")]
        )
    yield table(["rule", "drift", "bits lost"], rows)


def rl_tables(results: Results) -> Iterator[str]:
    """Yield constant parameters beside what was measured before, then all rules at equal cost."""
    title = "### The test set of the reinforcement-learning stepper"
    yield f"{title}\n\n`{results.command}`. Relative energy error at the end of 30 years."
    head = ["rule", "median forces", "median", "90 %", "largest"]
    rows = [_rl_row(r, f"{r.criterion} {r.value:g}") for r in results.records if r.mode == "pieces"]
    rows += [_rl_row(r, r.criterion) for r in results.records if r.mode == "published"]
    yield (
        "Hermite 4 begun anew every 0.1 years, with constant parameters; in brackets what was measured before (another code, "
        "without compensated sums); below them the policies, quoted from there:\n\n" + table(head, rows)
    )
    own = sorted((r for r in results.records if r.mode == "matched"), key=lambda r: r.more["final_quantiles"]["0.9"] or 1e9)
    yield "Every rule at the same median number of force evaluations:\n\n" + table(head, [_rl_row(r, label(r)) for r in own])


def _rl_row(record: Record, name: str) -> list[str]:
    known, final = record.more.get("published", {}), record.more["final_quantiles"]
    row = [name, f"{record.more['median_forces']:.0f}" + (f" ({known['forces']:.0f})" if known else "")]
    for q, theirs in (("0.5", "median"), ("0.9", "p90"), ("1", "largest")):
        row.append(_e(final[q]) + (f" ({_e(known[theirs])})" if known else ""))
    return row


def curves_tables(results: Results) -> Iterator[str]:
    """Yield who is cheapest at an error, and the pictures."""
    words = "Who reaches an energy error with the fewest forces, and in the least time:"
    yield f"### Work and precision\n\n`{results.command}`. {words}"
    yield table(["problem", "error", "fewest forces", "least time", "fastest other code"], list(cheapest_rows(results)))
    for picture in sorted((HERE / "bench" / "curves").glob("*best*.svg")):
        yield f"![{picture.stem}](bench/curves/{picture.name})"


def _e(value: float | None, form: str = ".1e") -> str:
    return "–" if value is None else format(value, form)


MAKERS = {"steps": steps_tables, "longrun": longrun_tables, "rl": rl_tables, "curves": curves_tables}


def tables() -> str:
    """Return all tables of the page."""
    files = sorted(path for path in (HERE / "bench").iterdir() if path.name.endswith((".json", ".json.gz")))
    found = [Results.load(path) for path in files]
    return "\n\n".join(part for results in found for part in MAKERS[results.study](results))


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, tables)
