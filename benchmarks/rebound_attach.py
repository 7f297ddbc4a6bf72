"""The steps of this package inside REBOUND: the time of a step against REBOUND's own, and errors against forces.

`python benchmarks/rebound_attach.py` prints ratios of times, with targets, each the median over turns. With
`--figure docs/rebound.png` it draws IAS15 with its own steps and with ours, and our splittings, on four problems. `--quick`
takes a tenth of the time.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import rebound
from aitimestepper.bench.rebound_runs import ADAPTIVE_MODES, rebound_of, watched
from aitimestepper.bench.timing import Times
from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.initial.suites import Case, reference_case
from aitimestepper.rebound import attach, from_bodies
from aitimestepper.report.style import ACCENT, INK, PALETTE, clean_axes, log_axis, log_range, new_figure, png_bytes
from measure import Row, interleaved

TARGET = 1.25
FALL = Symmetrized(FreeFall(0.001))
# REBOUND's leapfrog of that order has as many stages as our splitting
SAME_STAGES = {"leapfrog": 2, "kahan_li6": 6, "kahan_li8": 8}
PROBLEMS = {"figure8": "figure-eight", "kepler0.99": "Kepler, e = 0.99", "burrau": "Burrau", "solar": "outer Solar System"}
MOST = 3e7  # force evaluations of a run


# ---- the time of a step -----------------------------------------------------------------------------------------------------
def figure_eight() -> Any:
    """Return three bodies on the figure-eight."""
    initial = reference_case("figure8").initial
    return from_bodies(Bodies(initial.mass, initial.position, initial.velocity))


def own_steps(order: int) -> Any:
    """Return a simulation with REBOUND's leapfrog of that order."""
    sim = figure_eight()
    sim.integrator, sim.dt = "leapfrog", 1e-3
    sim.integrator.order = order
    return sim


def our_steps(*asked: Any, **more: Any) -> Any:
    """Return a simulation with our steps."""
    sim = figure_eight()
    attach(sim, *asked, **more)
    return sim


def step_times(quick: bool) -> Iterator[Row]:
    """Compare steps at N = 3, the cost of choosing among them; all simulations take turns."""
    steps, rounds = (2000, 15) if quick else (10_000, 60)
    sims = {f"REBOUND {name}": own_steps(order) for name, order in SAME_STAGES.items()}
    sims |= {name: our_steps(FALL, integrator=name) for name in SAME_STAGES}
    sims["constant"] = our_steps(Constant(1e-3), integrator="blanes_moan4")
    sims["budget"] = our_steps(Symmetrized(EnergyBudget(1e-5)), integrator="blanes_moan4")
    sims["learned"] = our_steps(tol=1e-5, integrator="blanes_moan4")
    jobs = {name: functools.partial(sim.steps, steps) for name, sim in sims.items()}
    times = interleaved(jobs, rounds)
    for name in SAME_STAGES:
        ratio = times.ratio(name, f"REBOUND {name}")
        note = f"{nanoseconds(times, name, steps):.0f} ns a step, symmetrized free fall, N = 3"
        yield Row("step", f"{name} / REBOUND's of as many stages", ratio, "x", TARGET, False, note)
    for name in ("budget", "learned"):
        note = f"{nanoseconds(times, name, steps):.0f} ns a step, symmetrized, N = 3"
        yield Row("choice", f"blanes_moan4, {name} / constant step", times.ratio(name, "constant"), "x", None, False, note)


def nanoseconds(times: Times, name: str, steps: int) -> float:
    """Return the median time of a step."""
    return times.median(name) / steps * 1e9


# ---- errors against forces --------------------------------------------------------------------------------------------------
class Line(NamedTuple):
    """Runs of one kind on one problem."""

    label: str
    colour: str
    forces: list[float]
    errors: list[float]


def run(case: Case, prepare: Callable[[Any], int | None], **settings: Any) -> tuple[float, float]:
    """Return (forces, largest energy error) of a run; `prepare` returns the forces of a step if all have as many."""

    def make() -> Any:
        sim = rebound_of(case.initial, "ias15", None, case.softening, **settings)
        prepare(sim)
        return sim

    per_step = prepare(rebound_of(case.initial, "ias15", None, case.softening))
    found = watched(make, case.t_end, MOST, per_step)
    return float(found.forces or math.nan), found.error


def lines_of(case: Case, quick: bool) -> Iterator[Line]:
    """Run IAS15 with its own rules, IAS15 with steps of free fall, and the splitting that is cheapest for each tolerance."""
    for mode, colour in (("prs23", PALETTE[0]), ("global", PALETTE[2])):
        values = (1e-9, 1e-5) if quick else (1e-9, 1e-7, 1e-5, 1e-3)
        runs = [run(case, lambda sim: None, epsilon=value, adaptive_mode=ADAPTIVE_MODES[mode]) for value in values]
        yield Line(f"IAS15, {mode.upper()}", colour, *map(list, zip(*runs, strict=True)))
    etas = (0.1, 0.4) if quick else (0.05, 0.1, 0.2, 0.4)
    runs = [run(case, functools.partial(kept, FreeFall(eta))) for eta in etas]
    yield Line("IAS15, our steps (free fall)", PALETTE[1], *map(list, zip(*runs, strict=True)))
    tolerances = (1e-3, 1e-6) if quick else (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    runs = [run(case, functools.partial(attached, tol)) for tol in tolerances]
    yield Line("our splittings, learned step", ACCENT, *map(list, zip(*runs, strict=True)))


def kept(criterion: FreeFall, sim: Any) -> None:
    """Let IAS15 take the steps of a criterion."""
    attach(sim, criterion, keep="ias15")


def attached(tol: float, sim: Any) -> int:
    """Attach the learned step of a tolerance; return the forces of a step."""
    return attach(sim, tol=tol).integrator.forces_per_step


def figure(path: Path, quick: bool) -> Iterator[str]:
    """Draw the figure; yield a line of text for each run in it."""
    drawing = new_figure(1180, 900)
    for k, (name, title) in enumerate(PROBLEMS.items()):
        lines = list(lines_of(reference_case(name), quick))
        ax = drawing.add_subplot(2, 2, k + 1)
        clean_axes(ax, "force evaluations", "largest energy error", title)
        for line in lines:
            ax.plot(line.forces, line.errors, "o-", color=line.colour, label=line.label, markersize=5, linewidth=1.6)
            for forces, error in zip(line.forces, line.errors, strict=True):
                yield f"{name:12} {line.label:32} {forces:12.0f} {error:10.1e}"
        log_axis(ax, "x", *log_range(*(np.array(line.forces) for line in lines)))
        log_axis(ax, "y", *log_range(*(np.array(line.errors) for line in lines)))
        if k == 0:
            ax.legend(frameon=False, labelcolor=INK, fontsize=10)
    drawing.tight_layout()
    path.write_bytes(png_bytes(drawing))


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--figure", type=Path, help="draw errors against forces into this file instead")
    given = parser.parse_args()
    print(f"REBOUND {rebound.__version__}")
    if given.figure is not None:
        for text in figure(given.figure, given.quick):
            print(text, flush=True)
        return
    for row in step_times(given.quick):
        limit = "" if row.target is None else f"(target: at most {row.target:g})"
        print(f"{row.what:48} {row.measured:8.2f} {row.unit} {limit} {row.note}")


if __name__ == "__main__":
    main()
