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
from aitimestepper.policy import RADAU_BELOW, cheapest_splitting

HERE = Path(__file__).resolve().parent
PAGE = HERE / "claims.md"
BEGIN, END = "<!-- claims: made by docs/claims_tables.py -->", "<!-- end of claims -->"
HEAD = ("what", "figure", "command")
LEARNED = Results.load(HERE / "learned/steps.json.gz")
CLASSICAL = Results.load(HERE / "bench/steps.json.gz")
# integrator, and the decades of tolerances that make one row: (2, 5) is 1e-2 to 1e-5
Span = tuple[str, int, int]
ASKED: tuple[Span, ...] = (("leapfrog", 2, 5), ("suzuki4", 2, 6), ("kahan_li6", 2, 8), ("kahan_li8", 2, 8))
TIGHTER: tuple[Span, ...] = (("leapfrog", 6, 7), ("suzuki4", 7, 8))
BUDGET: tuple[Span, ...] = (
    ("leapfrog", 2, 4),
    ("leapfrog", 5, 8),
    ("suzuki4", 2, 2),
    ("suzuki4", 3, 8),
    ("kahan_li6", 2, 4),
    ("kahan_li6", 5, 8),
    ("kahan_li8", 2, 6),
    ("kahan_li8", 7, 8),
)
WORTH: tuple[Span, ...] = (("leapfrog", 2, 5), ("suzuki4", 3, 6), ("kahan_li6", 4, 8), ("kahan_li8", 6, 8))
LOOSE: tuple[Span, ...] = (("suzuki4", 2, 2), ("kahan_li6", 2, 3), ("kahan_li8", 2, 5))


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


def costs(results: Results, mode: str, integrator: str, tol: float, count: str) -> list[float]:
    """Return what every rule costs in a mode, if it reaches the tolerance."""
    return [getattr(r, count) for r in all_families(results, mode, integrator, tol) if getattr(r, count)]


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
        rows.append([name_of(span), figure, command_of(results.command)])
    return table(HEAD, rows)


def ratios(spans: Sequence[Span], mode: str, count: str) -> str:
    """Return the cost of the learned step over that of the best classical rule."""
    rows = []
    for span in spans:
        integrator, first, last = span
        found = []
        for k in range(first, last + 1):
            (mine,) = costs(LEARNED, mode, integrator, 10.0**-k, count)
            found.append(mine / min(costs(CLASSICAL, mode, integrator, 10.0**-k, count)))
        rows.append([name_of(span), between(found, ".2f"), command_of(LEARNED.command)])
    return table(HEAD, rows)


def median_errors() -> list[str]:
    """Return the median error over the tolerance, for the integrator that `simulate` takes."""
    spans = [(cheapest_splitting(10.0**-k), k, k) for k in range(2, 10) if 10.0**-k > RADAU_BELOW]
    found = [r for span in spans for r in asked(LEARNED, span, "learned")]
    medians = [r.error_quantiles["0.5"] / r.tolerance for r in found if r.tolerance]  # type: ignore[operator]
    what = f"the integrator that `simulate` chooses, 1e-{spans[0][1]} to 1e-{spans[-1][1]}"
    return [what, between(medians, ".1f"), command_of(LEARNED.command)]


def energy_budget() -> Iterator[str]:
    """Yield how well EnergyBudget does as asked."""
    about = CLASSICAL.settings["measured_on"]
    yield (
        f"Runs within the tolerance, of {about['problems']} problems of five families that nothing was tuned on.\n"
        "In brackets the worst family. The steps are time-symmetric."
    )
    yield compliance(CLASSICAL, BUDGET, "energybudget")


def learned() -> Iterator[str]:
    """Yield accuracy and cost of the learned step on `test`."""
    about = LEARNED.settings["measured_on"]
    yield "## The learned step of the package: accuracy and cost"
    yield (
        f"The problems are {about['problems']} unseen ones of five families. They are the same for the learned step and\n"
        f"for the classical rules ({command_of(CLASSICAL.command)}).\n"
        "[learned.md](learned.md) has every integrator and tolerance."
    )
    yield "Runs within the energy error that `tol` alone asks for. In brackets the worst family:"
    yield compliance(LEARNED, ASKED, "learned")
    yield (
        "The same at tolerances tighter than the networks were trained for. `simulate` takes `EnergyBudget` or another\n"
        "integrator there, if it is given the tolerance alone:"
    )
    yield compliance(LEARNED, TIGHTER, "learned")
    yield "Median error over the error asked for:"
    yield table(HEAD, [median_errors()])
    yield (
        "Force evaluations over those of the best classical rule on the same integrator. Both have the constant with which\n"
        "90 % of these problems are within the tolerance:"
    )
    yield ratios(WORTH, "fitted", "forces")
    yield "The same where the tolerance is loose for the order. `simulate` takes a lower order there:"
    yield ratios(LOOSE, "fitted", "forces")
    yield "The same as above with the cost of choosing a step charged:"
    yield ratios(WORTH, "fitted", "charged_forces")
    yield "The same over the classical rule with the best constant for each problem, in hindsight:"
    yield ratios(WORTH, "hindsight", "forces")


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON file of docs/learned."""
    return json.loads((HERE / "learned" / name).read_text(encoding="utf-8"))["rows"]


def beside_ias15() -> Iterator[str]:
    """Yield cost beside IAS15."""
    yield (
        "A tolerance and nothing else, over REBOUND's IAS15. IAS15 has the loosest epsilon with which nine in ten of these\n"
        "problems are within the tolerance:"
    )
    rows = [
        [f"{r['tol']:.0e}".replace("e-0", "e-"), f"{r['ratio']:.2f} of its forces, {r['time_ratio']:.2f} of its time"]
        for r in recorded("automatic.json")
    ]
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
        "Training of the networks of the package on one core, calibration included. An earlier version of this program made\n"
        "them; the cards say how, and the command prints them:"
    )
    cards = {name: shipped(name).card for name in SHIPPED}
    yield table(HEAD, [[f"`{name}`", f"{c['hours']:.2f} hours", "`python docs/model_cards.py`"] for name, c in cards.items()])


def claims() -> str:
    """Return all rows that are made."""
    return "\n\n".join(part for make in (energy_budget, learned, beside_ias15, unseen, training_times) for part in make())


if __name__ == "__main__":
    print_or_write(PAGE, BEGIN, END, claims)
