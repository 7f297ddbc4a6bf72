"""How many retrains Part 1 needs, from 100 initializations of the default network, on easy and on hard states.

    python diagnostics/retrain_iterations.py [--seeds 100] [--spoil 8] [--only kepler burrau]

Every row is one problem, every seed a fresh network with the default settings and no retry cap. Two steps are accepted, so that
the second one starts from what was learned on the first. A training that does not end would hang here.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator

import numpy as np
import torch

from aitimestepper import Config, ModelAdapter, ParticleTorch, collect_trajectory
from aitimestepper.constants import LOG_GAIN
from aitimestepper.differentiable.network import build_network
from aitimestepper.initial.named import InitialConditions, burrau, figure8, kepler, plummer, random, two_body
from aitimestepper.initial.problems import as_problem


def problems() -> Iterator[tuple[str, InitialConditions, InitialConditions]]:
    """Yield name, the state that the scales are measured on, and the state to step from: the hardest one where there is one."""
    for e in (0.0, 0.5, 0.9, 0.99):
        yield f"kepler e={e} pericentre", kepler(e), two_body(e, 1.0, 1.0, 0.0, 1.0, 2)
    yield "kepler e=0.99 apocentre", kepler(0.99), kepler(0.99)
    yield "figure8", figure8(), figure8()
    yield "burrau", burrau(), burrau()
    yield "burrau near its collision", burrau(), _burrau_collision()
    for n in (3, 4, 8, 16):
        yield f"random n={n}", random(n=n, seed=n), random(n=n, seed=n)
    yield "plummer n=16", plummer(n=16, seed=1), plummer(n=16, seed=1)


def _burrau_collision() -> InitialConditions:
    """Return two of the three bodies at a distance of 7.735e-4, passing at nearly their escape speed."""
    r = 7.735e-4
    v = math.sqrt(2 * 7.0 / r)
    position = np.array([[-3 / 7 * r, 0.0], [4.0, 1.0], [4 / 7 * r, 0.0]])
    velocity = np.array([[0.0, -3 / 7 * v], [0.0, 0.0], [0.0, 4 / 7 * v]])
    return InitialConditions(np.array([4.0, 5.0, 3.0]), position, velocity * 0.999)


def retrains(units: ParticleTorch, particle: ParticleTorch, config: Config, spoil: float) -> int:
    """Return the retrains of the first two accepted steps, by a fresh network whose ln dt is `spoil` too large."""
    adapter = ModelAdapter(config)
    adapter.measure_scales(units)
    model = build_network(config)
    with torch.no_grad():
        model.log_dt.bias += spoil / LOG_GAIN
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    metrics = collect_trajectory(model, particle, optimizer, config, adapter).metrics
    return round(metrics["mean_retrain_iterations"] * metrics["total_steps"])


def main() -> None:
    """Measure, and print one row a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument(
        "--spoil", type=float, default=0.0, help="added to ln dt of every fresh network: 8 starts it at 30 time units"
    )
    parser.add_argument("--only", nargs="+", help="parts of names of problems")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name, reference, initial in problems():
        if options.only and not any(word in name for word in options.only):
            continue
        began = time.perf_counter()
        counts = []
        for seed in range(options.seeds):
            config = Config(seed=seed, steps_per_epoch=2)
            units, start = (ParticleTorch.from_bodies(as_problem([x], config).bodies) for x in (reference, initial))
            counts.append(retrains(units, start, config, options.spoil))
        quantiles = np.percentile(counts, [0, 50, 90, 100]).tolist()
        rows.append(
            {"problem": name, "seeds": options.seeds, "min/median/p90/max": quantiles, "s": time.perf_counter() - began}
        )
        if not options.json:
            low, middle, p90, high = quantiles
            print(
                f"{name:28s} min {low:5.0f}  median {middle:5.0f}  p90 {p90:5.0f}  max {high:5.0f}   ({rows[-1]['s']:.1f} s)",
                flush=True,
            )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
