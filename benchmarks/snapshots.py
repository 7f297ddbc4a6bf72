"""What it costs to open and to resume a long run: a file of a million rows of two bodies, closed and as a kill leaves it.

    python benchmarks/snapshots.py [--rows 1000000] [--against OTHER_CHECKOUT] [--rounds 9]

With another checkout, of an earlier version for example, both are measured in turn, each with a file of its own format, and the
medians are compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
QUANTITIES = ("open", "resume", "resume after a kill")


def make(folder: Path, rows: int) -> None:
    """Write the file of a run in `folder`, and a copy of it as it is while a writer has it open."""
    from aitimestepper import Bodies, simulate
    from aitimestepper.initial.named import kepler
    from aitimestepper.simulate.snapshots import SnapshotWriter

    pair = kepler(0.5)
    bodies = Bodies(pair.mass, pair.position, pair.velocity)
    simulate(bodies, steps=rows, criterion="constant:dt=0.01", output=folder / "closed.h5", output_steps=1)
    shutil.copy(folder / "closed.h5", folder / "open.h5")
    with SnapshotWriter.reopen(folder / "open.h5"):
        shutil.copy(folder / "open.h5", folder / "killed.h5")


def measure(folder: Path) -> list[float]:
    """Return the seconds that it takes to open and to resume the files in `folder`, after one run of each for the caches."""
    from aitimestepper import Snapshots, resume

    def opened() -> None:
        with Snapshots(folder / "closed.h5") as rows:
            assert len(rows) > 1

    def resumed(name: str) -> None:
        resume(folder / name, warn=False)

    found = []
    for work, name in ((opened, None), (lambda: resumed("again.h5"), "closed.h5"), (lambda: resumed("again.h5"), "killed.h5")):
        times = []
        for _ in range(4):
            if name is not None:
                shutil.copy(folder / name, folder / "again.h5")
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        found.append(statistics.median(times[1:]))
    return found


def called(checkout: Path, *words: object) -> str:
    """Run this file with the package of a checkout, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, __file__, *map(str, words)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.rows)
    elif options.measure:
        print(*measure(options.measure))
    else:
        compare([HERE, *([options.against.resolve()] if options.against else [])], options.rows, options.rounds)


def compare(checkouts: list[Path], rows: int, rounds: int) -> None:
    """Measure the checkouts in turn, and print the medians and their ratios."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(k) for k in range(len(checkouts))]
        for checkout, folder in zip(checkouts, folders, strict=True):
            folder.mkdir()
            called(checkout, "--make", folder, "--rows", rows)
        times: list[list[list[float]]] = [[] for _ in checkouts]
        for _ in range(rounds):
            for k, (checkout, folder) in enumerate(zip(checkouts, folders, strict=True)):
                times[k].append([float(x) for x in called(checkout, "--measure", folder).split()])
    print(f"{rows} rows of two bodies, milliseconds" + (", and the ratio to the other checkout" if len(checkouts) > 1 else ""))
    for q, name in enumerate(QUANTITIES):
        mine = statistics.median(row[q] for row in times[0])
        ratio = statistics.median(a[q] / b[q] for a, b in zip(times[0], times[1], strict=True)) if len(checkouts) > 1 else None
        print(f"{name:20} {1e3 * mine:8.1f}" + ("" if ratio is None else f" {ratio:8.2f}"))


if __name__ == "__main__":
    main()
