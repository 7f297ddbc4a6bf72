"""Fixtures of the tests inside REBOUND."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rebound


@pytest.fixture
def orbit() -> Callable[..., Any]:
    """Return a simulation of a planet on an eccentric orbit, at its apocentre, and of a second planet if asked for."""

    def make(e: float = 0.9, m: float = 1e-3, others: int = 0, **settings: Any) -> Any:
        sim = rebound.Simulation()
        sim.add(m=1.0, name="star")
        sim.add(m=m, a=1.0, e=e, f=np.pi)
        for k in range(others):
            sim.add(m=1e-4, a=4.0 + 2.0 * k, e=0.1, f=1.0 + k)
        sim.move_to_com()
        for name, value in settings.items():
            setattr(sim, name, value)
        return sim

    return make


@pytest.fixture
def state_of() -> Callable[[Any], np.ndarray]:
    """Return positions and velocities of all particles, (N, 6)."""
    return lambda sim: np.array([[p.x, p.y, p.z, p.vx, p.vy, p.vz] for p in sim.particles])


@pytest.fixture
def largest_error() -> Callable[..., float]:
    """Return the largest relative energy error at the output times of a run."""

    def run(sim: Any, times: Any) -> float:
        energy, worst = sim.energy(), 0.0
        for t in times:
            sim.integrate(t)
            worst = max(worst, abs(sim.energy() / energy - 1.0))
        return worst

    return run
