"""The constant step of the logarithmic Hamiltonian that keeps a tolerance: found by trial, on the first steps of the run."""

from __future__ import annotations

import numpy as np

from ..bodies import Bodies, free_fall_time
from ..criteria.classical import Constant
from ..integrators import Integrator
from .batch import Batch
from .kernels import layout as at
from .own import OwnFunctions
from .program import program_of

FIRST_SHARE = 0.1  # of the free-fall time: 46 steps for an orbit of e = 0.9, whatever the tolerance, and no energy error
STEPS, ROUNDS = 1000, 8
MARGIN = 0.25  # of the tolerance: what the first steps may use of it


def constant_step(start: Bodies, tol: float, integrator: Integrator, t_end: np.ndarray, limit: int) -> Constant:
    """Return the longest step tried whose first `STEPS` steps keep a quarter of `tol`, for every system.

    A constant step of this integrator is an adaptive one in time, and two bodies have no energy error whatever it is. That of
    three bodies of similar mass falls with its square (figure-eight, tenth of a free-fall time: 5e-5), and EnergyBudget, made
    for methods that err on two bodies too, would take 100 times the steps there. Encounters that come later are not foreseen.
    """
    dt = FIRST_SHARE * free_fall_time(start)
    for _ in range(ROUNDS):
        own = OwnFunctions()
        program = program_of(Constant(tuple(dt.tolist())), integrator, start, own)
        pilot = Batch.begin(start, program, own, t_end, float(min(limit, STEPS)), None)
        pilot.run([])
        broken = pilot.state["count"][:, at.STATUS] > at.MAX_STEPS
        error = np.where(broken, np.inf, pilot.state["real"][:, at.MAX_ERROR]) / (MARGIN * tol)
        if (error <= 1.0).all():
            break
        dt = dt * np.clip(1.0 / np.sqrt(np.maximum(error, 1.0)), 0.1, 1.0) * np.where(error > 1.0, 0.9, 1.0)
    return Constant(tuple(dt.tolist()))
