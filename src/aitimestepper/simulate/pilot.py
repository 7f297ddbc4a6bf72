"""The constant step of the logarithmic Hamiltonian within a tolerance, found by trial on the first steps of the run."""

from __future__ import annotations

import numpy as np

from ..bodies import Bodies, free_fall_time
from ..criteria.base import Numbers
from ..criteria.classical import Constant
from ..integrators import Integrator
from .batch import Batch
from .callbacks import OwnFunctions
from .kernels import layout as at
from .program import program_of

# fraction of the free-fall time: 46 steps for an orbit of e = 0.9 at any tolerance, without energy error
FIRST_SHARE = 0.1
STEPS, ROUNDS = 1000, 8
MARGIN = 0.25  # fraction of the tolerance that the first steps may use


def constant_step(start: Bodies, tol: Numbers, integrator: Integrator, t_end: np.ndarray, limit: int) -> Constant:
    """Return for every system the longest step tried whose first `STEPS` steps stay within a quarter of `tol`.

    A constant step of this integrator is an adaptive one in time, and two bodies have no energy error at any step. With three
    bodies of similar mass the error falls with the square of the step (figure-eight, tenth of a free-fall time: 5e-5).
    EnergyBudget is made for methods with an error for two bodies too, and would take 100 times the steps there. Later
    encounters are not anticipated.
    """
    start = start.moved(start.position, start.velocity, start.time)  # without a run that it comes from
    dt, allowed = FIRST_SHARE * free_fall_time(start), MARGIN * np.asarray(tol)
    for _ in range(ROUNDS):
        own = OwnFunctions()
        program = program_of(Constant(tuple(dt.tolist())), integrator, start, own)
        pilot = Batch.begin(start, program, own, t_end, float(min(limit, STEPS)), None)
        pilot.run([])
        broken = pilot.state["count"][:, at.STATUS] > at.MAX_STEPS
        error = np.where(broken, np.inf, pilot.state["real"][:, at.MAX_ERROR]) / allowed
        if (error <= 1.0).all():
            break
        shorter = np.maximum(1.0 / np.sqrt(np.maximum(error, 1.0)), 0.1)  # the error grows like dt^2
        dt = np.where(error > 1.0, 0.9 * shorter * dt, dt)
    return Constant(tuple(dt.tolist()))
