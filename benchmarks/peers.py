"""The same systems in this package and in REBOUND."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import rebound
import torch

from aitimestepper import Config, ParticleTorch
from aitimestepper.io.initial import Bodies, figure8, kepler, plummer
from aitimestepper.io.problems import as_problem


class Peer(NamedTuple):
    """How a run of REBOUND ended."""

    forces: int
    steps: int
    final_error: float
    max_error: float


def particle_of(bodies: Bodies) -> ParticleTorch:
    """One system, in its own units."""
    return as_problem([bodies], Config(), torch.float64).particle


def system(n: int) -> Bodies:
    """N bodies: two on an ellipse, three on an eight, a Plummer sphere."""
    return kepler(0.5, dim=3) if n == 2 else figure8(dim=3) if n == 3 else plummer(n, seed=n)


def rebound_of(bodies: Bodies, integrator: str, dt: float | None = None) -> rebound.Simulation:
    """The same system, about to be run."""
    sim = rebound.Simulation()
    sim.G = bodies.G or 1.0
    for m, x, v in zip(bodies.mass, bodies.position, bodies.velocity, strict=True):
        place = dict(zip(("x", "y", "z"), x.tolist(), strict=False))
        speed = dict(zip(("vx", "vy", "vz"), v.tolist(), strict=False))
        sim.add(m=float(m), **place, **speed)
    sim.integrator = integrator
    if dt is not None:
        sim.dt = dt
    return sim


def ias15(bodies: Bodies, t_end: float) -> Callable[[], object]:
    """A run by IAS15 as it comes, to be timed."""
    sim = rebound_of(bodies, "ias15")
    return lambda: sim.integrate(t_end)


def ias15_outcome(bodies: Bodies, t_end: float) -> Peer:
    """Its force evaluations, one by one, and its errors: by callbacks, so not to be timed.

    REBOUND calls `additional_forces` once in each evaluation, also in those of rejected steps. The callbacks must not change
    the run: its end is compared with that of one without them.
    """
    sim, plain = rebound_of(bodies, "ias15"), rebound_of(bodies, "ias15")
    start, forces, worst = sim.energy(), 0, 0.0

    def count(_: object) -> None:
        nonlocal forces
        forces += 1

    def look(_: object) -> None:
        nonlocal worst
        worst = max(worst, abs(sim.energy() / start - 1))

    sim.additional_forces, sim.heartbeat = count, look
    sim.integrate(t_end)
    plain.integrate(t_end)
    same = all(p.x == q.x and p.vx == q.vx for p, q in zip(sim.particles, plain.particles, strict=True))
    assert same, "counting changed the run"
    return Peer(forces, int(sim.steps_done), abs(sim.energy() / start - 1), worst)
