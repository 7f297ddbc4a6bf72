"""Training speed and memory: Part 2, Part 1, growth. Jobs take turns; a ratio is the median of those within a round.

python benchmarks/training.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import nn

from aitimestepper import Config, ModelAdapter, ParticleTorch, collect_trajectory, evaluate_minibatch, run_two_phase_training
from aitimestepper.differentiable.network import build_network
from aitimestepper.initial.problems import make_problem
from aitimestepper.training.attempt import learn
from aitimestepper.training.collection import collect_trajectory_step
from measure import interleaved

PROTOTYPE = (200, 1000, 1000, 200)


def make(**settings: Any) -> tuple[nn.Module, ParticleTorch, torch.optim.Optimizer, Config, ModelAdapter]:
    """Return everything that a training on two-body orbits needs."""
    config = Config(**{"seed": 1, "feature_type": "basic", "ic": "kepler", "num_orbits": 512, "e_max": 0.8, **settings})
    particle = ParticleTorch.from_bodies(make_problem(config).bodies)
    adapter, model = ModelAdapter(config), build_network(config)
    adapter.measure_scales(particle)
    return model, particle, torch.optim.AdamW(model.parameters(), lr=config.lr), config, adapter


def part_2(rounds: int) -> dict[str, float]:
    """Compare an iteration on 512 samples with the bare network's own forward, backward and optimizer step on (512, 11)."""

    def iteration(layers: tuple[int, ...]) -> Callable[[], object]:
        model, particle, optimizer, config, adapter = make(layers=layers)
        trajectory = collect_trajectory(model, particle, optimizer, config, adapter).trajectory

        def job() -> None:
            learn(optimizer, evaluate_minibatch(model, trajectory, config, adapter).losses)

        return job

    bare, _, optimizer, _, _ = make(layers=PROTOTYPE)
    features = torch.randn(512, 11, dtype=torch.float64)

    def bare_network() -> None:
        learn(optimizer, bare(features).sum(dim=1))

    jobs = {"bare": bare_network, "ours": iteration(PROTOTYPE), "default": iteration(Config().layers)}
    times = interleaved(jobs, rounds)
    return {
        "prototype network, ms an iteration": 1e3 * times.median("ours"),
        "bare prototype network, ms": 1e3 * times.median("bare"),
        "ratio (target <= 2)": times.ratio("ours", "bare"),
        "default network, samples/s (target >= 20000)": 512 / times.median("default"),
    }


def part_1(rounds: int) -> dict[str, float]:
    """Compare the accepted steps per second of 256 systems at once with those of one at a time."""
    model, particle, optimizer, config, adapter = make(num_orbits=256, steps_per_epoch=10)

    def collect(index: torch.Tensor) -> Callable[[], object]:
        part = particle.select(index)
        return lambda: collect_trajectory(model, part, optimizer, config, adapter)

    times = interleaved({"batch": collect(torch.arange(256)), "one": collect(torch.tensor([7]))}, rounds)
    return {
        "256 at once, accepted steps/s": 2560 / times.median("batch"),
        "one at a time, accepted steps/s": 10 / times.median("one"),
        "ratio (target >= 50)": 256 * times.ratio("one", "batch"),
    }


def memory(retrains: int, epochs: int) -> dict[str, float]:
    """Measure how the resident size grows over retrains of one state and over epochs, after a warm-up."""

    def resident() -> int:
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    model, particle, _, config, adapter = make(num_orbits=1, max_retrain_steps=retrains // 10, retry_fallback="drop")
    particle = particle.evolve(0.01).clone_detached()
    config = dataclasses.replace(config, energy_threshold=1e-13, lr=1e-9)  # never passes, never learns
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    collect_trajectory_step(model, particle, optimizer, config, adapter)
    before, done = resident(), 0
    for _ in range(10):
        done += collect_trajectory_step(model, particle, optimizer, config, adapter).metrics["retrain_iterations"]
    assert done == 10 * (retrains // 10), done
    over_retrains = resident() / before - 1
    run_two_phase_training(*make(num_orbits=8, steps_per_epoch=5, epochs=20, lr=1e-3))
    before = resident()
    run_two_phase_training(*make(num_orbits=8, steps_per_epoch=5, epochs=epochs, lr=1e-3))
    return {
        f"growth over {retrains} retrains, % (target within 2)": 100 * over_retrains,
        f"growth over {epochs} epochs, % (target within 2)": 100 * (resident() / before - 1),
    }


def main() -> None:
    """Run all studies and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    rounds = 5 if options.quick else 20
    studies = {
        "Part 2": lambda: part_2(rounds),
        "Part 1": lambda: part_1(rounds),
        "memory": lambda: memory(1_000 if options.quick else 10_000, 50 if options.quick else 200),
    }
    results = {}
    for name, study in studies.items():
        results[name] = study()
        if not options.json:
            for what, value in results[name].items():
                print(f"{name:8s} {what:55s} {value:12.4g}", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
