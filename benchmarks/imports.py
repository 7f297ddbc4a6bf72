"""Start-up time: `import aitimestepper`, and the first simulation of a process.

    python benchmarks/imports.py [--rounds 15] [--json FILE]

Every time is that of a new process: elapsed time, which needs a quiet machine, and processor time, which does not. Jobs take
turns; a difference of two jobs is the median of those within a round. `simulate` takes a hundred steps of two bodies. Its first
run after an installation compiles for half a minute; that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TARGET = 0.1  # seconds beyond numpy and h5py
OTHERS = "import numpy, h5py"
SIMULATE = """
import aitimestepper as a
from aitimestepper.initial.named import kepler
a.simulate(kepler(), steps=100, criterion={criterion}, integrator="leapfrog")
"""
JOBS = {
    "nothing": "pass",
    "others": OTHERS,
    "package": "import aitimestepper",
    "both": f"{OTHERS}, aitimestepper",
    "constant": SIMULATE.format(criterion="a.Constant(0.01)"),
    "learned": SIMULATE.format(criterion="a.LearnedStep(tol=1e-3)"),
}
DIFFERENCES = {  # what is printed: one job less another one
    "import numpy, h5py": ("others", "nothing"),
    "import aitimestepper by itself": ("package", "nothing"),
    f"import aitimestepper beyond numpy, h5py (target <= {TARGET})": ("both", "others"),
    "first simulate(), constant step": ("constant", "package"),
    "first simulate(), learned step": ("learned", "package"),
}


def seconds_of(code: str) -> tuple[float, float]:
    """Run code in a new Python process; return elapsed seconds and seconds of the processor."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"this ended with code {process.returncode}:\n{code}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    given = parser.parse_args()
    rounds = [[seconds_of(code) for code in JOBS.values()] for _ in range(given.rounds + 1)]
    times = np.array(rounds[1:])  # (rounds, jobs, 2); the first round may compile
    names, found = list(JOBS), {}
    print(f"{'seconds':60s} {'elapsed':>8s} {'processor':>10s}")
    for what, (more, less) in DIFFERENCES.items():
        elapsed, processor = np.median(times[:, names.index(more)] - times[:, names.index(less)], axis=0).tolist()
        found[what] = {"elapsed": elapsed, "processor": processor}
        print(f"{what:60s} {elapsed:8.3f} {processor:10.3f}")
    if given.json is not None:
        given.json.write_text(json.dumps({"rounds": given.rounds, "seconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
