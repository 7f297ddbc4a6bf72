"""How many retrains Part 1 needs, from 100 initializations of the default network, on easy and on hard states.

    python diagnostics/retrain_iterations.py [--seeds 100] [--spoil 8]

Every row is one problem, every seed a fresh network with the default settings and no retry cap: two accepted steps, so that
the second one starts from what the first one taught. A row that did not end would hang here, and fail.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator

import numpy as np
import torch

from aitimestepper import Config, ModelAdapter, collect_trajectory
from aitimestepper.differentiable.network import LOG_GAIN
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.initial.named import Bodies, burrau, figure8, kepler, plummer, random, two_body
from aitimestepper.initial.problems import as_problem
from aitimestepper.training.checkpoints import build_network


def problems() -> Iterator[tuple[str, Bodies, Bodies]]:
    """(name, the state that units are measured on, the state to step from): at their hardest place where there is one."""
    for e in (0.0, 0.5, 0.9, 0.99):
        yield f"kepler e={e} pericentre", kepler(e), two_body(e, 1.0, 1.0, 0.0, 1.0, 2)
    yield "kepler e=0.99 apocentre", kepler(0.99), kepler(0.99)
    yield "figure8", figure8(), figure8()
    yield "burrau", burrau(), burrau()
    yield "burrau near its collision", burrau(), _burrau_collision()
    for n in (3, 4, 8, 16):
        yield f"random n={n}", random(n=n, seed=n), random(n=n, seed=n)
    yield "plummer n=16", plummer(n=16, seed=1), plummer(n=16, seed=1)


def _burrau_collision() -> Bodies:
    """Two of the three bodies at the distance of the closest approach, 7.735e-4, passing at their escape speed."""
    r = 7.735e-4
    v = math.sqrt(2 * 7.0 / r)
    position = np.array([[-3 / 7 * r, 0.0], [4.0, 1.0], [4 / 7 * r, 0.0]])
    velocity = np.array([[0.0, -3 / 7 * v], [0.0, 0.0], [0.0, 4 / 7 * v]])
    return Bodies(np.array([4.0, 5.0, 3.0]), position, velocity * 0.999)


def retrains(units: ParticleTorch, particle: ParticleTorch, config: Config, spoil: float) -> int:
    """Retrains of the first two accepted steps, by a fresh network whose ln dt is `spoil` too large."""
    adapter = ModelAdapter(config)
    adapter.measure_scales(units)
    model = build_network(config)
    with torch.no_grad():
        model.log_dt.bias += spoil / LOG_GAIN
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    metrics = collect_trajectory(model, particle, optimizer, config, adapter).metrics
    return round(metrics["mean_retrain_iterations"] * metrics["total_steps"])


def main() -> None:
    """Print one row a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument(
        "--spoil", type=float, default=0.0, help="added to ln dt of every fresh network: 8 starts it at 30 time units"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name, reference, bodies in problems():
        began = time.perf_counter()
        counts = []
        for seed in range(options.seeds):
            config = Config(seed=seed, steps_per_epoch=2)
            units, start = (as_problem([b], config, torch.float64).particle for b in (reference, bodies))
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
