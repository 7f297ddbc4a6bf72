"""`aitimestepper bench`: the studies, their plans from flags, their files, and their tables."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..bench.comparison import compare
from ..bench.cost import CAREFUL, QUICK, Charges
from ..bench.curves import CurvesPlan, work_precision_curves
from ..bench.longrun import LongrunPlan, long_runs
from ..bench.peers import available_peers
from ..bench.records import Partial, Record, Results, text_of
from ..bench.rl import RlPlan, reinforcement_set
from ..bench.steps import StepsPlan, step_quality
from ..errors import UserError
from ..evaluation.contenders import Contender, rule_named
from ..initial.families import FAMILIES
from ..initial.own_families import families_named
from ..initial.suite_file import load_suite, save_suite
from ..initial.suites import REFERENCES, Suite, make_suite
from . import bench_tables, study_tables
from .arguments import Request
from .terminal import console, table_of, task

EVERY_TOLERANCE = tuple(10.0**-k for k in range(2, 9))
EXIT_WORSE = 1
DEFAULT_OUT = "runs/bench/{}.json"


def run(request: Request) -> int:
    """Run the study that was asked for, and return the exit code."""
    assert request.options is not None
    return STUDIES[request.options.study](request.options)


def steps(options: argparse.Namespace) -> int:
    """Run `bench steps`."""
    plan = steps_plan(options)
    _, test = plan.suites()
    charges = Charges(max(case.size for case in test.cases), QUICK if options.quick else CAREFUL)

    def measure(partial: Partial, progress: Any) -> Iterator[list[Record]]:
        return step_quality(plan, partial, charges, progress)

    names = [case.name for case in test.cases]
    return _study(options, plan.fingerprint(), measure, names, plan.parts(), bench_tables.show_steps)


def steps_plan(options: argparse.Namespace) -> StepsPlan:
    """Return the plan from the flags, which override --quick or --full, which override the defaults."""
    plan = _with_rules(StepsPlan(), options)
    if options.quick:
        plan = replace(
            plan, integrators=("leapfrog", "blanes_moan4"), tolerances=(1e-2, 1e-3, 1e-4), train=6, test=8, budget=30_000
        )
    if options.full:
        plan = replace(plan, tolerances=EVERY_TOLERANCE, train=24, test=24)
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("integrators", "variants", "train", "test", "budget", "split", "dim", "share", "threads")
        if getattr(options, name) is not None
    }
    if options.tol is not None:
        given["tolerances"] = options.tol
    families, own = families_named(options.families)
    if options.suite is not None:
        given["measure_on"] = load_suite(options.suite)
    if options.train_suite is not None:
        given["calibrate_on"] = load_suite(options.train_suite)
    return replace(plan, families=families, own=own, **given).checked()


def _study(
    options: argparse.Namespace,
    settings: dict[str, Any],
    measure: Callable[[Partial, Any], Iterator[list[Record]]],
    cases: list[str],
    order: Sequence[Contender],
    show: Callable[[Results, Any], None],
) -> int:
    """Measure with progress, save each part when it is finished, write the result, and show it."""
    path = Path(options.out or DEFAULT_OUT.format(options.study))
    if os.path.lexists(path) and not options.overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it, or another --out.")
    partial = Partial(path, settings, options.fresh)
    try:
        if partial.done and not options.quiet:
            print(f"continuing {partial.path}: {len(partial.done)} parts are measured already", file=sys.stderr)
        with task(f"bench {options.study}", options.quiet or options.json) as progress:
            records = [record for part in measure(partial, progress) for record in part]
    finally:
        partial.stop()
    place = {(c.integrator, c.rule.name, c.variant): k for k, c in enumerate(order)}  # parts finish in random order
    records.sort(key=lambda r: place.get((r.integrator, r.criterion, r.variant), -1))
    results = Results(options.study, shlex.join(["aitimestepper", *options.words]), settings, records, cases)
    results.save(path)
    partial.close()
    if options.json:
        print(text_of(path))
        return 0
    show(results, console())
    print(f"written: {path}")
    return 0


def curves(options: argparse.Namespace) -> int:
    """Run `bench curves`."""
    from ..report.bench_figures import draw_curves

    plan = curves_plan(options)
    if not plan.peers and not options.no_peers and not options.quiet:
        print("REBOUND and heyoka are left out: pip install 'aitimestepper[bench]'", file=sys.stderr)

    def show(results: Results, out: Console) -> None:
        study_tables.show_curves(results, out)
        folder = Path(options.out or DEFAULT_OUT.format("curves")).parent / "curves"
        for path in draw_curves(results.records, results.cases, folder):
            print(f"drawn: {path}")

    measure = functools.partial(work_precision_curves, plan)
    return _study(options, plan.fingerprint(), measure, list(plan.problems), (), show)


def curves_plan(options: argparse.Namespace) -> CurvesPlan:
    """Return the plan from the flags, which override --quick, which overrides the defaults."""
    plan: CurvesPlan = _contenders(CurvesPlan(peers=() if options.no_peers else available_peers()), options)
    if options.problems is not None:
        plan = replace(plan, problems=options.problems)
    if options.tol is not None:
        plan = replace(plan, tolerances=options.tol)
    return (plan.quick() if options.quick else plan).checked()


def rl(options: argparse.Namespace) -> int:
    """Run `bench rl`."""
    plan = _contenders(RlPlan(threads=options.threads), options)
    plan = (plan.quick() if options.quick else plan).checked()
    names = [case.name for case in plan.suite().cases]
    measure = functools.partial(reinforcement_set, plan)
    return _study(options, plan.fingerprint(), measure, names, plan.parts(), study_tables.show_rl)


def longrun(options: argparse.Namespace) -> int:
    """Run `bench longrun`."""
    plan = _contenders(LongrunPlan(threads=options.threads), options)
    if options.integrators is not None:  # only the given integrators
        plan = replace(plan, higher=(), also=())
    plan = (plan.quick() if options.quick else plan).checked()
    names = [problem.case.name for problem in plan.problems()]
    measure = functools.partial(long_runs, plan)
    return _study(options, plan.fingerprint(), measure, names, plan.parts(), study_tables.show_longrun)


def _contenders(plan: Any, options: argparse.Namespace) -> Any:
    """Return the plan with the contenders that the flags name."""
    names = ("integrators", "variants", "orbits", "count", "split", "forces")
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    return replace(_with_rules(plan, options), **given)


def _with_rules(plan: Any, options: argparse.Namespace) -> Any:
    """Return the plan with the rules that the flags name; a first look without such flags includes the learned step."""
    if options.criteria is not None:
        return replace(plan, rules=[rule_named(name) for name in dict.fromkeys(options.criteria)])
    return replace(plan, rules=[*plan.rules, rule_named("learned")]) if options.quick else plan


def suite(options: argparse.Namespace) -> int:
    """Run `bench suite`: list the families, or write or describe a file of problems."""
    if options.file is not None:
        return _describe(load_suite(options.file), options.file)
    if options.write is None:
        return _list_problems()
    path = Path(options.write)
    if os.path.lexists(path) and not options.overwrite:
        raise UserError(f"{path} exists; give --overwrite to replace it.")
    families, own = families_named(options.families)
    made = make_suite(families, options.split, options.count, options.dim, own)
    save_suite(made, path)
    return _describe(made, str(path))


def _describe(made: Suite, path: str) -> int:
    out = console()
    table = table_of(out, ["family"], ("problems", "bodies", "first", "last"), title=f"{path}: {made.name}")
    for family in made.families:
        own = [case for case in made.cases if case.family == family]
        sizes = sorted({case.size for case in own})
        bodies = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        table.add_row(family, str(len(own)), bodies, own[0].name, own[-1].name)
    out.print(table)
    return 0


def _list_problems() -> int:
    out = console()
    table = table_of(out, ("family", "what it is"), ())
    for name, family in FAMILIES.items():
        table.add_row(name, (family.__doc__ or "").partition("\n")[0])
    out.print(table)
    out.print(f"reference problems (bench curves --problems): {', '.join(REFERENCES)}")
    return 0


def compare_files(options: argparse.Namespace) -> int:
    """Run `bench compare`."""
    found = compare(Results.load(options.before), Results.load(options.after))
    bench_tables.show_comparison(found, console(), options.all)
    return EXIT_WORSE if options.strict and found.surely_worse else 0


STUDIES: dict[str, Callable[[argparse.Namespace], int]] = {
    "steps": steps,
    "curves": curves,
    "rl": rl,
    "longrun": longrun,
    "suite": suite,
    "compare": compare_files,
}
