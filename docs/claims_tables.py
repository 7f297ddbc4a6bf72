"""The rows of docs/claims.md that recorded results decide, made from docs/learned/, docs/bench/ and the models' cards.

python docs/claims_tables.py          print them
python docs/claims_tables.py --write  put them into docs/claims.md
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pages import print_or_write, table

from aitimestepper.bench.records import Record, Results
from aitimestepper.cli.bench_tables import worst_families
from aitimestepper.evaluation.statistics import geometric_mean
from aitimestepper.models import SHIPPED, shipped

HERE = Path(__file__).resolve().parent
PAGE = HERE / "claims.md"
BEGIN, END = "<!-- claims: made by docs/claims_tables.py -->", "<!-- end of claims -->"
HEAD = ("what", "figure", "command")
RECORDED = "`python docs/claims_tables.py`"
MEASURED = Results.load(HERE / "learned/steps.json.gz")
# integrator, and the decades of tolerances that make one row: (2, 4) is 1e-2 to 1e-4
Span = tuple[str, int, int]
WORTH: tuple[Span, ...] = (("leapfrog", 2, 4), ("chin4", 2, 5), ("blanes_moan4", 3, 6), ("blanes_moan6", 4, 8))


def command_of(words: str, left_out: Sequence[str] = ("--quiet", "--overwrite", "--out", "--save-name")) -> str:
    """Return a recorded command as code, without what only says where its result goes."""
    kept: list[str] = []
    skip = False
    for word in shlex.split(words):
        skip = word in left_out or (skip and not word.startswith("--"))
        if not skip:
            kept.append(word)
    return f"`{shlex.join(kept)}`"


def between(values: Sequence[float], form: str) -> str:
    """Return the smallest and the largest value, or one of them if they read alike."""
    low, high = (format(f(values), form) for f in (min, max))
    return low if low == high else f"{low} to {high}"


def percent(shares: Sequence[float]) -> str:
    """Return shares in percent, such as `97 to 99 %`."""
    return between([100 * share for share in shares], ".0f") + " %"


def name_of(span: Span) -> str:
    """Return integrator and tolerances of a row."""
    name, first, last = span
    return f"`{name}`, 1e-{first}" + (f" to 1e-{last}" if last > first else "")


def all_families(results: Results, mode: str, integrator: str, tol: float) -> list[Record]:
    """Return the records over all families in a mode."""
    return [
        r
        for r in results.records
        if (r.family, r.mode, r.integrator) == ("all", mode, integrator) and math.isclose(r.tolerance or 0.0, tol, rel_tol=1e-6)
    ]


def cheapest(mode: str, integrator: str, tol: float) -> float:
    """Return what the cheapest classical rule costs in a mode."""
    return min(r.forces for r in all_families(MEASURED, mode, integrator, tol) if r.forces and r.criterion != "learned")


def asked(results: Results, span: Span, rule: str) -> list[Record]:
    """Return the records of a time-symmetric rule that was asked for the tolerances of a row."""
    integrator, first, last = span
    found = [
        r
        for k in range(first, last + 1)
        for r in all_families(results, "asked", integrator, 10.0**-k)
        if (r.criterion, r.variant) == (rule, "symmetrized")
    ]
    assert len(found) == last + 1 - first, span
    return found


def compliance(results: Results, spans: Sequence[Span], rule: str) -> str:
    """Return the share of runs within the tolerance asked for, and that of the worst family."""
    worst, rows = worst_families(results), []
    for span in spans:
        found = asked(results, span, rule)
        all_of_them = percent([r.compliance for r in found if r.compliance is not None])
        figure = f"{all_of_them} ({percent([worst[r.key] for r in found])})"
        rows.append([name_of(span), figure, RECORDED])
    return table(HEAD, rows)


def ratios(spans: Sequence[Span], mode: str) -> str:
    """Return the cost of the learned step, as asked, over that of the best classical rule."""
    rows = []
    for span in spans:
        mine = asked(MEASURED, span, "learned")
        found = [(r.forces or math.nan) / cheapest(mode, r.integrator, r.tolerance or 0.0) for r in mine]
        rows.append([name_of(span), between(found, ".2f"), RECORDED])
    return table(HEAD, rows)


def energy_budget() -> Iterator[str]:
    """Yield how well EnergyBudget does as asked."""
    about = MEASURED.settings["measured_on"]
    yield (
        f"Runs whose total energy is within the tolerance, of {about['problems']} problems of five families that nothing was\n"
        "tuned on. In brackets the worst family. The steps are time-symmetric. The rows are from a recorded run of\n"
        f"{command_of(MEASURED.command)}:"
    )
    yield compliance(MEASURED, WORTH, "energybudget")


def learned() -> Iterator[str]:
    """Yield accuracy and cost of the learned step on `test`."""
    yield "## The learned step of the package: accuracy and cost"
    yield "The same for the learned step. [learned.md](learned.md) has every family and every body:"
    yield compliance(MEASURED, WORTH, "learned")
    yield (
        "Force evaluations as asked over those of the best classical rule on the same integrator, with the constant with\n"
        "which 90 % of these problems are within the tolerance:"
    )
    yield ratios(WORTH, "fitted")
    yield "The same over the classical rule with the best constant for each problem, in hindsight:"
    yield ratios(WORTH, "hindsight")


def every_family() -> Iterator[str]:
    """Yield what is kept of every family of the package."""
    rows = recorded("families.json")
    yield (
        "A tolerance alone, every family of the package: problems whose total energy, and where the motion is regular every\n"
        "body's own, stay within it. The mean over the families, and the worst one:"
    )
    found = []
    for tol in dict.fromkeys(row["tol"] for row in rows):
        own = [row for row in rows if row["tol"] == tol]
        worst = min(own, key=lambda row: row["kept_both"])
        mean = float(np.mean([row["kept_both"] for row in own]))
        words = f"{mean:.0%} ({worst['kept_both']:.0%} of {worst['family']})".replace("%", " %")
        found.append([f"{tol:.0e}".replace("e-0", "e-"), words, "`python benchmarks/families.py`"])
    yield table(HEAD, found)


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON file of docs/learned."""
    return json.loads((HERE / "learned" / name).read_text(encoding="utf-8"))["rows"]


def beside_ias15() -> Iterator[str]:
    """Yield cost beside IAS15."""
    yield (
        "A tolerance and nothing else, over REBOUND's IAS15. IAS15 has the loosest epsilon with which nine in ten of these\n"
        "problems are within the tolerance:"
    )
    rows = []
    for r in recorded("automatic.json"):
        peer = next(p for p in r["peers"] if p["peer"] == "rebound:ias15:prs23")
        if peer["reached"]:
            times = f"{peer['alone_ratio']:.2g} of its time, {peer['batch_ratio']:.2g} as a batch"
            rows.append([f"{r['tol']:.0e}".replace("e-0", "e-"), f"{peer['force_ratio']:.2f} of its forces, {times}"])
    yield table(HEAD, [[*row, "`python benchmarks/automatic.py`"] for row in rows])


def unseen() -> Iterator[str]:
    """Yield kinds of problems that the networks were not trained on."""
    rows, found = recorded("unseen.json"), []
    yield (
        "Kinds of problems that the networks were not trained on: scattering, Burrau, Kozai, 64 and 256 bodies, outer Solar\n"
        "System. A case is one of these at one tolerance. Share of runs within the tolerance, mean over the cases:"
    )
    by = {name: [r for r in rows if r["integrator"] == name] for name in SHIPPED}
    for name, own in [("all integrators", rows), *((f"`{name}`", own) for name, own in by.items())]:
        share = float(np.mean([r["within_tolerance"] for r in own]))
        found.append([name, f"{share:.0%} ({len(own)} cases)".replace("%", " %"), "`python benchmarks/unseen.py`"])
    yield table(HEAD, found)
    yield (
        "Force evaluations over those of the cheapest calibrated classical rule that is within the tolerance as often. In the\n"
        "other cases no calibrated classical rule is within it at all:"
    )
    found = []
    for name, own in by.items():
        known = np.array([r["ratio"] for r in own if r["ratio"]])
        figure = f"{geometric_mean(known):.2f} ({len(known)} of {len(own)} cases)"
        found.append([f"`{name}`", figure, "`python benchmarks/unseen.py`"])
    yield table(HEAD, found)


def training_times() -> Iterator[str]:
    """Yield how long the shipped networks took to train."""
    yield (
        "Training of the networks of the package on one core, calibration included; the cards say how, and the command\n"
        "prints them:"
    )
    cards = {name: shipped(name).card for name in SHIPPED}
    yield table(HEAD, [[f"`{name}`", f"{c['hours']:.2f} hours", "`python docs/model_cards.py`"] for name, c in cards.items()])


def claims() -> str:
    """Return all rows that are made."""
    return "\n\n".join(
        part for make in (energy_budget, learned, every_family, beside_ias15, unseen, training_times) for part in make()
    )


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, claims)
