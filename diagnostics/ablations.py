"""Benefit of each part of the learned step: networks trained without it, measured on whole runs of `validation`.

    python diagnostics/ablations.py [--integrator leapfrog] [--iterations 350] [--only NAME ...] [--json FILE]

`cost`: geometric-mean forces at which 93 % of the problems stay within the tolerance, half pooled and half in the worst
families, at 1e-2, 1e-3 and 1e-4 (leapfrog). `ratio`: the mean of its logarithm against the network with everything. `max`,
`final`: energy error of 1000 Kepler orbits of e = 0.9, asked for 1e-3. All networks learn from the same references, with the
same seed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table

from aitimestepper import (
    Config,
    Criterion,
    LearnedStep,
    ModelAdapter,
    ParticleTorch,
    Symmetrized,
    run_two_phase_training,
    simulate,
)
from aitimestepper.differentiable.network import FullyConnectedNN, build_network
from aitimestepper.evaluation.evaluation_set import LONG, EvaluationSet, evaluate
from aitimestepper.features import INVARIANT
from aitimestepper.initial.families import STANDARD
from aitimestepper.initial.named import kepler
from aitimestepper.initial.problems import make_problem
from aitimestepper.initial.suites import make_suite
from aitimestepper.training.judges import predicted, run
from aitimestepper.training.judges.networks import learned_step
from aitimestepper.training.judges.objective import mean_log_cost, scores
from aitimestepper.training.judges.tolerances import asked, measured_at
from descent import references_of, trained

LONG_TOL = 1e-3  # the tolerance of the long run
UNIMPORTANT = ("ln chi", "ln(tau_8", "ln(1 + eccentricity", "ln(sum m a")  # inputs that by themselves make no difference
Wrap = Callable[[LearnedStep], Criterion]
Study = Callable[[], dict[str, Any]]


class Ablations:
    """Networks of one kind of training with parts of it left out, and their measurements."""

    def __init__(self, config: Config, iterations: int, orbits: int) -> None:
        self.config, self.iterations, self.orbits = config, iterations, orbits
        suite, tolerances = make_suite((*STANDARD, LONG), "train", config.num_orbits), asked(config)
        self.references = references_of(suite, config.integrator, measured_at(tolerances), config.threads)
        self.problems = EvaluationSet.make(
            config.integrator, tolerances, "validation", config.validation, threads=config.threads
        )
        self._full: FullyConnectedNN | None = None

    def trained(self, **changes: Any) -> FullyConnectedNN:
        """Return a trained network; changes: other arguments of `descent.trained`."""
        return trained(**{"config": self.config, "references": self.references, "iterations": self.iterations, **changes})

    def full(self) -> FullyConnectedNN:
        """Return the network with everything; it is trained once."""
        if self._full is None:
            self._full = self.trained()
        return self._full

    def two_phases(self) -> FullyConnectedNN:
        """Return a network from 40 epochs of judge `step` on Kepler orbits."""
        shape = {name: getattr(self.config, name) for name in ("integrator", "feature_type", "layers", "dt_ceiling", "device")}
        settings = {"ic": "kepler", "num_orbits": 32, "e_max": 0.95, "steps_per_epoch": 10, "epochs": 40, "lr": 1e-3}
        config = Config(judge="step", seed=1, **shape, **settings)
        network = build_network(self.config)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay)
        particle = ParticleTorch.from_bodies(make_problem(config).bodies)
        run_two_phase_training(network, particle, optimizer, config, ModelAdapter(config))
        return network

    def measured(self, network: FullyConnectedNN, wrap: Wrap = Symmetrized, config: Config | None = None) -> dict[str, Any]:
        """Return cost and compliance of a network on `validation`, and its errors over a thousand orbits."""
        step, order = learned_step(network, config or self.config), self.problems.order
        found = scores(self.problems, evaluate(step, self.problems, threads=self.config.threads, wrap=wrap))
        criterion, end = wrap(step.at_tolerance(LONG_TOL)), 2 * math.pi * self.orbits
        long = simulate(kepler(e=0.9, q=1e-3), t_end=end, criterion=criterion, threads=1, max_steps=3_000_000, warn=False)
        return {
            "cost": {f"{s.tol:g}": s.cost(order) for s in found},
            "within_tolerance": {f"{s.tol:g}": [s.compliance, s.worst_compliance] for s in found},
            "log_cost": mean_log_cost(found, order),
            "forces_an_orbit": long.force_evaluations.item() / self.orbits,
            "max": long.max_energy_error.item(),
            "final": long.final_energy_error.item(),
        }

    def with_setting(self, module: Any, name: str, value: float) -> dict[str, Any]:
        """Train with another value of a constant of a module."""
        with patch.object(module, name, value):
            return self.measured(self.trained())

    def without_long_runs(self) -> dict[str, Any]:
        """Train without the references of the family of long runs."""
        short = torch.nonzero(self.references.family < len(STANDARD)).flatten()
        return self.measured(self.trained(references=self.references.rows(short)[0]))

    def with_layers(self, *layers: int) -> dict[str, Any]:
        """Train a network of another size."""
        config = replace(self.config, layers=layers)
        return self.measured(self.trained(config=config), config=config)

    def studies(self) -> dict[str, Study]:
        """Return the studies by name."""
        found: dict[str, Study] = {
            "everything": lambda: self.measured(self.full()),
            "EnergyBudget (all weights zero)": lambda: self.measured(build_network(self.config)),
            "not symmetrized": lambda: self.measured(self.full(), lambda c: c),
            "symmetrized, smoothness unlimited": lambda: self.measured(
                self.full(), lambda c: Symmetrized(c, smoothness=math.inf)
            ),
            "no penalty on rough steps": lambda: self.with_setting(run, "ROUGHNESS_WEIGHT", 0.0),
            "penalty on the change of a step, not on its bend": lambda: self.with_setting(predicted, "BEND", math.inf),
            "shown the error exactly as predicted": lambda: self.with_setting(run, "NOISE", 0.0),
            "no long runs to learn from": self.without_long_runs,
            "started from the two phases": lambda: self.measured(self.trained(start=self.two_phases())),
            "the two phases alone": lambda: self.measured(self.two_phases()),
            "4 units": lambda: self.with_layers(4),
            "8 units": lambda: self.with_layers(8),
            "32 units": lambda: self.with_layers(32),
            "16 + 16 units": lambda: self.with_layers(16, 16),
        }
        for k, (name, _) in enumerate(INVARIANT[:-1]):  # the order is the same throughout
            found[f"without: {name}"] = lambda k=k: self.measured(self.trained(without=(k,)))
        unimportant = tuple(next(k for k, (name, _) in enumerate(INVARIANT) if name.startswith(word)) for word in UNIMPORTANT)
        found["without four of these: chi, tau_8, eccentricity, pull"] = lambda: self.measured(
            self.trained(without=unimportant)
        )
        return found


def table_of(rows: dict[str, Any]) -> Table:
    """Return the measurements as a table."""
    tolerances = rows["everything"]["cost"]
    table = Table("network", "ratio", *(f"cost {t}" for t in tolerances), "forces an orbit", "max", "final")
    for name, row in rows.items():
        ratio = math.exp(row["log_cost"] - rows["everything"]["log_cost"])
        costs = [f"{c:.0f}" for c in row["cost"].values()]
        table.add_row(name, f"{ratio:.2f}", *costs, f"{row['forces_an_orbit']:.0f}", f"{row['max']:.1e}", f"{row['final']:.1e}")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrator", default="leapfrog")
    parser.add_argument("--iterations", type=int, default=350)
    parser.add_argument("--problems", type=int, default=24, help="references of each family")
    parser.add_argument("--validation", type=int, default=24, help="problems of each family to measure on")
    parser.add_argument("--orbits", type=int, default=1000)
    parser.add_argument("--only", nargs="+", help="parts of names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tolerances = (1e-2, 1e-3, 1e-4) if given.integrator == "leapfrog" else (1e-4, 1e-6, 1e-8)
    sizes = {"num_orbits": given.problems, "validation": given.validation, "threads": given.threads}
    config = Config(judge="run", integrator=given.integrator, tolerances=tolerances, seed=1, device="cpu", **sizes)
    console, rows = Console(width=180), {}
    for name, study in Ablations(config, given.iterations, given.orbits).studies().items():
        if given.only and not any(word in name for word in given.only) and name != "everything":
            continue
        rows[name] = study()
        console.print(name, {k: v for k, v in rows[name].items() if k != "within_tolerance"})
        if given.json is not None:
            about = {"integrator": given.integrator, "iterations": given.iterations, "problems": given.problems}
            given.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    console.print(table_of(rows))


if __name__ == "__main__":
    main()
