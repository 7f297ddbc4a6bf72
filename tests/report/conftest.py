from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import FreeFall
from aitimestepper.initial import named
from aitimestepper.report.compare import Curve
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.recording import RecordedTrajectory, TrajectoryRecorder


@pytest.fixture
def two_body() -> Callable[..., Bodies]:
    """A bound orbit of total mass 1 and semi-major axis 1, from apocentre, at rest as a whole."""

    def make(e: float = 0.5, q: float = 1.0, **more: Any) -> Bodies:
        b = named.two_body(e, q, 1.0, math.pi, 1.0, 2)
        return Bodies(b.mass, b.position, b.velocity, **more)

    return make


@pytest.fixture
def random_system() -> Callable[..., Bodies]:
    """Systems of n bodies in space with unequal masses and no close pair (nearest-pair distance above 0.1)."""

    def make(n: int = 4, seed: int = 0, systems: int = 1) -> Bodies:
        rng = np.random.default_rng([n, seed])
        mass = np.exp(0.7 * rng.normal(size=(systems, n)))
        while True:
            position = rng.normal(size=(systems, n, 3))
            distance = np.linalg.norm(position[:, :, None] - position[:, None], axis=-1) + 10 * np.eye(n)
            if distance.min() > 0.1:
                return Bodies(mass, position, 0.5 * rng.normal(size=(systems, n, 3)))

    return make


@pytest.fixture
def make_trajectory() -> Callable[..., RecordedTrajectory]:
    """A trajectory whose bodies move along polynomials of time: `coefficients` (K, N, D), lowest power first."""

    def make(time: np.ndarray, coefficients: np.ndarray, mass: Any = None, **changes: Any) -> RecordedTrajectory:
        time = np.asarray(time, dtype=float)
        powers = np.arange(len(coefficients))
        slopes = np.where(powers > 0, powers, 0) * time[:, None] ** np.maximum(powers - 1, 0)
        S, N = len(time), coefficients.shape[1]
        values: dict[str, Any] = {
            "mass": np.ones(N) if mass is None else np.asarray(mass, dtype=float),
            "time": time,
            "position": np.einsum("sk,knd->snd", time[:, None] ** powers, coefficients),
            "velocity": np.einsum("sk,knd->snd", slopes, coefficients),
            "dt": np.concatenate([time[1:2] - time[:1], np.diff(time)]),
            "energy": np.full(S, -0.5),
            "energy_error": np.geomspace(1e-8, 1e-4, S),
            "momentum": np.zeros((S, coefficients.shape[2])),
            "angular_momentum": np.zeros((S, 3)),
        }
        return RecordedTrajectory(**{**values, **changes})

    return make


@pytest.fixture
def orbit(two_body) -> RecordedTrajectory:
    """One revolution of an eccentric orbit, as `simulate` takes it."""
    recorder = TrajectoryRecorder()
    simulate(two_body(e=0.6), t_end=6.0, criterion=FreeFall(0.1), output_steps=1, sinks=(recorder.take,))
    return recorder.trajectory()


@pytest.fixture
def power_law() -> Callable[..., Curve]:
    """Largest error `a` n^-2, final error `b` n^-2, from 100 to 10000 force evaluations."""

    def make(label: str, a: float, b: float = 1.0, **more: Any) -> Curve:
        n = np.geomspace(100, 10_000, 5)
        return Curve(label, n, a / n**2, b / n**2, **more)

    return make


@pytest.fixture
def records() -> list[Mapping[str, Any]]:
    """What metrics.jsonl holds after six epochs."""
    return [
        {
            "epoch": epoch,
            "epoch_time": 0.1 * epoch,
            "part1/mean_retrain_iterations": 6.0 - epoch,
            "part1/max_retrain_iterations": 2 * (6 - epoch),
            "part1/mean_energy_error": 1e-5 * epoch,
            "part1/mean_dt": 1e-2 / epoch,
            "part1/acceptance_rate": 1 / (7.0 - epoch),
            "part2/iterations": 10 * epoch,
            "part2/final_pass_rate": 1.0,
            "part2/max_rel_dE": 1e-4 / epoch,
        }
        for epoch in range(1, 7)
    ]
