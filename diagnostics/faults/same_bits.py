"""The same bits for 1, 2 and 4 threads, for any width of a batch and order of its systems, and in chunks of any size.

    python diagnostics/faults/same_bits.py [--systems 600] [--rounds 20] [--bodies 600] [--seed 0]

Every round runs systems of a family by some criterion and integrator: as one batch with one thread, and then by other numbers
of threads, in parts of other widths, in another order, and as an ensemble in chunks of other sizes. All numbers of the final
states, steps and errors must have the same bits. Then a single cluster, whose forces the threads share, runs by processes of
1, 2 and 4 threads (`NUMBA_NUM_THREADS`).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
from contents import digest_of

from aitimestepper import PRS23, Bodies, FreeFall, LearnedStep, SimulationResult, Symmetrized, ensemble, simulate
from aitimestepper.initial.suites import make_suite

FAMILIES = ("kepler", "triple", "random3")
THREADS = (1, 2, 4)
CASES: tuple[tuple[Any, str], ...] = (
    (LearnedStep(tol=1e-4), "auto"),
    (FreeFall(0.03), "leapfrog"),
    (Symmetrized(FreeFall(0.05)), "hermite4"),
    (PRS23(0.3), "radau15"),
    (FreeFall(0.05), "logh"),
)
CLUSTER = """
import numpy as np, sys
from aitimestepper import FreeFall, simulate
rng, n, threads = np.random.default_rng(1), int(sys.argv[1]), int(sys.argv[2])
from aitimestepper import Bodies
b = Bodies(np.full(n, 1.0 / n), rng.normal(0, 1, (n, 3)), rng.normal(0, 0.5, (n, 3)), softening=0.02)
r = simulate(b, steps=20, criterion=FreeFall(0.05), integrator="leapfrog", threads=threads)
print(r.final.position.tobytes().hex()[:2000], r.max_energy_error[0].hex(), hash(r.final.velocity.tobytes()))
"""


def bits(result: SimulationResult, order: np.ndarray | None = None) -> list[np.ndarray]:
    """Return what must be the same of every system, in the order of the whole batch."""
    final = result.final
    rows = slice(None) if order is None else np.argsort(order)
    values = (final.position, final.velocity, final.time, result.steps, result.max_energy_error, result.final_energy_error)
    return [np.asarray(one)[rows] for one in values]


def parts_of(systems: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the numbers of all systems in parts of random widths."""
    cuts = np.sort(rng.choice(np.arange(1, systems), min(systems - 1, int(rng.integers(1, 12))), replace=False))
    return np.split(np.arange(systems), cuts)


def round_of(start: Bodies, ends: np.ndarray, case: tuple[Any, str], rng: np.random.Generator) -> list[str]:
    """Return in what ways a batch has other bits."""
    criterion, integrator = case
    given: dict[str, Any] = {"criterion": criterion, "integrator": integrator, "max_steps": 400, "warn": False}
    whole = bits(simulate(start, t_end=ends, threads=1, **given))
    found = {f"{n} threads": bits(simulate(start, t_end=ends, threads=n, **given)) for n in THREADS[1:]}
    order = rng.permutation(len(start))
    found["order"] = bits(simulate(start.select(order), t_end=ends[order], threads=2, **given), order)
    some = [bits(simulate(start.select(p), t_end=ends[p], threads=1 + p[0] % 2, **given)) for p in parts_of(len(start), rng)]
    found["width"] = [np.concatenate(columns) for columns in zip(*some, strict=True)]
    wrong = [name for name, one in found.items() if digest_of(*one) != digest_of(*whole)]
    return wrong + _as_ensemble(start, ends, given, whole, rng)


def _as_ensemble(
    start: Bodies, ends: np.ndarray, given: dict[str, Any], whole: list[np.ndarray], rng: np.random.Generator
) -> list[str]:
    if importlib.util.find_spec("pyarrow") is None:
        return []
    given = {name: value for name, value in given.items() if name != "warn"}
    table = ensemble(start, t_end=ends, chunk=int(rng.integers(1, len(start))), threads=2, **given)
    names = ("time", "steps", "max_energy_error", "final_energy_error")
    return [f"ensemble: {name}" for name, one in zip(names, whole[2:], strict=True) if not np.array_equal(table[name], one)]


def clusters(bodies: int) -> set[str]:
    """Return what a single cluster is by processes of several threads: one text where all agree."""
    found = set()
    for threads in THREADS:
        environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-c", CLUSTER, str(bodies), str(threads)]
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    return found


def main() -> int:
    """Run all rounds, and return 1 if some bits differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--bodies", type=int, default=600, help="of the cluster")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failed, compared = False, 0
    for k in range(given.rounds):
        rng = np.random.default_rng([given.seed, k])
        suite = make_suite(FAMILIES[k % len(FAMILIES) :][:1], "train", given.systems, 3)
        start, ends = suite.batch()
        wrong = round_of(start, ends, CASES[k % len(CASES)], rng)
        compared += len(start)
        failed |= bool(wrong)
        if wrong:
            print(f"round {k}: {', '.join(wrong)}")
    print(f"{compared} systems in {given.rounds} rounds: {'other bits' if failed else 'the same bits'}")
    if given.bodies:
        same = len(clusters(given.bodies)) == 1
        failed |= not same
        print(f"a cluster of {given.bodies} bodies by 1, 2, 4 threads: {'the same' if same else 'other'} bits")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
