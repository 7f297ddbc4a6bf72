"""Systems for both this package and REBOUND."""

from __future__ import annotations

import math
from collections.abc import Callable

from aitimestepper import Bodies, Config
from aitimestepper.bench.peer_runs import PeerRun
from aitimestepper.bench.rebound_runs import rebound_of, watched
from aitimestepper.initial.named import InitialConditions, figure8, kepler, plummer
from aitimestepper.initial.problems import as_problem


def bodies_of(initial: InitialConditions) -> Bodies:
    """Return one system in its own units."""
    return as_problem([initial], Config()).bodies


def system(n: int) -> InitialConditions:
    """Return N bodies in three axes: two on an ellipse, three on a figure-eight, or a Plummer sphere."""
    return kepler(0.5, dim=3) if n == 2 else figure8(dim=3) if n == 3 else plummer(n, seed=n)


def ias15(initial: InitialConditions, t_end: float) -> Callable[[], object]:
    """Return a run by IAS15 with its default settings, to be timed."""
    sim = rebound_of(initial, "ias15")
    return lambda: sim.integrate(t_end)


def ias15_outcome(initial: InitialConditions, t_end: float) -> PeerRun:
    """Return force evaluations and errors of that run; counting makes it slower, so it is not to be timed."""
    return watched(lambda: rebound_of(initial, "ias15"), t_end, math.inf)
