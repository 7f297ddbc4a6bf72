"""The tables of docs/bench.md, made from the files in docs/bench/.

python docs/bench_tables.py          print them
python docs/bench_tables.py --write  put them into docs/bench.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from aitimestepper.bench.records import Record, Results
from aitimestepper.cli.bench_tables import label, short

HERE = Path(__file__).resolve().parent
PAGE = HERE / "bench.md"
BEGIN, END = "<!-- results: made by docs/bench_tables.py -->", "<!-- end of results -->"
FEWEST = {"forces": "force evaluations", "charged_forces": "with what choosing costs"}


def steps_tables(results: Results) -> Iterator[str]:
    """For each integrator: every rule at every tolerance, and which one is to beat."""
    about = results.settings["measured_on"]
    yield (
        f"### Step quality\n\n`{results.command}`: {about['problems']} problems of the five standard families, split "
        f"`{about['split']}`, at most {short(results.settings['budget'])} forces a run. Each cell: calibrated on `train` "
        "(and the share of `test` that then complies) / fitted / hindsight, geometric-mean force evaluations; –: not within "
        "the budget."
    )
    records = [r for r in results.records if r.family == "all"]
    for integrator in dict.fromkeys(r.integrator for r in records):
        own = [r for r in records if r.integrator == integrator]
        tolerances = sorted({r.tolerance for r in own if r.tolerance is not None}, reverse=True)
        yield f"#### {integrator}\n\n" + _rules(own, tolerances)
    yield "#### The rule to beat\n\n" + _winners(records)
    yield "#### What one choice of a step costs, in force evaluations\n\n" + _charges(records)


def _rules(own: Sequence[Record], tolerances: Sequence[float]) -> str:
    cells = {(label(r), r.mode, r.tolerance): r for r in own}
    lines = ["| rule | " + " | ".join(f"{t:.0e}" for t in tolerances) + " |", "|---" * (len(tolerances) + 1) + "|"]
    for name in dict.fromkeys(label(r) for r in own):
        row = []
        for tol in tolerances:
            calibrated, fitted, hindsight = (cells.get((name, m, tol)) for m in ("calibrated", "fitted", "hindsight"))
            row.append(f"{_measured(calibrated)} / {_forces(fitted)} / {_forces(hindsight)}")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
        if any((name, "asked", tol) in cells for tol in tolerances):
            asked = [_measured(cells.get((name, "asked", tol))) for tol in tolerances]
            lines.append(f"| {name}: as asked | " + " | ".join(asked) + " |")
    return "\n".join(lines)


def _measured(record: Record | None) -> str:
    return "–" if record is None or record.compliance is None else f"{_forces(record)} ({record.compliance:.0%})"


def _forces(record: Record | None) -> str:
    known = record is not None and record.forces is not None and record.compliance != 0
    return short(record.forces) if known and record is not None else "–"


def _winners(records: Sequence[Record]) -> str:
    """The fewest forces when fitted, as they are and charged; who is within the interval of the winner is as good."""
    lines = [
        "| integrator | tolerance | fewest " + " | fewest ".join(FEWEST.values()) + " | hindsight |",
        "|---|---|---|---|---|",
    ]
    for integrator in dict.fromkeys(r.integrator for r in records):
        for tol in sorted({r.tolerance for r in records if r.tolerance is not None}, reverse=True):
            here = [r for r in records if r.integrator == integrator and r.tolerance == tol]
            fitted = [r for r in here if r.mode == "fitted" and r.forces is not None]
            best = [min(fitted, key=lambda r, by=by: getattr(r, by), default=None) for by in FEWEST]
            words = ["–" if r is None else f"{label(r)} {short(getattr(r, by))}" for r, by in zip(best, FEWEST, strict=True)]
            limit = min(
                (r for r in here if r.mode == "hindsight" and (r.compliance or 0) >= 0.9),
                key=lambda r: r.forces or 0,
                default=None,
            )
            words.append("–" if limit is None else f"{label(limit)} {short(limit.forces)}")
            lines.append(f"| {integrator} | {tol:.0e} | " + " | ".join(words) + " |")
    return "\n".join(lines)


def _charges(records: Sequence[Record]) -> str:
    charges = {label(r): r.more["charge"] for r in records if "charge" in r.more}
    sizes = list(next(iter(charges.values())))
    lines = ["| N = | " + " | ".join(sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    return "\n".join(
        [*lines, *(f"| {name} | " + " | ".join(f"{row[n]:.2f}" for n in sizes) + " |" for name, row in charges.items())]
    )


MAKERS = {"steps": steps_tables}


def tables() -> str:
    """All of them."""
    files = sorted(path for path in (HERE / "bench").iterdir() if path.name.endswith((".json", ".json.gz")))
    found = [Results.load(path) for path in files]
    return "\n\n".join(part for results in found for part in MAKERS[results.study](results))


def main() -> None:
    """Print, or write into the page."""
    if "--write" not in sys.argv:
        print(tables())
        return
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
