"""Runs of every kind with output, for tests that stop them and go on; as a script: each of them, killed on its way.

The import and the compiled code (1 s) are paid once: the runs that kill themselves are forks.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.bodies import Bodies
from aitimestepper.config import Config
from aitimestepper.constants import LOG_GAIN
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall, HutMakino
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.features import Scales, feature_count
from aitimestepper.fields import tidal
from aitimestepper.initial import named as initial
from aitimestepper.models import Model
from aitimestepper.simulate import advance as compiled
from aitimestepper.simulate import session
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.progress import Status
from aitimestepper.simulate.result import SimulationResult
from aitimestepper.simulate.snapshots import Snapshots
from aitimestepper.simulate.snapshots.records import FIELDS
from encounters import encounter

T_END = 2.0
EVERY = 0.0625  # exact in binary: 32 rows and the start


def started(b: initial.InitialConditions, **more: Any) -> Bodies:
    return Bodies(b.mass, b.position, b.velocity, G=b.G, **more)


def learned(start: Bodies, feature_type: str, history_len: int = 0) -> LearnedStep:
    """A network that has not learned, with steps near 0.017 that follow its inputs."""
    config = Config(feature_type=feature_type, history_len=history_len, layers=(8, 8), seed=1, device="cpu")
    rng, inputs = np.random.default_rng(1), feature_count(feature_type, history_len)

    def layer(name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        weight, bias = rng.uniform(-1, 1, (outputs, inputs)), rng.uniform(-1, 1, outputs)
        return {f"{name}.weight": weight / math.sqrt(inputs), f"{name}.bias": bias / math.sqrt(inputs)}

    weights = {"frequencies": np.zeros((inputs, 0)), "lowest": np.full(inputs, -np.inf), "highest": np.full(inputs, np.inf)}
    weights |= layer("hidden.0", inputs, 8) | layer("hidden.2", 8, 8) | layer("log_dt", 8, 1) | layer("log_error", 8, 1)
    weights["log_dt.weight"] /= 2.0
    weights["log_error.bias"] = np.array([-6.0])
    for _ in range(3):
        step = LearnedStep(Model(config, weights, Scales(1.2, 0.8, 0.9, 1.1, 3.1)))
        dt = simulate(start, steps=1, criterion=step).dt_max[0]
        weights["log_dt.bias"] = weights["log_dt.bias"] + math.log(0.017 / dt) / LOG_GAIN
    return LearnedStep(Model(config, weights, step.model.scales))


def plans() -> dict[str, dict[str, Any]]:
    """What to give `simulate`; between 90 and 230 steps each."""
    pair, three = started(initial.kepler(0.5, 0.3)), three_bodies(3)
    batch = Bodies.stack([started(initial.kepler(0.3), time=1.0), three_bodies(2), started(initial.kepler(0.6), time=1.7)])
    moving = started(initial.kepler(0.2), external_field=tidal(M=2.0, R0=5.0, period=3.0))
    invariant, looking_back = learned(three, "invariant"), learned(three, "delta_mag", 3)
    given: dict[str, tuple[Bodies, Any, str]] = {
        "leapfrog": (pair, Constant(0.0137), "leapfrog"),
        "symmetrized": (three, Symmetrized(FreeFall(0.035)), "leapfrog"),
        "limited kahan_li8": (three, Limited(Symmetrized(EnergyBudget(1e-12, "kahan_li8")), 1e-3, 0.025), "kahan_li8"),
        "hmm": (pair, HutMakinoMcMillan(FreeFall(0.007), 2), "suzuki4"),
        "hermite4": (three, HutMakino(0.04), "hermite4:n=2"),
        "logh": (three, Constant(0.016), "logh"),
        "radau15": (pair, Constant(0.02), "radau15"),
        "radau15 own": (pair, PRS23(0.014), "radau15"),
        "learned": (three, Symmetrized(invariant), "leapfrog"),
        "looking back": (three, looking_back, "leapfrog"),
        "batch": (batch, FreeFall(0.03), "suzuki4"),
        "parabolic": (encounter(), Symmetrized(EnergyBudget(1e-3)), "kahan_li6"),
        "moving field": (moving, FreeFall(0.013), "suzuki4"),
    }
    runs = {k: {"particle": p, "criterion": c, "integrator": i, "t_end": T_END} for k, (p, c, i) in given.items()}
    runs["guard"] = {**runs["leapfrog"], "particle": three, "criterion": Constant(0.03), "guard": True, "tol": 1e-4}
    return runs


def three_bodies(axes: int) -> Bodies:
    """A figure-eight that is none: other masses, a push out of the plane, and a little softening."""
    b = initial.figure8(axes)
    velocity = b.velocity.copy()
    velocity[0, -1] += 0.1
    return Bodies([1.0, 1.2, 0.9], b.position, velocity, softening=0.01)


def at_turn(turn: int, act: Callable[[], None]) -> Callable[[Status], None]:
    """Looks on, and acts once at that turn, between its rows and its state."""
    seen: list[float] = []

    def watch(status: Status) -> None:
        seen.append(status.time)
        if len(seen) == turn:
            act()

    return watch


@contextmanager
def short_turns() -> Iterator[None]:
    """64 steps, then 8, then 1 a turn, each with a state to go on from: 3 ms, so that nobody wants many of them."""
    before = compiled.TURN, session.SAVE_EVERY
    compiled.TURN, session.SAVE_EVERY = 1e-9, -math.inf
    try:
        yield
    finally:
        compiled.TURN, session.SAVE_EVERY = before


PLANS = plans()


def recorded(path: Path, name: str, **more: Any) -> SimulationResult:
    """One of the runs with rows in a file."""
    return simulate(**PLANS[name], output=path, output_every=EVERY, **more)


def same_rows(one: Path, other: Path) -> bool:
    """Whether two files hold the same rows, to the bit."""
    with Snapshots(one) as a, Snapshots(other) as b:
        return len(a) == len(b) and all(np.array_equal(a.column(n)[:], b.column(n)[:], equal_nan=True) for n in FIELDS)


def main(folder: Path) -> None:
    for name, run in PLANS.items():
        simulate(**run)
        for turn in (1, 9) if name in ("batch", "radau15") else (9,):
            child = os.fork()
            if child == 0:
                watch = at_turn(turn, lambda: os.kill(os.getpid(), signal.SIGKILL))
                with short_turns():
                    simulate(**run, output=folder / f"{name} {turn}.h5", output_every=EVERY, progress=watch)
                os._exit(0)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
                sys.exit(f"{name} was not killed at turn {turn}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
