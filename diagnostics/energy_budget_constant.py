"""The constant of EnergyBudget for each order: which share of runs keeps its error below the tolerance, at what cost.

    python diagnostics/energy_budget_constant.py [--constants 0.4 0.5 ...] [--seed 10000]

36 problems in one batch: two bodies (e to 0.95, mass ratio to 1e-3; 10 orbits), three random bodies (4 crossing times),
Plummer spheres of 5 to 11 (1 crossing time). A problem's run time is made 1 by choosing its unit of mass.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from aitimestepper import Config, EnergyBudget, ParticleTorch, Symmetrized, simulate
from aitimestepper.criteria.classical import BUDGET_CONSTANTS
from aitimestepper.initial.named import Bodies, plummer, random, two_body
from aitimestepper.initial.problems import as_problem
from aitimestepper.integrators import COMPOSITIONS

TOLERANCES = {2: (1e-2, 1e-3), 4: (1e-3, 1e-5), 6: (1e-4, 1e-6, 1e-8), 8: (1e-6, 1e-8, 1e-10)}


def problems(seed: int) -> Iterator[tuple[Bodies, float]]:
    """(bodies, periods to run)."""
    rng = np.random.default_rng(seed)
    for i in range(12):
        e, q, anomaly = rng.uniform(0, 0.95), 10 ** rng.uniform(-3, 0), rng.uniform(0, 2 * np.pi)
        yield two_body(e, q, 1.0, anomaly, 1.0, 3), 10.0
        yield random(n=3, seed=seed + i), 4.0
        yield plummer(n=int(rng.integers(5, 12)), seed=seed + i), 1.0


def unit_batch(seed: int) -> ParticleTorch:
    """All problems as one batch in which every run lasts 1: mass times T^2, velocity times T."""
    parts = [(as_problem([bodies], Config(), torch.float64), periods) for bodies, periods in problems(seed)]
    together = ParticleTorch.stack([p.particle for p, _ in parts])
    T = torch.tensor([p.period * periods for p, periods in parts], dtype=torch.float64)
    return ParticleTorch.from_tensors(
        together.mass * T[:, None] ** 2, together.position, together.velocity * T[:, None, None], mask=together.mask
    )


def main() -> None:
    """One row for each order, tolerance and constant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", type=float, nargs="*", help="constants to try (default: the one in use)")
    parser.add_argument("--seed", type=int, default=10_000)
    options = parser.parse_args()
    batch = unit_batch(options.seed)
    for name, method in COMPOSITIONS.items():
        for tol in TOLERANCES[method.order]:
            for c in options.constants or [BUDGET_CONSTANTS[method.order]]:
                result = simulate(batch, t_end=1.0, criterion=Symmetrized(EnergyBudget(tol, name, c)), max_steps=100_000)
                ok = torch.tensor([s == "ok" for s in result.status])
                error = result.max_energy_error / tol
                forces = result.force_evaluations.double().log().mean().exp()
                print(
                    f"{name:9s} tol {tol:.0e}  c {c:4.2f}  complying {(ok & (error <= 1)).double().mean():6.1%}  "
                    f"error/tol median {error.median():8.2g} p90 {error.quantile(0.9):8.2g}  forces {forces:7.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
