"""The same systems in this package and in REBOUND."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from aitimestepper import Config, ParticleTorch
from aitimestepper.bench.peers import PeerRun, rebound_of, watched
from aitimestepper.initial.named import Bodies, figure8, kepler, plummer
from aitimestepper.initial.problems import as_problem


def particle_of(bodies: Bodies) -> ParticleTorch:
    """One system, in its own units."""
    return as_problem([bodies], Config(), torch.float64).particle


def system(n: int) -> Bodies:
    """N bodies: two on an ellipse, three on an eight, a Plummer sphere."""
    return kepler(0.5, dim=3) if n == 2 else figure8(dim=3) if n == 3 else plummer(n, seed=n)


def ias15(bodies: Bodies, t_end: float) -> Callable[[], object]:
    """A run by IAS15 as it comes, to be timed."""
    sim = rebound_of(bodies, "ias15")
    return lambda: sim.integrate(t_end)


def ias15_outcome(bodies: Bodies, t_end: float) -> PeerRun:
    """Its force evaluations, one by one, and its errors; not to be timed."""
    return watched(lambda: rebound_of(bodies, "ias15"), t_end, math.inf)
