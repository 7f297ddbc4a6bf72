"""The self-test of `aitimestepper doctor`: short runs of which something is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..bodies import Bodies, as_bodies
from ..initial.named import kepler, random, triple
from ..models import SHIPPED, shipped
from ..simulate.engine import simulate
from ..simulate.result import SimulationResult

TOL = 1e-6
RETURNED = 1e-8  # of the distance: how near Gauss-Radau comes to the start after ten orbits
SYSTEMS = 17  # an odd number fills no register
SPEED_STEPS = 2_000_000
BITS = ("steps", "force_evaluations", "max_energy_error", "dt_min", "dt_max")


class Check(NamedTuple):
    """One check: what it was about, whether it passed, and the numbers in words."""

    name: str
    passed: bool
    words: str


def checks() -> Iterator[Check]:
    """Make one check after the other; an error of any kind in one is that it failed, and the others go on."""
    for name, check in CHECKS.items():
        try:
            passed, words = check()
        except Exception as error:  # whatever is wrong with an installation
            passed, words = False, f"{type(error).__name__}: {error}"
        yield Check(name, passed, words)


def _networks() -> tuple[bool, str]:
    """Read every network of the package, and compare what its card says with what it is for."""
    fine = [name for name in SHIPPED if shipped(name).calibration and shipped(name).integrator == name]
    return len(fine) == len(SHIPPED) > 0, f"{len(fine)} of {len(SHIPPED)} intact: {', '.join(SHIPPED)}"


def _kepler_energy() -> tuple[bool, str]:
    """A hundred orbits: the error that is reported and that of the analytic energy, -m1 m2 / 2a, are within the tolerance."""
    result = simulate(kepler(e=0.6), t_end=200 * math.pi, tol=TOL, warn=False)
    error = abs(float(result.final.total_energy()[0]) / -0.125 - 1)
    return _within(
        result
    ) and error <= TOL, f"100 orbits at tol {TOL:g}: {result.max_energy_error[0]:.1e}, analytic {error:.1e}"


def _triple_energy() -> tuple[bool, str]:
    result = simulate(triple(), t_end=400.0, tol=TOL, warn=False)
    return _within(result), f"400 time units at tol {TOL:g}: {result.max_energy_error[0]:.1e}"


def _period() -> tuple[bool, str]:
    start = as_bodies(kepler(e=0.6))
    result = simulate(start, t_end=20 * math.pi, integrator="radau15", criterion="prs23", warn=False)
    apart = float(np.abs(result.final.position - start.position).max())
    return result.status == ("ok",) and apart < RETURNED, f"Gauss-Radau is back after 10 orbits to {apart:.1e}"


def _threads() -> tuple[bool, str]:
    one, two = (simulate(_batch(), t_end=2.0, tol=1e-4, threads=n, warn=False) for n in (1, 2))
    return _same_bits(one, two), f"{SYSTEMS} systems on 1 and 2 threads"


def _lanes() -> tuple[bool, str]:
    batch = _batch()
    together = simulate(batch, t_end=2.0, tol=1e-4, warn=False)
    same = 0
    for b in range(SYSTEMS):
        alone = simulate(batch.select(b), t_end=2.0, tol=1e-4, warn=False)
        same += int(np.array_equal(alone.final.position[0], together.final.position[b]) and alone.steps[0] == together.steps[b])
    return same == SYSTEMS, f"{same} of {SYSTEMS} systems in a register have the bits of their single runs"


def _speed() -> tuple[bool, str]:
    began = time.perf_counter()
    result = simulate(kepler(), steps=SPEED_STEPS, criterion="constant:dt=1e-3", warn=False)
    rate = SPEED_STEPS / (time.perf_counter() - began)
    return result.status == ("ok",), f"{rate / 1e6:.2f} million steps a second, two bodies, leapfrog"


def _batch() -> Bodies:
    return Bodies.stack([as_bodies(random(3, seed=seed)) for seed in range(SYSTEMS)])


def _within(result: SimulationResult) -> bool:
    return result.within_tolerance is not None and bool(result.within_tolerance.all())


def _same_bits(a: SimulationResult, b: SimulationResult) -> bool:
    arrays = [(getattr(a, name), getattr(b, name)) for name in BITS]
    arrays += [(getattr(a.final, name), getattr(b.final, name)) for name in ("position", "velocity", "time")]
    return a.status == b.status and all(np.array_equal(x, y) for x, y in arrays)


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "networks": _networks,
    "Kepler orbit": _kepler_energy,
    "triple": _triple_energy,
    "period": _period,
    "threads": _threads,
    "registers": _lanes,
    "speed": _speed,
}
