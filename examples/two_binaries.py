"""A family of problems of one's own, for `--ic-family examples/two_binaries.py`: two equal binaries that meet."""

from __future__ import annotations

import numpy as np

from aitimestepper import Bodies


def two_binaries(rng: np.random.Generator, dim: int) -> tuple[Bodies, float]:
    """Return two binaries of a = 1, e from 0 to 0.8, which fall towards each other from a distance of 12, and the end time."""
    mass, position, velocity = np.full(4, 0.5), np.zeros((4, dim)), np.zeros((4, dim))
    for k in (0, 2):
        e, phase = rng.uniform(0.0, 0.8), rng.uniform(0.0, 2 * np.pi)
        first, second = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:2]  # axes of the orbit
        x = (1 - e * e) / (1 + e * np.cos(phase)) * (np.cos(phase) * first + np.sin(phase) * second)
        v = (-np.sin(phase) * first + (e + np.cos(phase)) * second) / np.sqrt(1 - e * e)
        position[k : k + 2], velocity[k : k + 2] = np.array([-x, x]) / 2, np.array([-v, v]) / 2
    position[2:, :2] += 12.0, rng.uniform(0.0, 3.0)
    velocity[2:, 0] -= rng.uniform(0.1, 0.4)
    return Bodies(mass, position, velocity), 60.0
