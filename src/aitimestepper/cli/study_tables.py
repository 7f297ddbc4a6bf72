"""The results of `bench curves`, `bench rl` and `bench longrun` as tables on the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console

from ..bench.records import Record, Results
from ..evaluation.runs import SOUND
from ..evaluation.statistics import crossing
from .bench_tables import label, short, short_label
from .terminal import table_of

LEVELS = (1e-3, 1e-6, 1e-9, 1e-12)  # relative energy errors at which curves are compared


def number(value: float | None, form: str = ".1e") -> str:
    """Return a number as text, or a dash if it is unknown."""
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def show_longrun(results: Results, out: Console) -> None:
    """Print a table for each problem."""
    for problem in dict.fromkeys(r.family for r in results.records):
        own = [r for r in results.records if r.family == problem]
        more = own[0].more
        title = f"{problem}: {more['periods']:.0f} periods, about {results.settings['forces']:.0f} forces each"
        heads = ("forces/\nperiod", "max\nerror", "final\nerror", "drift/period", "bits\nlost")
        table = table_of(out, ("", ""), heads, title=title)
        for r in sorted(own, key=lambda r: r.error_quantiles.get("1") or math.inf):
            drift, sigma = r.more.get("drift_per_orbit"), r.more.get("drift_error")
            drifts = f"{number(drift, '+.1e')} ± {number(sigma)}" if drift is not None else "-"
            errors = number(r.error_quantiles.get("1")), number(r.more.get("final_error"))
            bits = number(r.more.get("bits_lost"), ".0f")
            table.add_row(short_label(r), r.integrator, number(r.more.get("forces_a_period"), ".0f"), *errors, drifts, bits)
        out.print(table)
    out.print("sym: symmetrized")


def show_rl(results: Results, out: Console) -> None:
    """Print what was published, the same constant parameters measured here in two ways, and all rules at equal forces."""
    titles = {
        "published": "measured earlier, with the weights that Saz Ulibarrena & Portegies Zwart 2025 released",
        "pieces": "constant parameters, begun anew every 0.1 years; in brackets: what was measured earlier",
        "run": "constant parameters in one run; in brackets: what was measured earlier",
        "matched": f"all rules at {short(results.settings['forces'])} forces in the median",
    }
    for mode, title in titles.items():
        own = [r for r in results.records if r.mode == mode]
        if not own:
            continue
        heads = ("value", "median\nforces", "error at end:\nmedian", "\n90 %", "\nlargest", "largest\nin the run")
        integrators = {r.integrator for r in own}
        table = table_of(out, [""], heads, title=f"{title}, {own[0].integrator}" if len(integrators) == 1 else title)
        for r in sorted(own, key=lambda r: r.more["final_quantiles"].get("0.9") or math.inf):
            name = short_label(r) if len(integrators) == 1 else f"{short_label(r)} {r.integrator}"
            table.add_row(name, number(r.value, ".3g"), *_against_published(r), number(r.error_quantiles.get("1")))
        out.print(table)
    out.print("sym: symmetrized")


def _against_published(record: Record) -> Iterator[str]:
    """Yield median forces and quantiles of the error, each above what was measured earlier."""
    known = record.more.get("published", {})
    final = record.more["final_quantiles"]
    rows = (
        (short(record.more["median_forces"]), known.get("forces"), short),
        *((number(final.get(q)), known.get(name), number) for q, name in (("0.5", "median"), ("0.9", "p90"), ("1", "largest"))),
    )
    for text, theirs, form in rows:
        yield text if theirs is None else f"{text}\n({form(theirs)})"


def show_curves(results: Results, out: Console) -> None:
    """Print, for each problem and error, the rule with the fewest forces and the rule or code with the least time."""
    heads = ("fewest forces", "least time", "forces of the learned step", "fastest other code")
    columns = [0, 1, 2, 3] if any(_is_learned(r) for r in results.records) else [0, 1, 3]
    table = table_of(out, ("problem", "error", *(heads[k] for k in columns)), (), title="the cheapest at an error")
    before = ""
    for problem, level, best in _cheapest_everywhere(results, short_label):
        if before not in ("", problem):
            table.add_section()
        cells = [f"{cost} {name}".removesuffix(" -") for name, cost in best]
        table.add_row("" if problem == before else problem, level, *(cells[k] for k in columns))
        before = problem
    out.print(table)
    out.print("sym: symmetrized; -: not reached")


def cheapest_rows(results: Results) -> Iterator[list[str]]:
    """Yield (problem, error, fewest forces, least time, fastest other code) for all problems and `LEVELS`."""
    for problem, level, (*ours, _, peer) in _cheapest_everywhere(results, label):
        yield [problem, level, *(f"{name}, {cost}" if name != "-" else "-" for name, cost in (*ours, peer))]


def _cheapest_everywhere(results: Results, words: Callable[[Record], str]) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield for all problems and `LEVELS` (name, cost) of the fewest forces, the least time, the learned step and the peers."""
    for problem in dict.fromkeys(r.family for r in results.records):
        own = [r for r in results.records if r.family == problem and r.errors and r.wall_time]
        keys = [(_name(r, words), r) for r in own]
        curves = {key: [r for k, r in keys if k == key] for key in dict.fromkeys(k for k, _ in keys)}
        peers = {k: v for k, v in curves.items() if _is_peer(v[0])}
        ours = {k: v for k, v in curves.items() if k not in peers}
        learned = {k: v for k, v in ours.items() if _is_learned(v[0])}
        columns: tuple[tuple[Mapping[str, list[Record]], str, Callable[[float], str]], ...]
        columns = (ours, "forces", short), (ours, "wall_time", _time), (learned, "forces", short), (peers, "wall_time", _time)
        for level in LEVELS:
            best = [(*_cheapest(among, level, cost), form) for among, cost, form in columns]
            yield problem, f"{level:.0e}", [(name, form(cost)) for name, cost, form in best]


def _name(record: Record, words: Callable[[Record], str] = label) -> str:
    if not _is_peer(record):
        return f"{record.integrator} {words(record)}"
    return f"{record.criterion} {record.integrator}" + ("" if record.variant == "plain" else f" {record.variant}")


def _is_learned(record: Record) -> bool:
    return record.criterion.partition(":")[0] == "learned"


def _is_peer(record: Record) -> bool:
    return record.criterion in ("rebound", "heyoka")


def _cheapest(curves: Mapping[str, list[Record]], level: float, cost: str) -> tuple[str, float]:
    found = {name: read_off(points, level, cost) for name, points in curves.items()}
    known = {name: value for name, value in found.items() if math.isfinite(value)}
    name = min(known, key=lambda n: known[n], default="-")
    return name, known.get(name, math.nan)


def read_off(points: Sequence[Record], level: float, cost: str) -> float:
    """Return the cost above which the error stays at or below `level`; NaN if no two runs enclose it or the cost is unknown."""
    known = sorted((getattr(r, cost), _error(r)) for r in points if getattr(r, cost))
    return crossing([x for x, _ in known], [e for _, e in known], level)


def _error(record: Record) -> float:
    error = record.errors[0] if record.errors else None
    return math.inf if error is None or error > SOUND else error  # a failed run cannot be interpolated


def _time(seconds: float) -> str:
    return "-" if not math.isfinite(seconds) else f"{seconds * 1e3:.3g} ms"
