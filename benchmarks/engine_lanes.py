"""Systems side by side in a register: against one at a time, with runs of different lengths, and what a first run compiles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np

from aitimestepper import PRS23, Bodies, Constant, simulate
from aitimestepper.bench.timing import Effort, Job, rotate
from aitimestepper.initial.named import random
from aitimestepper.simulate.kernels import registers
from aitimestepper.simulate.kernels.registers import lane_width
from engine_steps import ours
from measure import Row
from peers import bodies_of

DT = 1e-5
SYSTEMS = 64
SPEED_UP = {8: 6.0, 4: 3.0}  # targets, by the width of the registers
FIRST_RUN = """
import json, sys, time
import aitimestepper as a
from aitimestepper.initial.named import plummer, random
from aitimestepper.bodies import Bodies, as_bodies
n, systems = int(sys.argv[1]), int(sys.argv[2])
start = Bodies.stack([as_bodies(random(n, seed=seed)) for seed in range(systems)])
began = time.perf_counter()
a.simulate(start, steps=10, criterion=a.Constant(1e-5), integrator="leapfrog")
print(json.dumps(time.perf_counter() - began))
"""


def many(n: int, systems: int = SYSTEMS) -> Bodies:
    """Return a batch of different systems of n bodies."""
    return Bodies.stack([bodies_of(random(n, seed=seed)) for seed in range(systems)])


def side_by_side(effort: Effort) -> Iterator[Row]:
    """Compare a step of a system in a full register with one of a system alone: constant leapfrog, sums compensated.

    Registers of four numbers are what processors without AVX-512 have.
    """
    for width in sorted({lane_width(), min(lane_width(), 4)}, reverse=True):
        with mock.patch.object(registers, "lane_width", lambda width=width: width):
            for n in (2, 3, 4, 8, 12):
                jobs = {"alone": ours(many(n, 1), Constant(DT)), "batch": ours(many(n), Constant(DT))}
                times = rotate(jobs, effort)
                alone, together = times.median("alone"), times.median("batch") / SYSTEMS
                note = f"{1e9 * alone:.4g} ns a step alone, {1e9 * together:.4g} ns among {SYSTEMS}"
                ratio, target = SYSTEMS * times.ratio("alone", "batch"), SPEED_UP.get(width) if n < 12 else None
                yield Row(f"{width} lanes", f"N = {n}: alone / side by side", ratio, "x", target, True, note)


def uneven(effort: Effort) -> Iterator[Row]:
    """Compare runs whose lengths differ a thousand times with runs of equal lengths, of as many steps in all."""
    start = many(3, 1000)
    lengths = np.random.default_rng(1).permutation(np.geomspace(1.0, 1000.0, len(start)))

    def of_lengths(share: np.ndarray) -> Job:
        def prepare(amount: int) -> Callable[[], object]:
            ends = share / share.mean() * amount * 1000 * DT
            return lambda: simulate(
                start, t_end=ends, criterion=Constant(DT), integrator="leapfrog", threads=1, max_steps=10**9, warn=False
            )

        return prepare

    times = rotate({"even": of_lengths(np.ones(len(start))), "uneven": of_lengths(lengths)}, effort)
    note = f"{len(start)} triples, lengths 1 ... 1000; {lane_width()} lanes"
    yield Row(
        "lanes", "lengths of 1 ... 1000: time of equal ones / theirs", times.ratio("even", "uneven"), "x", 0.9, True, note
    )


def radau(bodies: Bodies) -> Job:
    """Return a job whose unit of work is a Gauss-Radau step of every system."""

    def prepare(steps: int) -> Callable[[], object]:
        return lambda: simulate(bodies, steps=steps, criterion=PRS23(), integrator="radau15", threads=1, warn=False)

    return prepare


def masks(effort: Effort) -> Iterator[Row]:
    """Compare Gauss-Radau steps side by side with steps alone; evaluations differ, so that lanes wait for the slowest.

    Its steps of one system use registers of four numbers.
    """
    for n in (2, 3, 4, 8):
        times = rotate({name: radau(many(n, systems)) for name, systems in (("alone", 1), ("batch", SYSTEMS))}, effort)
        note = (
            f"{1e9 * times.median('alone'):.4g} ns a step alone, {1e9 * times.median('batch') / SYSTEMS:.4g} ns among {SYSTEMS}"
        )
        yield Row("Gauss-Radau", f"N = {n}: alone / side by side", SYSTEMS * times.ratio("alone", "batch"), "x", note=note)
    run = simulate(many(3), steps=1, criterion=PRS23(), integrator="radau15", threads=1, warn=False)
    evaluations = []
    for _ in range(50 if effort.quick else 300):
        before, run = run.force_evaluations, simulate(run, steps=1, warn=False)
        evaluations.append(run.force_evaluations - before)
    steps = np.array(evaluations).reshape(-1, lane_width())
    used = 100 * steps.mean() / steps.max(1).mean()
    note = f"{steps.mean():.1f} evaluations a step, {steps.max(1).mean():.1f} the slowest of {lane_width()}"
    yield Row("Gauss-Radau", "part of the lanes' time that is used", used, "%", note=note)


def compilation(effort: Effort) -> Iterator[Row]:
    """Time the first run of all, by what it compiles: a few bodies alone, in a batch, and many bodies."""
    for what, n, systems in (("a system of 3", 3, 1), ("a batch of 20 triples", 3, 20), ("a system of 100", 100, 1)):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            command = [sys.executable, "-c", FIRST_RUN, str(n), str(systems)]
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        yield Row("compilation", f"first run: {what}", json.loads(out), "s", 60.0, False)
