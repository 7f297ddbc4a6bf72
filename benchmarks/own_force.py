"""A field of one's own, as a numba function called by address, against the same one of the package.

python benchmarks/own_force.py [--quick]

Runs take turns. One system at a time: a step with the field of one's own over one with that of the package, by leapfrog and by
Gauss-Radau, with a standing field, and with a moving one whose work is counted. Besides, what the package's field gains from
systems side by side, which functions of one's own do not have.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from aitimestepper import PRS23, Bodies, Constant, MiyamotoNagaiField, OwnField, PlummerField, simulate
from aitimestepper.bench.timing import Effort, Job, rotate
from aitimestepper.fields import tidal
from aitimestepper.initial.named import random
from aitimestepper.simulate.kernels.callbacks import field
from aitimestepper.simulate.kernels.registers import lane_width
from engine_lanes import SYSTEMS, many
from measure import CAREFUL, QUICK, Row
from peers import bodies_of

TARGET = 1.3
M, A, B, R0, RATE = 5.0, 2.0, 0.7, 6.0, 0.4


@field
def sphere(n, t, x, a, phi, rate):  # type: ignore[no-untyped-def]
    """Plummer's sphere."""
    for i in range(n):
        s2 = x[i] * x[i] + x[n + i] * x[n + i] + x[2 * n + i] * x[2 * n + i] + B * B
        phi[i] = -M / math.sqrt(s2)
        pull = phi[i] / s2
        a[i], a[n + i], a[2 * n + i] = pull * x[i], pull * x[n + i], pull * x[2 * n + i]


@field
def disc(n, t, x, a, phi, rate):  # type: ignore[no-untyped-def]
    """Disc of Miyamoto & Nagai."""
    for i in range(n):
        h = math.sqrt(x[2 * n + i] * x[2 * n + i] + B * B)
        wide = A + h
        s2 = x[i] * x[i] + x[n + i] * x[n + i] + wide * wide
        phi[i] = -M / math.sqrt(s2)
        pull = phi[i] / s2
        a[i], a[n + i], a[2 * n + i] = pull * x[i], pull * x[n + i], pull * x[2 * n + i] * (wide / h)


@field
def tide(n, t, x, a, phi, rate):  # type: ignore[no-untyped-def]
    """Tide of a mass on a circle."""
    X, Y = R0 * math.cos(RATE * t), R0 * math.sin(RATE * t)
    VX, VY = -RATE * Y, RATE * X
    far = M / (R0 * R0 * R0)
    for i in range(n):
        dx, dy, dz = X - x[i], Y - x[n + i], -x[2 * n + i]
        inverse = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
        near = M * inverse * inverse * inverse
        a[i], a[n + i], a[2 * n + i] = near * dx - far * X, near * dy - far * Y, near * dz
        phi[i] = -M * (inverse - 1.0 / R0) + far * (x[i] * X + x[n + i] * Y)
        rate[i] = near * (dx * VX + dy * VY) + far * (x[i] * VX + x[n + i] * VY)


PAIRS: dict[str, tuple[Any, Any]] = {
    "Plummer": (OwnField(sphere), PlummerField(M, B)),
    "Miyamoto-Nagai": (OwnField(disc), MiyamotoNagaiField(M, A, B)),
    "circling tide": (OwnField(tide, time_dependent=True), tidal(M, R0, period=2 * math.pi / RATE)),
}
RULES = {"leapfrog": Constant(1e-5), "radau15": PRS23()}


def steps_of(bodies: Bodies, outer: Any, integrator: str) -> Job:
    """Return a job whose unit of work is a step of every system."""
    start = bodies if outer is None else bodies.replace(external_field=outer)

    def prepare(steps: int) -> Callable[[], object]:
        return lambda: simulate(
            start, steps=steps, criterion=RULES[integrator], integrator=integrator, threads=1, warn=False, max_steps=10**9
        )

    return prepare


def one_at_a_time(effort: Effort) -> Iterator[Row]:
    """Compare steps of one system with each field."""
    for integrator in RULES:
        for name, (own, packaged) in PAIRS.items():
            for n in (3, 10):
                start = bodies_of(random(n, seed=n))
                fields = {"own": own, "package": packaged, "none": None}
                times = rotate({key: steps_of(start, outer, integrator) for key, outer in fields.items()}, effort)
                note = ", ".join(f"{key} {1e9 * times.median(key):.4g} ns" for key in fields)
                ratio = times.ratio("own", "package")
                yield Row(integrator, f"{name}, N = {n}: own / package", ratio, "x", TARGET, False, note)


def side_by_side(effort: Effort) -> Iterator[Row]:
    """Compare a batch with a field of one's own, one system after another, with the package's, side by side."""
    for n in (3, 10):
        own, packaged = PAIRS["Plummer"]
        jobs = {"own": steps_of(many(n), own, "leapfrog"), "package": steps_of(many(n), packaged, "leapfrog")}
        times = rotate(jobs, effort)
        note = f"{SYSTEMS} systems, {lane_width()} lanes"
        yield Row("batch", f"Plummer, N = {n}: own / package", times.ratio("own", "package"), "x", note=note)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    effort = QUICK if parser.parse_args().quick else CAREFUL
    table = Table("", "what", "measured", "target", "", title="a field of one's own")
    for rows in (one_at_a_time(effort), side_by_side(effort)):
        for row in rows:
            target = "" if row.target is None else f"<= {row.target:g} {'yes' if row.met else 'NO'}"
            table.add_row(row.group, row.what, f"{row.measured:.3f} {row.unit}", target, row.note)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
