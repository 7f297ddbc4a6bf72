"""Long runs of chin4, which is not exactly symplectic: does its energy drift, and how far does its angular momentum?

    python diagnostics/displaced_forces.py

Orbits of e = 0.5 and 0.9 and a hierarchical triple (inner e = 0.5, outer a = 6, e = 0.3), with constant and with time-symmetric
steps: the largest relative errors of 10 and of 1000 (inner) orbits, and those of blanes_moan4 with the same criterion.
"""

from __future__ import annotations

import math

from aitimestepper import Bodies, Constant, FreeFall, Symmetrized, simulate
from aitimestepper.criteria.base import Criterion
from aitimestepper.initial.named import kepler

ORBITS = (10, 1000)


def pair(e: float) -> Bodies:
    """Return two bodies of period 2 pi at apocentre."""
    made = kepler(e)
    return Bodies(made.mass, made.position, made.velocity)


def triple() -> Bodies:
    """Return a pair of unit mass and semi-major axis, and a third body of mass 0.5, all at apocentre."""

    def apocentre(a: float, e: float, mass: float) -> tuple[float, float]:
        return a * (1 + e), math.sqrt(mass * (1 - e) / (a * (1 + e)))

    (r, v), (R, V) = apocentre(1.0, 0.5, 1.0), apocentre(6.0, 0.3, 1.5)
    x = [-R / 3 - 0.4 * r, -R / 3 + 0.6 * r, 2 * R / 3]
    w = [-V / 3 - 0.4 * v, -V / 3 + 0.6 * v, 2 * V / 3]
    return Bodies([0.6, 0.4, 0.5], [[one, 0.0] for one in x], [[0.0, one] for one in w])


def report(name: str, start: Bodies, criterion: Criterion, integrator: str) -> str:
    """Run a system for each number of orbits, and return its errors as a line."""
    words = f"{name:8s} {integrator:12s} {criterion!s:38s}"
    for orbits in ORBITS:
        r = simulate(start, t_end=2 * math.pi * orbits, criterion=criterion, integrator=integrator, warn=False)
        assert r.angular_momentum_error is not None  # there is no outer field
        words += f"  {orbits:4d} orbits: energy {r.max_energy_error[0]:.1e}, angular momentum {r.angular_momentum_error[0]:.1e}"
    return words


def main() -> None:
    """Print one line for each system, criterion and integrator."""
    systems = {"e = 0.5": (pair(0.5), (30, 60), (0.5, 0.25)), "e = 0.9": (pair(0.9), (300, 600), (0.35, 0.2))}
    systems["triple"] = triple(), (60, 120), (0.5, 0.25)
    for name, (start, steps, etas) in systems.items():
        criteria = [Constant(2 * math.pi / n) for n in steps] + [Symmetrized(FreeFall(eta)) for eta in etas]
        for criterion in criteria:
            for integrator in ("chin4", "blanes_moan4"):
                print(report(name, start, criterion, integrator), flush=True)


if __name__ == "__main__":
    main()
