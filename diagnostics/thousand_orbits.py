"""Do runs of a thousand orbits stay within the tolerance too? The networks were calibrated on runs of ten to a few hundred.

    python diagnostics/thousand_orbits.py [--orbits 1000] [--tol 1e-2 1e-3 ...] [--json FILE]

Kepler orbits, m2/m1 = 1e-3, by `simulate(tol=...)` and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aitimestepper import simulate
from aitimestepper.initial.named import kepler

ECCENTRICITIES, TOLERANCES = (0.5, 0.9, 0.99), tuple(10.0**-k for k in range(2, 9))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orbits", type=int, default=1000)
    parser.add_argument("--tol", type=float, nargs="+", default=list(TOLERANCES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    head = (f"e = {e}: largest error over tol, final error over tol, forces an orbit" for e in ECCENTRICITIES)
    table, rows = Table("asked", "integrator", *head), []
    for tol in given.tol:
        found = []
        for e in ECCENTRICITIES:
            done = simulate(kepler(e=e, q=1e-3), t_end=2 * math.pi * given.orbits, tol=tol, max_steps=50_000_000, warn=False)
            largest, final = done.max_energy_error.item() / tol, done.final_energy_error.item() / tol
            found.append({"e": e, "largest": largest, "final": final, "forces": done.force_evaluations.item() / given.orbits})
        rows.append({"tol": tol, "integrator": done.integrator, "orbits": found})
        table.add_row(
            f"{tol:g}", done.integrator, *(f"{r['largest']:.2g} / {r['final']:.1g}, {r['forces']:.0f}" for r in found)
        )
    Console(width=140).print(table)
    if given.json is not None:
        given.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
