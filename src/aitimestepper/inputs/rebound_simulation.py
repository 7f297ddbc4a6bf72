"""A `rebound.Simulation` as the arguments of `Bodies`. REBOUND is not imported: the simulation is read by its attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InitialConditionError
from ..units import UnitSystem, constant_in, unit_system


def is_simulation(thing: Any) -> bool:
    """Return whether `thing` is a simulation of REBOUND, or of a program built on it."""
    return any(kind.__module__.partition(".")[0] == "rebound" for kind in type(thing).__mro__) and hasattr(thing, "particles")


def fields_of_simulation(sim: Any) -> dict[str, Any]:
    """Return masses, positions, velocities, time, softening and G; names if bodies have some, and units if they were set.

    Variational particles are no bodies. Those beyond `N_active` act on no other body, so they have no mass here.
    """
    particles_of_variations = 0 if hasattr(sim, "particles_var") else int(sim.N_var)  # apart from the others since REBOUND 5
    n = int(sim.N) - particles_of_variations
    mass, x, v = np.zeros(sim.N), np.zeros((sim.N, 3)), np.zeros((sim.N, 3))
    if hasattr(sim, "serialize_particle_data"):
        sim.serialize_particle_data(m=mass, xyz=x, vxvyvz=v)
    else:
        for i, p in enumerate(sim.particles):
            mass[i], x[i], v[i] = p.m, (p.x, p.y, p.z), (p.vx, p.vy, p.vz)
    mass, x, v = mass[:n], x[:n], v[:n]
    active = int(sim.N_active)
    if 0 <= active < n:
        _refuse_heavy_test_particles(sim, mass[active:])
        mass[active:] = 0.0
    found = {"mass": mass, "position": x, "velocity": v, "time": float(sim.t), "softening": float(sim.softening)}
    names = [getattr(sim.particles[i], "name", None) or "" for i in range(n)]
    if any(names):
        found["names"] = names
    return found | {"G": float(sim.G), "units": _units(sim)}


def _refuse_heavy_test_particles(sim: Any, mass: np.ndarray) -> None:
    if int(getattr(sim, "testparticle_type", 0)) == 1 and (mass > 0).any():
        raise InitialConditionError(
            "the simulation has test particles with masses that act on the others but not on each other "
            "(testparticle_type = 1), which bodies here cannot: set their masses to 0, or testparticle_type = 0."
        )


def _units(sim: Any) -> UnitSystem | None:
    """Return the units that were set, if there are such here and the simulation still has their G."""
    words = getattr(sim, "units", None)
    parts = list(words.values()) if isinstance(words, dict) else []
    if len(parts) != 3 or not all(isinstance(part, str) for part in parts):
        return None
    try:
        units = unit_system(" ".join(parts))
        constant_in(units, sim.G)
    except InitialConditionError:  # such as the mass of Pluto
        return None
    return units
