"""Runs of heyoka: Taylor series of high order."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ..bodies import as_bodies
from ..initial.suites import Case
from .peer_runs import PeerRun, Prepared, energy_of, package, relative_error
from .timing import timed

# Bodies up to which heyoka writes out every pair: the run is 1.4 times as fast, compiling takes 5 s instead of 0.2.
UNROLLED = 6


def taylor(case: Case, tol: float) -> Prepared:
    """Prepare runs with Taylor series, whose order follows from the tolerance.

    heyoka compiles each problem for each tolerance first, or takes it from its own cache; that is not timed with the run.
    """
    heyoka = package("heyoka")
    initial, G = case.initial, case.initial.G or 1.0
    state = np.zeros((case.size, 6))
    dim = initial.position.shape[1]
    state[:, :dim], state[:, 3 : 3 + dim] = initial.position, initial.velocity
    began = time.process_time()
    motion = heyoka.model.nbody(case.size, masses=initial.mass.tolist(), Gconst=G)
    machine = heyoka.taylor_adaptive(motion, state.ravel().tolist(), tol=tol, compact_mode=case.size > UNROLLED)
    about = {"order": int(machine.order), "compile_time": round(time.process_time() - began, 3)}
    start, scale = energy_of(initial.mass, state, G), float(as_bodies(initial).energy_scale()[0])

    def error(now: np.ndarray) -> float:
        return relative_error(energy_of(initial.mass, now.reshape(-1, 6), G), start, scale)

    def run(**settings: Any) -> Any:
        machine.state[:], machine.time = state.ravel(), 0.0
        return machine.propagate_until(case.t_end, **settings)

    def watch(most: int) -> PeerRun:
        largest = 0.0

        def look(now: Any) -> bool:
            nonlocal largest
            largest = max(largest, error(now.state))
            return True

        outcome, _, _, steps, *_ = run(callback=look, max_steps=most)
        unfinished = outcome == heyoka.taylor_outcome.step_limit
        if outcome != heyoka.taylor_outcome.time_limit or not math.isfinite(largest):
            return PeerRun(math.inf, math.inf, None, int(steps), unfinished, None, about)
        final = error(machine.state)
        return PeerRun(largest, final, None, int(steps), False, timed(run, time.process_time), about)

    return Prepared(watch, lambda amount: lambda: [run() for _ in range(amount)])
