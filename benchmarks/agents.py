"""Steps a second of `aitimestepper/NBodyStep-v0` on one core, with random actions: python benchmarks/agents.py

The time is that of the processor, so that other programs count little. Everything counts: steps, features, rewards, and the new
problems of episodes that ended, each with its run of the analytic step.
"""

from __future__ import annotations

import argparse
import time

import gymnasium
import numpy as np

NAME = "aitimestepper.gym:aitimestepper/NBodyStep-v0"


def rate(count: int, steps: int, integrator: str) -> tuple[float, int]:
    """Return steps of single systems in a second of the processor, and the number of episodes that ended."""
    many, rng, ended = gymnasium.make_vec(NAME, num_envs=count, integrator=integrator), np.random.default_rng(0), 0
    many.reset(seed=0)
    began = 0.0
    for k in range(steps + 20):
        if k == 20:
            began = time.process_time()
        actions = rng.uniform(-0.5, 0.5, (count, 1)).astype(np.float32)
        *_, terminated, truncated, _ = many.step(actions)
        ended += int((terminated | truncated).sum())
    return count * steps / (time.process_time() - began), ended


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    given = parser.parse_args()
    print(f"{'systems':>8s}{'integrator':>16s}{'steps/s':>12s}{'episodes ended':>16s}")
    for integrator in ("leapfrog", "blanes_moan4"):
        for count in (1, 64, 1024, 4096):
            found, ended = rate(count, given.steps, integrator)
            print(f"{count:8d}{integrator:>16s}{found:12.0f}{ended:16d}", flush=True)


if __name__ == "__main__":
    main()
