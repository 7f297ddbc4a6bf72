"""Damaged and hostile files of every kind: each is read as before, or refused in one sentence; nothing else ever happens.

    python diagnostics/faults/damage.py [--cases 100000] [--seed 0] [--subject NAME ...] [--only NAME:NUMBER]

Every case damages a copy of a good file (bits, bytes, lengths, shapes, types, links, storage elsewhere, right seals over wrong
contents) and reads it in all ways in a process of its own, with 5 s and 3 GB. The outcomes: `same`, read as before; `earlier`,
a run that was never closed is read as it was one saved state before; `refused`, in one sentence; `other`, read with other
contents where that cannot be seen, in text and under right seals. All others are faults: `changed`, other contents without a
word; `traceback`; `hang`; `crash`; `canary`, another file was changed, or its bytes were returned. A case follows from the
seed, its subject and its number alone: `--only NAME:NUMBER` runs it in this process, with its tracebacks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cases import BAD, KINDS, Case, Good, Outcome, Subject, aloud, prepare, run_case
from damages import parts_of
from rich.console import Console
from rich.table import Table
from runner import Limits, outcomes, scratch


def all_subjects(chosen: list[str] | None = None) -> list[Subject]:
    """Return the kinds of files whose names begin with one of those given, without those that need what is not installed."""
    import file_subjects
    import folder_subjects
    import snapshot_subjects

    found = [*snapshot_subjects.subjects(), *file_subjects.subjects(), *folder_subjects.subjects()]
    wanted = chosen is None or any(name.startswith("checkpoint"[: len(name)]) for name in chosen)
    if wanted and importlib.util.find_spec("torch") is not None:
        import checkpoint_subjects

        found += checkpoint_subjects.subjects()
    found = [subject for subject in found if not subject.needs or importlib.util.find_spec(subject.needs) is not None]
    return [s for s in found if chosen is None or any(s.name.startswith(name) for name in chosen)]


def cases_of(subjects: list[Subject], count: int) -> Iterator[Case]:
    """Yield about `count` cases, shared by weight among the subjects, of each at least one."""
    whole = sum(subject.weight for subject in subjects)
    for subject in subjects:
        for number in range(max(1, round(count * subject.weight / whole))):
            yield Case(subject.name, number)


def campaign(
    subjects: list[Subject], cases: list[Case], seed: int, workers: int, limits: Limits | None = None
) -> Iterator[Outcome]:
    """Make the good files, and yield the outcomes of all cases."""
    folder = scratch()
    try:
        for k, subject in enumerate(subjects):
            mine = [case for case in cases if case.subject == subject.name]
            if mine:
                good = prepare(subject, folder / str(k), parts_of)
                yield from outcomes(mine, {subject.name: good}, seed, workers, limits)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table_of(found: list[Outcome]) -> Table:
    """Return the outcomes of each subject as a table."""
    table = Table("file", "cases", *KINDS, title="outcomes")
    counts = Counter((outcome.case.subject, outcome.kind) for outcome in found)
    names = list(dict.fromkeys(outcome.case.subject for outcome in found))
    for name in [*names, "all"]:
        numbers = [sum(n for (s, k), n in counts.items() if k == kind and name in (s, "all")) for kind in KINDS]
        table.add_row(name, str(sum(numbers)), *(str(n) if n else "·" for n in numbers), end_section=name == names[-1])
    return table


def causes(found: list[Outcome]) -> list[tuple[str, int, Outcome]]:
    """Return the faults grouped by outcome, exception, reading and place: words, count, and the first of each."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in found:
        if outcome.kind in BAD:
            groups.setdefault(f"{outcome.kind} in {outcome.reading}: {_cause(outcome)}", []).append(outcome)
    return sorted(((words, len(some), some[0]) for words, some in groups.items()), key=lambda group: -group[1])


def _cause(outcome: Outcome) -> str:
    """Return what a fault has in common with others: exception and place, or for a silent change the damage and its place."""
    if outcome.kind == "changed":
        found = re.search(r" in ([^ ;]+)(?:$|;| =)", outcome.details) or re.match(r"(\S+)", outcome.details)
        return f"{outcome.damage}: {found[1] if found else ''}"
    words = last_line(outcome.words)
    words = re.sub(r"'[^']*'|[-\d.]+", "…", words)[:90] if outcome.kind == "canary" else words.partition(":")[0][:40]
    return f"{words} [{re.sub(r':[0-9]+|, line [0-9]+', '', outcome.where)}]"


def in_foreground(case: Case, subjects: list[Subject], seed: int, keep: bool) -> None:
    """Run one case in this process, and print what was done and what every reader answers."""
    folder = scratch()
    try:
        good: Good = prepare(next(s for s in subjects if s.name == case.subject), folder / "good", parts_of)
        (folder / "case").mkdir()
        run_case(case, aloud(good), seed, folder / "case", lambda answer: print(json.dumps(answer), flush=True))
        if keep:
            print(f"the damaged file: {folder / 'case' / good.path.name}; the good one: {good.path}")
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def with_progress(found: Iterator[Outcome], count: int, quiet: bool) -> list[Outcome]:
    """Return all outcomes, and show on stderr how many there are."""
    began, shown, rows = time.monotonic(), 0.0, []
    for outcome in found:
        rows.append(outcome)
        if not quiet and sys.stderr.isatty() and time.monotonic() - shown > 0.5:
            shown, bad = time.monotonic(), sum(row.kind in BAD for row in rows)
            line = f"{len(rows)} of {count} cases, {bad} faults, {shown - began:.0f} s: {outcome.case.subject}"
            print(f"\r{line:100}", end="", file=sys.stderr, flush=True)
    print(f"\r{len(rows)} cases in {time.monotonic() - began:.0f} s{'':80}", file=sys.stderr)
    return rows


def report(found: list[Outcome], most: int) -> None:
    """Print the table of outcomes, the causes of faults, and the first faults one by one."""
    out = Console(width=170, highlight=False, markup=False)
    out.print(table_of(found))
    groups = causes(found)
    if not groups:
        return
    table = Table("cases", "fault", "first", title="faults by cause")
    for words, count, first in groups:
        table.add_row(str(count), words, f"{first.case.subject}:{first.case.number}")
    out.print(table)
    for outcome in [outcome for outcome in found if outcome.kind in BAD][:most]:
        out.print(f"{outcome.case.subject}:{outcome.case.number} {outcome.kind} in {outcome.reading}", style="bold")
        out.print(f"    {outcome.damage}: {outcome.details[:200]}\n    {last_line(outcome.words)} {outcome.where}")


def last_line(words: str) -> str:
    """Return the last line of some words, of a traceback the exception."""
    return (words.strip().splitlines() or [""])[-1]


def main() -> int:
    """Run the campaign or one case, and return 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subject", nargs="+", metavar="NAME", help="only files whose names begin so")
    parser.add_argument("--only", metavar="NAME:NUMBER", help="one case, in this process")
    parser.add_argument("--keep", action="store_true", help="with --only: leave its files where they are, and say where")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--list-bad", type=int, default=20, metavar="N", help="faults to show one by one")
    parser.add_argument("--json", type=Path, help="write counts and faults to this file")
    parser.add_argument("--all", action="store_true", help="write all outcomes to it")
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    if given.only:
        name, _, number = given.only.rpartition(":")
        in_foreground(Case(name, int(number)), all_subjects([name]), given.seed, given.keep)
        return 0
    subjects = all_subjects(given.subject)
    cases = list(cases_of(subjects, given.cases))
    found = with_progress(campaign(subjects, cases, given.seed, given.workers), len(cases), given.quiet)
    report(found, given.list_bad)
    faults = [outcome for outcome in found if outcome.kind in BAD]
    if given.json is not None:
        counts = Counter(f"{outcome.case.subject}: {outcome.kind}" for outcome in found)
        shown = {"faults": faults, "outcomes": found if given.all else []}
        rows = {name: [outcome._asdict() for outcome in some] for name, some in shown.items()}
        given.json.write_text(json.dumps({"counts": counts, **rows}, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
