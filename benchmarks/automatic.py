"""A tolerance and nothing else, against other codes at the loosest parameter with which they stay within that tolerance.

    python benchmarks/automatic.py [--split test] [--count 24] [--tol 1e-4 1e-6 1e-8] [--families kepler planets] [--json FILE]
    python benchmarks/automatic.py --quick                two minutes, IAS15 in its default mode only
    python benchmarks/automatic.py --by-family            all parameters chosen for each family alone
    python benchmarks/automatic.py --peers rebound:ias15:prs23 heyoka:taylor

The problems are those of `bench steps`. Every other code runs all problems that it suits (docs/bench.md) with one parameter
after the other: IAS15 with epsilon = 1, 0.1, ... 1e-9; heyoka with tol = 1e-2, ... 1e-15; methods of constant steps with
dt = 1/8, 1/16, ... of the shortest period of the problem (2 pi free-fall times where no two bodies are bound). The loosest one
with which nine in ten problems stay within the tolerance is taken: a choice that their users cannot make beforehand. Ours is
asked for the tolerance, and its cost is that of the same problems. `radau15` is our own Gauss-Radau method, whose parameter is
chosen in the same way. Codes of constant steps do not reach a tolerance on orbits of every eccentricity at any price that is
paid here; they show what they can do with `--by-family`. `own orbits`: the share of the problems with regular orbits in which
the own energy of every body stays within the tolerance too; of the other codes the total energy alone is measured.

Forces: geometric means over the problems; of heyoka and TRACE they are not known. Seconds: processor time of all runs on one
thread, medians of rounds in which all take turns, without what comes before a run: heyoka's compiling, REBOUND's setting up,
and of ours what a single step takes (1 ms a call). `alone`: one system after the other; `batch`: all of them in one call.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from aitimestepper import PRS23, LastTerm, simulate
from aitimestepper.bench.peer_runs import Prepared
from aitimestepper.bench.peers import Peer, available_peers, peer_named, prepare, refusal
from aitimestepper.bodies import free_fall_time
from aitimestepper.criteria.classical import radau_eta
from aitimestepper.evaluation.statistics import geometric_mean, share_error
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.problems import shortest_period
from aitimestepper.initial.suites import Suite, make_suite
from aitimestepper.simulate.result import SimulationResult
from asked import Problems, percent, share

SHARE = 0.9
EPSILONS = tuple(10.0**-k for k in range(10))
TAYLOR_TOLERANCES = tuple(10.0**-k for k in range(2, 16))
ETAS = tuple(2.0**-k for k in range(3, 20))
BUDGET = 1_000_000  # force evaluations of a run that chooses its steps
FIXED_BUDGET, QUICK_BUDGET = 300_000, 30_000  # and of one of constant steps
TOLERANCES, QUICK_TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8), (1e-3, 1e-5, 1e-7)
REPEATS = 5  # of which the shortest counts, since a difference of two times is taken
OLDER = tuple(f"rebound:ias15:{mode}" for mode in ("global", "individual", "aarseth85"))  # left out by --quick
Settings = dict[str, Any]


class Setting(NamedTuple):
    """All runs of a method at one value of its parameter; errors and forces are those of the problems that it suits."""

    name: str
    value: float
    suited: np.ndarray  # indices of these problems
    error: np.ndarray
    forces: np.ndarray | None
    jobs: Callable[[], list[Callable[[], object]]]  # makes the runs once more, to be timed


# ---- ours ------------------------------------------------------------------------------------------------------------
def errors_of(done: SimulationResult) -> np.ndarray:
    """Return the largest error of the total energy, (P,), infinite for a run that broke off."""
    return np.where([s == "ok" for s in done.status], done.max_energy_error, math.inf)


def run_batch(suite: Suite, rows: Sequence[int], settings: Settings, max_steps: int = BUDGET) -> SimulationResult:
    """Run some problems in one call on one thread."""
    start, ends = suite.batch(rows)
    return simulate(start, t_end=ends, threads=1, max_steps=max_steps, warn=False, **settings)


def seconds_of_ours(suite: Suite, rows: Sequence[int], settings: Settings) -> tuple[float, float]:
    """Return the processor time of some problems one after the other and in one call, both without the first step."""

    def taken(group: Sequence[int]) -> float:
        start, ends = suite.batch(group)
        whole, begin = (
            min(
                processor_time(lambda most=most: simulate(start, t_end=ends, threads=1, max_steps=most, warn=False, **settings))
                for _ in range(REPEATS)
            )
            for most in (BUDGET, 1)
        )
        return max(whole - begin, 1e-6)

    return sum(taken([k]) for k in rows), taken(rows)


def radau15(suite: Suite) -> list[Setting]:
    """Run all problems with our Gauss-Radau method, both of its rules in turn."""
    every, found = np.arange(len(suite)), []
    for epsilon in EPSILONS:
        for rule in (PRS23(radau_eta(epsilon)), LastTerm(epsilon)):
            how: Settings = {"criterion": rule, "integrator": "radau15"}
            done = run_batch(suite, every, how)
            jobs = lambda how=how: [lambda: run_batch(suite, every, how)]  # noqa: E731
            error, forces = errors_of(done), done.force_evaluations
            found.append(Setting(f"radau15 {rule.name}", epsilon, every, error, forces, jobs))
    return found


# ---- others ----------------------------------------------------------------------------------------------------------
def units_of_time(suite: Suite) -> np.ndarray:
    """Return the shortest period of each problem, in its own unit, (P,)."""
    start, ends = suite.batch()
    period = shortest_period(start)
    unit = np.where(np.isfinite(period), period, 2 * math.pi * free_fall_time(start))
    return unit * np.array([case.t_end for case in suite.cases]) / ends


def scan(peer: Peer, suite: Suite, tolerances: Sequence[float], budget: int, console: Console) -> list[Setting]:
    """Run the problems that a peer suits from coarse to fine, until all tolerances are kept or too many runs cost too much."""
    suited = [k for k, case in enumerate(suite.cases) if not refusal(peer, case)]
    units = units_of_time(suite) if peer.parameter == "dt" else np.ones(len(suite))
    found: list[Setting] = []
    if not suited:
        return found
    for value in {"epsilon": EPSILONS, "tol": TAYLOR_TOLERANCES, "dt": ETAS}[peer.parameter]:

        def each(value: float = value) -> Iterator[Prepared]:
            return (prepare(peer, suite.cases[k], value * float(units[k])) for k in suited)

        runs = [one.watch(budget if peer.parameter == "dt" else BUDGET) for one in each()]
        error = np.array([run.error for run in runs])
        known = all(run.forces is not None for run in runs)
        forces = np.array([run.forces for run in runs], float) if known else None
        jobs = lambda each=each: [one.job(1) for one in each()]  # noqa: E731
        found.append(Setting(peer.name, value, np.array(suited), error, forces, jobs))
        reached, dear = share_error(error, SHARE), np.mean([run.unfinished for run in runs])
        console.print(f"{peer.name} {peer.parameter} {value:.3g}: {len(suited)} problems, 90 % below {reached:.1e}")
        if reached <= min(tolerances) or dear > 1 - SHARE:
            break
    return found


def loosest(settings: Sequence[Setting], tol: float) -> Setting | None:
    """Return the first setting within the tolerance; of several at the same value the cheapest."""
    good = [s for s in settings if share_error(s.error, SHARE) <= tol]
    same = [s for s in good if s.value == good[0].value]
    return min(same, key=lambda s: 0.0 if s.forces is None else geometric_mean(s.forces), default=None)


def processor_time(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def seconds_of(setting: Setting) -> float:
    """Return the processor time of all runs of a setting."""
    jobs = setting.jobs()
    return processor_time(lambda: [job() for job in jobs])


# ---- comparison ------------------------------------------------------------------------------------------------------
def compared(problems: Problems, tol: float, scans: dict[str, list[Setting]], rounds: int) -> dict[str, Any]:
    """Return cost and errors of ours at a tolerance, beside those of the others."""
    suite = problems.suite
    how, every = {"tol": tol}, np.arange(len(suite))
    done = run_batch(suite, every, how)
    error, run = errors_of(done), problems.asked(tol)
    within = error <= tol
    shares = {name: float(within[suite.family_of == k].mean()) for k, name in enumerate(suite.families)}
    chosen = {name: best for name, settings in scans.items() if (best := loosest(settings, tol)) is not None}
    groups = {tuple(setting.suited) for setting in chosen.values()} | {tuple(every)}
    own: dict[tuple[int, ...], list[tuple[float, float]]] = {group: [] for group in groups}
    theirs: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):  # all take turns
        for group, times in own.items():
            times.append(seconds_of_ours(suite, group, how))
        for name, setting in chosen.items():
            theirs[name].append(seconds_of(setting))
    median = {group: [statistics.median(column) for column in zip(*times, strict=True)] for group, times in own.items()}
    alone, batch = median[tuple(every)]
    row: dict[str, Any] = {"tol": tol, "integrator": done.integrator, "within_tolerance": float(within.mean())}
    row |= {"worst": min(shares.values()), "worst_family": min(shares, key=lambda name: shares[name]), "families": shares}
    row |= {"median": float(np.median(error) / tol), "forces": geometric_mean(done.force_evaluations)}
    row |= {"seconds_alone": alone, "seconds_batch": batch}
    row |= {"kept_own": share(run.own_error, tol), "kept_both": share(run.both, tol), "peers": []}
    for name, settings in scans.items():
        best = chosen.get(name)
        other: dict[str, Any] = {"peer": name, "problems": len(settings[0].suited), "reached": best is not None}
        if best is not None:
            seconds, mine = statistics.median(theirs[name]), geometric_mean(done.force_evaluations[best.suited])
            alone, batch = median[tuple(best.suited)]
            other |= {"method": best.name, "value": best.value, "seconds": seconds, "forces": None, "force_ratio": None}
            other |= {"alone_ratio": alone / seconds, "batch_ratio": batch / seconds}
            other["kept"] = float(within[best.suited].mean())
            if best.forces is not None:
                forces = geometric_mean(best.forces)
                other |= {"forces": forces, "force_ratio": mine / forces}
        row["peers"].append(other)
    return row


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print both tables."""
    table = Table("tol", "ours", "within tol", "own orbits", "worst family", "median / tol", "forces", "s alone", "s batch")
    for row in rows:
        worst = f"{row['worst']:.0%} ({row['worst_family']})"
        cells = (f"{row[name]:.3g}" for name in ("median", "forces", "seconds_alone", "seconds_batch"))
        table.add_row(
            f"{row['tol']:g}", row["integrator"], f"{row['within_tolerance']:.0%}", percent(row["kept_own"]), worst, *cells
        )
    console.print(table)
    head = ("tol", "other", "problems", "ours within", "parameter", "forces", "s", "ours / other: forces", "s alone", "s batch")
    table = Table(*head)
    for row in rows:
        for other in row["peers"]:
            start = [f"{row['tol']:g}", other.get("method", other["peer"]), str(other["problems"])]
            if not other["reached"]:
                table.add_row(*start, "-", "not reached")
                continue
            names = ("value", "forces", "seconds", "force_ratio", "alone_ratio", "batch_ratio")
            cells = ("-" if other[name] is None else f"{other[name]:.3g}" for name in names)
            table.add_row(*start, f"{other['kept']:.0%}", *cells, end_section=other is row["peers"][-1])
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="test")
    parser.add_argument("--families", nargs="+", default=STANDARD)
    parser.add_argument("--by-family", action="store_true", help="compare, and choose all parameters, for each family alone")
    parser.add_argument("--count", type=int, help="problems of each family (default: 24; quick: 4)")
    parser.add_argument("--tol", type=float, nargs="+", help="default: 1e-3 to 1e-8; quick: 1e-3, 1e-5, 1e-7")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="other codes (default: all that are installed)")
    parser.add_argument("--rounds", type=int, default=3, help="how often the times are measured")
    parser.add_argument("--quick", action="store_true", help="for a first impression")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console, quick = Console(width=150), given.quick
    count = given.count or (4 if quick else 24)
    tolerances = sorted(given.tol or (QUICK_TOLERANCES if quick else TOLERANCES), reverse=True)
    names = given.peers or [name for name in available_peers() if not (quick and name in OLDER)]
    rows: list[dict[str, Any]] = []
    for families in [[family] for family in given.families] if given.by_family else [given.families]:
        suite = make_suite(families, given.split, count)
        scans = {"radau15": radau15(suite)}
        for name in names:
            found = scan(peer_named(name), suite, tolerances, QUICK_BUDGET if quick else FIXED_BUDGET, console)
            if found:
                scans[name] = found
        problems = Problems.of(suite)
        own = [compared(problems, tol, scans, 1 if quick else given.rounds) for tol in tolerances]
        console.print(f"\n{suite.name}, {len(suite)} problems:")
        show(own, console)
        rows += [{"problems": suite.name, **row} for row in own]
    if given.json is not None:
        about = {"split": given.split, "families": list(given.families), "count": count}
        given.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
