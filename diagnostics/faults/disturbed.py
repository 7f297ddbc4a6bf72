"""Works of many files (trainings, ensembles, sweeps, studies) on disks that are full, in folders that are read-only or vanish.

    python diagnostics/faults/disturbed.py [--cases 20] [--seed 0] [--work NAME ...]

A case begins a work of `kills.py` where files may grow to a random part of their size only, in a folder that may not be
written to, or in one that is removed at a random moment. It must end with all of its files, or in one sentence. Then the
trouble is over, and the work is gone on with as after a kill: it must end as an undisturbed one does, to the last bit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cases import is_sentence
from kill_works import Work
from kills import PATIENCE, begin_or_go_on, chosen_works, finished, in_child, last_words, undisturbed
from runner import scratch
from writes import NOBODY, WAYS

from aitimestepper.errors import UserError

LATE = 0.5  # seconds before the end of a work, in which its last files may vanish after it has looked
FINE = ("written", "refused", "written, then gone")


class Trouble(NamedTuple):
    """What a work meets."""

    way: str
    limit: int  # bytes of a file
    moment: float  # seconds until the folder vanishes


def meet(work: Work, trouble: Trouble, log: int) -> None:
    """Do a work in the current folder under a trouble; a refusal is its sentence in the log and exit code 2."""
    here = Path.cwd()
    os.dup2(log, 1)
    os.dup2(log, 2)
    warnings.simplefilter("ignore")
    if trouble.way == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (trouble.limit, trouble.limit))
    elif trouble.way == "read-only folder":
        here.chmod(0o555)
        if os.getuid() == 0:
            os.setuid(NOBODY)
    else:
        threading.Thread(target=_vanish, args=(here, trouble.moment), daemon=True).start()
    try:
        begin_or_go_on(work, here)
    except UserError as error:
        print(f"\n{error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None


def _vanish(folder: Path, after: float) -> None:
    time.sleep(after)
    for entry in folder.iterdir():
        shutil.rmtree(entry, ignore_errors=True)
        with contextlib.suppress(OSError):
            entry.unlink()


def case(work: Work, trouble: Trouble, expected: dict[str, str], folder: Path) -> tuple[str, str]:
    """Return what came of a work under a trouble, and words about it if that is a fault."""
    here = folder / "here"
    here.mkdir(parents=True)
    reader, writer = os.pipe()  # a file could not grow, either
    began = time.monotonic()
    code = in_child(lambda: meet(work, trouble, writer), here, PATIENCE)
    late = trouble.way == WAYS[2] and time.monotonic() - began < trouble.moment + LATE
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as pipe:
        said = [line for line in pipe.read().splitlines() if line.strip() and "warning:" not in line]
    here.chmod(0o755)
    if code not in (0, 2):
        return "traceback" if code == 1 else "crash", f"exit code {code}: {' | '.join(said[-4:])}"
    if code == 2 and not (said and is_sentence(said[-1]) and "Traceback" not in "".join(said)):
        return "no sentence", " | ".join(said[-5:])
    if code == 0 and (wrong := _difference(work, here, expected)):
        return ("written, then gone", "") if late else ("not what it says", wrong)
    if code == 2:
        again = in_child(lambda: begin_or_go_on(work, Path.cwd()), here, PATIENCE)
        if again != 0:
            return "cannot go on", f"{said[-1]}; then: {last_words(folder)}"
        if wrong := _difference(work, here, expected):
            return "goes on to something else", f"{said[-1]}; then: {wrong}"
    return ("written" if code == 0 else "refused"), said[-1] if said else ""


def _here(work: Work, folder: Path) -> None:
    """Do a work once in this process, for nobody may not be able to import what it needs."""
    before = Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            work.begin(folder)
    finally:
        os.chdir(before)


def _difference(work: Work, here: Path, expected: dict[str, str]) -> str:
    """Return how the outcome differs from that of an undisturbed work."""
    try:
        found = finished(work, here)
    except Exception as error:
        return f"no outcome: {type(error).__name__}: {error}"
    other = [f"{name}: {found.get(name)} instead of {value}" for name, value in expected.items() if found.get(name) != value]
    return "; ".join(other)


def campaign(work: Work, cases: int, seed: int, folder: Path) -> list[tuple[str, str, str]]:
    """Return way, outcome and words of all cases of a work."""
    work.warm_up()
    expected, seconds = undisturbed(work, folder)
    _here(work, folder / "imports")
    sizes = [path.stat().st_size for path in (folder / "whole 0/here").rglob("*") if path.is_file()]
    rng, found = np.random.default_rng([seed, len(work.name)]), []
    for k in range(cases):
        way = WAYS[0 if k % 4 in (0, 1) else 2 if k % 4 == 2 or k > 3 else 1]
        trouble = Trouble(way, int(rng.integers(0, rng.choice(sizes))), float(rng.uniform(0.0, seconds)))
        found.append((way, *case(work, trouble, expected, folder / str(k))))
        shutil.rmtree(folder / str(k))
    return found


def main() -> int:
    """Print a table of what came of all works, and return 1 if one of them went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20, help="of each work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs="+", metavar="NAME", help="only works whose names begin so")
    given = parser.parse_args()
    folder, failed = scratch(), False
    folder.chmod(0o755)
    try:
        for k, work in enumerate(chosen_works(given.work)):
            found = campaign(work, given.cases, given.seed, folder / str(k))
            for (way, kind), count in Counter(one[:2] for one in found).items():
                print(f"{work.name:20} {way:18} {kind:26} {count:6}", flush=True)
            wrong = [one for one in found if one[1] not in FINE]
            failed |= bool(wrong)
            for way, kind, words in wrong[:5]:
                print(f"    {way}: {kind}: {words[:600]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
