"""The constant of EnergyBudget for each splitting: which share of runs stays within the tolerance, and at what cost.

    python diagnostics/energy_budget_constant.py [--constants 0.4 0.5 ...] [--seed 10000] [--integrators leapfrog ...]

36 problems in one batch: two bodies (e to 0.95, mass ratio to 1e-3; 10 orbits), three random bodies (4 crossing times),
Plummer spheres of 5 to 11 (1 crossing time). The unit of mass of each problem is chosen such that its run lasts 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from aitimestepper import Bodies, Config, EnergyBudget, Symmetrized, simulate
from aitimestepper.initial.named import InitialConditions, plummer, random, two_body
from aitimestepper.initial.problems import as_problem
from aitimestepper.integrators import SPLITTINGS

TOLERANCES = {2: (1e-2, 1e-3), 4: (1e-2, 1e-3, 1e-5), 6: (1e-4, 1e-6, 1e-8), 8: (1e-6, 1e-8, 1e-10)}


def problems(seed: int) -> Iterator[tuple[InitialConditions, float]]:
    """Yield initial conditions, and for how many periods to run them."""
    rng = np.random.default_rng(seed)
    for i in range(12):
        e, q, anomaly = rng.uniform(0, 0.95), 10 ** rng.uniform(-3, 0), rng.uniform(0, 2 * np.pi)
        yield two_body(e, q, 1.0, anomaly, 1.0, 3), 10.0
        yield random(n=3, seed=seed + i), 4.0
        yield plummer(n=int(rng.integers(5, 12)), seed=seed + i), 1.0


def unit_batch(seed: int) -> Bodies:
    """Return all problems as one batch in which every run lasts 1: mass times T^2, velocity times T."""
    parts = [(as_problem([initial], Config()), periods) for initial, periods in problems(seed)]
    together = Bodies.stack([made.bodies for made, _ in parts])
    T = np.array([made.period * periods for made, periods in parts])
    return together.replace(mass=together.mass * T[:, None] ** 2, velocity=together.velocity * T[:, None, None])


def report(batch: Bodies, name: str, tol: float, c: float) -> str:
    """Run all problems, and return compliance, errors and cost as a line."""
    result = simulate(batch, t_end=1.0, criterion=Symmetrized(EnergyBudget(tol, name, c)), max_steps=100_000, warn=False)
    error = np.nan_to_num(result.max_energy_error / tol, nan=np.inf)
    within, forces = result.within_tolerance, np.exp(np.log(result.force_evaluations).mean())
    assert within is not None  # the criterion knows a tolerance
    return (
        f"{name:12s} tol {tol:.0e}  c {c:4.2f}  within tol {within.mean():6.1%}  error/tol median "
        f"{np.median(error):8.2g} p90 {np.quantile(error, 0.9):8.2g}  forces {forces:7.0f}"
    )


def main() -> None:
    """Print one row for each splitting, tolerance and constant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", type=float, nargs="*", help="constants to try (default: the one in use)")
    parser.add_argument("--integrators", nargs="+", choices=SPLITTINGS, default=list(SPLITTINGS))
    parser.add_argument("--seed", type=int, default=10_000)
    options = parser.parse_args()
    batch = unit_batch(options.seed)
    for name in options.integrators:
        for tol in TOLERANCES[SPLITTINGS[name].order]:
            for c in options.constants or [EnergyBudget(tol, name).constant]:
                print(report(batch, name, tol, c), flush=True)


if __name__ == "__main__":
    main()
