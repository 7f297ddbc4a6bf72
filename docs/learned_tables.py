"""The tables of docs/learned.md, made from the files in docs/learned/ and docs/bench/.

python docs/learned_tables.py          print them
python docs/learned_tables.py --write  put them into docs/learned.md
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pages import print_or_write, table

from aitimestepper.bench.records import Record, Results
from aitimestepper.cli.bench_tables import label, short, worst_families

HERE = Path(__file__).resolve().parent
PAGE, FILES = HERE / "learned.md", HERE / "learned"
BEGIN, END = "<!-- results: made by docs/learned_tables.py -->", "<!-- end of results -->"


def loaded(name: str) -> Any:
    """Return the content of a JSON file of docs/learned."""
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def shown(x: float | None) -> str:
    """Return a number with two digits."""
    return "–" if x is None else f"{x:.2g}"


def by_family(file: str) -> Iterator[str]:
    """Yield what is kept of every family, and the medians of the errors, at every tolerance."""
    rows = loaded(file)["rows"]
    tolerances = list(dict.fromkeys(row["tol"] for row in rows))
    cells: dict[str, list[str]] = {}
    for row in rows:
        median = row.get("median_own") or row["median_total"]
        limit = f" of {row['possible']:.0%}" if row.get("possible", 1.0) < 1.0 else ""
        cells.setdefault(row["family"], []).append(f"{row['kept_both']:.0%}{limit}, {shown(median)}")
    yield table(["family", *(f"{tol:.0e}" for tol in tolerances)], [[name, *own] for name, own in cells.items()])


def families() -> Iterator[str]:
    """Yield every family of the package."""
    about = loaded("families.json")
    yield (
        f"### Every kind of problem, on `{about['split']}`\n\n`python benchmarks/families.py`: the tolerance alone. Share of "
        f"{about['count']} problems in which the total energy, and where the motion is regular every body's own, stay within "
        "it; median error over the tolerance (of own energies where they count). `of`: what double precision allows."
    )
    yield from by_family("families.json")


def light() -> Iterator[str]:
    """Yield light bodies."""
    about = loaded("light.json")
    yield (
        "### Light bodies\n\n`python benchmarks/light_bodies.py`: masses of 0 to 1e-5, e = 0 to 0.95, forty orbits. Share of "
        f"{about['count']} problems in which all own energies stay within the tolerance; median own error over the tolerance."
    )
    yield from by_family("light.json")


def automatic() -> Iterator[str]:
    """Yield a tolerance and nothing else, beside other codes."""
    yield (
        "### A tolerance and nothing else, beside other codes\n\n`python benchmarks/automatic.py`: the five families of "
        "`bench steps`."
    )
    rows, others = [], []
    for r in loaded("automatic.json")["rows"]:
        mine = [f"{r['tol']:.0e}", r["integrator"], f"{r['within_tolerance']:.0%} ({r['worst']:.0%})", shown(r["kept_own"])]
        peer = next((p for p in r["peers"] if p["peer"] == "rebound:ias15:prs23" and p["reached"]), None)
        ratios = ["–"] * 4
        if peer is not None:
            ias15 = f"{peer['forces']:.0f} (ε = {peer['value']:g})"
            ratios = [ias15, *(f"{peer[k]:.2g}" for k in ("force_ratio", "alone_ratio", "batch_ratio"))]
        rows.append([*mine, shown(r["median"]), f"{r['forces']:.0f}", *ratios])
        for p in r["peers"]:
            if p["peer"] not in ("rebound:ias15:prs23", "radau15") and p["reached"]:
                cells = [shown(p[k]) for k in ("force_ratio", "alone_ratio", "batch_ratio")]
                others.append([f"{r['tol']:.0e}", p["peer"], str(p["problems"]), f"{p['value']:.2g}", *cells])
    head = ["asked", "chosen", "within it (worst)", "own orbits", "median", "forces"]
    yield table([*head, "IAS15, loosest ε within it", "forces, ratio", "time, one by one", "time, batch"], rows)
    yield "Other codes at the loosest parameter with which nine in ten problems stay within the tolerance; ours over theirs:"
    yield table(["asked", "other", "problems", "parameter", "forces", "time, one by one", "time, batch"], others)


def ensembles() -> Iterator[str]:
    """Yield systems a second."""
    about = loaded("ensembles.json")
    yield f"### Systems a second, one thread\n\n`python benchmarks/ensembles.py`: {about['count']} systems, beside IAS15."
    rows = [
        [
            r["family"],
            f"{r['tol']:.0e}",
            r["integrator"],
            f"{r['within_tolerance']:.0%}",
            f"{r['systems_per_second']:.0f}",
            f"{r['ias15_systems_per_second']:.0f} (ε = {r['epsilon']:g}, {r['ias15_within_tolerance']:.0%})",
            f"{r['ratio']:.1f}",
        ]
        for r in about["rows"]
    ]
    yield table(["systems", "asked", "chosen", "within it", "ours", "IAS15", "ratio"], rows)


def promises() -> Iterator[str]:
    """Yield the cost beside the classical rules on the same integrator."""
    results = Results.load(FILES / "steps.json.gz")
    yield (
        f"### Beside classical rules on the same integrator, on `test`\n\n`{results.command}`: forces of the learned "
        "step as asked over those of the cheapest classical rule, with the one constant with which nine in ten of these "
        "problems stay within the tolerance, and with the best one for each problem in hindsight. Total energies alone. `Both "
        "fitted`: the learned step, too, is asked for whatever nine in ten of these problems need."
    )
    worst, rows = worst_families(results), []
    for r in results.records:
        if r.family != "all" or r.mode != "asked" or r.criterion != "learned" or r.tolerance is None:
            continue
        cells = [r.integrator, f"{r.tolerance:.0e}", f"{r.compliance:.0%} ({worst[r.key]:.0%})"]
        cells += [f"{(r.error_quantiles['0.5'] or math.nan) / r.tolerance:.2g}", short(r.forces)]
        best = {}
        for mode in ("fitted", "hindsight"):
            others = [x for x in _alike(results, r, mode) if x.criterion != "learned"]
            best[mode] = min(others, key=lambda x: x.forces, default=None)
            cells.append(_against(r, best[mode]))
        own = next((x for x in _alike(results, r, "fitted") if x.criterion == "learned"), None)
        cells.append(f"{own.forces / best['fitted'].forces:.2f}" if own and best["fitted"] else "–")
        rows.append(cells)
    head = ["integrator", "asked", "within it (worst family)", "median error / asked", "forces"]
    yield table([*head, "over the best constant", "over hindsight", "both fitted"], rows)


def _alike(results: Results, r: Record, mode: str) -> list[Record]:
    """Return the records over all families for the same integrator and tolerance."""
    wanted = ("all", r.integrator, r.tolerance, mode)
    return [x for x in results.records if (x.family, x.integrator, x.tolerance, x.mode) == wanted and x.forces]


def _against(mine: Record | None, other: Record | None) -> str:
    if mine is None or other is None:
        return "–"
    return f"{short(mine.forces)} / {short(other.forces)} = {mine.forces / other.forces:.2f} ({label(other)})"


def thousand_orbits() -> Iterator[str]:
    """Yield runs of a thousand orbits that were asked for a tolerance."""
    rows = loaded("thousand_orbits.json")["rows"]
    yield (
        "### A thousand orbits, asked for a tolerance\n\n`python diagnostics/thousand_orbits.py`: largest error and error at "
        "the end, both over the tolerance, and forces an orbit."
    )
    cells = [[f"{r['largest']:.2g}, {r['final']:.0e}, {r['forces']:.0f}" for r in row["orbits"]] for row in rows]
    head = ["asked", "integrator chosen", *(f"e = {r['e']:g}" for r in rows[0]["orbits"])]
    yield table(head, [[f"{r['tol']:.0e}", r["integrator"], *c] for r, c in zip(rows, cells, strict=True)])


def page() -> str:
    """Return all tables of the page."""
    makers = (families, light, automatic, ensembles, promises, thousand_orbits)
    return "\n\n".join(part for make in makers for part in make())


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, page)
