"""Cross sections of exchange and ionization: a circular binary meets a single body, three equal masses.

    python examples/cross_sections.py [--velocities 0.5 1.5 4] [--per-ring 1000] [--seed 1983] [--figure FILE.png] [--json FILE]

Impact parameters are drawn from rings, each with twice the area of the one before, uniformly in each; rings are added until two
of them in a row show no event, so that no event is missed. Every run ends when its outcome is decided (`Decided`). Speeds are
in units of the critical one, at which the total energy is zero; cross sections are in pi a^2. The tolerance is that of the
total energy; above the critical speed, where this is the energy of the binary times v^2 - 1, it is divided by v^2.

Published: Hut (1983, ApJ 268, 342) has the limits of high speed, 40/9 v^-2 of ionization and 640/81 v^-6 of exchange; Heggie,
Hut & McMillan (1996, ApJ 467, 359) have a fit of exchange at low speed, 3.9 v^-2, good to a quarter. Below v = 1 the energy
does not suffice for ionization.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aitimestepper import Bodies, simulate
from aitimestepper.ensembles.outcomes import outcomes_of
from aitimestepper.events import Decided
from aitimestepper.initial.scattering import FAR, binary_meets_single, critical_speed

EVENTS = ("exchange", "ionization")
SPEEDS = (0.2, 0.3, 0.5, 0.8, 1.1, 1.3, 1.6, 2.0, 2.8, 4.0, 5.6, 8.0, 16.0)
FAST = 20  # times more runs above the critical speed, where they are short and exchanges are rare
FIRST_RING = 1.0  # outer edge in semi-major axes
MOST_RINGS = 24
LONGER, LONGEST = 4.0, 2e4  # runs that are not decided go on for so many times the time, up to an end in units of (a^3/Gm)^1/2


class Ring(NamedTuple):
    """The runs of one ring of impact parameters."""

    inner: float
    outer: float
    runs: int
    counts: dict[str, int]  # of each event
    undecided: int

    @property
    def area(self) -> float:
        """Area in pi a^2."""
        return self.outer**2 - self.inner**2


def hut_ionization(v: float) -> float:
    """Return the limit of the cross section of ionization at high speed."""
    return 40.0 / 9.0 / v**2


def hut_exchange(v: float) -> float:
    """Return the limit of the cross section of exchange at high speed, with either member."""
    return 640.0 / 81.0 / v**6


def hard_exchange(v: float) -> float:
    """Return the cross section of exchange at low speed by the fit of Heggie, Hut & McMillan, with either member."""
    m1, m2, m3 = 1.0, 1.0, 1.0  # the body that is expelled, its companion, the one that comes
    m12, m13, m23, m123 = m1 + m2, m1 + m3, m2 + m3, m1 + m2 + m3
    x, y = m1 / m12, m3 / m123
    powers = 3.70 + 7.49 * x - 1.89 * y - 15.49 * x**2 - 2.93 * x * y - 2.92 * y**2
    powers += 3.07 * x**3 + 13.15 * x**2 * y - 5.23 * x * y**2 + 3.12 * y**3
    masses = (m23 / m123) ** (1 / 6) * (m3 / m13) ** 3.5 * (m123 / m12) ** (1 / 3) * (m13 / m123)
    scaled = masses * math.exp(powers)  # times pi G m123 a / (2 V^2)
    return 2.0 * scaled * m123 / (2.0 * critical_speed((m1, m2, m3)) ** 2) / v**2


def outcomes(start: Bodies, first: float, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the outcome of every system, and whether it is decided; those that are not go on."""
    names, decided = np.full(len(start), "", object), np.zeros(len(start), bool)
    open_, state, end = np.arange(len(start)), start, first
    while len(open_) and end < LONGEST:
        result = simulate(state, t_end=end, tol=tol, events=Decided(), threads=1, warn=False)
        found = outcomes_of(start.select(open_), result)
        names[open_], decided[open_] = found["outcome"], found["decided"]
        going = ~found["decided"]
        open_, state, end = open_[going], result.final.select(going), LONGER * end
    return names, decided


def ring(rng: np.random.Generator, v: float, inner: float, outer: float, count: int, tol: float) -> Ring:
    """Return the events of `count` runs with impact parameters between two edges."""
    b = np.sqrt(rng.uniform(inner**2, outer**2, count))
    start = binary_meets_single(rng, b, v)
    speed = v * critical_speed((1.0, 1.0, 1.0))
    names, decided = outcomes(start, 2.0 * FAR / max(speed, 0.5) + 40.0, tol / max(1.0, v * v))
    return Ring(inner, outer, count, {name: int(((names == name) & decided).sum()) for name in EVENTS}, int((~decided).sum()))


def cross_sections(v: float, count: int, seed: int, tol: float = 1e-5) -> dict[str, Any]:
    """Return the cross sections at a speed in pi a^2, with their statistical errors."""
    rng = np.random.default_rng([seed, round(1000 * v)])
    rings: list[Ring] = []
    inner, outer = 0.0, FIRST_RING
    while len(rings) < MOST_RINGS and not (len(rings) > 2 and not any(sum(r.counts.values()) for r in rings[-2:])):
        rings.append(ring(rng, v, inner, outer, count, tol))
        inner, outer = outer, outer * math.sqrt(2.0)
    row: dict[str, Any] = {"v": v, "runs": count * len(rings), "b_max": rings[-1].outer, "last_event": _last_event(rings)}
    for name in EVENTS:
        shares = [(r.area, r.counts[name] / r.runs, r.runs) for r in rings]
        row[name] = sum(area * p for area, p, _ in shares)
        row[f"{name}_error"] = math.sqrt(sum(area**2 * p * (1.0 - p) / n for area, p, n in shares))
        row[f"{name}_count"] = sum(r.counts[name] for r in rings)
    row["undecided"] = sum(r.area * r.undecided / r.runs for r in rings)
    return row


def _last_event(rings: list[Ring]) -> float:
    """Return the outer edge of the last ring with an event."""
    return max((r.outer for r in rings if sum(r.counts.values())), default=0.0)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the figure."""
    from aitimestepper.report.style import MUTED, PALETTE, clean_axes, log_axis, new_figure, png_bytes

    figure = new_figure(820, 560)
    ax = figure.add_axes((0.1, 0.11, 0.86, 0.8))
    clean_axes(ax, "relative speed at infinity / critical speed", "cross section / $\\pi a^2$", "Equal masses, circular binary")
    slow, fast = np.geomspace(0.08, 0.9, 50), np.geomspace(1.5, 20.0, 50)
    for name, colour in zip(EVENTS, PALETTE, strict=False):
        some = [r for r in rows if r[f"{name}_count"]]
        at = ([r["v"] for r in some], [r[name] for r in some], [r[f"{name}_error"] for r in some])
        ax.errorbar(*at, fmt="o", ms=5, color=colour, capsize=2, label=f"{name}, this package", zorder=3)
        limit = hut_exchange if name == "exchange" else hut_ionization
        ax.plot(fast, [limit(v) for v in fast], color=colour, lw=1.4, label=f"{name}, Hut (1983)")
    hard = np.array([hard_exchange(v) for v in slow])
    ax.plot(slow, hard, "--", color=PALETTE[0], lw=1.4, label="exchange, Heggie, Hut & McMillan (1996)")
    ax.fill_between(slow, 0.75 * hard, 1.25 * hard, color=PALETTE[0], alpha=0.15, lw=0)
    ax.axvline(1.0, color=MUTED, lw=0.8, ls=":")
    shown = [r[name] for r in rows for name in EVENTS if r[f"{name}_count"]]
    log_axis(ax, "x", 0.1, 16.0)
    log_axis(ax, "y", min(shown), max(shown))
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    path.write_bytes(png_bytes(figure))


def text(rows: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    head = ("v", "runs", "exchange", "published", "ionization", "published", "undecided", "b of the last event, b_max")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        v = r["v"]
        exchange = f"{hard_exchange(v):.3g} (fit)" if v < 0.5 else f"{hut_exchange(v):.3g} (limit)" if v > 2.5 else ""
        ionization = f"{hut_ionization(v):.3g} (limit)" if v > 2.5 else "0" if v < 1.0 else ""
        ours = [f"{r[name]:.4g} ± {r[f'{name}_error']:.1g}" if r[f"{name}_count"] else "0" for name in EVENTS]
        edges = f"{r['last_event']:.3g}, {r['b_max']:.3g}"
        lines.append(
            f"| {v:g} | {r['runs']} | {ours[0]} | {exchange} | {ours[1]} | {ionization} | {r['undecided']:.2g} | {edges} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--velocities", type=float, nargs="+", default=SPEEDS)
    parser.add_argument("--per-ring", type=int, default=1000, help=f"runs in each ring, {FAST} times as many above v = 1")
    parser.add_argument("--seed", type=int, default=1983)
    parser.add_argument("--tol", type=float, default=1e-5)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for v in given.velocities:
        began = time.process_time()
        count = given.per_ring * (FAST if v > 1.0 else 1)
        rows.append(cross_sections(v, count, given.seed, given.tol) | {"seconds": time.process_time() - began})
        print(json.dumps(rows[-1]), flush=True)
    print(text(rows))
    if given.figure is not None:
        draw(rows, given.figure)
    if given.json is not None:
        given.json.write_text(json.dumps({"seed": given.seed, "tol": given.tol, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
