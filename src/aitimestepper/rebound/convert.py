"""States of REBOUND as `Bodies`, and back, to the last bit."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ..bodies import Bodies, as_bodies
from ..errors import InitialConditionError, shown
from ..inputs.rebound_simulation import fields_of_simulation
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
    """Return masses, positions, velocities, names, time, softening, G and units of a `rebound.Simulation`.

    Particles without a name are called "". Particles that pull on no other have no mass. Radii are those of `radii`.
    """
    return Bodies(**fields_of_simulation(checked_simulation(sim)))


def radii(sim: Any) -> np.ndarray:
    """Return the radii of the particles, (N,)."""
    return np.array([p.r for p in checked_simulation(sim).particles])


def from_bodies(bodies: Any, radius: Any = None, like: Any = None) -> Any:
    """Return a `rebound.Simulation` of one system: `Bodies`, the `final` ones of a result, or anything with such arrays.

    radius: (N,) for collisions. like: a simulation of as many particles, of which everything else is copied: radii, units,
    test particles with their masses, integrator, boundary, collisions.
    """
    module, bodies = rebound_module(_WHAT), as_bodies(bodies)
    if len(bodies) != 1:
        raise InitialConditionError(f"a simulation of REBOUND holds one system, not {len(bodies)}: give bodies.select(0).")
    if bodies.external_field is not None:
        raise InitialConditionError(
            "REBOUND has no counterpart of an outer field: leave it out, and give its force as additional_forces."
        )
    count = int(bodies.body_count[0])
    radii_of_all = _checked_radii(radius, count)
    sim = _new(module, bodies, count) if like is None else checked_simulation(like).copy()
    if int(count) != sim.N:
        raise InitialConditionError(f"`like` has {sim.N} particles, the bodies are {count}: give one of as many.")
    sim.G, sim.t, sim.softening = bodies.G, float(bodies.time[0]), float(bodies.softening[0])
    _write(sim, bodies)
    for particle, r in zip(sim.particles, radii_of_all, strict=False):
        particle.r = r
    return sim


def _new(module: Any, bodies: Bodies, count: int) -> Any:
    """Return a simulation of so many particles, in the units of the bodies if REBOUND knows them."""
    sim = module.Simulation()
    if bodies.units is not None:
        with contextlib.suppress(Exception):  # such as megaparsecs; REBOUND raises nothing more special
            sim.units = bodies.units.labels[:3]
    for _ in range(count):
        sim.add(m=0.0)
    return sim


def _checked_radii(radius: Any, count: int) -> list[float]:
    """Return the radii that were given, none if None was."""
    if radius is None:
        return []
    values = np.asarray(radius, dtype=np.float64)
    if values.shape != (count,) or not (np.isfinite(values) & (values >= 0.0)).all():
        raise InitialConditionError(f"radius = {shown(radius)} must be {count} numbers of 0 or more, one for each body.")
    return [float(r) for r in values]


def _write(sim: Any, bodies: Bodies) -> None:
    """Write the state of the bodies into the particles; a plane becomes that of z = 0.

    Test particles have no mass among bodies: if they had one before, they keep it.
    """
    real = np.flatnonzero(bodies.present[0])
    missing = [(0, 0), (0, 3 - bodies.position.shape[2])]
    x, v = np.pad(bodies.position[0, real], missing), np.pad(bodies.velocity[0, real], missing)
    for i, particle in enumerate(sim.particles):
        mass, name = float(bodies.mass[0, real[i]]), "" if bodies.names is None else bodies.names[real[i]]
        if mass > 0.0 or not 0 <= sim.N_active <= i:
            particle.m = mass
        particle.x, particle.y, particle.z = x[i].tolist()
        particle.vx, particle.vy, particle.vz = v[i].tolist()
        if name and particle.name != name:
            particle.name = name
