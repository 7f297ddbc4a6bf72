"""The time that a step takes: a constant one, a learned one, the first of a process, and steps on two threads."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from aitimestepper import Bodies, Constant, Criterion, EnergyBudget, LearnedStep, simulate
from aitimestepper.bench.rebound_runs import rebound_of
from aitimestepper.bench.timing import Effort, Job, rotate
from aitimestepper.initial.named import InitialConditions, random
from measure import Row
from peers import bodies_of, system

DT = 1e-4
CONSTANT_TARGETS = {2: 1.6, 3: 1.2, 10: 1.2, 100: 3.0, 1000: 4.0}  # times as fast as REBOUND
LEARNED_TARGETS = {2: 5.0, 16: 1.5, 256: 1.1}  # times a constant step
FIRST_CALL = """
import json, time
began = time.perf_counter()
import aitimestepper as a
imported, cpu = time.perf_counter(), time.process_time()
from aitimestepper.initial.named import kepler
a.simulate(kepler(), steps=100, criterion=a.Constant(0.01), integrator="leapfrog")
print(json.dumps([imported - began, time.perf_counter() - imported, time.process_time() - cpu]))
"""


def ours(bodies: Bodies, criterion: Criterion, threads: int = 1) -> Job:
    """Return a job whose unit of work is a step of leapfrog, of every system."""

    def prepare(steps: int) -> Callable[[], object]:
        return lambda: simulate(bodies, steps=steps, criterion=criterion, integrator="leapfrog", threads=threads, warn=False)

    return prepare


def constant_steps(effort: Effort) -> Iterator[Row]:
    """Compare our leapfrog with REBOUND's, both from the same start with the same dt."""
    for n, target in CONSTANT_TARGETS.items():
        initial = system(n)

        def theirs(steps: int, initial: InitialConditions = initial) -> Callable[[], object]:
            sim = rebound_of(initial, "leapfrog", DT)
            return lambda: sim.steps(steps)

        times = rotate({"ours": ours(bodies_of(initial), Constant(DT)), "REBOUND": theirs}, effort)
        note = f"{1e9 * times.median('ours'):.4g} ns a step, REBOUND {1e9 * times.median('REBOUND'):.4g} ns"
        yield Row("constant step", f"N = {n}: REBOUND's time / ours", times.ratio("REBOUND", "ours"), "x", target, True, note)


def learned_steps(effort: Effort) -> Iterator[Row]:
    """Compare the package's learned step, not symmetrized, with our constant one.

    EnergyBudget shows what the sums over pairs alone cost.
    """
    for n, target in LEARNED_TARGETS.items():
        bodies = bodies_of(system(n))
        learned = LearnedStep(tol=1e-3, symmetrized=False)
        criteria = {"constant": Constant(DT), "budget": EnergyBudget(1e-3), "learned": learned}
        times = rotate({name: ours(bodies, criterion) for name, criterion in criteria.items()}, effort)
        all_times = ", ".join(f"{name} {1e9 * times.median(name):.4g}" for name in times.rounds)
        note = f"ns a step: {all_times}"
        yield Row("learned step", f"N = {n}: learned / constant", times.ratio("learned", "constant"), "x", target, False, note)


def first_call(effort: Effort) -> Iterator[Row]:
    """Time the first simulation of new processes, with the compiled code on disk."""
    found = []
    for turn in range(4 if effort.quick else 8):
        out = subprocess.run([sys.executable, "-c", FIRST_CALL], check=True, capture_output=True, text=True).stdout
        if turn > 0:  # the first one may have compiled
            found.append(json.loads(out.splitlines()[-1]))
    imported, first, cpu = (statistics.median(column) for column in zip(*found, strict=True))
    note = f"{cpu:.2f} s of it on the processor; import before it {imported:.2f} s"
    yield Row("start", "first simulate() of a new process", first, "s", 1.0, False, note)


def threads(effort: Effort) -> Iterator[Row]:
    """Compare two threads with one, in elapsed time."""
    many = Bodies.stack([bodies_of(random(3, seed=seed)) for seed in range(1000)])
    for what, bodies, target in (("1000 systems of 3", many, 1.9), ("one system of 1000", bodies_of(system(1000)), 1.7)):
        jobs = {str(k): ours(bodies, Constant(DT), k) for k in (1, 2)}
        times = rotate(jobs, effort, time.perf_counter)
        note = f"{1e3 * times.median('1'):.4g} ms a step of all, {1e3 * times.median('2'):.4g} ms on two"
        yield Row("threads", f"{what}: time on 1 thread / on 2", times.ratio("1", "2"), "x", target, True, note)
