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
PAGE, FILES, BENCH = HERE / "learned.md", HERE / "learned", HERE / "bench"
BEGIN, END = "<!-- results: made by docs/learned_tables.py -->", "<!-- end of results -->"


def loaded(name: str) -> Any:
    """Return the content of a JSON file of docs/learned."""
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def promises() -> Iterator[str]:
    """Yield how many runs stay within the tolerance asked for, and at which cost beside the classical rules."""
    learned, classical = Results.load(FILES / "steps.json.gz"), Results.load(BENCH / "steps.json.gz")
    yield f"### Asked for a tolerance, on `test`\n\n`{learned.command}`, beside `{classical.command}` (the same problems)."
    worst, rows = worst_families(learned), []
    for r in learned.records:
        if r.family != "all" or r.mode != "asked" or r.tolerance is None or (r.compliance or 0.0) < 0.5:
            continue
        cells = [r.integrator, f"{r.tolerance:.0e}", f"{r.compliance:.0%} ({worst[r.key]:.0%})"]
        cells += [f"{(r.error_quantiles['0.5'] or math.nan) / r.tolerance:.2g}", short(r.forces)]
        for mode, count in (("fitted", "forces"), ("hindsight", "forces"), ("fitted", "charged_forces")):
            own, rivals = (_alike(results, r, mode, count) for results in (learned, classical))
            best = min(rivals, key=lambda x, count=count: getattr(x, count), default=None)
            cells.append(_against(own[0] if own else None, best, count))
        rows.append(cells)
    head = ["integrator", "asked", "within it (worst family)", "median error / asked", "forces"]
    ratios = ["fitted, over the best classical", "hindsight, over the best classical", "fitted, choosing charged"]
    yield table([*head, *ratios], rows)


def _alike(results: Results, r: Record, mode: str, count: str) -> list[Record]:
    """Return the records over all families for the same integrator and tolerance."""
    return [
        x
        for x in results.records
        if (x.family, x.integrator, x.tolerance, x.mode) == ("all", r.integrator, r.tolerance, mode) and getattr(x, count)
    ]


def _against(mine: Record | None, other: Record | None, count: str) -> str:
    if mine is None or other is None:
        return "–"
    ours, theirs = getattr(mine, count), getattr(other, count)
    return f"{short(ours)} / {short(theirs)} = {ours / theirs:.2f} ({label(other)})"


def automatic() -> Iterator[str]:
    """Yield a tolerance and nothing else, beside IAS15."""
    yield "### A tolerance and nothing else, beside IAS15\n\n`python benchmarks/automatic.py`"
    rows = []
    for r in loaded("automatic.json")["rows"]:
        ias = "–" if "ratio" not in r else f"{r['ias15_forces']:.0f} (ε = {r['epsilon']:g})"
        ratio, time = (f"{r[k]:.2f}" if k in r else "–" for k in ("ratio", "time_ratio"))
        within = f"{r['within_tolerance']:.0%} ({r['worst']:.0%})"
        mine = [f"{r['tol']:.0e}", r["integrator"], within, f"{r['median']:.2g}", f"{r['forces']:.0f}"]
        rows.append([*mine, ias, ratio, time])
    head = ["asked", "integrator chosen", "within it (worst family)", "median error / asked", "forces"]
    yield table([*head, "IAS15, loosest ε within it", "forces, ratio", "time, ratio"], rows)


def unseen() -> Iterator[str]:
    """Yield problems of other kinds."""
    yield "### Problems of kinds it was never trained on\n\n`python benchmarks/unseen.py`"
    rows = []
    for r in loaded("unseen.json")["rows"]:
        none, share = r["ratio"] is None, r["classical_within_tolerance"]
        rival = "none is within it" if none else f"{r['classical']}: {share:.0%}, {r['classical_forces']:.0f}"
        mine = [f"{r['within_tolerance']:.0%}", f"{r['median']:.2g}", f"{r['forces']:.0f}"]
        rows.append([r["problem"], r["integrator"], f"{r['tol']:.0e}", *mine, rival, "–" if none else f"{r['ratio']:.2f}"])
    head = ["problem", "integrator", "asked", "within it", "error / asked", "forces", "best calibrated classical", "ratio"]
    yield table(head, rows)


def ablations() -> Iterator[str]:
    """Yield what each part is worth."""
    about = loaded("ablations.json")
    yield (
        f"### What each part is worth\n\n`python diagnostics/ablations.py`: {about['integrator']}, {about['iterations']} "
        f"iterations each, {about['problems']} references a family, measured on `validation`."
    )
    base, rows = about["rows"]["everything"]["log_cost"], []
    for name, r in about["rows"].items():
        costs = [short(c) for c in r["cost"].values()]
        rows.append(
            [
                name,
                f"{math.exp(r['log_cost'] - base):.2f}",
                *costs,
                f"{r['forces_an_orbit']:.0f}",
                f"{r['max']:.1e}",
                f"{r['final']:.1e}",
            ]
        )
    tolerances = list(about["rows"]["everything"]["cost"])
    run = ["1000 orbits of e = 0.9, asked for 1e-3: forces an orbit", "largest error", "at the end"]
    yield table(["network", "cost, ratio", *tolerances, *run], rows)


def loose() -> Iterator[str]:
    """Yield what learning from loose tolerances costs."""
    about = loaded("loose_tolerances.json")
    yield (
        f"### What to learn from\n\n`python diagnostics/loose_tolerances.py`: {about['iterations']} iterations; forces at "
        "which the error is the tolerance, on `validation`."
    )
    costs = [(name, tol, *pair) for name, rows in about["cost"].items() for tol, pair in rows.items()]
    rows = [[name, tol, f"{every:.0f}", f"{tight:.0f}", f"{tight / every:.2f}"] for name, tol, every, tight in costs]
    yield table(["integrator", "asked", "learned from all tolerances", "from the tight ones", "ratio"], rows)


def one_for_all() -> Iterator[str]:
    """Yield what one network costs that has the order as an input."""
    about = loaded("one_for_all.json")
    yield (
        f"### One network for all orders?\n\n`python diagnostics/one_for_all.py`: {about['iterations']} iterations for each "
        "order; forces at which runs stay within the tolerances, on `validation`, and their ratio to those of a network each."
    )
    first, *_ = about["cost"].values()
    rows = [
        [name, *(f"{forces:.0f}, {forces / first[order]:.2f}" for order, forces in row.items())]
        for name, row in about["cost"].items()
    ]
    yield table(["networks", *first], rows)


def smoothness() -> Iterator[str]:
    """Yield when time-symmetric steps are given up."""
    about = loaded("smoothness.json")
    yield (
        "### When a time-symmetric step is given up\n\n`python diagnostics/smoothness.py`: the factor `smoothness` by which it "
        "may differ from the extrapolated one. Forces at which the error is the tolerance, on `validation`, over those with "
        f"{about['package']:g}; largest error over the tolerance in a thousand orbits of e = "
        f"{', '.join(map(str, about['e']))}."
    )
    rows = [
        [name, *(f"{ratio:.2f}; {', '.join(f'{x:.2g}' for x in largest)}" for ratio, *largest in row.values())]
        for name, row in about["rows"].items()
    ]
    yield table(["smoothness", *(f"{name}, {tol:g}" for name, tol in about["asked"].items())], rows)


def limits() -> Iterator[str]:
    """Yield what steps that know one problem only would cost."""
    about = loaded("limit_of_state.json")
    yield (
        "### What limits it\n\n`python diagnostics/limit_of_state.py`: forces at which the error is the tolerance, as "
        "predicted along reference trajectories of `validation`; in brackets: those of the package's network over these."
    )
    rows = [
        [name, f"{about['asked'][name]:g}", family, f"{mine:.0f}", *(f"{x:.0f} ({mine / x:.2f})" for x in others)]
        for name, families in about["rows"].items()
        for family, (mine, *others) in families.items()
    ]
    head = ["integrator", "asked", "family", "the package's network", "after learning from that problem alone"]
    yield table([*head, "any steps as smooth, the run being known", "EnergyBudget, best constant for it"], rows)


def positions() -> Iterator[str]:
    """Yield errors in position."""
    about = loaded("phase_errors.json")
    yield (
        f"### Errors in position\n\n`python diagnostics/phase_errors.py`: {about['integrator']}, the learned step "
        f"asked for {about['tol']:g}, the others with as many forces on each problem. Median error in position / in energy."
    )
    families = list(next(iter(about["rows"].values())))
    rows = [[name, *(f"{row[f][0]:.1e} / {row[f][1]:.1e}" for f in families)] for name, row in about["rows"].items()]
    yield table(["step", *families], rows)


def long_runs() -> Iterator[str]:
    """Yield a thousand orbits at 500 forces each, and the reinforcement-learning set."""
    mine, others = Results.load(FILES / "longrun.json.gz"), Results.load(BENCH / "longrun.json.gz")
    yield f"### A thousand orbits, 500 forces each\n\n`{mine.command}`, beside the best classical rule of docs/bench.md."
    rows = []
    for r in mine.records:
        if r.integrator != "leapfrog" or r.mode != "matched":
            continue
        rivals = [x for x in others.records if (x.family, x.integrator, x.mode) == (r.family, "leapfrog", "matched")]
        best = min(rivals, key=lambda x: x.error_quantiles.get("1") or math.inf)
        mine_words = [f"{r.error_quantiles['1']:.1e}", f"{r.more['final_error']:.1e}"]
        rows.append([r.family, *mine_words, f"{best.error_quantiles['1']:.1e} ({label(best)})"])
    yield table(["problem", "largest error", "at the end", "best classical"], rows)
    rl = Results.load(FILES / "rl.json.gz")
    own = next(r for r in rl.records if r.mode == "matched" and r.criterion == "learned")
    final, forces = own.more["final_quantiles"], own.more["median_forces"]
    yield (
        f"`{rl.command}`: on the set of the reinforcement-learning stepper, Hermite 4, {short(forces)} forces in the median, "
        f"the error at the end is {final['0.5']:.1e} in the median, {final['0.9']:.1e} at 90 %, {final['1']:.1e} at most (best "
        "released weights: 5.4e-10, 4.3e-4, 0.92 with 50.8k forces; best constant: 3.3e-10, 9.5e-9, 6.3e-6 with 11.5k)."
    )


def thousand_orbits() -> Iterator[str]:
    """Yield runs of a thousand orbits that were asked for a tolerance."""
    rows = loaded("thousand_orbits.json")["rows"]
    yield (
        "### A thousand orbits, asked for a tolerance\n\n`python diagnostics/thousand_orbits.py`: largest error and error at "
        "the end, both over the tolerance, and forces an orbit. The networks were calibrated on runs of ten to a few hundred "
        "orbits."
    )
    cells = [[f"{r['largest']:.2g}, {r['final']:.0e}, {r['forces']:.0f}" for r in row["orbits"]] for row in rows]
    head = ["asked", "integrator chosen", *(f"e = {r['e']:g}" for r in rows[0]["orbits"])]
    yield table(head, [[f"{r['tol']:.0e}", r["integrator"], *c] for r, c in zip(rows, cells, strict=True)])


def page() -> str:
    """Return all tables of the page."""
    makers = (promises, automatic, long_runs, thousand_orbits, unseen, positions, limits)
    more = (smoothness, loose, one_for_all, ablations)
    return "\n\n".join(part for make in (*makers, *more) for part in make())


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, page)
