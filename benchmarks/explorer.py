"""The page about a run of a million stored steps: how large it is, and how long it takes to make.

`python benchmarks/explorer.py [--rows 1000000] [--keep FOLDER]` simulates a hierarchical triple with a row at every step,
writes the page about it, and prints sizes, seconds of one core and the memory at its peak.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from aitimestepper import simulate
from aitimestepper.initial import triple
from aitimestepper.report.explorer.page import write_explorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="steps, each stored")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for the simulation and the page, which are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        run = folder / "million.h5"
        if not run.exists():
            simulate(triple(), steps=given.rows - 1, criterion="freefall:eta=0.03", output=run, output_steps=1, warn=False)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        shown = write_explorer([str(run)], folder / "million.html")
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{shown['runs'][0]['rows']} rows in {run.stat().st_size / 1e6:.1f} MB, {shown['runs'][0]['rows_kept']} kept")
        print(
            f"page: {shown['bytes'] / 1e6:.2f} MB in {seconds:.1f} s of one core; "
            f"peak memory {peak / 1e3:.0f} MB, {before / 1e3:.0f} MB before"
        )


if __name__ == "__main__":
    main()
