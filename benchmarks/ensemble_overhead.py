"""What an ensemble costs beside the engine: overhead against ready batches, time and memory against the number, workers.

    python benchmarks/ensemble_overhead.py [--count 100000] [--rounds 3] [--largest 100000] [--workers] [--json FILE]

Triples at a tolerance of 1e-5. `overhead`: `ensemble` into a folder, from arrays, against `simulate` on batches of the same
size that are ready; both take turns in one process; processor time, medians of the ratio. `drawn` makes its systems too. `time`
and `memory`: from 1000 systems to `--largest`, tenfold each, every one in a process of its own, from distributions into a
folder: microseconds of processor time a system, and the largest resident memory. `events`: triples, and encounters of a binary
and a single body, with collisions and escapes, against the same without events; in turns, processor time. `first`: seconds
from the call, a million systems to do, to the first part of the table, in a new process with compiled kernels. `--workers`:
wall time of one worker of Dask over that of two, which needs two free cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import aitimestepper as ats
from aitimestepper.ensembles.chunks import SYSTEMS, chunk_of_cases
from aitimestepper.ensembles.spec import spec_of
from aitimestepper.initial.scattering import binary_meets_single
from aitimestepper.initial.suites import make_suite
from measure import Row, interleaved

TOL = 1e-5
TRIPLES = {
    "m1": 1.0,
    "m2": {"loguniform": [0.1, 1.0]},
    "m3": {"loguniform": [0.1, 1.0]},
    "a1": 1.0,
    "e1": {"uniform": [0.0, 0.9]},
    "a2": {"uniform": [5.0, 15.0]},
    "e2": {"uniform": [0.0, 0.6]},
}


def drawn(count: int) -> Any:
    """Return triples from distributions, for one outer period."""
    return spec_of({"systems": count, "seed": 1, "periods": 1, "hierarchy": TRIPLES}).source


def overhead(count: int, rounds: int) -> Iterator[Row]:
    """Yield the overhead of each kind of source."""
    source = drawn(count)
    chunks = [source.chunk(first, min(SYSTEMS, count - first)).groups[0] for first in range(0, count, SYSTEMS)]
    whole, ends = ats.Bodies.stack([group.bodies for group in chunks]), np.concatenate([group.ends for group in chunks])

    def engine() -> None:
        for group in chunks:
            ats.simulate(group.bodies, t_end=group.ends, tol=TOL, warn=False)

    def into_folder(one: Any, **more: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            ats.ensemble(one, tol=TOL, out=Path(folder) / "table", **more)

    jobs = {"engine": engine, "arrays": lambda: into_folder(whole, t_end=ends), "drawn": lambda: into_folder(source)}
    times = interleaved(jobs, rounds, 1, time.process_time)
    for name, target in (("arrays", 1.05), ("drawn", None)):
        ratio = times.ratio(name, "engine")
        yield Row("overhead", f"{count} triples from {name} / engine on ready batches", ratio, "", target, at_least=False)
    began = time.process_time()
    chunk_of_cases(0, make_suite(("triple",), "train", SYSTEMS).cases)
    each = 1e6 * (time.process_time() - began) / SYSTEMS
    yield Row("overhead", "a triple of the family, made by Python", each, "us a system")


def events(rounds: int, count: int = 2000) -> Iterator[Row]:
    """Yield what collisions and escapes cost where they are rare, and where each run ends with one."""
    rng, group = np.random.default_rng(1), drawn(count).chunk(0, count).groups[0]
    encounters = binary_meets_single(rng, 4.0 * np.sqrt(rng.uniform(size=count)), 1.5, (1.0, 1.0, 1.0))
    rare, escapes = ["collision:radius=1e-3", "escape:beyond=200,stop=yes"], "escape:beyond=30,stop=yes"

    def run(bodies: Any, t_end: Any, some: Any = None) -> ats.SimulationResult:
        return ats.simulate(bodies, t_end=t_end, tol=TOL, events=some, warn=False)

    ended = run(encounters, 100.0, escapes).final.time
    for what, bodies, t_end, some, until, target in (
        ("triples with collisions and escapes / without events", group.bodies, group.ends, rare, group.ends, 1.5),
        ("encounters with collisions and far escapes / without events", encounters, 100.0, rare, 100.0, 1.5),
        ("encounters, each until an escape / without events to the same times", encounters, 100.0, escapes, ended, 3.0),
    ):
        jobs = {
            "with": lambda b=bodies, t=t_end, e=some: run(b, t, e),
            "without": lambda b=bodies, t=until: run(b, t),
        }
        ratio = interleaved(jobs, 3 * rounds, 1, time.process_time).ratio("with", "without")
        yield Row("events", f"{count} {what}", ratio, "", target, at_least=False)


def scaling(largest: int) -> Iterator[Row]:
    """Yield time and memory of runs of 1000, 10,000, ... systems, each in a new process."""
    first: dict[str, float] = {}
    count = 1000
    while count <= largest:
        words = [sys.executable, __file__, "--one", str(count)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        first = first or found
        yield Row("time", f"{count} systems", found["microseconds"], "us a system")
        yield Row("memory", f"{count} systems", found["megabytes"], "MB", 1000.0, at_least=False)
        count *= 10


def one(count: int) -> None:
    """Run an ensemble in this process, and print what it took."""
    ats.ensemble(drawn(64), tol=TOL)  # loads the compiled kernels
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        ats.ensemble(drawn(count), tol=TOL, out=Path(folder) / "table")
    seconds = time.process_time() - began
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    memory = int(status["VmHWM"].split()[0]) / 1024  # of this program alone: ru_maxrss counts that of the one that began it
    print(json.dumps({"microseconds": 1e6 * seconds / count, "megabytes": memory}))


def first_part() -> None:
    """Begin an ensemble of a million systems, print how long its first part took, and end."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        threading.Thread(
            target=ats.ensemble, args=(drawn(10**6),), kwargs={"tol": TOL, "out": Path(folder) / "t"}, daemon=True
        ).start()
        while not list(Path(folder).glob("t/part-*.parquet")):
            time.sleep(0.005)
        print(time.perf_counter() - began, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # the thread would go on


def first() -> Iterator[Row]:
    """Yield how long it takes until there is something to read."""
    said = subprocess.run([sys.executable, __file__, "--first"], capture_output=True, text=True, check=True).stdout
    yield Row("first", "1000000 systems, first part", float(said), "s", 2.0, at_least=False)


def workers(count: int, rounds: int) -> Iterator[Row]:
    """Yield how much faster two worker processes are than one."""
    from dask.distributed import LocalCluster

    quiet = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=1, **quiet) as single, LocalCluster(n_workers=2, **quiet) as double:
        jobs = {
            name: (lambda at=at: ats.ensemble(drawn(count), tol=TOL, client=at.scheduler_address))
            for name, at in (("one", single), ("two", double))
        }
        times = interleaved(jobs, rounds, 1)
    yield Row("workers", f"{count} systems: one worker / two", times.ratio("one", "two"), "", 1.9)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="systems where the overhead is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=100_000, help="systems of the largest run where time and memory are")
    parser.add_argument("--workers", action="store_true", help="measure two workers against one, too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.first:
        first_part()
    if given.one is not None:
        one(given.one)
        return
    rows = [*overhead(given.count, given.rounds), *events(given.rounds), *scaling(given.largest), *first()]
    even = max(1, given.count // (2 * SYSTEMS)) * 2 * SYSTEMS  # as many chunks for either worker
    rows += workers(even, given.rounds) if given.workers else []
    table = Table("", "what", "measured", "", "target", "met")
    for row in rows:
        table.add_row(row.group, row.what, f"{row.measured:.3g}", row.unit, str(row.target or ""), str(row.met or ""))
    Console(width=130).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps([row.plain() for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
