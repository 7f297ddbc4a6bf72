"""Speed of the pair loop relative to the limit of the processor's divider, and cost of the parts of a step of few bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit

from aitimestepper import Bodies, Constant
from aitimestepper.bench.timing import Effort, Job, rotate
from aitimestepper.integrators import integrator_named
from aitimestepper.simulate.batch import Batch
from aitimestepper.simulate.callbacks import OwnFunctions
from aitimestepper.simulate.kernels.jit import REASSOCIATE
from aitimestepper.simulate.kernels.lanes import pointer
from aitimestepper.simulate.kernels.layout import HEAD, U0, U3, VECTORS
from aitimestepper.simulate.kernels.methods import drift, kick
from aitimestepper.simulate.kernels.system import SystemView, forces, kinetic_energy
from aitimestepper.simulate.program import program_of
from engine_steps import DT, ours
from measure import Row
from peers import bodies_of, system

IN_CACHE = 512  # bodies of the bare loops: 16 kB, half of the first cache
FORCES, MOTION, ENERGY = 1, 2, 4  # parts of a step


@njit(fastmath=REASSOCIATE, error_model="numpy")
def bare_roots(x: Any, passes: int) -> float:
    """Sum 1 / sqrt(x) and nothing else."""
    total = 0.0
    for k in range(passes):
        shift = 1e-9 * k  # or the compiler would make one pass of all
        for j in range(x.size):
            total += 1.0 / np.sqrt(x[j] + shift)
    return total


@njit(fastmath=REASSOCIATE, error_model="numpy")
def bare_pairs(x: Any, y: Any, z: Any, gm: Any, passes: int) -> float:
    """Do the arithmetic of a pair for one of its bodies; nothing is stored for the other one."""
    total = 0.0
    for k in range(passes):
        shift = 1e-9 * k
        p, ax, ay, az = 0.0, 0.0, 0.0, 0.0
        for j in range(x.size):
            dx, dy, dz = x[j] - shift, y[j] - shift, z[j] - shift
            inverse = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
            pulled = gm[j] * inverse * inverse * inverse
            p += gm[j] * inverse
            ax += pulled * dx
            ay += pulled * dy
            az += pulled * dz
        total += p + ax + ay + az
    return total


@njit(error_model="numpy")
def some_parts(n: int, states: Any, steps: int, dt: float, parts: int) -> float:
    """Take leapfrog steps with the engine's own kernels, with parts of them left out."""
    bodies = np.uint64(n)
    w = SystemView(bodies, pointer(states, 0, (0,)), U0, 1)
    size = np.uint64(VECTORS) * U3 * bodies
    old = np.uint64(HEAD)
    new = old + size
    total = 0.0
    for _ in range(steps):
        if parts & MOTION:
            kick(w, old, new, 0.5 * dt)
            drift(w, old, new, dt)
        if parts & FORCES:
            total += forces(w, new, 0.0)[0]
        if parts & MOTION:
            kick(w, new, new, 0.5 * dt)
        if parts & ENERGY:
            total += kinetic_energy(w, new)
        old, new = new, old
    return total


def states_of(bodies: Bodies) -> Any:
    """Return the array of a run about to begin, with the same bodies in both blocks."""
    own = OwnFunctions()
    program = program_of(Constant(DT), integrator_named("leapfrog"), bodies, own)
    states = Batch.begin(bodies, program, own, np.full(len(bodies), np.inf), np.inf, None).state["states"]
    size = VECTORS * 3 * int(bodies.body_count[0])
    states[0, HEAD + size : HEAD + 2 * size] = states[0, HEAD : HEAD + size]
    return states


def step_of_parts(bodies: Bodies, parts: int) -> Job:
    """Return a job whose unit of work is a step, made of some parts only."""
    n = int(bodies.body_count[0])

    def prepare(steps: int) -> Callable[[], object]:
        states = states_of(bodies)
        return lambda: some_parts(n, states, steps, DT, parts)

    return prepare


def bare_jobs() -> dict[str, Job]:
    """Return jobs whose unit of work is a pass over `IN_CACHE` pairs."""
    rng = np.random.default_rng(1)
    x, y, z, gm = rng.uniform(1, 2, (4, IN_CACHE))
    return {
        "roots": lambda passes: lambda: bare_roots(x, passes),
        "pairs": lambda passes: lambda: bare_pairs(x, y, z, gm, passes),
    }


def pair_loop(effort: Effort) -> Iterator[Row]:
    """Measure which part of the limit the force pass reaches: the time of bare pairs over the time of the engine's."""
    for n in (16, 100, 1000):
        bodies = bodies_of(system(n))
        pairs = n * (n - 1) / 2
        jobs = {**bare_jobs(), "forces": step_of_parts(bodies, FORCES), "step": ours(bodies, Constant(DT))}
        times = rotate(jobs, effort)
        roots, bare = (1e9 * times.median(name) / IN_CACHE for name in ("roots", "pairs"))
        force, step = (1e9 * times.median(name) / pairs for name in ("forces", "step"))
        note = f"ns a pair: 1/sqrt {roots:.3g}, bare pair {bare:.3g}, force pass {force:.3g}, whole step {step:.3g}"
        share = times.ratio("pairs", "forces") * pairs / IN_CACHE
        yield Row("limit", f"N = {n}: force pass, part of the limit", 100 * share, "%", note=note)


def parts(effort: Effort) -> Iterator[Row]:
    """Time a step of few bodies, put together part by part."""
    steps = {"forces": FORCES, "+ kick, drift": FORCES | MOTION, "+ kinetic energy": FORCES | MOTION | ENERGY}
    for n in (2, 3, 10):
        bodies = bodies_of(system(n))
        jobs = {name: step_of_parts(bodies, included) for name, included in steps.items()}
        times = rotate({**jobs, "+ choice, checks, nearest pair": ours(bodies, Constant(DT))}, effort)
        before = 0.0
        for name in times.rounds:
            now = 1e9 * times.median(name)
            yield Row(f"parts, N = {n}", name, now, "ns a step", note=f"{now - before:+.3g} ns")
            before = now
