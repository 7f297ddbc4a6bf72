"""The figure of docs/learned.md: dt along an eccentric orbit and through a close encounter, learned beside classical steps.

python docs/learned_figure.py
"""

from __future__ import annotations

import math
from pathlib import Path

from aitimestepper.report.step_figure import Panel, draw_steps

OUT = Path(__file__).resolve().parent / "learned_steps.png"
PERIOD = 2 * math.pi
PANELS = (
    Panel("Kepler orbit, e = 0.9, leapfrog, tol 1e-3", "kepler0.9", 2 * PERIOD, 1e-3, "leapfrog", t_unit=PERIOD),
    Panel("Burrau's closest encounter, order 6, tol 1e-6", "burrau", 16.6, 1e-6, "blanes_moan6", begin=15.2),
)

if __name__ == "__main__":
    draw_steps(PANELS, OUT)
    print(OUT.name)
