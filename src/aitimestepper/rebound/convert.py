"""States of REBOUND as `Bodies`, and back, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import InitialConditionError, shown
from .versions import rebound_module

_WHAT = "aitimestepper.rebound"


def checked_simulation(sim: Any) -> Any:
    """Return a `rebound.Simulation` as it is, or raise an error for anything else."""
    module = rebound_module(_WHAT)
    if not isinstance(sim, module.Simulation):
        raise InitialConditionError(f"{shown(sim)} is a {type(sim).__name__}, no rebound.Simulation.")
    if sim.N_var > 0:
        raise InitialConditionError(
            f"the simulation has {sim.N_var} variational particles, whose equations only REBOUND's own integrators solve: "
            "remove them, or use IAS15 or WHFast."
        )
    return sim


def to_bodies(sim: Any) -> Bodies:
    """Return masses, positions, velocities, names, time, softening and G of a `rebound.Simulation`, in its units.

    Particles without a name are called "". Radii are those of `radii`.
    """
    sim = checked_simulation(sim)
    state = np.array([[p.m, p.x, p.y, p.z, p.vx, p.vy, p.vz] for p in sim.particles]).reshape(-1, 7)
    names = tuple(p.name or "" for p in sim.particles)
    return Bodies(
        state[:, 0],
        state[:, 1:4],
        state[:, 4:],
        time=sim.t,
        softening=sim.softening,
        G=sim.G,
        names=names if any(names) else None,
    )


def radii(sim: Any) -> np.ndarray:
    """Return the radii of the particles, (N,)."""
    return np.array([p.r for p in checked_simulation(sim).particles])


def from_bodies(bodies: Any, radius: Any = None, like: Any = None) -> Any:
    """Return a `rebound.Simulation` of one system: `Bodies`, the `final` ones of a result, or anything with such arrays.

    radius: (N,) for collisions. like: a simulation of as many particles, of which everything else is copied: radii, units,
    test particles, integrator, boundary, collisions.
    """
    module, bodies = rebound_module(_WHAT), as_bodies(bodies)
    if len(bodies) != 1:
        raise InitialConditionError(f"a simulation of REBOUND holds one system, not {len(bodies)}: give bodies.select(0).")
    if bodies.external_field is not None:
        raise InitialConditionError(
            "REBOUND has no counterpart of an outer field: leave it out, and give its force as additional_forces."
        )
    here = bodies.present[0]
    mass, position, velocity = bodies.mass[0, here], bodies.position[0, here], bodies.velocity[0, here]
    names = None if bodies.names is None else [name for name, real in zip(bodies.names, here, strict=True) if real]
    sim = module.Simulation() if like is None else checked_simulation(like).copy()
    if like is None:
        _add_particles(sim, len(mass))
    elif len(mass) != sim.N:
        raise InitialConditionError(f"`like` has {sim.N} particles, the bodies are {len(mass)}: give one of as many.")
    sim.G, sim.t, sim.softening = bodies.G, float(bodies.time[0]), float(bodies.softening[0])
    _write(sim, mass, position, velocity, names)
    for particle, r in zip(sim.particles, _checked_radii(radius, len(mass)), strict=True):
        if radius is not None:
            particle.r = r
    return sim


def _add_particles(sim: Any, count: int) -> None:
    for _ in range(count):
        sim.add(m=0.0)


def _checked_radii(radius: Any, count: int) -> list[float]:
    values = np.zeros(count) if radius is None else np.asarray(radius, dtype=np.float64)
    if values.shape != (count,) or not (np.isfinite(values) & (values >= 0.0)).all():
        raise InitialConditionError(f"radius = {shown(radius)} must be {count} numbers of 0 or more, one for each body.")
    return [float(r) for r in values]


def _write(sim: Any, mass: np.ndarray, position: np.ndarray, velocity: np.ndarray, names: list[str] | None) -> None:
    """Write the state of the bodies into the particles; a plane becomes that of z = 0."""
    missing = [(0, 0), (0, 3 - position.shape[1])]
    x, v = np.pad(position, missing), np.pad(velocity, missing)
    for i, particle in enumerate(sim.particles):
        particle.m = float(mass[i])
        particle.x, particle.y, particle.z = x[i].tolist()
        particle.vx, particle.vy, particle.vz = v[i].tolist()
        if names is not None and names[i] and particle.name != names[i]:
            particle.name = names[i]
