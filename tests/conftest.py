"""Fixtures of all tests, without torch. Most return a function that makes what their name says.

Tests that need PyTorch carry the mark `torch`, by the folder they are in or by a fixture that they use; torch_fixtures.py has
the same systems in torch. Where it is not installed, they are left out.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.initial import named as initial

WITH_TORCH = (
    "differentiable",
    "training",
    "cli/test_training_commands.py",
    "cli/test_sweep.py",
    "test_docs.py",
    "test_readme.py",
    "test_site.py",
)
# Files that take long come first, the longest before the others: two processes that take one file after another then end
# within seconds of each other, and none waits for one that began last.
LONG = (
    "simulate/test_lanes.py",
    "cli/test_training_commands.py",
    "faults/test_damage.py",
    "faults/test_campaigns.py",
    "simulate/test_cache.py",
    "cli/test_commands.py",
)
NEED_TORCH = {"torch", "trained"}  # fixtures
HERE = Path(__file__).parent
collect_ignore = [] if importlib.util.find_spec("torch") else list(WITH_TORCH)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PyTorch, and let what takes long come first."""
    for item in items:
        where = item.path.relative_to(HERE).as_posix()
        if where.startswith(WITH_TORCH) or NEED_TORCH & set(getattr(item, "fixturenames", ())):
            item.add_marker("torch")
    place = {name: k for k, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.relative_to(HERE).as_posix(), len(LONG)))


@pytest.fixture
def torch() -> ModuleType:
    """PyTorch, for a test that puts tensors into the runtime."""
    return pytest.importorskip("torch")


@pytest.fixture
def slope() -> Callable[[list[float], list[float]], float]:
    """Return the least-squares slope of log error against log step."""
    return lambda steps, errors: float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


@pytest.fixture
def two_body() -> Callable[..., Bodies]:
    """Return a bound orbit of total mass 1 and semi-major axis `a`, at rest as a whole, from any eccentric anomaly."""

    def make(e: float = 0.5, q: float = 1.0, a: float = 1.0, dim: int = 2, G: float = 1.0, anomaly: float = math.pi, **more):
        b = initial.two_body(e, q, a, anomaly, G, dim)
        return Bodies(b.mass, b.position, b.velocity, G=G, **more)

    return make


@pytest.fixture
def random_system() -> Callable[..., Bodies]:
    """Return B systems of n bodies with unequal masses, no symmetry, and no close pair (nearest-pair distance above 0.1)."""

    def make(n: int = 4, dim: int = 3, seed: int = 0, systems: int = 1, **more: Any) -> Bodies:
        rng = np.random.default_rng([n, dim, seed])
        mass = np.exp(0.7 * rng.normal(size=(systems, n)))
        while True:
            position = rng.normal(size=(systems, n, dim))
            distance = np.linalg.norm(position[:, :, None] - position[:, None], axis=-1) + 10 * np.eye(n)
            if distance.min() > 0.1:
                return Bodies(mass, position, 0.5 * rng.normal(size=(systems, n, dim)), **more)

    return make


@pytest.fixture
def padded() -> Callable[[Bodies, int], Bodies]:
    """Return the systems padded with absent bodies to `n` bodies."""

    def grow(p: Bodies, n: int) -> Bodies:
        def zeros(x: np.ndarray) -> np.ndarray:
            return x if x.ndim == 1 else np.pad(x, [(0, 0), (0, n - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])

        return Bodies(**{k: zeros(x) for k, x in p.arrays().items()}, G=p.G, external_field=p.external_field)

    return grow


@pytest.fixture
def flipped() -> Callable[[Bodies], Bodies]:
    """Return the state with all velocities reversed."""
    return lambda p: p.replace(velocity=-p.velocity)
