"""Kills: work of every kind is ended by SIGKILL at random moments, and gone on with, to the bits of one that nobody disturbed.

    python diagnostics/faults/kills.py [--kills 100] [--seed 0] [--work NAME ...]

Every trial begins the work in an empty folder, kills it up to three times after a random part of the time that it takes, goes
on after each kill as a user does (`resume`, `train --resume`, `bench` again), and lets the last one end. Then the result must
be that of an undisturbed one: the same numbers to the bit, the same rows, records and files, nothing twice or left over.
A simulation saves its state a hundred times during the run, so that many kills happen while something is written.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from kill_works import SPECIFICATION, WORKS, Work
from runner import scratch

TURNS = 3  # kills of one trial, at most
PATIENCE = 120.0  # seconds for what nobody kills


class Trial(NamedTuple):
    """What came of a trial: how many kills hit the work, how many of them before it had written anything, and what is wrong."""

    kills: int
    early: int
    wrong: str


def in_child(act: Callable[[], object], folder: Path, until: float) -> int:
    """Do something in a fork that is killed after `until` seconds, and return its exit code; negative: the signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            log = os.open(folder.parent / "log", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            for stream in (0, 1, 2):
                os.dup2(log, stream)
            os.chdir(folder)
            act()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + until
    while True:
        done, state = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(state)
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(min(2e-4, max(0.0, deadline - time.monotonic())))


def finished(work: Work, folder: Path) -> dict[str, str]:
    """Return the outcome of a work that ended: hashes of what its files hold, by name. Its files are all that may be there."""
    found = work.outcome(folder)
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / SPECIFICATION)
    names = sorted(str(path.relative_to(folder)) for path in files)
    return {**found, "files": ", ".join(names)}


def undisturbed(work: Work, folder: Path) -> tuple[dict[str, str], float]:
    """Return the outcome of the work where nobody kills it, and about how long it takes."""
    times = []
    for k in range(2):
        here = folder / f"whole {k}" / "here"
        here.mkdir(parents=True)
        began = time.monotonic()
        if in_child(lambda: work.begin(Path.cwd()), here, PATIENCE) != 0:
            raise SystemExit(f"{work.name} does not even work undisturbed: {(here.parent / 'log').read_text()[-2000:]}")
        times.append(time.monotonic() - began)
    outcomes = [finished(work, folder / f"whole {k}" / "here") for k in range(2)]
    if not all(one == outcomes[0] for one in outcomes):
        raise SystemExit(f"{work.name} has other bits each time: {outcomes}")
    return outcomes[0], min(times)


def trial(work: Work, expected: dict[str, str], seconds: float, rng: np.random.Generator, folder: Path) -> Trial:
    """Kill and go on, up to the end, and compare."""
    here, kills, early = folder / "here", 0, 0
    here.mkdir(parents=True)
    for _ in range(int(rng.integers(1, TURNS + 1))):
        code = in_child(lambda: begin_or_go_on(work, Path.cwd()), here, float(rng.uniform(0.0, seconds)))
        if code not in (0, -signal.SIGKILL):
            return Trial(kills, early, f"exit code {code}: {last_words(folder)}")
        kills += code != 0
        early += code != 0 and not any(here.iterdir())
    code = in_child(lambda: begin_or_go_on(work, Path.cwd()), here, PATIENCE)
    if code != 0:
        return Trial(kills, early, f"cannot go on, exit code {code}: {last_words(folder)}")
    try:
        found = finished(work, here)
    except Exception as error:
        return Trial(kills, early, f"no outcome: {type(error).__name__}: {error}")
    other = [f"{name}: {found.get(name)} instead of {value}" for name, value in expected.items() if found.get(name) != value]
    return Trial(kills, early, "; ".join(other))


def begin_or_go_on(work: Work, folder: Path) -> None:
    """Go on with a work, or begin it where there is nothing to go on from."""
    (work.go_on if work.begun(folder) else work.begin)(folder)


def last_words(folder: Path) -> str:
    """Return the end of what the last process said."""
    return (folder / "log").read_text(errors="replace")[-600:]


def campaign(work: Work, kills: int, seed: int, folder: Path) -> tuple[int, int, int, list[str]]:
    """Return how many kills hit the work in how many trials, how many of them early, and what went wrong."""
    expected, seconds = undisturbed(work, folder)
    rng, hits, early, wrong, number = np.random.default_rng([seed, len(work.name)]), 0, 0, list[str](), 0
    while hits < kills and number < 4 * kills:
        here = folder / str(number)
        found = trial(work, expected, seconds, rng, here)
        hits, early, number = hits + found.kills, early + found.early, number + 1
        if found.wrong:
            wrong.append(f"trial {number}: {found.wrong}")
        shutil.rmtree(here)
    return hits, number, early, wrong


def chosen_works(names: list[str] | None) -> list[Work]:
    """Return the works whose names begin with one of these, without those that need what is not installed."""
    works = [work for work in WORKS if importlib.util.find_spec(work.needs) is not None]
    return works if names is None else [work for work in works if any(work.name.startswith(name) for name in names)]


def main() -> int:
    """Kill all kinds of work, print a table, and return 1 if one of them did not end as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", nargs="+", metavar="NAME", help="only works whose names begin so")
    given = parser.parse_args()
    works = chosen_works(given.work)
    folder, failed = scratch(), False
    try:
        for k, work in enumerate(works):
            work.warm_up()
            hits, trials, early, wrong = campaign(work, given.kills, given.seed, folder / str(k))
            failed |= bool(wrong)
            about = f"{hits} kills in {trials} trials ({early} before it had written anything)"
            print(f"{work.name:22} {about}, {len(wrong)} faults", *wrong[:5], sep="\n    " if wrong else "", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
