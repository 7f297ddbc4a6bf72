"""Engine and training speed of this checkout against another one, in turns, on the same runs.

    python benchmarks/compare_versions.py OLD_SRC [--new-src SRC] [--only engine training] [--rounds 15] [--quick] [--json FILE]

OLD_SRC is the src folder of the other checkout; it may be of the API before the runtime did without torch. Each version lives
in one child process, which imports it once and then runs the requested jobs. The two take turns, and each round begins
with the other one. Times are processor seconds on one thread. A ratio is the median over the rounds of new over old within a
round, so that 1.03 means that the new version takes 3 % longer; the last column is the middle half of the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve()
DT, TOL, ETA = 1e-4, 1e-6, 0.02
LOOSE = {"leapfrog": 1e-3, "kahan_li6": 1e-5, "order6": 1e-5}  # tolerances of batches, by integrator
RADAU_ETA = 0.175  # of PRS23: that of IAS15 with epsilon = 1e-9
Prepare = Callable[[int], Callable[[], object]]  # from an amount of work to the call that is timed


# ---- a child: one version, asked for jobs by name ------------------------------------------------------------------------
class Api(NamedTuple):
    """Names and calls that differ between the versions."""

    package: Any
    named: Any  # the module of named initial conditions
    state: Callable[[list[Any]], Any]  # initial conditions -> the batch that simulate takes
    order_6: str
    training: Callable[..., tuple[Any, ...]]  # settings -> model, particle, optimizer, config, adapter


def api() -> Api:
    """Return the API of the version on the path of this process."""
    try:
        import aitimestepper.bodies  # noqa: F401
    except ImportError:
        return _old_api()
    return _new_api()


def _new_api() -> Api:
    import aitimestepper as package
    from aitimestepper.initial import named
    from aitimestepper.initial.problems import as_problem

    def training(**settings: Any) -> tuple[Any, ...]:
        from aitimestepper.differentiable.network import build_network
        from aitimestepper.initial.problems import make_problem

        config = package.Config(**settings)
        particle = package.ParticleTorch.from_bodies(make_problem(config).bodies)
        return _with_network(package, build_network(config), particle, config)

    return Api(package, named, lambda systems: as_problem(systems, package.Config()).bodies, "kahan_li6", training)


def _old_api() -> Api:
    import torch
    from aitimestepper.io import initial as named
    from aitimestepper.io.problems import as_problem

    import aitimestepper as package

    def training(**settings: Any) -> tuple[Any, ...]:
        from aitimestepper.io.checkpoints import build_network
        from aitimestepper.io.problems import make_problem

        config = package.Config(**settings)
        return _with_network(package, build_network(config), make_problem(config).particle, config)

    def state(systems: list[Any]) -> Any:
        return as_problem(systems, package.Config(), torch.float64).particle

    return Api(package, named, state, "order6", training)


def _with_network(package: Any, model: Any, particle: Any, config: Any) -> tuple[Any, ...]:
    import torch

    adapter = package.ModelAdapter(config, "cpu")
    adapter.measure_scales(particle)
    return model, particle, torch.optim.AdamW(model.parameters(), lr=config.lr), config, adapter


def engine_jobs(v: Api) -> dict[str, Prepare]:
    """Return the jobs of the engine, whose unit of work is a step of every system."""
    a = v.package

    def bodies(n: int) -> Any:
        named = v.named
        return v.state([named.kepler(0.5, dim=3) if n == 2 else named.figure8(dim=3) if n == 3 else named.plummer(n, seed=n)])

    def steps_of(state: Any, criterion: Any, integrator: str) -> Prepare:
        settings = {"criterion": criterion, "integrator": integrator, "threads": 1}
        return lambda steps: lambda: a.simulate(state, steps=steps, **settings)

    learned = a.Symmetrized(a.LearnedStep.load("default", TOL, integrator=v.order_6))
    jobs = {f"leapfrog, constant step, N = {n}": steps_of(bodies(n), a.Constant(DT), "leapfrog") for n in (2, 3, 10, 100)}
    freefall = a.Symmetrized(a.FreeFall(ETA))
    jobs |= {f"leapfrog, symmetrized freefall, N = {n}": steps_of(bodies(n), freefall, "leapfrog") for n in (2, 3, 16)}
    jobs |= {f"kahan_li6, learned step, N = {n}": steps_of(bodies(n), learned, v.order_6) for n in (2, 16)}
    jobs["radau15, N = 2"] = steps_of(bodies(2), a.PRS23(RADAU_ETA), "radau15")
    triples = v.state([v.named.random(n=3, seed=seed) for seed in range(1000)])
    fours = v.state([v.named.random(n=4, seed=seed) for seed in range(1000)])
    jobs["leapfrog, constant step, 1000 triples"] = steps_of(triples, a.Constant(DT), "leapfrog")
    for bodies_each, batch in (("triples", triples), ("of 4 bodies", fours)):
        for order in ("leapfrog", v.order_6):
            step = a.Symmetrized(a.LearnedStep.load("default", LOOSE[order], integrator=order))
            jobs[f"{order}, learned step, 1000 {bodies_each}"] = steps_of(batch, step, order)
    return jobs


def training_jobs(v: Api) -> dict[str, Prepare]:
    """Return the jobs of the training; every call begins with a fresh network of the same seed."""
    import torch

    from aitimestepper.training.attempt import learn

    a = v.package
    torch.set_num_threads(1)
    orbits = {"seed": 1, "feature_type": "basic", "ic": "kepler", "e_max": 0.8, "num_orbits": 256, "steps_per_epoch": 10}

    def part_1(amount: int) -> Callable[[], object]:
        made = [v.training(**orbits) for _ in range(amount)]
        return lambda: float(sum(a.collect_trajectory(*things).metrics["mean_retrain_iterations"] for things in made))

    model, particle, optimizer, config, adapter = v.training(**{**orbits, "num_orbits": 512, "steps_per_epoch": 1})
    trajectory = a.collect_trajectory(model, particle, optimizer, config, adapter).trajectory

    def part_2(amount: int) -> Callable[[], object]:
        model, _, optimizer, config, adapter = v.training(**orbits)

        def iterate() -> None:
            for _ in range(amount):
                learn(optimizer, a.evaluate_minibatch(model, trajectory, config, adapter).losses)

        return iterate

    def epoch(amount: int) -> Callable[[], object]:
        fixed = {**orbits, "num_orbits": 64, "replay_min_steps": 20, "replay_steps": 20}
        made = [v.training(**fixed) for _ in range(amount)]

        def train() -> float:
            done = [a.train_epoch_two_phase(*things) for things in made]
            return float(sum(d["part2_iterations"] + d["trajectory_metrics"]["mean_retrain_iterations"] for d in done))

        return train

    return {"Part 1, 256 systems, 10 steps": part_1, "Part 2, 512 samples, an iteration": part_2, "an epoch, 64 systems": epoch}


GROUPS = {"engine": engine_jobs, "training": training_jobs}


def serve(groups: list[str]) -> None:
    """Print the names of all jobs; then, for every line "amount name" on standard input, do it and print its seconds.

    Jobs of the training also print their number of optimizer steps, which must agree for times to be compared.
    """
    version, jobs = api(), {}
    for group in groups:
        jobs |= GROUPS[group](version)
    print(json.dumps(list(jobs)), flush=True)
    for line in sys.stdin:
        amount, _, name = line.rstrip("\n").partition(" ")
        call = jobs[name](int(amount))
        began = time.process_time()
        learned = call()
        seconds = time.process_time() - began
        print(json.dumps([seconds, learned if isinstance(learned, float) else None]), flush=True)


# ---- the parent: two children in turns -----------------------------------------------------------------------------------
class Version:
    """A child process with one version of the package."""

    def __init__(self, src: Path, groups: list[str]) -> None:
        if not (src / "aitimestepper/__init__.py").is_file():
            raise SystemExit(f"{src} holds no package aitimestepper; give the src folder of a checkout.")
        # one thread each; a caller's own path would put another version first
        environment = {**os.environ, "PYTHONPATH": str(src), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", str(HERE), "--serve", *groups]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.jobs: list[str] = json.loads(self._line())
        self.learned: dict[str, float | None] = {}  # iterations of learning a unit of work, of the last call

    def seconds(self, name: str, amount: int) -> float:
        """Return the processor seconds of `amount` units of a job."""
        assert self._child.stdin is not None
        print(f"{amount} {name}", file=self._child.stdin, flush=True)
        seconds, learned = json.loads(self._line())
        self.learned[name] = None if learned is None else learned / amount
        return float(seconds)

    def _line(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit("a version ended with an error; it is printed above.")
        return line


def amount_for(version: Version, name: str, least: float) -> int:
    """Return an amount of work that takes at least `least` seconds; the first call, which may compile, is not counted."""
    amount = 1
    version.seconds(name, amount)
    while (seconds := version.seconds(name, amount)) < least:
        amount = max(amount + 1, int(amount * min(1.2 * least / max(seconds, 1e-6), 10.0)))
    return amount


def compared(old: Version, new: Version, name: str, rounds: int, call: float) -> dict[str, Any]:
    """Time one job in both versions, in turns."""
    amount = amount_for(old, name, call)
    new.seconds(name, amount)  # may compile
    times: dict[str, list[float]] = {"old": [], "new": []}
    for turn in range(rounds):
        order = (("old", old), ("new", new)) if turn % 2 == 0 else (("new", new), ("old", old))
        for which, version in order:
            times[which].append(version.seconds(name, amount) / amount)
    ratios = [after / before for before, after in zip(times["old"], times["new"], strict=True)]
    quarter = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
    seconds = {which: statistics.median(values) for which, values in times.items()}
    row = {"job": name, **seconds, "ratio": statistics.median(ratios), "middle_half": [quarter[0], quarter[2]]}
    return {**row, "learned": [old.learned[name], new.learned[name]]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old_src", type=Path, metavar="OLD_SRC")
    parser.add_argument("--new-src", type=Path, default=HERE.parents[1] / "src", help="(default: that of this checkout)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="three rounds of short calls")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    given = parser.parse_args()
    rounds, call = (3, 0.05) if given.quick else (given.rounds, 0.3)
    rows = []
    print(f"{'':40s} {'old':>10s} {'new':>10s} {'new / old':>10s}   middle half")
    for group in given.only:
        old, new = (Version(src, [group]) for src in (given.old_src, given.new_src))
        if old.jobs != new.jobs:
            raise SystemExit("the two versions have different jobs.")
        for name in old.jobs:
            rows.append(compared(old, new, name, rounds, call))
            row = rows[-1]
            low, high = row["middle_half"]
            micro = (f"{1e6 * row[which]:8.4g}us" for which in ("old", "new"))
            note = "" if row["learned"][0] == row["learned"][1] else f"   iterations of learning: {row['learned']}"
            print(f"{name:40s} {' '.join(micro)} {row['ratio']:10.3f}   {low:.3f} ... {high:.3f}{note}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps({"rounds": rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2:])
    else:
        main()
